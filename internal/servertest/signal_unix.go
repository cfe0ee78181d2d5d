//go:build unix

package servertest

import (
	"os"
	"syscall"
	"testing"
)

// Pause makes a child process stop answering, with SIGSTOP, and waits until all
// its threads have stopped.
func Pause(tb testing.TB, p *os.Process) {
	tb.Helper()
	signal(tb, p, syscall.SIGSTOP)
	var status syscall.WaitStatus
	if _, err := syscall.Wait4(p.Pid, &status, syscall.WUNTRACED, nil); err != nil || !status.Stopped() {
		tb.Fatalf("process %d does not stop: %v", p.Pid, err)
	}
}

// Resume lets it go on, with SIGCONT.
func Resume(tb testing.TB, p *os.Process) {
	tb.Helper()
	signal(tb, p, syscall.SIGCONT)
}

func signal(tb testing.TB, p *os.Process, sig syscall.Signal) {
	tb.Helper()
	if err := p.Signal(sig); err != nil {
		tb.Fatal(err)
	}
}
