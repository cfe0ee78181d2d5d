package main

import (
	"fmt"

	"github.com/gin-gonic/gin"
)

// A variant is a row of the table: one way to keep sessions.
type variant struct {
	id      string // on the command line
	library string
	storage string
	server  string // the program that it needs: "memcached", "redis-server", or ""
	peer    string // the id of the variant that it is compared with, or ""
	start   func(addr string) (app, error)
}

const (
	inCookie    = "encrypted cookie"
	inFlask     = "Flask's cookie"
	inMemcached = "Memcached"
	inRedis     = "Redis"
	inMemory    = "memory of the process"
)

// variants are all rows. A new one is an entry here; its start function gives
// an app with the routes of shapes.go.
var variants = []*variant{
	{id: "bare", library: "gin, no session", start: startBare},

	{id: "cookie", library: ours, storage: inCookie, peer: "contrib-cookie", start: startOurs()},
	{id: "contrib-cookie", library: contrib, storage: inCookie, start: startContribCookie},
	{id: "gorilla-cookie", library: "gorilla/sessions", storage: inCookie, start: startGorillaCookie},
	{id: "flask", library: ours, storage: inFlask, start: startOurs(withFlaskCookie)},

	{id: "memcached", library: ours, storage: inMemcached, server: memcachedServer, peer: "contrib-memcached", start: startOurs(withMemcached)},
	{id: "contrib-memcached", library: contrib, storage: inMemcached, server: memcachedServer, start: startContribMemcached},

	{id: "redis", library: ours, storage: inRedis, server: redisServer, peer: "contrib-redis", start: startOurs(withRedis)},
	{id: "contrib-redis", library: contrib, storage: inRedis, server: redisServer, start: startContribRedis},

	{id: "scs", library: "alexedwards/scs", storage: inMemory, start: startSCS},
	{id: "fiber", library: "Fiber", storage: inMemory, start: startFiber},
}

const (
	ours    = "ginsession"
	contrib = "gin-contrib/sessions"
)

// row is the variant's name where there is one line for it.
func (v *variant) row() string {
	if v.storage == "" {
		return v.library
	}
	return v.library + ", " + v.storage
}

func findVariant(id string) (*variant, error) {
	for _, v := range variants {
		if v.id == id {
			return v, nil
		}
	}
	return nil, fmt.Errorf("there is no variant %q", id)
}

// has reports whether a shape makes sense: there is none but untouched without a
// session.
func (v *variant) has(s *shape) bool { return v.storage != "" || s.paths[0] == pathUntouched }

// newEngine is gin without anything.
func newEngine() *gin.Engine {
	gin.SetMode(gin.ReleaseMode)
	return gin.New()
}

// answer ends every handler: without a body, where all is well.
func answer(c *gin.Context, err error) {
	if err != nil {
		c.String(500, "%v", err)
		return
	}
}

// route makes a handler that answers when do is through.
func route(do func(*gin.Context) error) gin.HandlerFunc {
	return func(c *gin.Context) { answer(c, do(c)) }
}

func nothing(*gin.Context) error { return nil }

func startBare(string) (app, error) {
	r := newEngine()
	r.GET(pathUntouched, route(nothing))
	return httpApp{r}, nil
}

// walk makes sure that an app does what the shape says, and prepares it.
func (v *variant) walk(a app, s *shape) (*walk, error) {
	if v.storage == "" {
		return &walk{steps: []exchange{a.prepare(pathUntouched, "")}}, nil
	}
	if err := s.check(a); err != nil {
		return nil, fmt.Errorf("%s: %s: %w", v.row(), s.name, err)
	}
	return s.start(a)
}
