//go:build !unix

package servertest

import (
	"os"
	"testing"
)

// Pause is for unix; tests that need servers are skipped elsewhere.
func Pause(tb testing.TB, _ *os.Process) { tb.Fatal("there is no SIGSTOP on this system") }

// Resume is for unix.
func Resume(tb testing.TB, _ *os.Process) { tb.Fatal("there is no SIGCONT on this system") }
