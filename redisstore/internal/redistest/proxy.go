package redistest

import (
	"bufio"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"

	"github.com/ginsession/ginsession/internal/servertest"
)

// Proxy names a request by its command, in lower case. Those that open a
// connection just pass.
type Proxy = servertest.Proxy

// Reply is what a proxy sends in place of the server's reply.
type Reply = servertest.Reply

// StartProxy runs a proxy for a server until the test ends.
func StartProxy(tb testing.TB, server string) *Proxy {
	tb.Helper()
	return servertest.StartProxy(tb, server, servertest.Protocol{ReadRequest: readValue, ReadReply: readValue, Name: command})
}

// command returns a request's command, "" for one that opens a connection.
func command(request []byte) string {
	command := strings.ToLower(strings.Split(string(request), "\r\n")[2])
	if command == "hello" || command == "client" || command == "select" {
		return ""
	}
	return command
}

// readValue reads one value of the protocol, with all that is in it.
func readValue(in *bufio.Reader) ([]byte, error) {
	value, err := in.ReadBytes('\n')
	if err != nil {
		return nil, err
	}
	n, _ := strconv.Atoi(strings.TrimSpace(string(value[1:])))
	switch value[0] {
	case '$', '=', '!':
		if n < 0 {
			return value, nil
		}
		data := make([]byte, n+len("\r\n"))
		_, err = io.ReadFull(in, data)
		return append(value, data...), err
	case '%':
		n *= 2
	case '*', '~', '>':
	default:
		return value, nil
	}
	for range n {
		element, err := readValue(in)
		if err != nil {
			return nil, err
		}
		value = append(value, element...)
	}
	return value, nil
}

// StartFake runs a server that answers each command but those that open a
// connection with reply.
func StartFake(tb testing.TB, reply string) (addr string) {
	tb.Helper()
	return StartFakeHello(tb, "-ERR unknown command\r\n", reply) // an old server: RESP2 will do
}

// StartFakeHello runs a server that answers each command that opens a
// connection with hello, and all others with reply.
func StartFakeHello(tb testing.TB, hello, reply string) (addr string) {
	tb.Helper()
	greeting, answer := []byte(hello), []byte(reply) // once, for tests that measure allocations
	return servertest.Serve(tb, func(conn net.Conn) { fake(conn, greeting, answer) }).Addr().String()
}

func fake(conn net.Conn, hello, reply []byte) {
	defer func() { _ = conn.Close() }()
	in := bufio.NewReader(conn)
	for {
		request, err := readValue(in)
		if err != nil {
			return
		}
		answer := reply
		if command(request) == "" {
			answer = hello
		}
		if _, err := conn.Write(answer); err != nil {
			return
		}
	}
}
