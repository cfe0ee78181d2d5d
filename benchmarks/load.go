package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// A load is a whole server under wrk.
type load struct {
	Variant *variant
	Path    string
	Peer    string // the id of the variant whose rate it is compared with

	server *process
	script string
	rates  []float64
}

// Rate is the median of all rounds, in requests per second.
func (l *load) Rate() float64 { return median(l.rates) }

const loadSessions = 1000 // so that 32 connections hardly ever use one session at once

// measureLoads runs a server for each variant as a process of its own and puts
// load on them by turns.
func measureLoads(running servers, rounds int, slice time.Duration) ([]*load, error) {
	if _, err := exec.LookPath("wrk"); err != nil {
		return nil, errors.New("wrk is missing: scripts/setup bench installs it, or apt-get install wrk")
	}
	dir, err := os.MkdirTemp("", "ginsession")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	loads := []*load{{Variant: variants[0], Path: pathUntouched}}
	for _, v := range running.available() {
		if v.library != ours && v.library != contrib || v.storage == inFlask {
			continue
		}
		if v.server == "" { // with one, a request that asks it nothing is the same
			loads = append(loads, &load{Variant: v, Path: pathUntouched})
		}
		loads = append(loads, &load{Variant: v, Path: pathRead}, &load{Variant: v, Path: pathWrite})
	}
	defer func() {
		for _, l := range loads {
			if l.server != nil {
				l.server.stop()
			}
		}
	}()
	for i, l := range loads {
		l.script = filepath.Join(dir, strconv.Itoa(i)+".lua")
		if err := l.prepare(running); err != nil {
			return nil, err
		}
	}
	for range rounds {
		for _, i := range rand.Perm(len(loads)) { //nolint:gosec // an order is no secret
			if err := loads[i].roundOrAnother(slice); err != nil {
				return nil, err
			}
		}
	}
	return loads, nil
}

// prepare begins the sessions and starts the server that gets to serve them.
func (l *load) prepare(running servers) error {
	backend, _ := running.addr(l.Variant)
	cookies, err := l.cookies(running)
	if err != nil {
		return err
	}
	if err := os.WriteFile(l.script, []byte(wrkScript(l.Path, cookies)), 0o600); err != nil {
		return err
	}
	program, err := os.Executable()
	if err != nil {
		return err
	}
	l.server, err = startProcess(program, func(port string) []string {
		return []string{"-serve", l.Variant.id, "-listen", "127.0.0.1:" + port, "-backend", backend}
	})
	return err
}

// cookies begins sessions. gin alone gets those of encrypted cookies too: it
// is spared the session, not the browser's sending it.
func (l *load) cookies(running servers) (all []string, err error) {
	v := l.Variant
	if v.storage == "" {
		if v, err = findVariant("cookie"); err != nil {
			return nil, err
		}
	}
	a, err := running.open(v)
	if err != nil {
		return nil, err
	}
	for range loadSessions {
		pair, err := logIn(a)
		if err != nil {
			return nil, err
		}
		all = append(all, pair)
	}
	return all, nil
}

// wrkScript makes wrk send each session's cookie in turn.
func wrkScript(path string, cookies []string) string {
	return fmt.Sprintf(`local cookies = {"%s"}
local requests, n = {}, 0
function init()
  for i, cookie in ipairs(cookies) do
    requests[i] = wrk.format("GET", "%s", {["Cookie"] = cookie})
  end
end
function request()
  n = n %% #requests + 1
  return requests[n]
end
`, strings.Join(cookies, "\",\n\""), path)
}

// roundOrAnother repeats a round in which something failed: what else a busy
// machine does can make a server time out.
func (l *load) roundOrAnother(slice time.Duration) (err error) {
	for range 3 {
		if err = l.round(slice); err == nil {
			return nil
		}
		fmt.Fprintln(os.Stderr, "once more:", err)
	}
	return err
}

func (l *load) round(slice time.Duration) error {
	seconds := strconv.Itoa(int(slice / time.Second))
	wrk := exec.CommandContext(context.Background(), "wrk", "-t1", "-c32", "-d"+seconds+"s", "-s", l.script, "http://"+l.server.addr) //nolint:gosec // of our own
	out, err := wrk.CombinedOutput()
	if err != nil {
		return fmt.Errorf("wrk: %w\n%s", err, out)
	}
	rate, err := wrkRate(string(out))
	if err != nil {
		return fmt.Errorf("%s, %s: %w", l.Variant.row(), l.Path, err)
	}
	l.rates = append(l.rates, rate)
	return nil
}

// wrkRate reads requests per second from wrk's output. Answers that are none
// count for nothing.
func wrkRate(out string) (float64, error) {
	if strings.Contains(out, "Non-2xx") || strings.Contains(out, "Socket errors") {
		return 0, fmt.Errorf("not all requests were answered\n%s", out)
	}
	match := regexp.MustCompile(`Requests/sec:\s+([0-9.]+)`).FindStringSubmatch(out)
	if match == nil {
		return 0, fmt.Errorf("wrk gives no rate\n%s", out)
	}
	return strconv.ParseFloat(match[1], 64)
}

// serve is the process that gets the load.
func serve(id, listen, backend string) error {
	v, err := findVariant(id)
	if err != nil {
		return err
	}
	a, err := v.start(backend)
	if err != nil {
		return err
	}
	h, ok := a.(httpApp)
	if !ok {
		return fmt.Errorf("%s does not speak net/http", id)
	}
	server := &http.Server{Addr: listen, Handler: h, ReadHeaderTimeout: 10 * time.Second}
	return server.ListenAndServe()
}
