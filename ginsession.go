package ginsession

import (
	"cmp"
	"context"
	"fmt"

	"github.com/gin-gonic/gin"
)

// Key is where the session is found in the [gin.Context] unless
// [WithContextKey] says otherwise: c.MustGet(ginsession.Key) and c.Value.
const Key = "github.com/ginsession/ginsession"

// New returns a middleware that gives every request a [*Session], kept in an
// encrypted cookie, or on a server: [WithMemcached], [WithStore].
//
// The secret is at least 32 bytes long, unguessable, and the same on every
// server of the app; "openssl rand -base64 32" prints a good one. Whoever has
// it can read and forge every session. All mistakes in the arguments are found
// at once and returned joined, each as a [*ConfigError]; none shows a secret.
//
// The middleware holds the response back until the handler returns, flushes,
// hijacks the connection or has written 64 KiB; then it saves the session and
// lets the headers go. It may be mounted several times and serve any number of
// requests at once. A request that does not touch its session costs next to
// nothing, and its response is left as it is.
func New(secret string, opts ...Option) (gin.HandlerFunc, error) {
	c, err := newConfig(secret, opts)
	if err != nil {
		return nil, err
	}
	m := &manager{config: c, contextKey: c.ContextKey, cookie: newCookie(c)}
	switch {
	case c.store != nil:
		m.storage, err = newServerStorage(m, c.store)
	case c.Flask:
		m.storage = newFlaskCookie(c.secrets())
	default:
		m.storage, err = newSealedCookie(c)
	}
	if err != nil {
		return nil, err
	}
	if c.FlaskSecrets != nil {
		m.flask = newFlaskCookie(c.FlaskSecrets)
		m.flaskCookie = newCookie(c)
		m.flaskCookie.name = flaskName
	}
	return m.handle, nil
}

// Must returns h, or panics if err is not nil:
//
//	r.Use(ginsession.Must(ginsession.New(secret)))
func Must(h gin.HandlerFunc, err error) gin.HandlerFunc {
	if err != nil {
		panic(err)
	}
	return h
}

// From returns the request's session. It panics where no middleware has put
// one under [Key].
func From(c *gin.Context) *Session {
	if v, ok := c.Get(Key); ok {
		return v.(*Session)
	}
	panic("ginsession: no session in this gin.Context: mount the middleware before the handler, with " +
		"r.Use(ginsession.Must(ginsession.New(secret))); under another context key use c.MustGet")
}

// manager is what all requests of one middleware share. Nothing in it changes
// after [New].
type manager struct {
	*config
	contextKey any // ContextKey, in an interface once and not in each request
	cookie     cookie
	storage    storage

	flask       *flaskCookie // to move on from, or nil
	flaskCookie cookie
}

// storage is where sessions are kept between requests. Its methods are called
// with the session locked, and may be called with a context that is over: a
// goroutine goes on, or the client has hung up.
type storage interface {
	// load fills in the content of the session that a cookie's value stands
	// for. [ErrInvalid] and [ErrUnknown] refuse the cookie; all other errors
	// say that nobody knows.
	load(ctx context.Context, s *Session, value string) error

	// commit makes what s holds last, and returns the Set-Cookie line that
	// the browser needs for it, if any.
	commit(ctx context.Context, s *Session) (line string, err error)
}

// handle is a request's way through the middleware.
func (m *manager) handle(c *gin.Context) {
	// 1. One session a request, however often the middleware is mounted.
	outer := around(c)
	if s := m.mounted(outer); s != nil {
		s.again(c)
		return
	}

	// 2. Nothing is read yet; the session remembers where from.
	s := newSession(m, c, outer)
	s.mount(c)
	c.Writer = &s.writer

	// 3. Whatever happens, gin gets its writer back: it writes the bodies of
	// 404 and 405 after the last middleware, and Recovery writes its page.
	defer s.leave(c)
	c.Next()

	// 4. Commit, then let go of what was held back. A panic never comes here.
	s.writer.finish()
}

// ownKeys is where the [gin.Context] has the latest session under a key of the
// app's own, which may be any, or one that is hidden no more. The map of its
// keys belongs to gin: another goroutine may be setting one.
type ownKeys struct{}

func (s *Session) mount(c *gin.Context) {
	c.Set(s.m.contextKey, s)
	if s.m.contextKey != any(Key) {
		c.Set(ownKeys{}, s)
	}
}

func (s *Session) leave(c *gin.Context) {
	s.writer.leave()
	s.log.write(c, s)
	for o := s.outer; o != nil; o = o.outer {
		if o.m.contextKey == s.m.contextKey {
			c.Set(s.m.contextKey, o) // it was hidden
			c.Set(ownKeys{}, s)      // and s is not to be lost
			return
		}
	}
}

// around returns the innermost session that the request has so far, or nil.
func around(c *gin.Context) *Session {
	common, _ := c.Get(Key)
	own, _ := c.Get(ownKeys{})
	a, _ := common.(*Session)
	b, _ := own.(*Session)
	for s := b; s != nil; s = s.outer {
		if s == a {
			return b
		}
	}
	return cmp.Or(a, b)
}

// again goes on where the middleware is mounted once more: inside another one,
// which may have hidden the session.
func (s *Session) again(c *gin.Context) {
	if shown, _ := c.Get(s.m.contextKey); shown != any(s) {
		c.Set(s.m.contextKey, s)
		defer c.Set(s.m.contextKey, shown)
	}
	c.Next()
}

// mounted returns the session that this very middleware has under way, of s and
// those around it, or nil. Two that share a cookie would overwrite each other's.
func (m *manager) mounted(s *Session) *Session {
	for ; s != nil; s = s.outer {
		if s.over.Load() {
			continue
		}
		if s.m == m {
			return s
		}
		if s.m.Name == m.Name {
			panic(fmt.Sprintf("ginsession: two different middlewares share the cookie %q: "+
				"mount one of them, or tell them apart by WithName and WithContextKey", m.Name))
		}
	}
	return nil
}
