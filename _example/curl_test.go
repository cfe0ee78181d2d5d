package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The walk that README and issue tracker show, with the real curl against the
// real program.
func TestCurl(t *testing.T) {
	curl := newCurl(t)
	if got := curl("-d", "name=Ada", "-d", "password=open sesame", "/login"); !strings.Contains(got, "Welcome back, Ada") {
		t.Errorf("logged in: got %q, want the flash", got)
	}
	home := curl("/")
	if !strings.Contains(home, "Hello, Ada") || strings.Contains(home, "Welcome back") {
		t.Errorf("after log-in: got %q, want a greeting and no second flash", home)
	}
	for _, row := range []struct{ path, want string }{
		{"/getsession", "Welcome Anonymous"},
		{"/setsession", "Session set for Admin"},
		{"/getsession", "Welcome Admin"},
		{"/popsession", "Session popped for Admin"},
		{"/getsession", "Welcome Anonymous"},
	} {
		if got := curl(row.path); got != row.want {
			t.Errorf("%s: got %q, want %q", row.path, got, row.want)
		}
	}
	curl("-d", "wage=12.5", "/wage")
	if got := curl("-d", "hours=10", "/pay"); !strings.Contains(got, "<dd>125</dd>") {
		t.Errorf("pay: got %q, want 125", got)
	}
	if got := curl("-d", "", "/logout"); !strings.Contains(got, "You are logged out") || strings.Contains(got, "Ada") {
		t.Errorf("logged out: got %q", got)
	}
}

// newCurl starts the program and returns a curl with a cookie jar. Its last
// argument is the path; redirects are followed.
func newCurl(t *testing.T) func(args ...string) string {
	program, err := exec.LookPath("curl")
	if err != nil {
		need(t, "this test needs curl: apt install curl")
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute) // t.Context ends too early to stop in peace
	t.Cleanup(cancel)
	base := startDemo(ctx, t)
	jar := filepath.Join(t.TempDir(), "cookies.txt")
	return func(args ...string) string {
		t.Helper()
		last := len(args) - 1
		fixed := []string{"--silent", "--show-error", "--fail", "--location", "--noproxy", "*", "--cookie", jar, "--cookie-jar", jar}
		cmd := exec.CommandContext(ctx, program, append(append(fixed, args[:last]...), base+args[last])...)
		var complaint bytes.Buffer
		cmd.Stderr = &complaint
		body, err := cmd.Output()
		if err != nil {
			t.Fatalf("curl %s: %v: %s", args[last], err, complaint.String())
		}
		return string(body)
	}
}

// startDemo builds and starts the program on a free port, and returns the
// address that it prints. At the end it has to stop by itself when told to,
// and its log must not tell what is in the sessions.
func startDemo(ctx context.Context, t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "demo.exe") // Windows runs no other names
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	cmd := exec.CommandContext(ctx, program)
	cmd.Env = append(os.Environ(), "ADDR=localhost:0", "SESSION_SECRET="+testSecret)
	var log bytes.Buffer
	cmd.Stdout = &log
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(stderr)
	first, err := lines.ReadString('\n')
	_, address, found := strings.Cut(strings.TrimSpace(first), "open ")
	t.Cleanup(func() {
		told := cmd.Process.Signal(syscall.SIGTERM)
		if told != nil { // as on Windows, which has no such signal
			_ = cmd.Process.Kill()
		}
		rest, _ := io.ReadAll(lines)
		if err := cmd.Wait(); err != nil && told == nil {
			t.Errorf("the program ended with %v\n%s", err, rest)
		}
		checkLog(t, first+string(rest)+log.String())
	})
	if err != nil || !found {
		t.Fatalf("got %q (%v), want the address to open", first, err)
	}
	return address
}

func checkLog(t *testing.T, log string) {
	t.Helper()
	if !strings.Contains(log, "/getsession") {
		t.Errorf("the log has no requests: %s", log)
	}
	for _, private := range []string{testSecret, "Ada", "sesame", "Admin", cookieName} {
		if strings.Contains(log, private) {
			t.Errorf("the log tells %q:\n%s", private, log)
		}
	}
}
