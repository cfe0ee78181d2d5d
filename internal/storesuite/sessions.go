// Package storesuite tests sessions in the project's own stores: [RunSessions]
// while many requests use one session at once, [RunOutages] while the server
// fails. The contract of a store is tested by package storetest.
package storesuite

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/ginsession/ginsession"
)

// Sizes is how much [RunSessions] does. Each field is at least 1; start with
// [Short].
type Sizes struct {
	Increments int // of one key, by 64 goroutines
	Sets       int // of different keys
	Flashes    int
	Races      int // of each kind
}

var (
	// Short takes seconds.
	Short = Sizes{Increments: 1000, Sets: 300, Flashes: 200, Races: 300}

	// Full takes minutes.
	Full = Sizes{Increments: 10000, Sets: 5000, Flashes: 1000, Races: 10000}
)

// RunSessions checks that no update of parallel requests to one session in the
// store is lost, and that no session can be used after it was renewed or
// destroyed. Run it with the race detector too.
func RunSessions(t *testing.T, store ginsession.Store, n Sizes) {
	a := newApp(t, gates{store}, ginsession.WithStoreTimeout(patience))
	t.Run("increments", func(t *testing.T) { increments(t, a, n.Increments) })
	t.Run("sets", func(t *testing.T) { sets(t, a, n.Sets) })
	t.Run("flashes added", func(t *testing.T) { flashesAdded(t, a, n.Flashes) })
	t.Run("flashes taken", func(t *testing.T) { flashesTaken(t, a, n.Flashes) })
	t.Run("logout races", func(t *testing.T) { races(t, a, n.Races, logoutRace) })
	t.Run("login races", func(t *testing.T) { races(t, a, n.Races, loginRace) })
	t.Run("emptying races", func(t *testing.T) { races(t, a, n.Races, emptyingRace) })
	t.Run("renewed twice", func(t *testing.T) { races(t, a, n.Races/10+1, renewedTwice) })
}

// patience is the limit of each call: requests are stopped in it, and machines
// that test are slow.
const patience = time.Minute

const secret = "storesuite-secret-of-at-least-32-bytes"

var ctx = context.Background()

// app is a small web app over the store.
type app struct {
	handler http.Handler
	server  *httptest.Server

	mu   sync.Mutex
	errs map[string]int // how often each came
}

func (a *app) noteError(_ *gin.Context, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.errs[err.Error()]++
}

func newApp(t *testing.T, store ginsession.Store, opts ...ginsession.Option) *app {
	gin.SetMode(gin.TestMode)
	r := gin.New()
	a := &app{handler: r, errs: map[string]int{}}
	r.Use(ginsession.Must(ginsession.New(secret, append(opts, ginsession.WithStore(store), ginsession.WithErrorHandler(a.noteError))...)))
	t.Cleanup(func() {
		if t.Failed() && len(a.errs) > 0 {
			t.Logf("errors of the session: %v", a.errs)
		}
	})
	on := func(path string, fn func(c *gin.Context, s *ginsession.Session)) {
		r.GET(path, func(c *gin.Context) { fn(c, ginsession.From(c)) })
	}
	on("/set/:key", func(c *gin.Context, s *ginsession.Session) { s.Set(c.Param("key"), c.Param("key")) })
	on("/delete/:key", func(c *gin.Context, s *ginsession.Session) { s.Delete(c.Param("key")) })
	on("/increment", func(_ *gin.Context, s *ginsession.Session) {
		ginsession.Update(s, "n", func(n int) int { return n + 1 })
	})
	on("/flash/:message", func(c *gin.Context, s *ginsession.Session) { s.AddFlash(c.Param("message"), "") })
	on("/flashes", func(c *gin.Context, s *ginsession.Session) {
		for _, f := range s.Flashes() {
			c.String(http.StatusOK, "%s\n", f.Message)
		}
	})
	on("/login/:user", func(c *gin.Context, s *ginsession.Session) {
		s.Renew()
		s.Set("user", c.Param("user"))
	})
	on("/count", func(c *gin.Context, s *ginsession.Session) {
		if !s.Has("user") {
			c.String(http.StatusOK, "nobody 0")
			return
		}
		ginsession.Update(s, "n", func(n int) int { return n + 1 })
		c.String(http.StatusOK, "%s %d", s.GetString("user"), s.GetInt("n"))
	})
	on("/logout", func(_ *gin.Context, s *ginsession.Session) { s.Destroy() })
	on("/keys", func(c *gin.Context, s *ginsession.Session) {
		c.String(http.StatusOK, "%s", strings.Join(s.Keys(), " "))
	})
	on("/get/:key", func(c *gin.Context, s *ginsession.Session) { c.String(http.StatusOK, "%v", s.Get(c.Param("key"))) })
	a.server = httptest.NewServer(r)
	a.server.Client().Transport.(*http.Transport).MaxIdleConnsPerHost = 64
	t.Cleanup(a.server.Close)
	return a
}

// answer is what came back from one request.
type answer struct {
	status int
	cookie string // what the browser holds afterwards, "" for none
	sent   bool   // a Set-Cookie
	body   string
}

// do sends a request straight to the handler, with a gate in its context.
func (a *app) do(path, cookie string, g *gate) answer {
	req := httptest.NewRequestWithContext(context.WithValue(ctx, gateKey{}, g), http.MethodGet, path, nil)
	if cookie != "" {
		req.Header.Set("Cookie", cookie)
	}
	w := httptest.NewRecorder()
	a.handler.ServeHTTP(w, req)
	if g != nil {
		close(g.done)
	}
	ans := answer{status: w.Code, cookie: cookie, body: w.Body.String()}
	for _, c := range w.Result().Cookies() {
		ans.sent, ans.cookie = true, c.Name+"="+c.Value
		if c.MaxAge < 0 {
			ans.cookie = ""
		}
	}
	return ans
}

// get sends a request over the network.
func (a *app) get(path, cookie string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, a.server.URL+path, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Cookie", cookie)
	resp, err := a.server.Client().Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Set-Cookie") != "" {
		return fmt.Errorf("%s: status %d, Set-Cookie %q", path, resp.StatusCode, resp.Header.Get("Set-Cookie"))
	}
	return nil
}

// newSession returns the cookie of a session with the key "first".
func (a *app) newSession(t *testing.T) string {
	t.Helper()
	ans := a.do("/set/first", "", nil)
	if ans.status != http.StatusOK || ans.cookie == "" {
		t.Fatalf("a new session: status %d, cookie sent %v", ans.status, ans.sent)
	}
	return ans.cookie
}

// inParallel runs fn(0) to fn(n-1) in 64 goroutines.
func inParallel(t *testing.T, n int, fn func(i int) error) {
	t.Helper()
	var next atomic.Int64
	var all sync.WaitGroup
	for range min(64, n) {
		all.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				if err := fn(i); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
}

func increments(t *testing.T, a *app, n int) {
	cookie := a.newSession(t)
	inParallel(t, n, func(int) error { return a.get("/increment", cookie) })
	if got, want := a.do("/get/n", cookie, nil).body, fmt.Sprint(n); got != want {
		t.Errorf("%s increments of %s are there", got, want)
	}
}

func sets(t *testing.T, a *app, n int) {
	cookie := a.newSession(t)
	inParallel(t, n, func(i int) error { return a.get(fmt.Sprintf("/set/key%d", i), cookie) })
	if got := len(strings.Fields(a.do("/keys", cookie, nil).body)); got != n+1 {
		t.Errorf("%d keys of %d are there", got, n+1)
	}
}

func flashesAdded(t *testing.T, a *app, n int) {
	cookie := a.newSession(t)
	inParallel(t, n, func(i int) error { return a.get(fmt.Sprintf("/flash/m%d", i), cookie) })
	wantFlashes(t, strings.Fields(a.do("/flashes", cookie, nil).body), n, 1)
	if rest := a.do("/flashes", cookie, nil).body; rest != "" {
		t.Errorf("%d flashes are shown again", len(strings.Fields(rest)))
	}
}

// flashesTaken adds messages while other requests take them. Two that read at
// the same moment may both show one, but none is lost, and none stays.
func flashesTaken(t *testing.T, a *app, n int) {
	cookie := a.newSession(t)
	var mu sync.Mutex
	var shown []string
	inParallel(t, 2*n, func(i int) error {
		if i%2 == 0 {
			return a.get(fmt.Sprintf("/flash/m%d", i/2), cookie)
		}
		ans := a.do("/flashes", cookie, nil)
		if ans.status != http.StatusOK {
			return fmt.Errorf("flashes: status %d", ans.status)
		}
		mu.Lock()
		defer mu.Unlock()
		shown = append(shown, strings.Fields(ans.body)...)
		return nil
	})
	shown = append(shown, strings.Fields(a.do("/flashes", cookie, nil).body)...)
	wantFlashes(t, shown, n, 64)
	if rest := a.do("/flashes", cookie, nil).body; rest != "" {
		t.Errorf("%d flashes are shown again", len(strings.Fields(rest)))
	}
}

func wantFlashes(t *testing.T, shown []string, n, most int) {
	t.Helper()
	times := map[string]int{}
	for _, m := range shown {
		times[m]++
	}
	if len(times) != n {
		t.Errorf("%d flashes of %d were shown", len(times), n)
	}
	for m, k := range times {
		if k > most {
			t.Errorf("flash %s was shown %d times", m, k)
		}
	}
}

// races runs a race n times, in turn with the slow request saving last, saving
// first, and in any order.
func races(t *testing.T, a *app, n int, race func(a *app, o order) error) {
	inParallel(t, n, func(i int) error {
		o := order(i % 3)
		if err := race(a, o); err != nil {
			return fmt.Errorf("%v: %w", o, err)
		}
		return nil
	})
}

type order int

const (
	slowLast order = iota
	slowFirst
	anyOrder
)

func (o order) String() string {
	return [...]string{"the slow request saves last", "the slow request saves first", "in any order"}[o]
}

// run lets a slow request and another one use the session behind a cookie at
// once. Both have loaded it before either saves.
func (o order) run(a *app, cookie, slowPath, otherPath string) (slow, other answer) {
	slowGate, otherGate := newGate(), newGate()
	var both sync.WaitGroup
	both.Go(func() { slow = a.do(slowPath, cookie, slowGate) })
	both.Go(func() { other = a.do(otherPath, cookie, otherGate) })
	slowGate.wait()
	otherGate.wait()
	first, last := slowGate, otherGate
	if o == slowLast || o == anyOrder && rand.IntN(2) == 0 {
		first, last = last, first
	}
	close(first.open)
	if o != anyOrder {
		<-first.done
	}
	close(last.open)
	both.Wait()
	return slow, other
}

func logoutRace(a *app, o order) error {
	cookie := a.do("/login/ann", "", nil).cookie
	slow, out := o.run(a, cookie, "/set/slow", "/logout")
	switch back := a.do("/keys", cookie, nil); {
	case slow.status != http.StatusOK || out.status != http.StatusOK || back.status != http.StatusOK:
		return fmt.Errorf("status %d, %d and %d", slow.status, out.status, back.status)
	case slow.sent:
		return fmt.Errorf("the slow request replaced the browser's cookie")
	case out.cookie != "":
		return fmt.Errorf("the log-out left the cookie in the browser")
	case back.body != "":
		return fmt.Errorf("the session is back, with %q", back.body)
	case a.do("/set/again", cookie, nil).sent:
		return fmt.Errorf("a late request replaced the browser's cookie")
	}
	return nil
}

func loginRace(a *app, o order) error {
	cookie := a.do("/set/cart", "", nil).cookie
	slow, in := o.run(a, cookie, "/set/slow", "/login/ann")
	old, now := a.do("/keys", cookie, nil), a.do("/keys", in.cookie, nil)
	want := "cart user"
	if strings.Contains(now.body, "slow") && o != slowLast || o == slowFirst {
		want = "cart slow user"
	}
	switch {
	case slow.status != http.StatusOK || in.status != http.StatusOK || now.status != http.StatusOK:
		return fmt.Errorf("status %d, %d and %d", slow.status, in.status, now.status)
	case slow.sent:
		return fmt.Errorf("the slow request replaced the browser's cookie")
	case !in.sent || in.cookie == cookie:
		return fmt.Errorf("the log-in kept the old id")
	case old.body != "":
		return fmt.Errorf("the old id is still good for %q", old.body)
	case now.body != want:
		return fmt.Errorf("got keys %q, want %q", now.body, want)
	}
	return nil
}

// emptyingRace deletes the only key while a slow request sets another: the
// session goes on under its id, and the browser keeps the cookie.
func emptyingRace(a *app, o order) error {
	cookie := a.do("/set/only", "", nil).cookie
	slow, del := o.run(a, cookie, "/set/slow", "/delete/only")
	switch back := a.do("/keys", cookie, nil); {
	case slow.status != http.StatusOK || del.status != http.StatusOK:
		return fmt.Errorf("status %d and %d", slow.status, del.status)
	case back.body != "slow":
		return fmt.Errorf("got keys %q, want slow", back.body)
	case slow.cookie == "" || del.cookie == "" && !slow.sent:
		return fmt.Errorf("the browser has lost the cookie")
	}
	return nil
}

// renewedTwice logs in twice at once: both succeed, neither gets the other's.
func renewedTwice(a *app, o order) error {
	cookie := a.do("/set/cart", "", nil).cookie
	one, two := o.run(a, cookie, "/login/ann", "/login/bob")
	if one.status != http.StatusOK || two.status != http.StatusOK || one.cookie == two.cookie {
		return fmt.Errorf("status %d and %d, one cookie: %v", one.status, two.status, one.cookie == two.cookie)
	}
	ann, bob := a.do("/get/user", one.cookie, nil).body, a.do("/get/user", two.cookie, nil).body
	if ann != "ann" || bob != "bob" {
		return fmt.Errorf("got users %q and %q", ann, bob)
	}
	if old := a.do("/keys", cookie, nil); old.body != "" {
		return fmt.Errorf("the old id is still good for %q", old.body)
	}
	return nil
}

// gate stops a request at its first save, after it has loaded.
type gate struct {
	arrived, open, done chan struct{}
	once                sync.Once
}

type gateKey struct{}

func newGate() *gate {
	return &gate{arrived: make(chan struct{}), open: make(chan struct{}), done: make(chan struct{})}
}

// wait waits until the request is at the gate or has ended: one that could not
// load never gets there.
func (g *gate) wait() {
	select {
	case <-g.arrived:
	case <-g.done:
	}
}

// gates is a store with a gate at the first save of a request.
type gates struct{ ginsession.Store }

func (g gates) Save(c context.Context, id string, r ginsession.Record) error {
	if g, _ := c.Value(gateKey{}).(*gate); g != nil {
		g.once.Do(func() {
			close(g.arrived)
			<-g.open
		})
	}
	return g.Store.Save(c, id, r)
}
