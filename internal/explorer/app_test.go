package explorer_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/ginsession/ginsession"
)

const (
	cookieName = "__Host-session"
	page       = "the page of the handler"
)

// A program is what a handler does with its session, a letter a step. i stands
// for the number of the request: keys and flashes tell who set them.
//
//	S  Set("k<i>")               K  Set("l<i>")
//	L  Set("user<i>")            U  Update("n"): one more of this request's
//	D  Delete("x")               C  Clear
//	F  AddFlash("f<i>")          T  Flashes
//	N  Renew                     X  Destroy
//	P  SetPermanent(true)        R  read only
//	v  Save                      !  Flush
type program string

func (p program) has(letters string) bool { return strings.ContainsAny(string(p), letters) }

// reads reports whether the program changes nothing.
func (p program) reads() bool { return strings.Trim(string(p), "R!v") == "" }

// segment is what a program does up to a commit that it hears of: Save, Flush
// or the end of the request.
type segment struct {
	err   error
	acked bool
	until int // index in the program of the step that committed it
	write int // the step of the request's last applied write by then, or -1
}

// view is what a request can see of its session.
type view struct {
	id        string
	keys      []string
	n         int64
	permanent bool
	flashes   []string // only if they were asked for
}

func (c *config) look(s *ginsession.Session) view {
	v := view{id: s.ID(), keys: s.Keys(), n: s.GetInt64("n"), permanent: s.Permanent()}
	if c.cookie && !s.IsNew() {
		v.id = s.CreatedAt().String()
	}
	return v
}

func (v view) String() string {
	return fmt.Sprintf("keys %v n=%d flashes %v permanent=%v", v.keys, v.n, v.flashes, v.permanent)
}

// unit is what an update by request i adds to the counter: the counter shows
// how often each request was counted.
func unit(i int) int64 { return [...]int64{1, 100, 10000}[i] }

func counted(n int64, i int) int { return int(n / unit(i) % 100) }

// perform does what the program says, and checks that the handler reads what it
// wrote.
func (p *process) perform(s *ginsession.Session, w gin.ResponseWriter) {
	p.turn()
	p.load(s)
	for at, step := range string(p.program) {
		if step == 'v' || step == '!' {
			p.turn()
		}
		p.perform1(s, w, at, step)
		if s.Err() == nil {
			p.checkRead(s, step)
		}
	}
	p.saw = append(p.saw, s.Keys()...)
	p.turn()
}

// turn lets the scheduler decide who goes on before a session in a cookie is
// loaded or committed. One on a server parks at its store.
func (p *process) turn() {
	if p.world.cookie {
		p.park(call{kind: turn, id: "cookie"})
	}
}

// load loads a session in a cookie, as the first use does.
func (p *process) load(s *ginsession.Session) {
	if p.world.cookie {
		p.loaded, p.found = p.now(), !s.IsNew()
	}
}

func (p *process) perform1(s *ginsession.Session, w gin.ResponseWriter, at int, step rune) {
	switch step {
	case 'S':
		s.Set(p.name("k"), 1)
	case 'K':
		s.Set(p.name("l"), 1)
	case 'L':
		s.Set(p.name("user"), 1)
	case 'U':
		p.before = s.GetInt64("n")
		ginsession.Update(s, "n", func(n int64) int64 {
			p.turn()
			return n + unit(p.index)
		})
	case 'D':
		if s.Has("x") {
			p.removed = append(p.removed, "x")
		}
		s.Delete("x")
	case 'C':
		p.removed = append(p.removed, s.Keys()...)
		s.Clear()
	case 'F':
		s.AddFlash(p.name("f"), "")
	case 'T':
		p.shown = append(p.shown, messages(s)...)
	case 'N':
		s.Renew()
	case 'X':
		s.Destroy()
	case 'P':
		s.SetPermanent(true)
	case 'R':
		p.saw = append(p.saw, s.Keys()...)
	case 'v':
		p.committed(at, s.Save())
	case '!':
		w.Flush()
		p.committed(at, s.Err())
	}
}

func (p *process) checkRead(s *ginsession.Session, step rune) {
	ok := true
	switch step {
	case 'S':
		ok = s.Has(p.name("k"))
	case 'K':
		ok = s.Has(p.name("l"))
	case 'L':
		ok = s.Has(p.name("user"))
	case 'U':
		ok = s.GetInt64("n") == p.before+unit(p.index)
	case 'D':
		ok = !s.Has("x")
	case 'C', 'X':
		ok = s.Len() == 0
	case 'P':
		ok = s.Permanent()
	}
	if !ok {
		p.misread = fmt.Sprintf("after %c the handler of request %d reads %v", step, p.index, p.world.look(s))
	}
}

func messages(s *ginsession.Session) (shown []string) {
	for _, f := range s.Flashes() {
		shown = append(shown, fmt.Sprint(f.Message))
	}
	return shown
}

// response is an [http.ResponseWriter] that keeps what a browser would get.
type response struct {
	header http.Header // as the handlers see it
	sent   http.Header
	status int
	body   []byte

	cookie  cookie // what setCookie has found
	found   bool
	decoded bool
}

func (w *response) Header() http.Header { return w.header }

func (w *response) WriteHeader(status int) {
	if w.sent == nil {
		w.status, w.sent = status, w.header.Clone()
	}
}

func (w *response) Write(b []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	w.body = append(w.body, b...)
	return len(b), nil
}

func (w *response) Flush() { w.WriteHeader(http.StatusOK) }

// cookie is what a browser keeps of a Set-Cookie line.
type cookie struct {
	value      string
	persistent bool // outlives the browser window
}

// setCookie returns the session's cookie among the headers. The value "" is one
// that takes it out of the browser.
func (w *response) setCookie() (c cookie, ok bool) {
	if w.decoded {
		return w.cookie, w.found
	}
	for _, line := range w.sent["Set-Cookie"] {
		if parsed, err := http.ParseSetCookie(line); err == nil && parsed.Name == cookieName {
			w.cookie, w.found = cookie{parsed.Value, parsed.MaxAge > 0}, true
			if parsed.MaxAge < 0 {
				w.cookie = cookie{}
			}
		}
	}
	w.decoded = true
	return w.cookie, w.found
}

// request sends a request to a server and returns when it has ended.
func request(ctx context.Context, server *gin.Engine, value string) *response {
	r := &http.Request{Method: http.MethodGet, URL: target, Header: http.Header{}, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1}
	if value != "" {
		r.Header["Cookie"] = []string{cookieName + "=" + value}
	}
	w := &response{header: http.Header{}}
	server.ServeHTTP(w, r.WithContext(ctx))
	w.WriteHeader(http.StatusOK)
	return w
}

// A config is a dimension of the search beside programs and faults.
type config struct {
	name     string
	servers  [][]ginsession.Option // request i goes to number i, modulo their number
	secrets  []string
	age      time.Duration // of the start state when the requests begin
	lifetime time.Duration // 0: longer than any schedule
	jumps    bool          // the clock may advance past a minute, once
	cookie   bool          // sessions are in the encrypted cookie
	fresh    time.Duration // how old a prepared start state may be beyond age
}

const (
	secretA = "a secret of the explorer, thirty-two bytes or more"
	secretB = "b secret of the explorer, thirty-two bytes or more"
)

func option(opts ...ginsession.Option) []ginsession.Option { return opts }

var configs = []*config{
	{name: "one", servers: [][]ginsession.Option{nil}, secrets: []string{secretA}, fresh: time.Hour},
	{name: "two", servers: [][]ginsession.Option{nil, nil}, secrets: []string{secretA, secretA}, fresh: time.Hour},
	{name: "rotated", secrets: []string{secretA, secretB}, fresh: time.Hour,
		servers: [][]ginsession.Option{option(ginsession.WithPreviousSecrets(secretB)), option(ginsession.WithPreviousSecrets(secretA))}},
	{name: "slow", servers: [][]ginsession.Option{nil}, secrets: []string{secretA}, jumps: true, fresh: time.Hour},
	{name: "lifetime", secrets: []string{secretA}, lifetime: 45 * time.Second, jumps: true, fresh: 5 * time.Second,
		servers: [][]ginsession.Option{option(ginsession.WithLifetime(45 * time.Second))}},
	{name: "idle", secrets: []string{secretA}, age: 31 * time.Second, jumps: true, fresh: 5 * time.Second,
		servers: [][]ginsession.Option{option(ginsession.WithIdleTimeout(2 * time.Minute))}},
	{name: "cookie", servers: [][]ginsession.Option{nil}, secrets: []string{secretA}, cookie: true},
	{name: "cookie-idle", secrets: []string{secretA}, age: 31 * time.Second, cookie: true,
		servers: [][]ginsession.Option{option(ginsession.WithIdleTimeout(2 * time.Minute))}},
}

// world is the servers of a config, with one store.
type world struct {
	*config
	store   *store
	engines []*gin.Engine
	alone   *gin.Engine // another process, which remembers nothing
	starts  map[string]*start
	idle    chan *process // to the goroutines that run requests; their stacks have grown
}

// maxRequests is how many requests a schedule has at most.
const maxRequests = 3

// newWorld builds the servers. It is called in the bubble of [synctest.Test]
// that they run in. The caller closes idle.
func newWorld(c *config) *world {
	w := &world{config: c, store: &store{records: map[string]ginsession.Record{}}, starts: map[string]*start{}, idle: make(chan *process)}
	for range maxRequests {
		go func() {
			for p := range w.idle {
				p.run()
			}
		}()
	}
	w.alone = newEngine(ginsession.Must(ginsession.New(c.secrets[0], ginsession.WithMergeBuffer(0), ginsession.WithLogger(nil))))
	for i, options := range c.servers {
		options = append(slices.Clone(options), ginsession.WithLogger(nil))
		if !c.cookie {
			options = append(options, ginsession.WithStore(w.store))
		}
		w.engines = append(w.engines, newEngine(ginsession.Must(ginsession.New(c.secrets[i], options...))))
	}
	return w
}

// handlerKey is where a request's context has what its handler does.
type handlerKey struct{}

type handler func(*gin.Context)

func newEngine(sessions gin.HandlerFunc) *gin.Engine {
	engine := gin.New()
	engine.Use(observe, sessions)
	engine.GET("/", func(c *gin.Context) { c.Request.Context().Value(handlerKey{}).(handler)(c) })
	return engine
}

// observe is mounted outside the sessions: it sees how the request ended.
func observe(c *gin.Context) {
	c.Next()
	if p, _ := c.Request.Context().Value(callerKey{}).(*process); p != nil {
		p.errors = c.Errors.Errors()
	}
}

// visit sends a request whose calls to the store do not park.
func (w *world) visit(value string, do func(*ginsession.Session)) (*response, error) {
	return visit(w.engines[0], value, do)
}

func visit(server *gin.Engine, value string, do func(*ginsession.Session)) (*response, error) {
	var s *ginsession.Session
	ctx := context.WithValue(context.Background(), handlerKey{}, handler(func(c *gin.Context) {
		s = ginsession.From(c)
		do(s)
	}))
	got := request(ctx, server, value)
	err := s.Err()
	if got.status != http.StatusOK {
		err = errors.Join(err, fmt.Errorf("status %d", got.status))
	}
	return got, err
}

// start is what there is before the requests.
type start struct {
	records map[string]ginsession.Record
	made    time.Time
	jar     cookie
	given   []string // cookies
	dead    []string // cookies of sessions that have ended
	content view
	other   string // the id of another user's record
}

// startNames are the start states. In "emptied" and "ended" the response that
// takes the cookie out of the browser is still on its way.
var startNames = []string{"none", "anonymous", "login", "flash", "emptied", "ended"}

// begin puts the store into a start state, which is prepared anew if it has
// aged.
func (w *world) begin(name string) *start {
	st := w.starts[name]
	if w.cookie || st == nil || time.Since(st.made) > w.age+w.fresh {
		st = w.prepare(name)
		w.starts[name] = st
	}
	w.store.restore(st.records)
	return st
}

func (w *world) prepare(name string) *start {
	clear(w.store.records)
	st := &start{}
	w.change("", func(s *ginsession.Session) { s.Set("other", 1) })
	time.Sleep(time.Microsecond)           // sessions in cookies are told apart by when they began
	for st.other = range w.store.records { // the only one
	}
	switch set := func(s *ginsession.Session) { s.Set("x", 1) }; name {
	case "anonymous":
		st.keep(w.change("", set))
	case "login":
		before := w.change("", set)
		st.keep(before)
		st.keep(w.change(before.value, func(s *ginsession.Session) { s.Renew(); s.Set("user", 1) }))
		st.dead = append(st.dead, before.value)
	case "flash":
		st.keep(w.change("", func(s *ginsession.Session) { s.AddFlash("f", "") }))
	case "emptied":
		st.keep(w.change("", set))
		w.change(st.jar.value, (*ginsession.Session).Clear)
	case "ended":
		st.keep(w.change("", set))
		w.change(st.jar.value, (*ginsession.Session).Destroy)
		st.dead = append(st.dead, st.jar.value)
	}
	if w.age > 0 {
		time.Sleep(w.age)
	}
	st.records, st.made = w.store.snapshot(), time.Now().Add(-w.age)
	_, _ = w.visit(st.jar.value, func(s *ginsession.Session) {
		st.content = w.look(s)
		if !w.cookie { // there what is shown cannot be put back
			st.content.flashes = messages(s)
		}
	})
	if w.cookie && name == "flash" {
		st.content.flashes = []string{"f"}
	}
	return st
}

func (st *start) keep(c cookie) {
	st.jar = c
	st.given = append(st.given, c.value)
}

func (w *world) change(value string, do func(*ginsession.Session)) cookie {
	got, err := w.visit(value, do)
	if err != nil {
		panic(fmt.Sprint("preparing a start state: ", err))
	}
	c, _ := got.setCookie()
	return c
}
