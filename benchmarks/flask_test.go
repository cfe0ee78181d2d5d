package benchmarks

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/ginsession/ginsession"
	"github.com/ginsession/ginsession/internal/flasktest"
)

// serializer has Flask read a cookie, and read it and sign it with a higher
// counter. It prints the nanoseconds of processor time that each of them takes.
const serializer = `
import sys, time, timeit, flask
from flask.sessions import SecureCookieSessionInterface
app = flask.Flask("benchmarks")
app.secret_key, cookie = sys.argv[1:]
s = SecureCookieSessionInterface().get_signing_serializer(app)
age = int(app.permanent_session_lifetime.total_seconds())
def read():
    session = s.loads(cookie, max_age=age)
    assert session["user_id"] == %d and session["name"] == "%s"
    return session
def write():
    session = read()
    session["counter"] += 1
    s.dumps(session)
with app.app_context():
    for do in read, write:
        timer = timeit.Timer(do, timer=time.process_time)
        timer.timeit(200)
        print(timer.timeit(2000) / 2000 * 1e9)
`

// BenchmarkFlask asks Flask itself, for the standard session as ginsession
// signed it: its serializer alone, in a process that has warmed up.
func BenchmarkFlask(b *testing.B) {
	_, cookie, _ := strings.Cut(follow(newOurs(ginsession.WithFlaskCookie()), "", "/fill"), "=")
	out, err := exec.CommandContext(b.Context(), flasktest.Python(b), "-c", fmt.Sprintf(serializer, userID, userName), secret, cookie).CombinedOutput()
	var read, write float64
	if _, scanErr := fmt.Sscan(string(out), &read, &write); err != nil || scanErr != nil {
		b.Fatalf("%v, %v: %s", err, scanErr, out)
	}
	b.Run("do=read", func(b *testing.B) { b.ReportMetric(read, "ns/op") })
	b.Run("do=write", func(b *testing.B) { b.ReportMetric(write, "ns/op") })
}
