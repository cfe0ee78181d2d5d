// Package benchmarks measures ginsession beside other session middlewares. It
// is a module of its own, which no user inherits; "make bench" runs it.
package benchmarks

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"

	"github.com/alexedwards/scs/v2"
	scsmemory "github.com/alexedwards/scs/v2/memstore"
	"github.com/bradfitz/gomemcache/memcache"
	"github.com/gin-contrib/sessions"
	"github.com/gin-contrib/sessions/cookie"
	"github.com/gin-contrib/sessions/memcached"
	"github.com/gin-contrib/sessions/redis"
	"github.com/gin-gonic/gin"
	"github.com/gofiber/fiber/v3"
	fibersession "github.com/gofiber/fiber/v3/middleware/session"
	gorilla "github.com/gorilla/sessions"
	"github.com/valyala/fasthttp"

	"github.com/ginsession/ginsession"
	"github.com/ginsession/ginsession/memstore"
	"github.com/ginsession/ginsession/redisstore"
)

// The standard session: an id, a name, three roles, a token of 32 bytes, a
// counter, and one flash message.
const (
	keyUser, keyName, keyRoles, keyToken, keyCounter = "user_id", "name", "roles", "token", "counter"
	userID, userName, firstCount                     = int64(1234567), "Jane Example", 41
	flashText, flashKind                             = "Your settings have been saved", "success"
)

var roles, token = []string{"reader", "editor", "admin"}, []byte("\xd1\x0f\x7a\x33\x9e\x58\xc4\x01\xb2\x6d\xee\x47\x90\x1c\xa5\xf8\x21\x7b\xd6\x3a\x5f\x0e\x84\xc9\x66\x13\xfa\xb7\x48\x2d\x95\xe0")

// page is the body of every response. It has 128 bytes.
const page = `<!doctype html><html lang="en"><title>Settings</title><h1>Settings</h1><p>Everything is as you left it.</p><a href="/">Home</a>` + "\n"

// secret is that of every app. gin-contrib/sessions and gorilla/sessions get its
// halves, to sign and to encrypt, as ginsession always does.
const secret = "a secret of the benchmarks, 32 b" + "and an encryption key, 32 bytes."

var signing, encryption = []byte(secret[:32]), []byte(secret[32:])

// session is what the routes need of a library's session.
type session interface {
	owned() bool // reports whether it holds userID and userName
	count() int
	set(key, value any)
	addFlash()
	takeFlash() bool // reports whether there was exactly one
	renew()          // the id, if the library can
	save()           // if the app has to
}

// routes are those of every app, once for every library. They panic if the
// session does not hold what they want. With a type parameter, a session of two
// words needs no allocation.
func routes[S session]() map[string]func(S) {
	logIn := func(s S) {
		s.set(keyUser, userID)
		s.set(keyName, userName)
		s.addFlash()
	}
	return map[string]func(S){
		"/read": func(s S) { want(s.owned()) },
		"/write": func(s S) {
			n := s.count()
			want(n >= firstCount)
			s.set(keyCounter, n+1)
			s.save()
		},
		"/log-in": func(s S) { s.renew(); logIn(s); s.save() },
		"/fill": func(s S) { // with the standard session
			s.set(keyRoles, roles)
			s.set(keyToken, token)
			s.set(keyCounter, firstCount)
			logIn(s)
			s.save()
		},
		"/add":   func(s S) { s.addFlash(); s.save() },
		"/take":  func(s S) { want(s.takeFlash()); s.save() },
		"/twice": func(s S) { want(s.count() == firstCount+2) }, // after two writes
	}
}

func want(ok bool) {
	if !ok {
		panic("the session does not hold what was put in")
	}
}

// newEngine is gin with a middleware, or none, and a route that leaves the
// session alone.
func newEngine(middleware ...gin.HandlerFunc) *gin.Engine {
	gin.SetMode(gin.ReleaseMode)
	r := gin.New()
	r.Use(middleware...)
	r.GET("/untouched", answer)
	return r
}

func answer(c *gin.Context) { _, _ = c.Writer.WriteString(page) }

func newApp[S session](r *gin.Engine, open func(*gin.Context) S) *gin.Engine {
	for path, do := range routes[S]() {
		r.GET(path, func(c *gin.Context) {
			do(open(c))
			answer(c)
		})
	}
	return r
}

// ours is ginsession.
type ours struct{ *ginsession.Session }

func (s ours) owned() bool        { return s.GetInt64(keyUser) == userID && s.GetString(keyName) == userName }
func (s ours) count() int         { return s.GetInt(keyCounter) }
func (s ours) set(key, value any) { s.Set(key.(string), value) }
func (s ours) addFlash()          { s.AddFlash(flashText, flashKind) }
func (s ours) renew()             { s.Renew() }
func (s ours) save()              {}
func (s ours) takeFlash() bool {
	return slices.Equal(s.Flashes(), []ginsession.Flash{{Message: flashText, Category: flashKind}})
}

func newOurs(opts ...ginsession.Option) app {
	r := newEngine(must(ginsession.New(secret, opts...)))
	r.GET("/keys/:n", func(c *gin.Context) { // the session gets n texts of 20 bytes
		for i := range must(strconv.Atoi(c.Param("n"))) {
			ginsession.From(c).Set(fmt.Sprintf("key%04d", i), "a value of 20 bytes.")
		}
	})
	return httpApp(newApp(r, func(c *gin.Context) ours { return ours{ginsession.From(c)} }))
}

// contrib is gin-contrib/sessions. It cannot renew a session's id.
type contrib struct{ sessions.Session }

func (s contrib) owned() bool        { return s.Get(keyUser) == userID && s.Get(keyName) == userName }
func (s contrib) count() int         { n, _ := s.Get(keyCounter).(int); return n }
func (s contrib) set(key, value any) { s.Set(key, value) }
func (s contrib) addFlash()          { s.AddFlash(flashText, flashKind) }
func (s contrib) takeFlash() bool    { return slices.Equal(s.Flashes(flashKind), []any{flashText}) }
func (s contrib) renew()             {}
func (s contrib) save()              { must(0, s.Save()) }

func newContrib(store sessions.Store) app {
	r := newEngine(sessions.Sessions("session", store))
	return httpApp(newApp(r, func(c *gin.Context) contrib { return contrib{sessions.Default(c)} }))
}

// gorillas is gorilla/sessions. It cannot renew a session's id either.
type gorillas struct {
	*gorilla.Session
	c *gin.Context
}

func (s gorillas) owned() bool        { return s.Values[keyUser] == userID && s.Values[keyName] == userName }
func (s gorillas) count() int         { n, _ := s.Values[keyCounter].(int); return n }
func (s gorillas) set(key, value any) { s.Values[key] = value }
func (s gorillas) addFlash()          { s.AddFlash(flashText, flashKind) }
func (s gorillas) takeFlash() bool    { return slices.Equal(s.Flashes(flashKind), []any{flashText}) }
func (s gorillas) renew()             {}
func (s gorillas) save()              { must(0, s.Save(s.c.Request, s.c.Writer)) }

func newGorilla() app {
	store := gorilla.NewCookieStore(signing, encryption)
	return httpApp(newApp(newEngine(), func(c *gin.Context) gorillas { return gorillas{must(store.Get(c.Request, "session")), c} }))
}

// scss is alexedwards/scs, which wraps all of gin. A flash message is a value
// that is popped.
type scss struct {
	m   *scs.SessionManager
	ctx context.Context
}

func (s scss) owned() bool {
	return s.m.GetInt64(s.ctx, keyUser) == userID && s.m.GetString(s.ctx, keyName) == userName
}
func (s scss) count() int         { return s.m.GetInt(s.ctx, keyCounter) }
func (s scss) set(key, value any) { s.m.Put(s.ctx, key.(string), value) }
func (s scss) addFlash()          { s.m.Put(s.ctx, flashKind, flashText) }
func (s scss) takeFlash() bool    { return s.m.PopString(s.ctx, flashKind) == flashText }
func (s scss) renew()             { must(0, s.m.RenewToken(s.ctx)) }
func (s scss) save()              {}

func newSCS() app {
	m := scs.New()
	m.Store = scsmemory.NewWithCleanupInterval(0) // the cleanup would keep the store for ever
	r := newApp(newEngine(), func(c *gin.Context) scss { return scss{m, c.Request.Context()} })
	return httpApp(m.LoadAndSave(r))
}

// fibers is Fiber. It has no flash messages: they are set and deleted by hand.
type fibers struct{ *fibersession.Middleware }

func (s fibers) owned() bool        { return s.Get(keyUser) == userID && s.Get(keyName) == userName }
func (s fibers) count() int         { n, _ := s.Get(keyCounter).(int); return n }
func (s fibers) set(key, value any) { s.Set(key, value) }
func (s fibers) addFlash()          { s.Set(flashKind, flashText) }
func (s fibers) takeFlash() bool    { defer s.Delete(flashKind); return s.Get(flashKind) == flashText }
func (s fibers) renew()             { must(0, s.Regenerate()) }
func (s fibers) save()              {}

func newFiber() app {
	r := fiber.New()
	r.Use(fibersession.New())
	r.Get("/untouched", func(c fiber.Ctx) error { return c.SendString(page) })
	for path, do := range routes[fibers]() {
		r.Get(path, func(c fiber.Ctx) error {
			do(fibers{fibersession.FromContext(c)})
			return c.SendString(page)
		})
	}
	return fiberApp(r)
}

// A variant is a library with a storage.
type variant struct {
	lib, store string
	open       func(addr string) app // with the address of the storage's server, if it has one
}

var variants = []variant{
	{"ginsession", "cookie", func(string) app { return newOurs() }},
	{"gin-contrib", "cookie", func(string) app { return newContrib(cookie.NewStore(signing, encryption)) }},
	{"gorilla", "cookie", func(string) app { return newGorilla() }},
	{"ginsession", "Flask", func(string) app { return newOurs(ginsession.WithFlaskCookie()) }},
	{"ginsession", "Memcached", func(addr string) app { return newOurs(ginsession.WithMemcached(addr)) }},
	{"gin-contrib", "Memcached", func(addr string) app {
		return newContrib(memcached.NewStore(memcache.New(addr), "", signing, encryption))
	}},
	{"ginsession", "Redis", func(addr string) app {
		return newOurs(ginsession.WithStore(redisstore.Must(redisstore.Open("redis://" + addr))))
	}},
	{"gin-contrib", "Redis", func(addr string) app {
		return newContrib(must(redis.NewStore(10, "tcp", addr, "", "", signing, encryption)))
	}},
	{"scs", "memory", func(string) app { return newSCS() }},
	{"Fiber", "memory", func(string) app { return newFiber() }},
	{"ginsession", "memory", func(string) app {
		return newOurs(ginsession.WithStore(memstore.New(memstore.WithLimit(2 << 30)))) // for BenchmarkSize
	}},
}

// bare is gin alone. It has "/untouched" and no other route.
var bare = variant{"gin", "none", func(string) app { return httpApp(newEngine()) }}

// choose returns variants in another order each time: those of a library, or of
// all, with one of these storages, or with all.
func choose(lib string, stores ...string) (chosen []*variant) {
	for _, i := range rand.Perm(len(variants)) {
		if v := &variants[i]; (lib == "" || lib == v.lib) && (stores == nil || slices.Contains(stores, v.store)) {
			chosen = append(chosen, v)
		}
	}
	return chosen
}

// String is the variant's part of a benchmark's name.
func (v *variant) String() string { return "lib=" + v.lib + "/store=" + v.store }

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

// app is an application with the routes of apps_test.go.
type app struct {
	http.Handler                                     // nil if it does not speak net/http
	prepare      func(path, cookie string) *exchange // makes a request that can be sent again and again
}

// exchange is a prepared request. Sending it costs next to nothing beside what
// the app does.
type exchange struct {
	respond func() (status int)
	cookies func() []string     // the Set-Cookie lines of the last response
	use     func(cookie string) // by the next request; nil if all have the same
	size    int                 // of its body, if it is net/http
}

// send panics if the app does not do its work: then there is nothing to measure.
func (e *exchange) send() {
	if status := e.respond(); status != http.StatusOK {
		panic(fmt.Sprintf("status %d", status))
	}
}

func httpApp(h http.Handler) app {
	return app{h, func(path, cookie string) *exchange {
		template := must(http.NewRequest(http.MethodGet, "http://localhost"+path, http.NoBody))
		template.RequestURI, template.RemoteAddr = path, "127.0.0.1:40000"
		if cookie != "" {
			template.Header.Set("Cookie", cookie)
		}
		request, w := new(http.Request), &recorder{header: http.Header{}, exchange: &exchange{}}
		w.respond = func() int {
			*request = *template // gorilla/sessions keeps the session that it has read in it
			clear(w.header)
			w.status, w.size = http.StatusOK, 0
			h.ServeHTTP(w, request)
			return w.status
		}
		w.cookies = func() []string { return w.header["Set-Cookie"] }
		if cookie != "" {
			w.use = func(cookie string) { template.Header["Cookie"][0] = cookie }
		}
		return w.exchange
	}}
}

// recorder is a [http.ResponseWriter] that is used again and allocates nothing.
type recorder struct {
	*exchange
	header http.Header
	status int
}

func (w *recorder) Header() http.Header               { return w.header }
func (w *recorder) WriteHeader(status int)            { w.status = status }
func (w *recorder) Flush()                            {}
func (w *recorder) Write(p []byte) (int, error)       { w.size += len(p); return len(p), nil }
func (w *recorder) WriteString(p string) (int, error) { w.size += len(p); return len(p), nil }

// fiberApp does what fasthttp's server does between two requests, except parsing
// them, as Fiber's own benchmarks do.
func fiberApp(a *fiber.App) app {
	return app{nil, func(path, cookie string) *exchange {
		h, c := a.Handler(), &fasthttp.RequestCtx{}
		c.Request.Header.SetMethod(fiber.MethodGet)
		c.Request.SetRequestURI("http://localhost" + path)
		if cookie != "" {
			c.Request.Header.Set("Cookie", cookie)
		}
		return &exchange{
			respond: func() int {
				c.ResetUserValues()
				c.Response.Reset()
				h(c)
				return c.Response.StatusCode()
			},
			cookies: func() (lines []string) {
				for _, line := range c.Response.Header.Cookies() {
					lines = append(lines, string(line))
				}
				return lines
			},
		}
	}}
}
