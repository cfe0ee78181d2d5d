// Package ginsession gives Gin web apps the sessions of Flask: a dictionary
// for each browser, with typed getters and flash messages, that is saved by
// itself.
//
//	r := gin.Default()
//	r.Use(ginsession.Must(ginsession.New(os.Getenv("SESSION_SECRET"))))
//
//	r.POST("/login", func(c *gin.Context) {
//		s := ginsession.From(c)
//		s.Renew() // at every change of privilege
//		s.Set("user_id", 42)
//		s.AddFlash("Welcome back", "success")
//		c.Redirect(http.StatusSeeOther, "/")
//	})
//
// # Saving
//
// The response is held back until the handler returns, flushes, hijacks the
// connection or has written 256 KiB ([WithResponseBuffer]). Then the session is
// saved, the headers are sent, and the rest of the response passes straight
// through. So a change that comes after c.JSON, in a middleware after c.Next or
// in a template is kept, and nothing has to be called. A response with a status
// of 5xx saves, too; a handler that panics saves nothing. If saving fails before
// the headers have left, the client gets an error page in place of the handler's
// response. What was stored before is intact, unless the error is
// [ErrUnavailable]: the outcome is unknown then.
//
// Nothing is read before the first use, nothing is written without a change,
// and an empty session is never stored. There are two exceptions: a request that
// uses the session refreshes its idle timeout, and [WithFlaskCookie] sends a
// permanent session with each response.
//
// # Where sessions are kept
//
// In an encrypted cookie, unless an option says otherwise: [WithMemcached] and
// [WithStore] keep them on a server, and the cookie carries a sealed id;
// [WithFlaskCookie] shares the cookie of a Flask app. The package memstore keeps
// sessions in the memory of one process; the modules redisstore and sqlstore keep
// them in Redis or Valkey, and in PostgreSQL, MySQL, MariaDB or SQLite.
// [WithCookieMigration] and [WithFlaskMigration] take over the sessions that an app
// kept in a cookie before.
//
// Parallel requests keep each other's changes: on a server always, and in the
// encrypted cookie if they meet in one process, which remembers for a minute what
// it last wrote ([WithMergeBuffer]). Between processes, the last write to a cookie
// wins. A request saves what it did, not what it saw: on a conflict its changes
// are replayed on the newer session. If the session has ended meanwhile (it was
// renewed, destroyed, evicted or has expired), they are dropped: the handler's
// response stands, and [Session.Err] and c.Errors have [ErrUnknown]. A store that
// does not answer gives status 503, never an anonymous session.
//
// HTTP does not order responses. One that was sent before a log-in's, and that
// sets or expires the cookie ([Session.SetPermanent], an emptied session),
// replaces the newer cookie if it arrives later: the user then has to log in
// again. To keep this rare, a cookie with an id is sent only if what it says has
// changed, and once more after a change of the secret. An encrypted cookie is sent
// with each write, so there this can happen to every write that meets a log-in.
//
// # Security
//
// Cookies are Secure, HttpOnly, SameSite=Lax and bound to the host by the name
// __Host-session. Their content is encrypted and authenticated with
// XChaCha20-Poly1305 under a key that HKDF-SHA-256 derives from the secret;
// the cookie's name, the time of creation and the expiry are bound to it. Flask's
// cookie ([WithFlaskCookie]) is signed, not encrypted, and not bound to its name.
// A cookie that is forged, damaged or expired begins a fresh session, and
// [Session.Rejected] returns the reason.
//
// A session in a cookie cannot be revoked by [Session.Destroy], which expires the
// browser's cookie: a copy that was made before is accepted until its lifetime
// has passed, unless [WithValidator] refuses it. For a minute or two, the process
// that ended the session refuses the versions of it that it remembers.
package ginsession

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/gin-gonic/gin"

	"github.com/ginsession/ginsession/internal/cookie"
	"github.com/ginsession/ginsession/internal/cookiestore"
	"github.com/ginsession/ginsession/internal/recordstore"
	"github.com/ginsession/ginsession/internal/response"
	"github.com/ginsession/ginsession/internal/txn"
)

// Key is the key of the session in the [gin.Context], unless [WithContextKey]
// sets another: c.MustGet(ginsession.Key) and c.Value.
const Key = "github.com/ginsession/ginsession"

// New returns a middleware that gives every request a [*Session], kept in an
// encrypted cookie, or on a server: [WithMemcached], [WithStore].
//
// The secret is at least 32 bytes long, unguessable (one byte repeated, or
// blanks, are refused), and the same on every server of the app; "openssl rand
// -base64 32" prints a good one. Anyone who has it can read and forge every
// session. All mistakes in the arguments are found at once and returned joined,
// each as a [*ConfigError]; none shows a secret.
//
// The middleware holds the response back until the handler returns, flushes,
// hijacks the connection or has written 256 KiB ([WithResponseBuffer]); then it
// saves the session and sends the headers. It may be mounted several times and
// serve any number of requests at once. If a request does not use its session,
// nothing is read or decrypted and its response stays as it is, except with
// [WithFlaskCookie].
func New(secret string, opts ...Option) (gin.HandlerFunc, error) {
	c, err := newConfig(secret, opts)
	if err != nil {
		return nil, err
	}
	m, err := newManager(c)
	if err != nil {
		return nil, err
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

// From returns the request's session. It panics if no middleware has put one
// under [Key].
func From(c *gin.Context) *Session {
	if v, ok := c.Get(Key); ok {
		return v.(*Session)
	}
	panic("ginsession: no session in this gin.Context: mount the middleware before the handler, with " +
		"r.Use(ginsession.Must(ginsession.New(secret))); under another context key use c.MustGet")
}

// FromKey returns the request's session under a key of [WithContextKey]. It panics
// if no middleware has put one there.
func FromKey(c *gin.Context, key string) *Session {
	v, _ := c.Get(key)
	if s, ok := v.(*Session); ok {
		return s
	}
	panic(fmt.Sprintf("ginsession: no session under the key %q in this gin.Context: mount the middleware before the handler, "+
		"and give it WithContextKey(%[1]q)", key))
}

// FromContext returns the session of the request that ctx belongs to, for code
// that sees only the [http.Request]: behind gin.WrapH, in a GraphQL resolver or in
// a template component. It returns false unless the middleware has
// [WithRequestContext]. Of several sessions it is that of the innermost middleware
// which has it.
func FromContext(ctx context.Context) (*Session, bool) {
	s, ok := ctx.Value(requestKey{}).(*Session)
	return s, ok
}

// requestKey is where the context of a request has the session.
type requestKey struct{}

// manager is what all requests of one middleware share. It holds the keys that
// were derived from the secrets, and not the secrets.
type manager struct {
	txn        txn.Config
	response   response.Config
	contextKey any  // in an interface once and not in each request
	commonKey  bool // it is Key
	inRequest  bool // the request's context has the session, too
	flaskForm  bool // times are encoded as Flask does
	logger     *slog.Logger
	unlogged   bool // WithLogger(nil)
	secure     bool // the cookie is
	warned     atomic.Bool
	passes     passes
}

func newManager(c *config) (*manager, error) {
	m := &manager{
		contextKey: c.ContextKey,
		commonKey:  c.ContextKey == Key,
		inRequest:  c.inRequest,
		flaskForm:  c.Flask,
		logger:     c.logger,
		unlogged:   c.unlogged,
		secure:     c.Secure,
		response:   response.Config{Limit: c.ResponseBuffer, OnError: c.errorHandler},
	}
	policy := txn.Policy{Lifetime: c.Lifetime, IdleTimeout: c.IdleTimeout, Permanent: c.Permanent}
	m.txn = txn.Config{Policy: policy, InCookie: c.store == nil, Rolling: c.Flask, Replayed: c.store != nil || !c.Flask && c.MergeBuffer > 0}
	k := cookie.New(c.attributes())
	m.txn.Cookie = k
	var err error
	switch {
	case c.store != nil:
		m.txn.Storage, err = recordstore.New(c.store, c.callTimeout(), policy, k, c.secrets())
	case c.Flask:
		m.txn.Storage = cookiestore.NewFlask(policy, k, c.secrets())
	default:
		m.txn.Storage, err = cookiestore.NewSealed(policy, k, c.secrets(), c.MergeBuffer)
	}
	if err != nil {
		return nil, err
	}
	if m.txn.Imports, err = c.imports(policy, k); err != nil {
		return nil, err
	}
	if valid := c.validator; valid != nil {
		m.txn.Validate = func(ctx context.Context, view *txn.Txn) (bool, error) {
			return valid(ctx, &Session{m: m, txn: view})
		}
	}
	return m, nil
}

// imports returns where sessions are taken over from that did not come with the
// middleware's own cookie.
func (c *config) imports(policy txn.Policy, k cookie.Cookie) (sources []txn.Source, err error) {
	if c.CookieSecrets != nil {
		sealed, err := cookiestore.NewSealed(policy, k, c.CookieSecrets, 0) // only reads: nothing to merge
		if err != nil {
			return nil, err
		}
		sources = append(sources, txn.Source{Cookie: k, Storage: sealed})
	}
	if c.FlaskSecrets != nil {
		attributes := c.attributes()
		attributes.Name = flaskName
		k := cookie.New(attributes)
		sources = append(sources, txn.Source{Cookie: k, Storage: cookiestore.NewFlask(policy, k, c.FlaskSecrets), Foreign: true})
	}
	return sources, nil
}

// log returns the logger, or nil if nothing is to be logged.
func (m *manager) log() *slog.Logger {
	switch {
	case m.logger != nil:
		return m.logger
	case m.unlogged || !gin.IsDebugging():
		return nil
	}
	return slog.Default()
}

func (m *manager) newTrace() *txn.Trace {
	if m.log() == nil {
		return nil
	}
	return new(txn.Trace)
}

// handle is a request's way through the middleware.
func (m *manager) handle(c *gin.Context) {
	// 1. One session a request, however often the middleware is mounted, and
	// also in a second pass through HandleContext.
	outer := innermost(c)
	if s := m.active(outer); s != nil {
		s.reenter(c)
		return
	}
	if s := m.passes.find(c); s != nil {
		s.pass(c, outer)
		return
	}

	// 2. Nothing is read yet; the session remembers where from.
	s := &Session{m: m, outer: outer, request: c.Request, c: c}
	if !m.txn.InCookie { // a cookie leaves no tombstones that could expire meanwhile
		s.entered = txn.Clock()
	}
	defer s.leave(c)

	// 3. The response is held back until the session is committed.
	s.respond(c, &s.writer)
}

// pass is a second pass through HandleContext. If it panics, a Recovery inside
// may let the first one return, which saves nothing of what the second did. The
// session outside may be another than in the first.
func (s *Session) pass(c *gin.Context, outer *Session) {
	s.outer = outer
	returned := false
	defer func() {
		if !returned {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.txn.Abandon()
		}
	}()
	s.respond(c, new(response.Writer))
	returned = true
}

// respond runs the handlers inside the middleware, and commits the session.
func (s *Session) respond(c *gin.Context, w *response.Writer) {
	s.late = w.Enter(&s.m.response, (*owner)(s), c, s.outerWriter())
	s.mount(c)
	if s.m.inRequest {
		c.Request = c.Request.WithContext(context.WithValue(c.Request.Context(), requestKey{}, s))
	}
	c.Writer = w

	// 1. Whatever happens, gin gets its writer back: it writes the bodies of
	// 404 and 405 after the last middleware, and Recovery writes its page.
	defer w.Leave()
	c.Next()

	// 2. Commit, then let go of what was held back. A panic never comes here.
	w.Finish()
}

func (s *Session) outerWriter() *response.Writer {
	if s.outer == nil {
		return nil
	}
	return &s.outer.writer
}

// ownKeys is where the [gin.Context] has the innermost session, if that is not
// under [Key]. The map of its keys belongs to gin: another goroutine may be
// setting one.
type ownKeys struct{}

func (s *Session) mount(c *gin.Context) {
	c.Set(s.m.contextKey, s)
	if !s.m.commonKey {
		c.Set(ownKeys{}, s)
	}
}

// leave ends the session's request.
func (s *Session) leave(c *gin.Context) {
	s.m.passes.remove(c)
	s.end(c)
	for o := s.outer; o != nil; o = o.outer {
		if o.m.contextKey == s.m.contextKey {
			c.Set(s.m.contextKey, o) // it was hidden
			c.Set(ownKeys{}, s)      // and s is not to be lost
			return
		}
	}
}

// innermost returns the innermost session that the request has so far, or nil.
func innermost(c *gin.Context) *Session {
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

// reenter goes on if the middleware is mounted once more: inside another one,
// which may have hidden the session.
func (s *Session) reenter(c *gin.Context) {
	if shown, _ := c.Get(s.m.contextKey); shown != any(s) {
		c.Set(s.m.contextKey, s)
		defer c.Set(s.m.contextKey, shown)
	}
	c.Next()
}

// active returns the session that this very middleware has under way, of s and
// those outside it, or nil. Two that share a cookie would overwrite each other's.
func (m *manager) active(s *Session) *Session {
	for ; s != nil; s = s.outer {
		if s.ended() {
			continue
		}
		if s.m == m {
			return s
		}
		if name := m.txn.Cookie.Name; s.m.txn.Cookie.Name == name {
			panic(fmt.Sprintf("ginsession: two different middlewares share the cookie %q: "+
				"mount one of them, or tell them apart by WithName and WithContextKey", name))
		}
	}
	return nil
}

func (s *Session) ended() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.c == nil
}

// passes are the sessions to be found again in a second pass through
// [gin.Engine.HandleContext], which forgets all that a [gin.Context] holds.
// Those are few, so that all other requests only look at their number.
type passes struct {
	n    atomic.Int64
	mu   sync.Mutex
	open map[*gin.Context]*Session
}

func (p *passes) add(c *gin.Context, s *Session) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.open == nil {
		p.open = map[*gin.Context]*Session{}
	}
	p.open[c] = s
	p.n.Store(int64(len(p.open)))
}

func (p *passes) find(c *gin.Context) *Session {
	if p.n.Load() == 0 {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.open[c]
}

func (p *passes) remove(c *gin.Context) {
	if p.n.Load() == 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.open, c)
	p.n.Store(int64(len(p.open)))
}
