package apptest

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// Rerun runs one test or subtest again in a process of its own, with one more
// environment variable, and returns its verbose output. The error is that of
// the process: an [exec.ExitError] if the test failed.
func Rerun(t testing.TB, test, variable string) (string, error) {
	t.Helper()
	run := exec.CommandContext(t.Context(), os.Args[0], "-test.v", "-test.run=^"+strings.ReplaceAll(test, "/", "$/^")+"$")
	run.Env = append(os.Environ(), variable)
	out, err := run.CombinedOutput()
	return string(out), err
}
