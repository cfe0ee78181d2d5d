package memcached

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"
)

// oneServer is a [memcache.ServerSelector] with no choice. The address stays a
// name, so that every dialling resolves it anew.
type oneServer struct{ address net.Addr }

func (o oneServer) PickServer(string) (net.Addr, error) { return o.address, nil }
func (o oneServer) Each(fn func(net.Addr) error) error  { return fn(o.address) }

type address struct{ network, name string }

func (a address) Network() string { return a.network }
func (a address) String() string  { return a.name }

func addressOf(server string) address {
	if strings.Contains(server, "/") {
		return address{"unix", server}
	}
	return address{"tcp", server}
}

// CheckServers returns what is wrong with a list of servers, one sentence each.
func CheckServers(servers []string) (mistakes []string) {
	if len(servers) == 0 {
		mistakes = append(mistakes, "name at least one server, such as 127.0.0.1:11211")
	}
	for i, server := range servers {
		if slices.Contains(servers[:i], server) {
			mistakes = append(mistakes, fmt.Sprintf("%q is named twice", server))
		} else if reason := checkServer(server); reason != "" {
			mistakes = append(mistakes, fmt.Sprintf("%q: %s", server, reason))
		}
	}
	return mistakes
}

func checkServer(server string) string {
	if strings.Contains(server, "/") {
		return "" // a socket may come into being later
	}
	host, port, err := net.SplitHostPort(server)
	if err != nil {
		return "a server is host:port, such as 127.0.0.1:11211, or the path of a unix socket"
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return "the port is a number from 1 to 65535"
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if _, err := net.DefaultResolver.LookupHost(ctx, host); err != nil || host == "" {
		return "the host's name does not resolve"
	}
	return ""
}
