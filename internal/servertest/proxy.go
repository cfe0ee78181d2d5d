package servertest

import (
	"bufio"
	"net"
	"sync"
	"testing"
)

// Protocol is how a proxy understands what passes it.
type Protocol struct {
	ReadRequest func(*bufio.Reader) ([]byte, error) // all of one request
	ReadReply   func(*bufio.Reader) ([]byte, error) // all of the reply to it

	// Name is what the proxy calls a request. One without a name just passes.
	Name func(request []byte) string
}

// Proxy stands before a server, notes what is asked, and answers wrongly on
// purpose.
type Proxy struct {
	Addr string

	server   string
	protocol Protocol

	mu     sync.Mutex
	before func(request string)
	reply  func(request string, reply []byte) Reply
	asked  []string
	conns  []net.Conn
}

// Reply is what the proxy sends in place of the server's reply.
type Reply struct {
	Data  []byte
	Close bool   // end the connection afterwards
	Slow  func() // called before each byte
}

// StartProxy runs a proxy for a server on TCP until the test ends.
func StartProxy(tb testing.TB, server string, protocol Protocol) *Proxy {
	tb.Helper()
	p := &Proxy{server: server, protocol: protocol}
	p.Addr = Serve(tb, p.serve).Addr().String()
	tb.Cleanup(p.HangUp)
	return p
}

// Serve calls serve, in a goroutine of its own, for each connection to a
// listener on loopback, until that is closed or the test ends. It leaves the
// connections to serve.
func Serve(tb testing.TB, serve func(net.Conn)) net.Listener {
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
			go serve(conn)
		}
	}()
	return l
}

// Answer makes reply decide over each answer from now on; nil passes all.
func (p *Proxy) Answer(reply func(request string, reply []byte) Reply) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.reply = reply
}

// Before calls fn before each request is passed on; nil calls nothing.
func (p *Proxy) Before(fn func(request string)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.before = fn
}

// Asked returns the names of the requests since the last call.
func (p *Proxy) Asked() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	asked := p.asked
	p.asked = nil
	return asked
}

// HangUp ends all connections.
func (p *Proxy) HangUp() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, conn := range p.conns {
		_ = conn.Close()
	}
	p.conns = nil
}

func (p *Proxy) serve(client net.Conn) {
	defer func() { _ = client.Close() }()
	p.mu.Lock()
	p.conns = append(p.conns, client)
	p.mu.Unlock()
	upstream, err := net.Dial("tcp", p.server)
	if err != nil {
		return
	}
	defer func() { _ = upstream.Close() }()
	in, out := bufio.NewReader(client), bufio.NewReader(upstream)
	for {
		request, err := p.protocol.ReadRequest(in)
		if err != nil {
			return
		}
		name := p.protocol.Name(request)
		p.note(name)
		if _, err := upstream.Write(request); err != nil {
			return
		}
		data, err := p.protocol.ReadReply(out)
		if err != nil || !send(client, p.decide(name, data)) {
			return
		}
	}
}

func (p *Proxy) note(name string) {
	if name == "" {
		return
	}
	p.mu.Lock()
	p.asked = append(p.asked, name)
	before := p.before
	p.mu.Unlock()
	if before != nil {
		before(name)
	}
}

func (p *Proxy) decide(name string, data []byte) Reply {
	p.mu.Lock()
	decide := p.reply
	p.mu.Unlock()
	if decide == nil || name == "" {
		return Reply{Data: data}
	}
	return decide(name, data)
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
