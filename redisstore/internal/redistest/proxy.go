package redistest

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// Proxy stands before a server, notes what is asked, and answers wrongly on
// purpose.
type Proxy struct {
	Addr string

	mu     sync.Mutex
	before func(command string)
	reply  func(command string, reply []byte) Reply
	asked  []string
}

// Reply is what the proxy sends in place of the server's reply.
type Reply struct {
	Data  []byte
	Close bool   // end the connection afterwards
	Slow  func() // called before each byte
}

// StartProxy runs a proxy for a server until the test ends.
func StartProxy(tb testing.TB, server string) *Proxy {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	p := &Proxy{Addr: l.Addr().String()}
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			go p.serve(client, server)
		}
	}()
	tb.Cleanup(func() { _ = l.Close() })
	return p
}

// Answer makes reply decide over each answer from now on; nil passes all. The
// commands that open a connection pass always.
func (p *Proxy) Answer(reply func(command string, reply []byte) Reply) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.reply = reply
}

// Before calls fn before each command is passed on; nil calls nothing.
func (p *Proxy) Before(fn func(command string)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.before = fn
}

// Asked returns the commands, in lower case, since the last call.
func (p *Proxy) Asked() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	asked := p.asked
	p.asked = nil
	return asked
}

func (p *Proxy) serve(client net.Conn, server string) {
	defer func() { _ = client.Close() }()
	upstream, err := net.Dial("tcp", server)
	if err != nil {
		return
	}
	defer func() { _ = upstream.Close() }()
	in, out := bufio.NewReader(client), bufio.NewReader(upstream)
	for {
		request, err := readValue(in)
		if err != nil {
			return
		}
		command := p.note(request)
		if _, err := upstream.Write(request); err != nil {
			return
		}
		data, err := readValue(out)
		if err != nil || !send(client, p.decide(command, data)) {
			return
		}
	}
}

// note gives a request's command, "" for one that opens a connection.
func (p *Proxy) note(request []byte) string {
	command := strings.ToLower(strings.Split(string(request), "\r\n")[2])
	if command == "hello" || command == "client" || command == "select" {
		return ""
	}
	p.mu.Lock()
	p.asked = append(p.asked, command)
	before := p.before
	p.mu.Unlock()
	if before != nil {
		before(command)
	}
	return command
}

func (p *Proxy) decide(command string, data []byte) Reply {
	p.mu.Lock()
	decide := p.reply
	p.mu.Unlock()
	if decide == nil || command == "" {
		return Reply{Data: data}
	}
	return decide(command, data)
}

func send(client net.Conn, r Reply) bool {
	if r.Slow == nil {
		_, err := client.Write(r.Data)
		return err == nil && !r.Close
	}
	for i := range r.Data {
		r.Slow()
		if _, err := client.Write(r.Data[i : i+1]); err != nil {
			return false
		}
	}
	return !r.Close
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
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go fake(conn, reply)
		}
	}()
	return l.Addr().String()
}

func fake(conn net.Conn, reply string) {
	defer func() { _ = conn.Close() }()
	in, p := bufio.NewReader(conn), &Proxy{}
	for {
		request, err := readValue(in)
		if err != nil {
			return
		}
		answer := reply
		if p.note(request) == "" {
			answer = "-ERR unknown command\r\n" // an old server: RESP2 will do
		}
		if _, err := fmt.Fprint(conn, answer); err != nil {
			return
		}
	}
}
