package memcached

import (
	"slices"
	"strings"
	"testing"
)

func TestCheckServers(t *testing.T) {
	const form, port, resolves, twice = "a server is host:port", "the port is a number", "does not resolve", "is named twice"
	for _, row := range []struct {
		servers []string
		want    []string // in the mistakes
	}{
		{[]string{"127.0.0.1:11211"}, nil},
		{[]string{"localhost:1", "[::1]:65535", "/no/such.sock"}, nil},
		{nil, []string{"at least one server"}},
		{[]string{"localhost"}, []string{form}},
		{[]string{""}, []string{form}},
		{[]string{":11211"}, []string{resolves}},
		{[]string{"does-not-exist.invalid:11211"}, []string{resolves}},
		{[]string{"localhost:x"}, []string{port}},
		{[]string{"localhost:0"}, []string{port}},
		{[]string{"localhost:65536"}, []string{port}},
		{[]string{"127.0.0.1:1", "127.0.0.1:1"}, []string{twice}},
		{[]string{"a", "127.0.0.1:1", "localhost:0", "a"}, []string{form, port, twice}},
	} {
		got := CheckServers(row.servers)
		if !slices.EqualFunc(got, row.want, strings.Contains) {
			t.Errorf("%q: got %q, want %q", row.servers, got, row.want)
		}
	}
}

func TestAddressOf(t *testing.T) {
	for server, want := range map[string]string{"localhost:1": "tcp", "/a.sock": "unix", "./a.sock": "unix"} {
		if got := addressOf(server); got.Network() != want || got.String() != server {
			t.Errorf("%s: got %s %s, want %s", server, got.Network(), got, want)
		}
	}
}
