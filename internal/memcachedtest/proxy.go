package memcachedtest

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// Proxy stands before a server, counts what is asked, and answers wrongly on
// purpose.
type Proxy struct {
	Addr string

	mu    sync.Mutex
	reply func(request string, reply []byte) Reply
	asked []string
	conns []net.Conn
}

// Reply is what the proxy sends in place of the server's reply.
type Reply struct {
	Data  []byte
	Close bool   // end the connection afterwards
	Slow  func() // called before each byte
}

// StartProxy runs a proxy for a server on TCP until the test ends.
func StartProxy(tb testing.TB, server string) *Proxy {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	p := &Proxy{Addr: l.Addr().String()}
	var conns sync.WaitGroup
	conns.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			conns.Go(func() { p.serve(client, server) })
		}
	})
	tb.Cleanup(func() { _ = l.Close() })
	return p
}

// Answer makes reply decide over each answer from now on; nil passes all.
func (p *Proxy) Answer(reply func(request string, reply []byte) Reply) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.reply = reply
}

// Asked returns the request lines since the last call.
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

func (p *Proxy) serve(client net.Conn, server string) {
	defer func() { _ = client.Close() }()
	p.mu.Lock()
	p.conns = append(p.conns, client)
	p.mu.Unlock()
	upstream, err := net.Dial("tcp", server)
	if err != nil {
		return
	}
	defer func() { _ = upstream.Close() }()
	in, out := bufio.NewReader(client), bufio.NewReader(upstream)
	for {
		request, err := readRequest(in)
		if err != nil {
			return
		}
		line, _, _ := strings.Cut(string(request), "\r\n")
		if _, err := upstream.Write(request); err != nil {
			return
		}
		data, err := readReply(out)
		if err != nil {
			return
		}
		if !p.send(client, p.decide(line, data)) {
			return
		}
	}
}

func (p *Proxy) decide(line string, data []byte) Reply {
	p.mu.Lock()
	p.asked = append(p.asked, line)
	decide := p.reply
	p.mu.Unlock()
	if decide == nil {
		return Reply{Data: data}
	}
	return decide(line, data)
}

func (p *Proxy) send(client net.Conn, r Reply) bool {
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

// readRequest reads a line and, for the storage verbs, the data behind it.
func readRequest(in *bufio.Reader) ([]byte, error) {
	line, err := in.ReadBytes('\n')
	if err != nil {
		return nil, err
	}
	fields := strings.Fields(string(line))
	if len(fields) < 5 { // get, delete, version
		return line, nil
	}
	return readData(in, line, fields[4])
}

// readReply reads all of a reply.
func readReply(in *bufio.Reader) ([]byte, error) {
	var reply []byte
	for {
		line, err := in.ReadBytes('\n')
		if err != nil {
			return nil, err
		}
		reply = append(reply, line...)
		if !bytes.HasPrefix(line, []byte("VALUE ")) {
			return reply, nil
		}
		if reply, err = readData(in, reply, strings.Fields(string(line))[3]); err != nil {
			return nil, err
		}
	}
}

func readData(in *bufio.Reader, before []byte, length string) ([]byte, error) {
	n, err := strconv.Atoi(length)
	if err != nil {
		return nil, err
	}
	data := make([]byte, n+len("\r\n"))
	_, err = io.ReadFull(in, data)
	return append(before, data...), err
}
