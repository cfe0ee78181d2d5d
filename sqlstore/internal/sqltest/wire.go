package sqltest

import (
	"bytes"
	"net"
	"sync"
	"testing"

	"github.com/ginsession/ginsession/internal/servertest"
)

// Wire carries bytes to a server and back.
type Wire struct {
	Addr string

	mu     sync.Mutex
	flows  sync.Cond
	paused bool
	ends   []net.Conn
	mark   []byte
	marked bool
	lose   func() bool
}

// StartWire runs a wire to a server until the test ends.
func StartWire(tb testing.TB, server string) *Wire {
	tb.Helper()
	w := &Wire{}
	w.flows.L = &w.mu
	l := servertest.Serve(tb, func(near net.Conn) { w.join(near, server) })
	w.Addr = l.Addr().String()
	tb.Cleanup(func() { w.Resume(); w.HangUp() })
	return w
}

func (w *Wire) join(near net.Conn, server string) {
	far, err := net.Dial("tcp", server)
	if err != nil {
		_ = near.Close()
		return
	}
	w.mu.Lock()
	w.ends = append(w.ends, near, far)
	w.mu.Unlock()
	go w.carry(far, near, w.asked)
	w.carry(near, far, w.loses)
}

func (w *Wire) carry(to, from net.Conn, loses func([]byte) bool) {
	defer func() { _, _ = to.Close(), from.Close() }()
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		w.mu.Lock()
		for w.paused {
			w.flows.Wait()
		}
		w.mu.Unlock()
		if loses(buf[:n]) {
			return
		}
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
	}
}

// asked notes a request with the mark.
func (w *Wire) asked(request []byte) (loses bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.marked = w.marked || bytes.Contains(request, w.mark)
	return false
}

func (w *Wire) loses([]byte) bool {
	w.mu.Lock()
	lose, marked := w.lose, w.marked
	w.mu.Unlock()
	return lose != nil && marked && lose()
}

// Lose asks lose about each piece of a reply, once a request with the mark has
// passed: true loses it, and the connection. A nil lose loses none.
func (w *Wire) Lose(mark string, lose func() bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.mark, w.marked, w.lose = []byte(mark), false, lose
}

// Pause holds back all bytes, as a network does that has lost its way.
func (w *Wire) Pause() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.paused = true
}

// Resume ends a [Wire.Pause].
func (w *Wire) Resume() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.paused = false
	w.flows.Broadcast()
}

// HangUp ends all connections.
func (w *Wire) HangUp() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, end := range w.ends {
		_ = end.Close()
	}
	w.ends = nil
}
