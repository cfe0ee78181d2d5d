package ginsession

import (
	"fmt"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/gin-gonic/gin"

	"github.com/ginsession/ginsession/internal/codec"
	"github.com/ginsession/ginsession/internal/flask"
	"github.com/ginsession/ginsession/internal/response"
	"github.com/ginsession/ginsession/internal/sessionlog"
	"github.com/ginsession/ginsession/internal/txn"
)

// Session is a dictionary that belongs to one browser and lasts from request
// to request. It is read at the first use and saved by itself when the handler
// returns, flushes, hijacks or has written 256 KiB ([WithResponseBuffer]).
//
// Its methods may be called from several goroutines at once, also through
// [gin.Context.Copy] and after the request, when changes last only through
// [Session.Save]. Values are copied in and out: changing one that was set or
// got does not change the session.
//
// Any key is fine that is valid UTF-8, except "_flashes" and "_permanent", which
// Flask's form of the cookie needs.
//
// Package fmt, encoding/json and log/slog print no value of a Session.
type Session struct {
	m       *manager
	outer   *Session // the one outside this one in the request, or nil
	request *http.Request
	entered time.Duration // of txn.Clock
	writer  response.Writer
	pending atomic.Bool // a commit has left a cookie to send
	asked   atomic.Bool // the headers were asked for since the last change

	mu    sync.Mutex   // guards all below
	c     *gin.Context // nil once the request has ended
	late  bool         // the headers have left
	busy  bool         // a function given to Update runs, without the lock
	freed *sync.Cond   // busy is false again; nil while nobody waits
	txn   *txn.Txn     // nil before the first use
}

// Get returns the value under key, or nil. A whole number comes back as int64,
// or as uint64 if it needs 64 bits, and every other number as float64; a
// float64 stays one even when it is whole. Bytes, [time.Time] and
// [template.HTML] keep their types, lists are []any and maps map[string]any.
// For structs and other types use the function [Get].
func (s *Session) Get(key string) any {
	v, _ := read(s, key, decodeAny)
	return v
}

// Has reports whether key is in the session, even if its value is nil.
func (s *Session) Has(key string) bool {
	_, ok := s.find(key)
	return ok
}

// Keys returns the keys, sorted. Flash messages are not among them.
func (s *Session) Keys() []string {
	s.read()
	defer s.mu.Unlock()
	keys := make([]string, s.txn.Content().Len())
	for i, e := range s.txn.Content().Entries() {
		keys[i] = e.Key
	}
	return keys
}

// All returns the keys with their values, which have the types that
// [Session.Get] gives them, for debugging and for templates. Flash messages are
// not among them. Changing the map does not change the session.
func (s *Session) All() map[string]any {
	s.read()
	entries := slices.Clone(s.txn.Content().Entries())
	s.mu.Unlock()
	all := make(map[string]any, len(entries))
	for _, e := range entries {
		all[e.Key], _ = decodeAny(e.Raw)
	}
	return all
}

// Len returns the number of keys. Flash messages do not count.
func (s *Session) Len() int {
	s.read()
	defer s.mu.Unlock()
	return s.txn.Content().Len()
}

// GetString returns a string, or "" if key is missing or something else.
// [template.HTML] counts as a string.
func (s *Session) GetString(key string) string {
	v, _ := read(s, key, codec.String)
	return v
}

// GetBool returns a boolean, or false if key is missing or something else.
func (s *Session) GetBool(key string) bool {
	v, _ := read(s, key, codec.Bool)
	return v
}

// GetInt returns a whole number, or 0 if key is missing, something else, or
// does not fit. 3.0 is a whole number; 3.5 is not.
func (s *Session) GetInt(key string) int {
	v, _ := read(s, key, codec.Int)
	if int64(int(v)) != v {
		return 0 // if an int has 32 bits
	}
	return int(v)
}

// GetInt64 returns a whole number, or 0 if key is missing, something else,
// or does not fit. 3.0 is a whole number; 3.5 is not.
func (s *Session) GetInt64(key string) int64 {
	v, _ := read(s, key, codec.Int)
	return v
}

// GetUint64 returns a whole number, or 0 if key is missing, something else,
// negative, or does not fit.
func (s *Session) GetUint64(key string) uint64 {
	v, _ := read(s, key, codec.Uint)
	return v
}

// GetFloat64 returns a number of any kind, or 0 if key is missing or
// something else.
func (s *Session) GetFloat64(key string) float64 {
	v, _ := read(s, key, codec.Float)
	return v
}

// GetTime returns a time with its nanoseconds and its offset from UTC, or the
// zero time if key is missing or something else.
func (s *Session) GetTime(key string) time.Time {
	v, _ := Get[time.Time](s, key)
	return v
}

// GetDuration returns a duration, or 0 if key is missing or something else.
// It is kept as a whole number of nanoseconds.
func (s *Session) GetDuration(key string) time.Duration {
	return time.Duration(s.GetInt64(key))
}

// GetBytes returns a []byte, or nil if key is missing or something else.
func (s *Session) GetBytes(key string) []byte {
	v, _ := Get[[]byte](s, key)
	return v
}

// GetStringSlice returns a list of strings, or nil if key is missing or
// something else.
func (s *Session) GetStringSlice(key string) []string {
	v, _ := Get[[]string](s, key)
	return v
}

// GetStringMap returns a map, or nil if key is missing or something else.
// Its values have the types that [Session.Get] gives them.
func (s *Session) GetStringMap(key string) map[string]any {
	v, _ := Get[map[string]any](s, key)
	return v
}

// Get returns the value under key as a T, which can be any type that
// encoding/json reads. It returns false if key is missing or its value is
// not a T: no number is cut short, and no plain string becomes bytes, a time
// or [template.HTML].
func Get[T any](s *Session, key string) (T, bool) { return read(s, key, decode[T]) }

// Pop removes key and returns its value as a T. It returns false if key is
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

// decode returns the zero value if raw is not a T.
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
	s.change()
	defer s.mu.Unlock()
	if raw, ok = s.txn.Content().Find(key); ok {
		s.txn.Delete(key)
	}
	return raw, ok
}

func (s *Session) find(key string) (raw string, ok bool) {
	s.read()
	defer s.mu.Unlock()
	return s.txn.Content().Find(key)
}

// Set puts a copy of value under key. It takes anything that encoding/json can
// carry, without registration; integers are exact to 64 bits. Setting the
// value that key has already is no change.
//
// A value that cannot be stored changes nothing here, but the session will not
// be saved and the response becomes an error page: [ErrValue], which
// [Session.Err] returns at once.
func (s *Session) Set(key string, value any) {
	raw, err := s.encode(key, value)
	s.change()
	defer s.mu.Unlock()
	if err != nil {
		s.txn.Refuse(err)
		return
	}
	s.txn.Set(key, raw)
}

// Update replaces the value under key by what fn returns for it; fn gets the
// zero value if key is missing or not a T. Errors are those of [Session.Set].
//
// No update by a parallel request is lost, on a server store or in an encrypted
// cookie of one process ([WithMergeBuffer]): fn may run again on a newer value. It may read the session, which it sees as of the call, but
// not change it: that panics.
func Update[T any](s *Session, key string, fn func(T) T) {
	s.update(key, func(old string, found bool) (string, error) {
		var value T
		if found {
			value, _ = decode[T](old)
		}
		s.unlocked(func() { value = fn(value) })
		return s.encode(key, value)
	})
}

func (s *Session) update(key string, fn func(old string, found bool) (string, error)) {
	s.change()
	defer s.mu.Unlock()
	old, found := s.txn.Content().Find(key)
	raw, err := fn(old, found)
	if err != nil {
		s.txn.Refuse(err)
		return
	}
	s.txn.Updated(key, old, found, raw, fn)
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
	if s.m.flaskForm {
		raw = flask.Times(raw)
	}
	return raw, nil
}

// Delete removes keys. Removing one that is missing is no change.
func (s *Session) Delete(keys ...string) {
	s.change()
	defer s.mu.Unlock()
	for _, key := range keys {
		if _, ok := s.txn.Content().Find(key); ok {
			s.txn.Delete(key)
		}
	}
}

// Clear removes everything, flash messages and [Session.SetPermanent] too. The
// session that is left empty is deleted, cookie and record, unless something
// is set afterwards. To log out, use [Session.Destroy].
func (s *Session) Clear() {
	s.change()
	defer s.mu.Unlock()
	s.txn.Clear()
}

// Renew gives the session a new id and a new lifetime, and keeps what is in
// it. Call it at every change of privilege, above all at log-in, against session
// fixation: an id that an attacker planted or saw before is worth nothing
// afterwards (OWASP ASVS 5, 7.2.4). A copy of an encrypted cookie that was made
// before is refused by this process while it remembers it, for a minute or two
// ([WithMergeBuffer]), and otherwise stays good, with what was in it. If a server
// store does not confirm that the old id is dead, the commit fails with
// [ErrUnavailable] and the browser gets no new id.
func (s *Session) Renew() {
	s.change()
	defer s.mu.Unlock()
	s.txn.Renew()
}

// Destroy logs out: it removes the session and expires the browser's cookie.
// What is set after it in the same request (a flash "You are logged out")
// begins a fresh session. It also ends the session if a parallel request has
// moved it by [Session.Renew] in the last minute, and if [WithValidator] refuses
// it. Requests under way that have loaded the session go
// on with what they have read, but their changes are dropped.
//
// A copy of an encrypted cookie that was made before is refused by this process
// while it remembers it, for a minute or two ([WithMergeBuffer]), and otherwise
// stays good until its lifetime has passed: a server cannot take back what it does
// not keep.
func (s *Session) Destroy() {
	s.change()
	defer s.mu.Unlock()
	s.txn.Destroy()
	s.hold()
}

// SetPermanent sets whether the session outlives the browser window ("remember
// me"). The default is false, or true with [WithPermanent]. It does not make an
// empty session worth storing, and an idle timeout ends it all the same: see [Session.Remember].
func (s *Session) SetPermanent(permanent bool) {
	s.change()
	defer s.mu.Unlock()
	s.txn.SetPermanent(permanent)
}

// SetLifetime gives this session a lifetime of its own in place of that of the app
// ([WithLifetime]), from its creation or its last [Session.Renew]: an absolute
// timeout. Renew starts it again with the same length. The idle timeout holds all
// the same. 0 gives it the lifetime of the app again. Others under 10 ms are
// [ErrValue], and so is any in Flask's cookie, which has no place for one.
func (s *Session) SetLifetime(lifetime time.Duration) { s.setLifetime(lifetime, false) }

// Remember keeps the user logged in ("remember me"): the session outlives the
// browser window, has this lifetime of its own, as with [Session.SetLifetime], and
// no idle timeout. It is not sliding; [Session.Renew] starts it again. Remember(0)
// takes it back, and [Session.SetPermanent] too: the session is as the app's
// options say.
func (s *Session) Remember(lifetime time.Duration) { s.setLifetime(lifetime, true) }

func (s *Session) setLifetime(lifetime time.Duration, remember bool) {
	s.change()
	defer s.mu.Unlock()
	switch {
	case s.m.flaskForm && lifetime != 0:
		s.txn.Refuse(fmt.Errorf("%w: a lifetime of its own: Flask's cookie has no place for one; use WithLifetime", ErrValue))
	case lifetime < minLifetime && lifetime != 0:
		s.txn.Refuse(fmt.Errorf("%w: a lifetime of %v; use a time.Duration of %v or more, such as 12*time.Hour", ErrValue, lifetime, minLifetime))
	default:
		s.txn.SetLifetime(lifetime, remember && lifetime != 0)
		if remember {
			s.txn.SetPermanent(lifetime != 0 || s.m.txn.Permanent)
		}
	}
}

// minLifetime is the shortest lifetime, as for [WithLifetime].
const minLifetime = 10 * time.Millisecond

// Permanent reports whether the session outlives the browser window.
func (s *Session) Permanent() bool {
	s.read()
	defer s.mu.Unlock()
	return s.txn.Content().Permanent
}

// CreatedAt returns when the session began or was last renewed, to the
// nanosecond; in Flask's cookie, the second of its last write.
func (s *Session) CreatedAt() time.Time {
	s.read()
	defer s.mu.Unlock()
	return s.txn.Content().Created.Time()
}

// ExpiresAt returns when the session ends if it is not used any more.
func (s *Session) ExpiresAt() time.Time {
	s.read()
	defer s.mu.Unlock()
	return s.txn.ExpiresAt()
}

// IsNew reports whether nothing was loaded for this request: there was no
// cookie, it was not accepted, see [Session.Rejected], or the store did not
// answer, see [Session.Err].
func (s *Session) IsNew() bool {
	s.read()
	defer s.mu.Unlock()
	return s.txn.Origin() == txn.Fresh
}

// Modified reports whether this request has changed the session so far, saved or
// not.
func (s *Session) Modified() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.txn != nil && s.txn.Modified()
}

// ID returns a name for the session that is safe to log and useless as a
// credential. It is "" for sessions that live in a cookie, and until the
// session is stored.
func (s *Session) ID() string {
	s.read()
	defer s.mu.Unlock()
	return s.txn.ID()
}

// Rejected returns why the cookie that came was not accepted: [ErrExpired],
// [ErrInvalid], [ErrUnknown] or [ErrRevoked]. It is nil if none came or one
// was accepted. A rejected cookie is no error of the request: it gets a fresh
// session. The cookie stays in the browser until that is stored, or
// [Session.Destroy] is called. [WithLogger] logs which check it failed.
func (s *Session) Rejected() error {
	s.read()
	defer s.mu.Unlock()
	return s.txn.Rejected()
}

// Err returns the first thing that went wrong with this session in this
// request, or nil. While the request is under way it reads the session if
// that has not happened yet, to learn whether the store answers; if it does not,
// the handler runs all the same, and getters return zero values; only its
// response is replaced.
//
// After a commit it wraps [ErrUnknown] if the session has ended while the
// request was under way and its changes were dropped.
func (s *Session) Err() error {
	s.mu.Lock()
	unused := s.txn == nil && s.c == nil
	s.mu.Unlock()
	if unused {
		return nil
	}
	s.read()
	defer s.mu.Unlock()
	return s.txn.Err()
}

// Save commits now, to handle the error; otherwise it is never needed. It may
// be called from any goroutine at any time. The Set-Cookie line, if there is
// need for one, is among the headers of the response when the request's goroutine
// next asks for them (c.Writer.Header), or when they are sent.
//
// An error that Save returned is the app's: unless the session changes again,
// the handler's response stands. After the headers have left, a session in a
// cookie cannot be saved any more: [ErrLate].
func (s *Session) Save() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.await()
	if s.txn == nil {
		return nil
	}
	err := s.txn.Save()
	if !s.txn.ReadOnly() {
		s.pending.Store(true)
		s.hold()
	}
	return err
}

// Format implements [fmt.Formatter]. It prints no value.
func (s *Session) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(printed)) }

// MarshalText implements [encoding.TextMarshaler]. It holds no value.
func (s *Session) MarshalText() ([]byte, error) { return []byte(printed), nil }

const printed = "ginsession.Session"

// read locks the session and loads it.
func (s *Session) read() {
	s.mu.Lock()
	if s.txn != nil {
		return
	}
	ready := false
	defer func() {
		if !ready { // a panic of the store or the validator
			s.mu.Unlock()
		}
	}()
	s.load()
	ready = true
}

// change locks the session and loads it, to change it.
func (s *Session) change() {
	s.read()
	if s.busy {
		ready := false
		defer func() {
			if !ready { // a panic
				s.mu.Unlock()
			}
		}()
		s.await()
		ready = true
	}
	if s.asked.Load() {
		s.asked.Store(false)
	}
}

// load reads the session at the first use.
func (s *Session) load() {
	if s.txn != nil {
		return
	}
	s.txn = txn.New(&s.m.txn, s.request, s.late, s.m.newTrace())
	s.txn.Load(s.entered)
}

// unlocked runs a function of the app's own, which may read the session, without
// the lock. What changes the session waits.
func (s *Session) unlocked(fn func()) {
	s.busy = true
	asked := s.txn.Suspend()
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.busy = false
		s.txn.Resume(asked)
		if s.freed != nil {
			s.freed.Broadcast()
		}
	}()
	fn()
}

// await waits until no function given to Update runs. That function itself
// would wait for ever.
func (s *Session) await() {
	for s.busy {
		if calledByUpdate() {
			panic("ginsession: the function given to Update has changed the session, which it may only read")
		}
		if s.freed == nil {
			s.freed = sync.NewCond(&s.mu)
		}
		s.freed.Wait()
	}
}

// calledByUpdate reports whether this goroutine is in a function given to Update.
func calledByUpdate() bool {
	pcs := make([]uintptr, 256)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(2, pcs)])
	for {
		frame, more := frames.Next()
		if strings.HasSuffix(frame.Function, "(*Session).unlocked") {
			return true
		}
		if !more {
			return false
		}
	}
}

// hold lets a second pass through [gin.Engine.HandleContext], which forgets all
// that the gin.Context holds, find the session again.
func (s *Session) hold() {
	if s.c != nil {
		s.m.passes.add(s.c, s)
	}
}

// owner is a [Session] as its response knows it.
type owner Session

// Commit implements [response.Owner].
func (o *owner) Commit(h http.Header) error {
	s := (*Session)(o)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.await()
	s.late = s.late || h == nil
	if s.txn == nil && s.m.txn.Rolling && !s.late {
		s.roll(h)
	}
	if s.txn == nil {
		s.late = true
		return nil
	}
	err := s.txn.Finish(h)
	s.tell(h)
	return err
}

// roll loads a session that the request has not used, if it is to be sent with
// every response.
func (s *Session) roll(h http.Header) {
	if !s.m.txn.MayRoll(s.request.Header) || s.m.txn.Cookie.IsSet(h) {
		return
	}
	if s.load(); !s.txn.RefreshDue(h) {
		s.txn = nil // the response does not vary
	}
}

// Hold implements [response.Owner].
func (o *owner) Hold(h http.Header) error {
	s := (*Session)(o)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.await()
	if s.txn == nil {
		s.late = true
		return nil
	}
	err := s.txn.Hold(h)
	if err == nil {
		if s.asked.Load() { // to be sent by the code that takes the connection over
			s.txn.Headers(h)
		}
		s.pending.Store(!s.asked.Load())
		s.close()
	}
	return err
}

// Pending implements [response.Owner].
func (o *owner) Pending(h http.Header) {
	s := (*Session)(o)
	if !s.asked.Load() {
		s.asked.Store(true)
	}
	if s.pending.Load() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.pending.Store(false)
		s.txn.Headers(h)
	}
}

// Settle implements [response.Owner].
func (o *owner) Settle(c *gin.Context, h http.Header) {
	(*Session)(o).settle(h)
	for inner := innermost(c); inner != nil && inner != (*Session)(o); inner = inner.outer {
		inner.settle(h) // it is saved, whatever happens to this one
	}
}

func (s *Session) settle(h http.Header) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.late = true; s.txn != nil {
		s.tell(h)
	}
}

// tell adds to the headers h, unless that is nil, what the browser needs. They
// leave now.
func (s *Session) tell(h http.Header) {
	if h != nil {
		s.pending.Store(false)
		s.txn.Headers(h)
	}
	s.close()
}

func (s *Session) close() {
	s.late = true
	s.txn.Close()
}

// end ends the session's request and writes its lines of the log. The session is
// not locked meanwhile: the logger may be the app's own.
func (s *Session) end(c *gin.Context) {
	s.mu.Lock()
	s.c, s.late = nil, true
	if s.txn == nil {
		s.mu.Unlock()
		return
	}
	trace, sent := s.txn.Trace(), s.txn.SendsCookie()
	var entry sessionlog.Entry
	if trace != nil {
		copied := *trace
		entry = sessionlog.Entry{Cookie: s.m.txn.Cookie.Name, Method: c.Request.Method, Route: c.FullPath(), Trace: &copied, Broken: s.txn.Broken(), Storage: !s.m.txn.InCookie}
	}
	s.mu.Unlock()
	if sent {
		s.m.warnPlain(c.Request)
	}
	if trace != nil {
		sessionlog.Write(c.Request.Context(), s.m.log(), &entry)
	}
}
