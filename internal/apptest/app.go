package apptest

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/ginsession/ginsession"
)

// errorsKey is where a [Browser] waits for c.Errors.
type errorsKey struct{}

// App is a gin engine with the middleware and a route that does what its query
// says. A test may add routes and middleware of its own.
//
//	/?do=set:user=ann,renew,flash:Welcome
//
// The words of "do" run in order:
//
//	set:k=v  get:k  delete:k  incr:k  clear  keys  flash:text  flashes  permanent:true
//	renew  destroy  save  err  rejected  write:text  flush  meanwhile  handle:/path
//
// get, keys, flashes, err and rejected write a line to the body; keys has one "k=v" for
// each key, sorted. meanwhile calls Meanwhile, handle:/path
// is [gin.Engine.HandleContext], and /then a page that does what "then" says.
// The path /app/ is the same as /.
type App struct {
	*gin.Engine
	Meanwhile func()              // for one request; nil does nothing
	Session   *ginsession.Session // of the latest request that ran a "do"

	mu     sync.Mutex // for Session, while requests run
	played gin.HandlerFunc
}

// New returns an app with one middleware under [Secret].
func New(t testing.TB, opts ...ginsession.Option) *App {
	t.Helper()
	return Mount(Middleware(t, Secret, opts...))
}

// Gin prints every route in its debug mode.
func init() { gin.SetMode(gin.TestMode) }

// Middleware returns what [ginsession.New] returns, or ends the test.
func Middleware(t testing.TB, secret string, opts ...ginsession.Option) gin.HandlerFunc {
	t.Helper()
	h, err := ginsession.New(secret, opts...)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	return h
}

// Mount returns an app with these middlewares, outermost first.
func Mount(middleware ...gin.HandlerFunc) *App {
	a := &App{Engine: gin.New()}
	a.Use(keepErrors)
	a.Use(middleware...)
	a.GET("/", a.do)
	a.GET("/app/", a.do)
	a.GET("/then", a.then)
	a.GET("/play", func(c *gin.Context) { a.played(c) })
	return a
}

// Play has a browser request a page that handle answers.
func (a *App) Play(b *Browser, handle gin.HandlerFunc) *Response {
	a.played = handle
	return b.Get("/play")
}

// keepErrors hands c.Errors to the browser. After HandleContext the outer of
// the two passes has the last word.
func keepErrors(c *gin.Context) {
	to, ok := c.Request.Context().Value(errorsKey{}).(*[]error)
	c.Next()
	if !ok {
		return
	}
	*to = nil
	for _, err := range c.Errors {
		*to = append(*to, err.Err)
	}
}

func (a *App) do(c *gin.Context)   { a.run(c, c.Query("do")) }
func (a *App) then(c *gin.Context) { a.run(c, c.Query("then")) }

func (a *App) run(c *gin.Context, words string) {
	if words == "" {
		return
	}
	s := ginsession.From(c)
	defer func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.Session = s
	}()
	for word := range strings.SplitSeq(words, ",") {
		verb, arg, _ := strings.Cut(word, ":")
		a.step(c, s, verb, arg)
	}
}

func (a *App) step(c *gin.Context, s *ginsession.Session, verb, arg string) {
	switch verb {
	case "set":
		key, value, _ := strings.Cut(arg, "=")
		s.Set(key, value)
	case "get":
		line(c, s.GetString(arg))
	case "delete":
		s.Delete(arg)
	case "incr":
		ginsession.Update(s, arg, func(n int) int { return n + 1 })
	case "clear":
		s.Clear()
	case "keys":
		for _, key := range s.Keys() {
			line(c, fmt.Sprintf("%s=%v", key, s.Get(key)))
		}
	case "flash":
		s.AddFlash(arg, "")
	case "flashes":
		for _, f := range s.Flashes() {
			line(c, fmt.Sprint(f.Message))
		}
	case "permanent":
		s.SetPermanent(arg == "true")
	case "renew":
		s.Renew()
	case "destroy":
		s.Destroy()
	case "save":
		if err := s.Save(); err != nil {
			line(c, "save: "+err.Error())
		}
	case "err":
		line(c, fmt.Sprint(s.Err()))
	case "rejected":
		line(c, fmt.Sprint(s.Rejected()))
	default:
		a.respond(c, verb, arg)
	}
}

// respond is the part of [App.step] that is about the response.
func (a *App) respond(c *gin.Context, verb, arg string) {
	switch verb {
	case "write":
		_, _ = c.Writer.WriteString(arg)
	case "flush":
		c.Writer.Flush()
	case "meanwhile":
		if do := a.Meanwhile; do != nil {
			a.Meanwhile = nil
			do()
		}
	case "handle":
		c.Request.URL.Path = arg
		a.HandleContext(c)
	default:
		panic("apptest: no such word in do: " + verb)
	}
}

func line(c *gin.Context, text string) { _, _ = c.Writer.WriteString(text + "\n") }

// Lines returns the lines of the body.
func (r *Response) Lines() []string {
	return slices.Collect(strings.FieldsFuncSeq(r.Body.String(), isNewline))
}

func isNewline(r rune) bool { return r == '\n' }
