package benchmarks

import (
	"bytes"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"
)

// requests are what a request does with its session; a flash message needs two.
var requests = []string{"untouched", "read", "write", "log-in", "flash"}

// loop reports processor time as ns/op.
func loop(b *testing.B, run func()) {
	b.ReportAllocs()
	before := processTime()
	for b.Loop() {
		run()
	}
	b.ReportMetric(float64(processTime()-before)/float64(b.N), "ns/op")
}

// prepare makes the requests of one kind, each with the cookie that the one
// before has set, and returns what sends them; cookie is that of a standard
// session.
func prepare(a app, do, cookie string) (run func()) {
	paths := []string{"/" + do}
	switch do {
	case "log-in":
		cookie = ""
	case "flash":
		paths, cookie = []string{"/add", "/take"}, follow(a, cookie, "/take")
	}
	var steps []*exchange
	for _, path := range paths {
		steps = append(steps, a.prepare(path, cookie))
		cookie = follow(a, cookie, path)
	}
	return func() {
		for _, e := range steps {
			if e.send(); e.use == nil {
				continue
			}
			if lines := e.cookies(); len(lines) > 0 {
				cookie, _, _ := strings.Cut(lines[len(lines)-1], ";")
				for _, next := range steps {
					next.use(cookie)
				}
			}
		}
	}
}

// follow sends requests in turn and returns the browser's cookie after them.
func follow(a app, cookie string, paths ...string) (after string) {
	for _, path := range paths {
		e := a.prepare(path, cookie)
		e.send()
		for _, line := range e.cookies() { // the last one counts
			cookie, _, _ = strings.Cut(line, ";")
		}
	}
	return cookie
}

// TestVariants wants every app to do what its routes promise, and the same
// requests again and again: otherwise the benchmarks compare nothing.
func TestVariants(t *testing.T) {
	for _, v := range choose("") {
		t.Run(v.String(), func(t *testing.T) {
			a, _ := v.start(t, false)
			refuse := func(path, cookie string) {
				defer func() {
					if recover() == nil {
						t.Errorf("%s accepts a session that does not hold what it wants", path)
					}
				}()
				a.prepare(path, cookie).send()
			}
			refuse("/read", "")
			refuse("/take", follow(a, "", "/fill", "/read", "/write", "/write", "/twice", "/take"))
			refuse("/take", follow(a, "", "/log-in", "/read", "/take", "/add", "/take"))
			for _, do := range requests {
				run := prepare(a, do, follow(a, "", "/fill"))
				for range 10 {
					run()
				}
			}
		})
	}
}

// BenchmarkRequest is the main table. It counts the server's round trips too.
func BenchmarkRequest(b *testing.B) {
	b.Run(bare.String()+"/do=untouched", func(b *testing.B) { loop(b, bare.open("").prepare("/untouched", "").send) })
	for _, v := range choose("") {
		for _, do := range requests {
			b.Run(v.String()+"/do="+do, func(b *testing.B) {
				a, s := v.start(b, false)
				run := prepare(a, do, follow(a, "", "/fill"))
				if s == nil {
					loop(b, run)
					return
				}
				before := sum(s.ask(counters[v.store][0]), counters[v.store][1])
				loop(b, run)
				trips := sum(s.ask(counters[v.store][0]), counters[v.store][1]) - before
				b.ReportMetric(float64(trips/b.N), "trips/op") // rounded down: asking counts too
			})
		}
	}
}

// BenchmarkParallel sends requests from as many goroutines as there are cores,
// to one session or to a session for each. It measures the time that passes.
func BenchmarkParallel(b *testing.B) {
	for _, v := range choose("ginsession", "cookie", "memory", "Memcached") {
		for _, do := range requests[1:3] { // read, write
			for _, sessions := range []string{"one", "many"} {
				b.Run(fmt.Sprintf("%s/sessions=%s/do=%s", v, sessions, do), func(b *testing.B) {
					a, _ := v.start(b, false)
					cookie := follow(a, "", "/fill")
					queue := make(chan func(), 64) // more than there are goroutines
					for range cap(queue) {
						if sessions == "many" {
							cookie = follow(a, "", "/fill")
						}
						queue <- prepare(a, do, cookie)
					}
					b.ResetTimer()
					b.RunParallel(func(pb *testing.PB) {
						for run := <-queue; pb.Next(); {
							run()
						}
					})
					b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), fmt.Sprintf("req/s-cpu-%d", runtime.GOMAXPROCS(0)))
				})
			}
		}
	}
}

// script makes wrk send each session's cookie in turn.
const script = `local n, requests, cookies = 0, {}, {"%s"}
function init()
  for i, cookie in ipairs(cookies) do requests[i] = wrk.format("GET", "%s", {["Cookie"] = cookie}) end
end
function request() n = n %% #requests + 1; return requests[n] end
`

// BenchmarkServer serves an app over loopback while wrk, a process of its own,
// sends requests over 32 connections for two seconds.
func BenchmarkServer(b *testing.B) {
	if _, err := exec.LookPath("wrk"); err != nil {
		b.Skip("wrk is missing: .ci/scripts/bench installs it")
	}
	b.Run(bare.String()+"/do=untouched", func(b *testing.B) { serve(b, bare.open(""), newOurs(), "untouched") })
	for _, v := range append(choose("ginsession", "cookie", "Memcached", "Redis"), choose("gin-contrib")...) {
		for _, do := range requests[:3] { // untouched, read, write
			if do != "untouched" || v.store == "cookie" { // with a server, it is the same
				b.Run(fmt.Sprintf("%s/do=%s", v, do), func(b *testing.B) {
					a, _ := v.start(b, false)
					serve(b, a, a, do)
				})
			}
		}
	}
}

// serve takes the cookies from another app: gin alone gets those of ginsession,
// which a browser would send too.
func serve(b *testing.B, a, sessions app, do string) {
	var cookies []string
	for range 1000 { // so that 32 connections hardly ever use one session at once
		cookies = append(cookies, follow(sessions, "", "/fill"))
	}
	file := filepath.Join(b.TempDir(), "wrk.lua")
	must(0, os.WriteFile(file, fmt.Appendf(nil, script, strings.Join(cookies, `", "`), "/"+do), 0o600))
	server := httptest.NewServer(a)
	defer server.Close()
	for b.Loop() {
		out, err := exec.Command("wrk", "-t1", "-c32", "-d2s", "-s", file, server.URL).CombinedOutput()
		rate := regexp.MustCompile(`Requests/sec:\s+([0-9.]+)`).FindSubmatch(out)
		if err != nil || rate == nil || bytes.Contains(out, []byte("Non-2xx")) || bytes.Contains(out, []byte("Socket errors")) {
			b.Fatalf("wrk: %v\n%s", err, out)
		}
		b.ReportMetric(must(strconv.ParseFloat(string(rate[1]), 64)), "req/s")
	}
}
