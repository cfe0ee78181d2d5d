package ginsession

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/gin-gonic/gin"

	"github.com/ginsession/ginsession/internal/codec"
	"github.com/ginsession/ginsession/internal/flask"
)

// Session is a dictionary that belongs to one browser and lasts from request
// to request. It is read at the first use and saved by itself when the handler
// returns, flushes, hijacks or has written 64 KiB.
//
// Its methods may be called from several goroutines at once, also through
// [gin.Context.Copy] and after the request, when changes last only through
// [Session.Save]. Values are copied in and out: changing one that was set or
// got does not change the session.
//
// Any key is fine that is valid UTF-8, but "_flashes" and "_permanent", which
// Flask's form of the cookie needs.
type Session struct {
	m       *manager
	outer   *Session // the one around it in this request, or nil
	request *http.Request
	writer  writer
	log     *log        // nil: nothing is logged
	over    atomic.Bool // the request is

	headersGone bool       // guarded by mu, too
	mu          sync.Mutex // guards all below
	*state                 // nil until the first use: a request without one allocates a sixth of the bytes
}

// state is a session that a request has used. The order of the fields saves 32
// of its bytes.
type state struct {
	// What is known.
	content        codec.Container
	at             handle // where, if the storage is a server
	flaskPermanent string // what Flask's cookie said about it, or ""
	rejected       error  // why a cookie was not accepted
	broken         error  // the storage did not answer, and nobody knows what it holds
	seen           []codec.Flash
	flashed        bool // seen is filled in
	came           bool // the session came with the request
	held           bool // the storage holds it: it came, or was saved since
	lookups        int8 // so far, to load it from there
	asked          int8 // so far, of the validator

	// What the request did since the last commit.
	renewed   bool
	destroyed bool
	migrated  bool // it took the content from a Flask cookie
	did       changes
	refused   error // a change that cannot be saved

	// What became of it.
	err          error
	setCookie    string    // the Set-Cookie line of the last commit
	sentCookie   string    // the one among the headers
	lines        [3]string // ours among the headers: see the constants
	modified     bool
	settled      bool // Save has returned an error, and nothing has changed since
	migratedAway bool // the Flask cookie is of no more use
	readOnly     bool // it is shown to [WithValidator]
}

func newSession(m *manager, c *gin.Context, outer *Session) *Session {
	s := &Session{m: m, outer: outer, request: c.Request, log: m.newLog()}
	s.writer.enter(s, c)
	return s
}

// Get returns the value under key, or nil. A whole number comes back as int64,
// or as uint64 where it needs 64 bits, and every other number as float64; a
// float64 stays one even when it is whole. Bytes, [time.Time] and
// [template.HTML] keep their types, lists are []any and maps map[string]any.
// For structs and other types use the function [Get].
func (s *Session) Get(key string) any {
	v, _ := read(s, key, decodeAny)
	return v
}

// Has tells whether key is in the session, even if its value is nil.
func (s *Session) Has(key string) bool {
	_, ok := s.find(key)
	return ok
}

// Keys returns the keys, sorted. Flash messages are not among them.
func (s *Session) Keys() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.load()
	keys := make([]string, s.content.Len())
	for i, e := range s.content.Entries() {
		keys[i] = e.Key
	}
	return keys
}

// Len returns the number of keys. Flash messages do not count.
func (s *Session) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.load()
	return s.content.Len()
}

// GetString returns a string, or "" where key is missing or something else.
// [template.HTML] counts as a string.
func (s *Session) GetString(key string) string {
	v, _ := read(s, key, codec.String)
	return v
}

// GetBool returns a boolean, or false where key is missing or something else.
func (s *Session) GetBool(key string) bool {
	v, _ := read(s, key, codec.Bool)
	return v
}

// GetInt returns a whole number, or 0 where key is missing, something else, or
// does not fit. 3.0 is a whole number; 3.5 is not.
func (s *Session) GetInt(key string) int {
	v, _ := read(s, key, codec.Int)
	if int64(int(v)) != v {
		return 0 // where an int has 32 bits
	}
	return int(v)
}

// GetInt64 returns a whole number, or 0 where key is missing, something else,
// or does not fit. 3.0 is a whole number; 3.5 is not.
func (s *Session) GetInt64(key string) int64 {
	v, _ := read(s, key, codec.Int)
	return v
}

// GetUint64 returns a whole number, or 0 where key is missing, something else,
// negative, or does not fit.
func (s *Session) GetUint64(key string) uint64 {
	v, _ := read(s, key, codec.Uint)
	return v
}

// GetFloat64 returns a number of any kind, or 0 where key is missing or
// something else.
func (s *Session) GetFloat64(key string) float64 {
	v, _ := read(s, key, codec.Float)
	return v
}

// GetTime returns a time with its nanoseconds and its offset from UTC, or the
// zero time where key is missing or something else.
func (s *Session) GetTime(key string) time.Time {
	v, _ := Get[time.Time](s, key)
	return v
}

// GetDuration returns a duration, or 0 where key is missing or something else.
// It is kept as a whole number of nanoseconds.
func (s *Session) GetDuration(key string) time.Duration {
	return time.Duration(s.GetInt64(key))
}

// GetBytes returns a []byte, or nil where key is missing or something else.
func (s *Session) GetBytes(key string) []byte {
	v, _ := Get[[]byte](s, key)
	return v
}

// GetStringSlice returns a list of strings, or nil where key is missing or
// something else.
func (s *Session) GetStringSlice(key string) []string {
	v, _ := Get[[]string](s, key)
	return v
}

// GetStringMap returns a map, or nil where key is missing or something else.
// Its values have the types that [Session.Get] gives them.
func (s *Session) GetStringMap(key string) map[string]any {
	v, _ := Get[map[string]any](s, key)
	return v
}

// Get returns the value under key as a T, which can be any type that
// encoding/json reads. It returns false where key is missing or its value is
// not a T: no number is cut short, and no plain string becomes bytes, a time
// or [template.HTML].
func Get[T any](s *Session, key string) (T, bool) { return read(s, key, decode[T]) }

// Pop removes key and returns its value as a T. It returns false where key is
// missing or its value is not a T; a value that is not a T is removed as well.
func Pop[T any](s *Session, key string) (T, bool) { return take(s, key, decode[T]) }

// Pop removes key and returns its value, as [Session.Get] would, or nil.
func (s *Session) Pop(key string) any {
	v, _ := take(s, key, decodeAny)
	return v
}

func decodeAny(raw string) (any, bool) {
	v, err := codec.Decode(raw)
	return v, err == nil
}

// decode gives the zero value where raw is not a T, however much of it was.
func decode[T any](raw string) (T, bool) {
	var v, zero T
	if !codec.Into(raw, &v) {
		return zero, false
	}
	return v, true
}

func read[T any](s *Session, key string, decode func(string) (T, bool)) (v T, ok bool) {
	if raw, found := s.find(key); found {
		return decode(raw)
	}
	return v, false
}

func take[T any](s *Session, key string, decode func(string) (T, bool)) (v T, ok bool) {
	if raw, found := s.remove(key); found {
		return decode(raw) // which may run the app's code
	}
	return v, false
}

func (s *Session) remove(key string) (raw string, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.load()
	if raw, ok = s.content.Find(key); ok {
		s.delete(key)
	}
	return raw, ok
}

func (s *Session) find(key string) (raw string, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.load()
	return s.content.Find(key)
}

// Set puts a copy of value under key. It takes whatever encoding/json can
// carry, without registration; integers are exact to 64 bits. Setting the
// value that key has already is no change.
//
// A value that cannot be stored changes nothing here, but the session will not
// be saved and the response becomes an error page: [ErrValue], which
// [Session.Err] shows at once.
func (s *Session) Set(key string, value any) {
	raw, err := s.encode(key, value)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.load()
	if err != nil {
		s.refuse(err)
		return
	}
	if old, found := s.content.Find(key); found && old == raw && !s.did.updates(key) {
		return
	}
	s.content.Set(key, raw)
	s.did.set(key, raw)
	s.change()
}

// Update replaces the value under key by what fn makes of it; fn gets the zero
// value where key is missing or not a T. Errors are those of [Session.Set].
//
// On a server store, no update by a parallel request is lost: fn may run again
// on a newer value. It must not touch the session.
func Update[T any](s *Session, key string, fn func(T) T) {
	s.update(key, func(old string, found bool) (string, error) {
		var value T
		if found {
			value, _ = decode[T](old)
		}
		return s.encode(key, fn(value))
	})
}

func (s *Session) update(key string, fn func(old string, found bool) (string, error)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.load()
	old, found := s.content.Find(key)
	raw, err := fn(old, found)
	if err != nil {
		s.refuse(err)
		return
	}
	if found && old == raw && !s.did.updates(key) {
		return
	}
	s.content.Set(key, raw)
	s.did.update(key, raw, fn)
	s.change()
}

func (s *Session) encode(key string, value any) (string, error) {
	if key == keyFlashes || key == keyPermanent {
		return "", fmt.Errorf("%w: the key %q is reserved; use AddFlash and SetPermanent", ErrValue, key)
	}
	if !utf8.ValidString(key) {
		return "", fmt.Errorf("%w: the key %q is not valid UTF-8", ErrValue, key)
	}
	raw, err := codec.Encode(value)
	if err != nil {
		return "", fmt.Errorf("%w: key %q, type %T: %w", ErrValue, key, value, err)
	}
	if s.m.Flask {
		raw = flask.Times(raw)
	}
	return raw, nil
}

// Delete removes keys. Removing one that is missing is no change.
func (s *Session) Delete(keys ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.load()
	for _, key := range keys {
		if _, ok := s.content.Find(key); ok {
			s.delete(key)
		}
	}
}

func (s *Session) delete(key string) {
	s.content.Delete(key)
	s.did.delete(key)
	s.change()
}

// Clear removes everything, flash messages and [Session.SetPermanent] too. The
// session that is left empty is deleted, cookie and record, unless something
// is set afterwards. To log out, use [Session.Destroy].
func (s *Session) Clear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.load()
	if s.content.Empty() && !s.held { // nobody else can have put anything in
		s.content.Permanent = s.m.Permanent
		s.did.reset()
		return
	}
	s.did.clear(s.m.Permanent)
	s.content.Fill(nil, nil)
	s.content.Permanent, s.flaskPermanent = s.m.Permanent, ""
	s.change()
}

// Renew gives the session a new id and a new lifetime, and keeps what is in
// it. Call it at every change of privilege, above all at log-in: an id that
// somebody planted or saw before is worth nothing afterwards (OWASP ASVS 5,
// 7.2.4).
func (s *Session) Renew() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.load()
	s.content.Created, s.content.Expires = time.Now(), time.Time{}
	s.renewed = true
	s.change()
}

// Destroy logs out: it removes the session and expires the browser's cookie.
// What is set after it in the same request (a flash "You are logged out")
// begins a fresh session.
//
// A copy of an encrypted cookie that somebody made before stays good until its
// lifetime is over: a server cannot take back what it does not keep.
func (s *Session) Destroy() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.load()
	s.content, s.flaskPermanent = s.m.fresh(), ""
	s.did.reset()
	s.renewed, s.destroyed = false, true
	s.change()
}

// SetPermanent says whether the session outlives the browser window ("remember
// me"). The default is false, or true with [WithPermanent]. It does not make an
// empty session worth storing, and an idle timeout ends it all the same.
func (s *Session) SetPermanent(permanent bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.load()
	if s.content.Permanent != permanent {
		s.content.Permanent = permanent
		s.did.setPermanent(permanent)
		s.change()
	}
}

// Permanent tells whether the session outlives the browser window.
func (s *Session) Permanent() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.load()
	return s.content.Permanent
}

// CreatedAt returns when the session began or was last renewed, to the
// nanosecond; in Flask's cookie, the second of its last write.
func (s *Session) CreatedAt() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.load()
	return s.content.Created
}

// ExpiresAt returns when the session ends if nobody uses it any more.
func (s *Session) ExpiresAt() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.load()
	if s.content.Expires.IsZero() {
		return s.m.expiry(s.content.Created)
	}
	if end := s.content.Created.Add(s.m.Lifetime); end.Before(s.content.Expires) {
		return end // the lifetime was longer when it was saved
	}
	return s.content.Expires
}

// IsNew tells whether nothing was loaded for this request: there was no
// cookie, it was not accepted, see [Session.Rejected], or the store did not
// answer, see [Session.Err].
func (s *Session) IsNew() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.load()
	return !s.came
}

// Modified tells whether this request has changed the session so far, saved or
// not.
func (s *Session) Modified() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state != nil && s.modified
}

// ID returns a name for the session that is safe to log and useless as a
// credential. It is "" for sessions that live in a cookie, and until the
// session is stored.
func (s *Session) ID() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.load()
	if !s.held || s.content.Empty() {
		return ""
	}
	return s.at.name
}

// Rejected returns why the cookie that came was not accepted: [ErrExpired],
// [ErrInvalid], [ErrUnknown] or [ErrRevoked]. It is nil where none came or one
// was accepted. A rejected cookie is no error of the request: it gets a fresh
// session. The cookie stays in the browser until that is stored, or
// [Session.Destroy] is called. [WithLogger] tells which check it failed.
func (s *Session) Rejected() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.load()
	return s.rejected
}

// Err returns the first thing that went wrong with this session in this
// request, or nil. While the request is under way it reads the session if
// nothing has, to learn whether the store answers; where it does not, the
// handler runs all the same, and getters give zero values; only its response is
// replaced.
func (s *Session) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state == nil && s.over.Load() {
		return nil // nobody has used it
	}
	s.load()
	return s.err
}

// Save commits now, for those who want to handle the error; otherwise it is
// never needed. On return, the Set-Cookie line, if there is need for one, is among
// the headers of the response. While the handler runs, Save belongs to the
// goroutine of the request.
//
// An error that Save returned is yours: unless the session changes again, the
// handler's response stands. After the headers have left, a session in a
// cookie cannot be saved any more: [ErrLate].
func (s *Session) Save() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state == nil || s.readOnly {
		return nil
	}
	s.headersGone = s.headersGone || s.writer.gone()
	if err := s.commit(); err != nil {
		s.settled, s.refused = true, nil
		return err
	}
	if !s.headersGone {
		s.writeHeaders(s.writer.ResponseWriter.Header())
	}
	return nil
}

// finalCommit is the commit before the headers leave, to which it adds what
// they need, or the one after them.
func (s *Session) finalCommit(headersGone bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.headersGone = s.headersGone || headersGone
	if s.m.Flask && s.state == nil && !s.headersGone {
		if s.load(); !s.idle() {
			s.state = nil // nobody has looked at it, and the response does not vary
		}
	}
	var err error
	if s.state != nil && !s.settled {
		err = s.commit()
	}
	if !s.headersGone {
		s.writeHeaders(s.writer.ResponseWriter.Header())
	}
	s.headersGone = true
	return err
}

// lastHeaders adds what is known to the headers of an error page.
func (s *Session) lastHeaders(h http.Header) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writeHeaders(h)
	s.headersGone = true
}

// Everything below is called with the session locked.

// load reads the session at the first use: the first cookie of its name that
// is accepted.
func (s *Session) load() {
	if s.state != nil {
		return
	}
	s.state = &state{did: changes{detailed: s.m.store != nil || s.log != nil}}
	for value := range s.m.cookie.values(s.request.Header) {
		start := s.log.now()
		err := s.m.storage.load(s.request.Context(), s, value)
		s.log.took(start)
		if s.accept(err) {
			s.came, s.held = !s.content.Empty(), true
			return
		}
		if s.enough() {
			break
		}
	}
	if s.at.ended || !s.migrate() {
		s.content = s.m.fresh()
	}
}

// migrate takes over the session in the first Flask cookie that is good, for
// [WithFlaskMigration].
func (s *Session) migrate() bool {
	if s.m.flask == nil || s.enough() {
		return false
	}
	for value := range s.m.flaskCookie.values(s.request.Header) {
		if s.m.flask.load(s.request.Context(), s, value) == nil && s.accept(nil) {
			s.came, s.migrated = !s.content.Empty(), true
			return true
		}
		if s.enough() {
			break
		}
	}
	return false
}

// enough tells whether no more cookies are opened: nobody knows what they stand
// for, or the validator has refused as many as it is asked about.
func (s *Session) enough() bool { return s.broken != nil || s.asked == maxLookups }

// accept tells whether a cookie's session counts, once a storage has loaded it.
// Where it does not, accept notes why, and nothing of that session is left.
func (s *Session) accept(err error) bool {
	if err == nil {
		err = s.validate()
	}
	if err == nil {
		s.rejected = nil
		s.log.refuse(nil)
		return true
	}
	s.content, s.flaskPermanent, s.at = codec.Container{}, "", handle{ended: s.at.ended}
	why := rejection(err)
	if why == nil {
		s.broken = err
		s.fail(err)
	} else if s.rejected == nil || errors.Is(why, ErrExpired) || errors.Is(why, ErrRevoked) { // which say more than that another was not ours
		s.rejected = why
		s.log.refuse(err)
	}
	return false
}

// validate asks the app whether a session still counts, for [WithValidator].
// Until it has said so, nobody knows, and nothing of the session shows: also
// where it panics.
func (s *Session) validate() error {
	if s.m.validator == nil || s.content.Empty() {
		return nil
	}
	s.asked++
	content, failed := s.content, s.err
	s.content, s.broken = s.m.fresh(), errValidator
	s.fail(errValidator)
	shown := &Session{m: s.m, request: s.request}
	shown.state = &state{content: content.Clone(), at: s.at, came: true, held: true, readOnly: true}
	valid, err := s.m.validator(context.WithoutCancel(s.request.Context()), shown)
	s.content, s.broken, s.err = content, nil, failed
	switch {
	case err != nil:
		return fmt.Errorf("%w: WithValidator: %w", ErrUnavailable, err)
	case !valid:
		return ErrRevoked
	}
	return nil
}

// leaveFlask notes that a Flask cookie has to go, if there is one: what it
// holds was taken over, now or in an earlier request, and it must not bring a
// session back that is logged out.
func (s *Session) leaveFlask() {
	s.migratedAway = s.migratedAway || s.migrated || s.m.flask != nil && s.m.cookie.name != flaskName && s.flaskCame()
}

// flaskCame tells whether a good Flask cookie came.
func (s *Session) flaskCame() bool {
	for value := range s.m.flaskCookie.values(s.request.Header) {
		nobody := &Session{m: s.m, state: new(state)}
		if s.m.flask.load(s.request.Context(), nobody, value) == nil {
			return true
		}
	}
	return false
}

// change notes that there is something to save.
func (s *Session) change() {
	if s.readOnly {
		panic("ginsession: the function given to WithValidator has changed the session, which it may only read")
	}
	s.modified, s.settled = true, false
	if s.headersGone && s.m.store == nil {
		s.fail(errLate) // a cookie cannot be saved any more
	}
}

// refuse notes a change that cannot be saved.
func (s *Session) refuse(err error) {
	s.fail(err)
	if s.refused == nil {
		s.refused = err
	}
	s.change()
}

func (s *Session) fail(err error) {
	if s.err == nil {
		s.err = err
	}
}

// commit makes what the request did last. Where it fails, all of it is still
// to be saved.
func (s *Session) commit() error {
	s.log.try(s)
	held := s.held
	err := s.tryCommit()
	s.log.outcome(s, err, held || !s.content.Empty())
	if err == nil {
		return nil
	}
	s.fail(err)
	if s.destroyed && !s.headersGone { // whatever is wrong, the browser is logged out
		s.setCookie = s.expireCookie()
		s.leaveFlask()
	}
	return err
}

func (s *Session) tryCommit() error {
	switch {
	case s.broken != nil:
		return s.broken
	case s.refused != nil && s.destroyed: // the log-out goes on without what cannot be saved
		s.content = s.m.fresh()
		s.did.reset()
		return errors.Join(s.refused, s.store())
	case s.refused != nil:
		return s.refused
	case s.renewed || s.destroyed || s.did.any():
		return s.store()
	case s.idle() || s.migrated && !s.headersGone:
		err := s.store()
		if errors.Is(err, ErrTooLarge) {
			return nil // nobody has changed it: it stays as it is, in Flask's cookie perhaps, which may be larger
		}
		return err
	}
	return nil
}

func (s *Session) store() error {
	start := s.log.now()
	line, err := s.m.storage.commit(s.request.Context(), s)
	s.log.took(start)
	ended := errors.Is(err, errEnded)
	if errors.Is(err, ErrUnavailable) {
		s.broken = err // it may be saved; a second try could count an update twice
	}
	if err != nil && !ended {
		return err
	}
	if line != "" || ended { // what an earlier Save has put there is over, too
		s.setCookie = line
	}
	s.leaveFlask()
	s.did.reset()
	s.renewed, s.destroyed = false, false
	s.migrated = false
	s.held = !ended && (!s.content.Empty() || s.at.id != "") // an emptied record is still there
	return err
}

// idle tells whether it is time to note that the session is in use. That is
// never an error: once the headers have left it is too late, and no harm done.
func (s *Session) idle() bool {
	switch {
	case !s.came || !s.held || s.headersGone:
		return false
	case s.m.Flask:
		// Flask sends a permanent session again with every response; if this
		// is Flask's response, passed on by a proxy, it has just done so.
		return s.content.Permanent && !s.m.cookie.isSet(s.writer.ResponseWriter.Header())
	}
	gain := s.m.expiry(s.content.Created).Sub(s.content.Expires)
	if s.m.IdleTimeout == 0 {
		return gain >= time.Second // there was a timeout, or a shorter lifetime
	}
	return gain.Abs() >= s.m.IdleTimeout/4 // below 0 where the timeout is shorter than it was
}

// expireCookie gives the Set-Cookie line that takes the session's cookie out of
// the browser, or "" where there is none in it.
func (s *Session) expireCookie() string {
	if s.held || s.setCookie != "" || s.destroyed && s.m.cookie.came(s.request.Header) {
		return s.m.cookie.expire()
	}
	return ""
}

// maxAge is how long the browser is to keep a cookie that is good until end; 0
// is for the browser window.
func (s *Session) maxAge(end time.Time) time.Duration {
	if !s.content.Permanent {
		return 0
	}
	return max(time.Until(end), time.Second)
}

// writeHeaders tells caches and the browser what this response owes to the
// session. It may be called again: nothing is repeated.
func (s *Session) writeHeaders(h http.Header) {
	if s.state == nil {
		return
	}
	s.addVary(h)
	if s.setCookie == "" && s.sentCookie == "" && !s.migratedAway {
		return
	}
	before := len(h["Set-Cookie"])
	if s.migratedAway && (s.m.cookie.name != flaskName || s.setCookie == "") {
		if expire := s.m.flaskCookie.expire(); !slices.Contains(h["Set-Cookie"], expire) {
			h["Set-Cookie"] = append(slices.Clip(h["Set-Cookie"]), expire)
		}
	}
	s.writeCookie(h)
	if (s.setCookie != "" || len(h["Set-Cookie"]) > before) && len(h["Cache-Control"]) == 0 {
		h["Cache-Control"] = s.withLine(lineCacheControl, nil, "no-store")
	}
}

// writeCookie puts the line of the last commit in the place of that of an
// earlier one.
func (s *Session) writeCookie(h http.Header) {
	lines := h["Set-Cookie"]
	if s.setCookie == s.sentCookie && slices.Contains(lines, s.setCookie) {
		return
	}
	if len(lines) > 0 { // Flask's may be expired by the same line, and ours is to be the last
		lines = slices.DeleteFunc(slices.Clone(lines), func(line string) bool { return line == s.sentCookie || line == s.setCookie })
	}
	if s.setCookie != "" {
		lines = s.withLine(lineSetCookie, lines, s.setCookie)
	}
	if s.sentCookie = s.setCookie; len(lines) > 0 {
		h["Set-Cookie"] = lines
	} else {
		delete(h, "Set-Cookie")
	}
}

const (
	lineVary = iota
	lineSetCookie
	lineCacheControl
)

// withLine adds a line of ours to those that a header has. Where it is the only
// one, and the first of its kind, it lives in the session, which saves a write 3
// of 10 allocations; others may hold on to it.
func (s *Session) withLine(which int, lines []string, line string) []string {
	if len(lines) > 0 || s.lines[which] != "" {
		return append(slices.Clip(lines), line)
	}
	s.lines[which] = line
	return s.lines[which : which+1 : which+1]
}

// addVary keeps caches from handing one browser's response to another (RFC
// 9110, section 12.5.5).
func (s *Session) addVary(h http.Header) {
	for _, line := range h["Vary"] {
		for field := range strings.SplitSeq(line, ",") {
			if field = strings.TrimSpace(field); field == "*" || strings.EqualFold(field, "Cookie") {
				return
			}
		}
	}
	h["Vary"] = s.withLine(lineVary, h["Vary"], "Cookie")
}

// fresh is the content of a session that begins now.
func (m *manager) fresh() codec.Container {
	return codec.Container{Created: time.Now(), Permanent: m.Permanent}
}

// expiry is the end of a session that is used now.
func (m *manager) expiry(created time.Time) time.Time {
	end := created.Add(m.Lifetime)
	if m.IdleTimeout == 0 {
		return end // without a look at the clock
	}
	if idle := time.Now().Add(m.IdleTimeout); idle.Before(end) {
		return idle
	}
	return end
}

// expired goes by what was sealed and by the lifetime of today, whichever ends
// first, so that a shortened lifetime holds at once.
func (m *manager) expired(c *codec.Container) bool {
	now := time.Now()
	return !now.Before(c.Expires) || !now.Before(c.Created.Add(m.Lifetime))
}
