package memcached

import (
	"bytes"
	"context"
	"errors"
	"net"
	"strconv"
)

// dialGuarded dials connections that refuse what no reply to us can look like.
func dialGuarded(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return &guardedConn{Conn: conn}, nil
}

// guardedConn looks at the head line of each value before the client does,
// which would believe any length and take any number of values.
type guardedConn struct {
	net.Conn
	values int    // of the reply so far
	skip   int    // bytes of the current value still to come
	line   []byte // what has come of the current line; the client takes no long ones
}

var errReply = errors.New("ginsession: memcached sent what is no reply to the request")

// Write begins a new exchange.
func (g *guardedConn) Write(p []byte) (int, error) {
	g.values, g.skip, g.line = 0, 0, g.line[:0]
	return g.Conn.Write(p)
}

func (g *guardedConn) Read(p []byte) (int, error) {
	n, err := g.Conn.Read(p)
	if bad := g.check(p[:n]); bad != nil {
		return 0, bad
	}
	return n, err
}

func (g *guardedConn) check(p []byte) error {
	for len(p) > 0 {
		if g.skip > 0 {
			n := min(g.skip, len(p))
			g.skip, p = g.skip-n, p[n:]
			continue
		}
		end := bytes.IndexByte(p, '\n') + 1
		if end == 0 {
			end = len(p)
		}
		g.line, p = append(g.line, p[:end]...), p[end:]
		if bytes.HasSuffix(g.line, []byte("\n")) {
			if err := g.checkLine(); err != nil {
				return err
			}
			g.line = g.line[:0]
		}
	}
	return nil
}

// checkLine reads "VALUE key flags length [version]" as the client does, with
// one space between two; other lines are for the client.
func (g *guardedConn) checkLine() error {
	rest, ok := bytes.CutPrefix(g.line, []byte("VALUE "))
	if !ok {
		return nil
	}
	space := []byte(" ")
	_, rest, _ = bytes.Cut(rest, space)
	_, rest, _ = bytes.Cut(rest, space)
	text, _, _ := bytes.Cut(bytes.TrimSuffix(rest, []byte("\r\n")), space)
	length, err := strconv.ParseUint(string(text), 10, 32)
	if g.values++; g.values > 1 || err != nil || length > 1<<20 {
		return errReply
	}
	g.skip = int(length) + len("\r\n")
	return nil
}
