// Package gincontrib is a bridge from gin-contrib/sessions to
// [github.com/ginsession/ginsession]: handlers and middleware that are written
// for gin-contrib/sessions, CSRF packages above all, run on a
// [ginsession.Session] without a change, and an app moves handler by handler.
//
//	r.Use(ginsession.Must(ginsession.New(secret)))
//	r.Use(gincontrib.Bridge()) // in place of sessions.Sessions("mysession", store)
//
// # What is stored
//
// Each key of gin-contrib/sessions is a key of the session, so parallel requests
// keep each other's changes. A key that is a string has the same name on both
// sides, and Has and Delete work on both.
//
// Values keep their Go types. On the side of [ginsession.Session] they read as
// follows:
//
//   - string, bool, int, float64, []byte, []string, time.Time and template.HTML
//     are stored as [ginsession.Session.Set] stores them. A whole number without
//     a note of its type comes back as int, a list of strings as []string.
//   - The other types of whole numbers, such as uint and int64, and []int,
//     []int64, []uint and []bool are stored the same way, with a note of the type
//     under a second key: "gincontrib:" and the first.
//   - All other types are stored as encoding/gob encodes them, with a note that
//     they are, and need [encoding/gob.Register] as before. [Get] reads them
//     from a [ginsession.Session]. A struct that a handler stores through
//     [ginsession.Session.Set] comes back as a map on the side of
//     gin-contrib/sessions: change the handlers that write a struct last.
//
// A key that is not a string, begins with "gincontrib:", or is reserved by
// ginsession is stored under a name that begins with "gincontrib:".
//
// # What is different
//
//   - Set takes a copy: a value that is changed afterwards has to be set again.
//   - What is set is saved, with or without Save. Changes after the response has
//     been written are saved too.
//   - Options: only MaxAge is used, see [Bridge]. The attributes of the cookie are
//     those of [ginsession.New].
//   - Flashes without a key are the messages of the category "message" (as in
//     Flask), which AddFlash with the key "message" adds to. A message that is
//     added after the request has read messages is for the next request.
//   - Errors are those of ginsession: a store that does not answer gives status
//     503, and not an empty session.
package gincontrib

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/gin-contrib/sessions"
	"github.com/gin-gonic/gin"

	"github.com/ginsession/ginsession"
)

// Bridge returns a middleware that makes the request's [ginsession.Session]
// available to [sessions.Default]. It is mounted after the one of
// [ginsession.New], in place of [sessions.Sessions].
//
// With names it makes several sessions available to [sessions.DefaultMany], in
// place of [sessions.SessionsMany]. Each name is the context key of a session,
// which [ginsession.WithContextKey] sets:
//
//	for _, name := range []string{"shop", "prefs"} {
//		r.Use(ginsession.Must(ginsession.New(secret, ginsession.WithName("__Host-"+name), ginsession.WithContextKey(name))))
//	}
//	r.Use(gincontrib.Bridge("shop", "prefs"))
//
// A request panics if one of the sessions is missing. The session is not read
// before a handler uses it. It may be used by several goroutines at once.
//
// Options takes effect with the next Save or at the end of the handlers. A
// positive MaxAge calls [ginsession.Session.Remember], so that the session ends as
// many seconds later, in the browser and here: it has no idle timeout, and
// outlives [ginsession.WithLifetime]. Unlike with gin-contrib/sessions, it ends
// then also if a later Save has no such Options. A negative MaxAge calls
// [ginsession.Session.Destroy], and 0 [ginsession.Session.SetPermanent] with false.
// With [ginsession.WithFlaskCookie] a positive MaxAge is [ginsession.ErrValue].
// Path, Domain, Secure, HttpOnly and SameSite cannot differ from session to
// session: in Gin's debug mode the first use of another Path, Domain or SameSite
// than the default is logged.
//
// A value that cannot be stored (nil, a type that is not registered with
// encoding/gob, a channel, a cycle) makes Save return an error that wraps
// [ginsession.ErrValue]. Without Save the response becomes an error page. In both
// cases the error is added to c.Errors, and what was stored before is intact.
func Bridge(names ...string) gin.HandlerFunc {
	names = slices.Clone(names)
	return func(c *gin.Context) {
		all := mount(c, names)
		c.Next()
		for _, s := range all {
			for _, err := range s.finish() {
				_ = c.Error(err)
			}
		}
	}
}

func mount(c *gin.Context, names []string) (all []*session) {
	if len(names) == 0 {
		s := find(c, ginsession.Key, "ginsession.New(secret)")
		c.Set(sessions.DefaultKey, s)
		return []*session{s}
	}
	many := make(map[string]sessions.Session, len(names))
	for _, name := range names {
		s := find(c, name, fmt.Sprintf("ginsession.New(secret, ginsession.WithContextKey(%q), …)", name))
		many[name], all = s, append(all, s)
	}
	c.Set(sessions.DefaultKey, many)
	return all
}

func find(c *gin.Context, key, middleware string) *session {
	v, _ := c.Get(key)
	s, ok := v.(*ginsession.Session)
	if !ok {
		panic(fmt.Sprintf("ginsession: gincontrib.Bridge: no session under the context key %q: mount %s before the bridge", key, middleware))
	}
	return &session{s: s}
}

// Get returns the value under key as a T, whether a handler stored it through
// gin-contrib/sessions or through s. It is [ginsession.Get] for a handler that has
// moved while others have not. It returns false if key is missing or its value is
// not a T.
func Get[T any](s *ginsession.Session, key string) (T, bool) {
	if v, err := load(s, key); err == nil {
		if t, ok := v.(T); ok {
			return t, true
		}
	}
	return ginsession.Get[T](s, key)
}

// session is a [sessions.Session].
type session struct {
	s *ginsession.Session

	mu      sync.Mutex
	options *sessions.Options // not yet applied; nil if there are none
	shown   map[string]int    // messages handed out so far, by category
	errs    []error           // for c.Errors
}

// ID implements [sessions.Session].
func (b *session) ID() string { return b.s.ID() }

// Get implements [sessions.Session].
func (b *session) Get(key any) any {
	name, err := nameOf(key)
	if err != nil {
		return nil
	}
	v, err := load(b.s, name)
	if err != nil {
		b.note(&valueError{key, err})
	}
	return v
}

// Set implements [sessions.Session].
func (b *session) Set(key, val any) {
	name, err := nameOf(key)
	if err == nil {
		err = store(b.s, name, val)
	}
	if err != nil {
		b.refuse(name, &valueError{key, err})
	}
}

// Delete implements [sessions.Session].
func (b *session) Delete(key any) {
	if name, err := nameOf(key); err == nil {
		b.s.Delete(name, typePrefix+name)
	}
}

// Clear implements [sessions.Session].
func (b *session) Clear() { b.s.Clear() }

// AddFlash implements [sessions.Session].
func (b *session) AddFlash(value any, vars ...string) {
	message, err := packFlash(value)
	if err != nil {
		b.refuse("", &valueError{"flash message", err})
		return
	}
	b.s.AddFlash(message, category(vars))
}

// Flashes implements [sessions.Session]. [ginsession.Session.Flashes] returns the
// same messages again in the same request; gin-contrib/sessions does not.
func (b *session) Flashes(vars ...string) (values []any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	name := category(vars)
	all := b.s.Flashes(name)
	for _, f := range all[min(b.shown[name], len(all)):] {
		value, err := unpackFlash(f.Message)
		if err != nil {
			b.errs = append(b.errs, &valueError{"flash message", err})
			continue
		}
		values = append(values, value)
	}
	if b.shown == nil {
		b.shown = map[string]int{}
	}
	b.shown[name] = len(all)
	return values
}

// category translates a key of flash messages.
func category(vars []string) string {
	if len(vars) == 0 || vars[0] == "_flash" { // the default of gin-contrib/sessions
		return ""
	}
	return vars[0]
}

var warnOnce sync.Once

// Options implements [sessions.Session].
func (b *session) Options(o sessions.Options) {
	if gin.IsDebugging() && (o.Path != "" && o.Path != "/" || o.Domain != "" || o.SameSite > http.SameSiteLaxMode) {
		warnOnce.Do(func() {
			slog.Warn("ginsession: gincontrib: a session's Options set its MaxAge only; Path, Domain and SameSite are options of ginsession.New")
		})
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.options = &o
}

// Save implements [sessions.Session].
func (b *session) Save() error {
	b.apply()
	err := b.s.Save()
	if own := (*valueError)(nil); errors.As(err, &own) {
		return own // the session does not know what to do about it
	}
	return err
}

// apply does what Options asked for.
func (b *session) apply() {
	b.mu.Lock()
	defer b.mu.Unlock()
	o := b.options
	if o == nil {
		return
	}
	b.options = nil
	switch {
	case o.MaxAge < 0:
		b.s.Destroy()
	case o.MaxAge == 0:
		b.s.Remember(0)
		b.s.SetPermanent(false) // also WithPermanent
	default:
		b.s.Remember(lifetime(b.s, o.MaxAge))
	}
}

const century = 100 * 365 * 24 * 60 * 60 // in seconds

// lifetime returns the lifetime, which begins with the session, of one that is to
// end in maxAge seconds.
func lifetime(s *ginsession.Session, maxAge int) time.Duration {
	age := max(0, time.Since(s.CreatedAt())).Truncate(time.Second)
	return age + time.Duration(min(int64(maxAge), century))*time.Second
}

// refuse keeps the session from being saved.
func (b *session) refuse(name string, err *valueError) {
	b.note(err)
	b.s.Set(name, refused{err})
}

func (b *session) note(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.errs = append(b.errs, err)
}

// finish ends the request's handlers and returns what went wrong.
func (b *session) finish() []error {
	b.apply()
	b.mu.Lock()
	defer b.mu.Unlock()
	errs := b.errs
	b.errs = nil
	return errs
}
