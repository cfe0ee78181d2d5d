//go:build !unix

package sqltest

import (
	"os/exec"
	"testing"
)

// Tests that need servers are skipped elsewhere.
func unprivileged(testing.TB, *exec.Cmd) {}

func give(testing.TB, string) {}
