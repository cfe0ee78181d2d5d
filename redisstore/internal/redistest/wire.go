package redistest

import (
	"io"
	"net"
	"sync"
	"testing"
)

// Wire carries bytes to a server until it is cut.
type Wire struct {
	Addr string

	mu    sync.Mutex
	ends  []io.Closer
	isCut bool
}

// StartWire runs a wire to a server until the test ends.
func StartWire(tb testing.TB, server string) *Wire {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	w := &Wire{Addr: l.Addr().String(), ends: []io.Closer{l}}
	go func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			w.join(near, server)
		}
	}()
	tb.Cleanup(w.Cut)
	return w
}

func (w *Wire) join(near net.Conn, server string) {
	far, err := net.Dial("tcp", server)
	if err != nil {
		_ = near.Close()
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ends = append(w.ends, near, far)
	if w.isCut {
		w.closeAll()
		return
	}
	go func() { _, _ = io.Copy(far, near); _ = far.Close() }()
	go func() { _, _ = io.Copy(near, far); _ = near.Close() }()
}

// Cut ends all connections and takes no more.
func (w *Wire) Cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.isCut = true
	w.closeAll()
}

func (w *Wire) closeAll() {
	for _, end := range w.ends {
		_ = end.Close()
	}
	w.ends = nil
}
