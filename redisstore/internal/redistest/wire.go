package redistest

import (
	"io"
	"net"
	"sync"
	"testing"

	"github.com/ginsession/ginsession/internal/servertest"
)

// Wire carries bytes to a server until it is cut.
type Wire struct {
	Addr string

	listener net.Listener

	mu    sync.Mutex
	ends  []io.Closer
	isCut bool
}

// StartWire runs a wire to a server until the test ends.
func StartWire(tb testing.TB, server string) *Wire {
	tb.Helper()
	w := &Wire{}
	w.listener = servertest.Serve(tb, func(near net.Conn) { w.join(near, server) })
	w.Addr = w.listener.Addr().String()
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
	_ = w.listener.Close()
	w.isCut = true
	w.closeAll()
}

func (w *Wire) closeAll() {
	for _, end := range w.ends {
		_ = end.Close()
	}
	w.ends = nil
}
