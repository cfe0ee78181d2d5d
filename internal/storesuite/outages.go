package storesuite

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ginsession/ginsession"
)

// Outage is a failure of the server during a load. Begin starts it and End ends
// it; both run on the test's goroutine and may block until it is done.
type Outage struct {
	Name    string
	Begin   func()
	End     func()
	Forgets bool // sessions may be gone afterwards
	Rewinds bool // saves of the last second before it may be lost, as by a failover
}

// Load is the rate and the duration of the requests of [RunOutages].
type Load struct {
	PerSecond int           // requests, over all users
	Users     int           // each with a session, and one request at a time
	Between   time.Duration // the pause before each outage and after the last
	Lasts     time.Duration // the duration of each outage
}

// Report is the result of [RunOutages].
type Report struct {
	Requests, Failed int                      // Failed: with another status than 200
	Rewound          int                      // acknowledged saves that were lost by outages that rewind
	P99              time.Duration            // latency of the requests that succeeded
	Recovery         map[string]time.Duration // from an outage's end to the first success
}

// maxRecovery is how long after its end an outage may still be felt.
const maxRecovery = 2 * time.Second

// RunOutages sends requests to sessions in the store while the outages happen
// one after the other. It fails the test if a user sees another user's session,
// if a session or an acknowledged save is lost other than by an outage that
// forgets or rewinds, and if a request fails later than 2 seconds after an
// outage.
func RunOutages(t *testing.T, store ginsession.Store, load Load, outages ...Outage) Report {
	t.Helper()
	r := &outageRun{a: newApp(t, store), load: load, report: Report{Recovery: map[string]time.Duration{}}}
	stop := make(chan struct{})
	var users sync.WaitGroup
	for i := range load.Users {
		users.Go(func() { r.user(t, fmt.Sprintf("user%d", i), stop) })
	}
	for _, o := range outages {
		time.Sleep(load.Between)
		r.begin(o)
		o.Begin()
		time.Sleep(load.Lasts)
		o.End()
		r.end()
	}
	time.Sleep(load.Between)
	close(stop)
	users.Wait()
	return r.finish(t)
}

type outageRun struct {
	a    *app
	load Load

	mu        sync.Mutex
	current   string    // the outage that is on or was last
	down      bool      // it is on
	back      time.Time // when it ended
	forgotten int       // outages so far that forget
	rewinds   []window  // of the outages so far that rewind
	latencies []time.Duration
	report    Report
}

func (r *outageRun) begin(o Outage) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.current, r.down = o.Name, true
	if o.Forgets {
		r.forgotten++
	}
	if o.Rewinds {
		r.rewinds = append(r.rewinds, window{from: time.Now().Add(-time.Second)})
	}
}

// window is a time whose saves may be lost.
type window struct{ from, to time.Time }

func (w window) has(t time.Time) bool {
	return t.After(w.from) && (w.to.IsZero() || t.Before(w.to))
}

func (r *outageRun) end() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.down, r.back = false, time.Now()
	if n := len(r.rewinds); n > 0 && r.rewinds[n-1].to.IsZero() {
		r.rewinds[n-1].to = r.back
	}
}

// user logs in and counts, again and again.
func (r *outageRun) user(t *testing.T, name string, stop chan struct{}) {
	tick := time.NewTicker(time.Second * time.Duration(r.load.Users) / time.Duration(r.load.PerSecond))
	defer tick.Stop()
	u := visitor{name: name}
	for {
		select {
		case <-stop:
			return
		case <-tick.C:
		}
		start, before := time.Now(), r.forgets()
		ans := r.a.do(u.next(), u.cookie, nil)
		r.note(t, ans.status, start)
		if err := u.check(ans, before, r.forgets(), r.mayLose); err != nil {
			t.Errorf("%s: %v", name, err)
			return
		}
	}
}

// forgets returns how many outages that forget have begun.
func (r *outageRun) forgets() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.forgotten
}

// mayLose reports whether a save at that time may be lost, and counts it.
func (r *outageRun) mayLose(saved time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	lost := slices.ContainsFunc(r.rewinds, func(w window) bool { return w.has(saved) })
	if lost {
		r.report.Rewound++
	}
	return lost
}

func (r *outageRun) note(t *testing.T, status int, start time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.report.Requests++
	if status == http.StatusOK {
		r.latencies = append(r.latencies, time.Since(start))
		if _, seen := r.report.Recovery[r.current]; !seen && !r.down && start.After(r.back) && r.current != "" {
			r.report.Recovery[r.current] = time.Since(r.back)
		}
		return
	}
	r.report.Failed++
	if r.current == "" || !r.down && start.After(r.back.Add(maxRecovery)) {
		t.Errorf("status %d while the server is up (outage: %q, over for %v)", status, r.current, start.Sub(r.back))
	}
}

func (r *outageRun) finish(t *testing.T) Report {
	slices.Sort(r.latencies)
	if len(r.latencies) == 0 {
		t.Fatal("no request succeeded")
	}
	r.report.P99 = r.latencies[len(r.latencies)*99/100]
	t.Logf("%d requests, %d failed during outages, %d saves lost by a failover, p99 %v, recovery %v",
		r.report.Requests, r.report.Failed, r.report.Rewound, r.report.P99, r.report.Recovery)
	return r.report
}

// visitor is a browser that knows what its session has to hold.
type visitor struct {
	name      string
	cookie    string
	saved     []time.Time // when each count was acknowledged; the first is the log-in
	forgotten int         // outages that had forgotten when the session began
}

func (u *visitor) next() string {
	if u.cookie == "" {
		return "/login/" + u.name
	}
	return "/count"
}

func (u *visitor) check(ans answer, before, after int, mayLose func(time.Time) bool) error {
	if ans.status != http.StatusOK {
		if ans.sent || ans.body != http.StatusText(ans.status)+"\n" {
			return fmt.Errorf("status %d with a cookie or the handler's body", ans.status)
		}
		return nil
	}
	if u.cookie == "" {
		*u = visitor{name: u.name, cookie: ans.cookie, saved: []time.Time{time.Now()}, forgotten: before}
		return nil
	}
	var who string
	var count int
	_, err := fmt.Sscanf(ans.body, "%s %d", &who, &count)
	switch {
	case err != nil:
		return fmt.Errorf("an answer that the app never gives: %d bytes", len(ans.body))
	case who == "nobody" && (after > u.forgotten || u.lose(0, mayLose)):
		u.cookie = "" // the server has forgotten: log in again
		return nil
	case who != u.name:
		return fmt.Errorf("the session of %s", strings.TrimPrefix(who, "user"))
	case count < len(u.saved) && !u.lose(count, mayLose):
		return fmt.Errorf("count %d after %d was acknowledged", count, len(u.saved)-1)
	}
	for len(u.saved) <= count { // a save that was answered with an error may have been done
		u.saved = append(u.saved, time.Now())
	}
	return nil
}

// lose drops what was acknowledged from a count on, and reports whether all of
// it may be lost.
func (u *visitor) lose(count int, mayLose func(time.Time) bool) bool {
	for _, at := range u.saved[count:] {
		if !mayLose(at) {
			return false
		}
	}
	u.saved = u.saved[:count]
	return true
}
