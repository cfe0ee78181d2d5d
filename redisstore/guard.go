package redisstore

import (
	"bytes"
	"context"
	"errors"
	"net"
	"strconv"
	"strings"
	"syscall"

	"github.com/redis/go-redis/v9"
)

const (
	// maxReplyValues bounds the values of one reply, nested ones included. The
	// longest that a server sends, to HELLO, lists its modules.
	maxReplyValues = 4096

	// maxReplyLine bounds one line of a reply, in bytes, such as an error.
	maxReplyLine = 64 << 10
)

var errReply = errors.New("ginsession: Redis sent a reply that is larger than any record (1 MiB), or malformed; look at what else listens at this address, or writes keys under the prefix")

// guardedDialer dials connections that refuse such a reply before the client
// allocates what its lengths claim.
func guardedDialer(o *redis.Options) func(ctx context.Context, network, addr string) (net.Conn, error) {
	dial := redis.NewDialer(o)
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		guarded := &guardedConn{Conn: conn}
		if socket, ok := conn.(syscall.Conn); ok {
			return &guardedSocket{guarded, socket}, nil
		}
		return guarded, nil
	}
}

// guardedConn ends at the first reply that is refused.
type guardedConn struct {
	net.Conn
	replies replyChecker
}

func (g *guardedConn) Read(p []byte) (int, error) {
	if g.replies.refused { // the client looks for push messages first, and drops the error
		return 0, errReply
	}
	n, err := g.Conn.Read(p)
	if !g.replies.accept(p[:n]) {
		return 0, errReply
	}
	return n, err
}

// guardedSocket lets the client see that an idle connection is dead.
type guardedSocket struct {
	*guardedConn
	syscall.Conn
}

// replyChecker follows a stream of RESP2 or RESP3 values, in pieces of any
// size. It reads every length as the client does.
type replyChecker struct {
	refused bool
	pending int      // values of the current reply still to come; 0 between replies
	seen    int      // values of the current reply so far
	bytes   int      // of the current reply's strings so far, as their lengths claim
	skip    int      // bytes of the current string still to come
	line    int      // bytes of the current line so far
	head    [32]byte // its beginning
}

// accept reports whether everything so far can be a reply to the store.
func (c *replyChecker) accept(p []byte) bool {
	for len(p) > 0 && !c.refused {
		if c.skip > 0 {
			n := min(c.skip, len(p))
			c.skip, p = c.skip-n, p[n:]
			continue
		}
		n := bytes.IndexByte(p, '\n') + 1
		ended := n > 0
		if !ended {
			n = len(p)
		}
		if c.line < len(c.head) {
			copy(c.head[c.line:], p[:n])
		}
		c.line, p = c.line+n, p[n:]
		if c.line > maxReplyLine || ended && !c.acceptLine() {
			c.refused = true
		}
		if ended {
			c.line = 0
		}
	}
	return !c.refused
}

// acceptLine reports whether a whole line can stand where it does.
func (c *replyChecker) acceptLine() bool {
	if c.pending == 0 {
		c.pending, c.seen, c.bytes = 1, 0, 0
	}
	c.seen++
	kind := c.head[0]
	if strings.IndexByte("+-:_,#(", kind) >= 0 {
		c.pending--
		c.bytes += c.line
		return c.bytes <= maxValue
	}
	n, ok := c.length()
	if !ok {
		return false
	}
	switch kind {
	case '$', '!', '=':
		c.pending--
		if n >= 0 {
			c.bytes += n
			c.skip = n + len("\r\n")
		}
	case '*', '~', '>':
		c.pending += max(n, 0) - 1
	case '%':
		c.pending += 2*max(n, 0) - 1
	case '|': // attributes, in front of the value itself
		c.pending += 2 * max(n, 0)
	default:
		return false
	}
	return c.bytes <= maxValue && c.seen+c.pending <= maxReplyValues
}

// length reads the number behind a line's first byte; -1 is a null.
func (c *replyChecker) length() (n int, ok bool) {
	if c.line > len(c.head) {
		return 0, false
	}
	text := bytes.TrimSuffix(c.head[1:c.line], []byte("\r\n"))
	n, err := strconv.Atoi(string(text))
	return n, err == nil && -1 <= n && n <= maxValue
}
