//go:build unix

package sqltest

import (
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"syscall"
	"testing"
)

// unprivileged makes a command of root run as another user: the servers refuse
// to run as root.
func unprivileged(tb testing.TB, cmd *exec.Cmd) {
	tb.Helper()
	if os.Getuid() != 0 {
		return
	}
	uid, gid := nobody(tb)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid), NoSetGroups: true}}
}

// give hands a directory to that user.
func give(tb testing.TB, dir string) {
	tb.Helper()
	if os.Getuid() != 0 {
		return
	}
	uid, gid := nobody(tb)
	if err := os.Chown(dir, uid, gid); err != nil {
		tb.Fatal(err)
	}
}

func nobody(tb testing.TB) (uid, gid int) {
	tb.Helper()
	u, err := user.Lookup("nobody")
	if err != nil {
		tb.Fatalf("there is no user to run a server as: %v", err)
	}
	uid, _ = strconv.Atoi(u.Uid)
	gid, _ = strconv.Atoi(u.Gid)
	return uid, gid
}
