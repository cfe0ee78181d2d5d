package servertest

import (
	"os"
	"os/exec"
	"runtime"
	"testing"
)

// Need skips the test where a server's program is missing. With CI=true, it
// fails.
func Need(tb testing.TB, program string) {
	tb.Helper()
	if runtime.GOOS == "windows" {
		tb.Skipf("%s does not exist for Windows", program)
	}
	if _, err := exec.LookPath(program); err == nil {
		return
	}
	if os.Getenv("CI") == "true" {
		tb.Fatalf("%s is missing: make test installs it", program)
	}
	tb.Skipf("%s is missing: install it with make test", program)
}
