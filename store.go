package ginsession

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"time"

	"github.com/ginsession/ginsession/internal/codec"
	"github.com/ginsession/ginsession/internal/seal"
)

// Store keeps records on a server, for [WithStore]. Its methods are called
// from many goroutines at once. They never see a credential or a value: an id
// is the SHA-256 of the one in the cookie, in base64url (43 bytes), and data is
// encrypted.
//
// A store needs one atomic operation: saving a record only if nobody else has
// saved it since it was loaded. The package storetest has a suite that tells
// whether a store keeps this contract.
type Store interface {
	// Load returns the record under id, with the Version that a later Save
	// has to name. It returns [ErrNotFound] where there is none or it has
	// expired. All other errors mean that nobody knows: under a context that is
	// over, too.
	Load(ctx context.Context, id string) (Record, error)

	// Save stores r under id until r.Expires, or a little longer. The Version
	// decides over what:
	//
	//   - nil: only where nothing is, else [ErrConflict];
	//   - a Version that Load returned: only over the record of that very
	//     version, else [ErrConflict], or [ErrNotFound] where nothing is. A
	//     record that is gone is never created again.
	//
	// A record that is too large gives [ErrTooLarge] and leaves the one before
	// intact. After any other error the record may or may not be saved, but
	// never twice: a store that retries finds out first.
	//
	// The context of a commit is not cancelled when the client hangs up.
	Save(ctx context.Context, id string, r Record) error

	// Delete removes the record under id. That there is none is no error.
	Delete(ctx context.Context, id string) error
}

// Record is a session as a [Store] keeps it.
type Record struct {
	Data    []byte    // encrypted; a store keeps a copy
	Expires time.Time // when the record may go
	Version any       // of the stored record; the store's own business
}

// maxLookups bounds how often a request that carries many genuine ids, all of
// dead sessions, makes us ask the store.
const maxLookups = 4

const (
	idSize   = 16 // bytes, from crypto/rand
	nameSize = 43 // what [Store] says of an id

	// markTime is how long a renewed or destroyed session leaves a mark behind
	// for requests that still hold its id. It is longer than they take.
	markTime = time.Minute

	// markEnded is the plaintext of such a mark. No container begins like it.
	markEnded = "ended"

	purposeID     = "ginsession id 1"
	purposeRecord = "ginsession record 1"
)

// errEnded drops what a request did to a session that another one has renewed
// or destroyed meanwhile. It is no reason for an error page.
var errEnded = fmt.Errorf("%w: it was renewed or destroyed meanwhile, and what this request changed is dropped", ErrUnknown)

// handle is where a session is on the server.
type handle struct {
	id        string // the credential, in the clear
	name      string // what the store knows it by
	version   any    // of the record that was loaded; nil after a save
	ended     bool   // a mark was found there
	permanent bool   // as the browser knows it
	emptied   bool   // the browser was told to drop the cookie
	recook    bool   // the cookie is sealed under an earlier secret
}

// serverStorage keeps sessions in a [Store]; the cookie carries nothing but a
// sealed id.
type serverStorage struct {
	m       *manager
	store   Store
	ids     *seal.Sealer
	records *seal.Sealer
	bound   []byte
	turns   [256]chan struct{} // by an id's first byte
}

func newServerStorage(m *manager, store Store) (*serverStorage, error) {
	ids, err := seal.New(purposeID, m.secrets()...)
	if err != nil {
		return nil, fmt.Errorf("ginsession: %w", err)
	}
	records, err := seal.New(purposeRecord, m.secrets()...)
	if err != nil {
		return nil, fmt.Errorf("ginsession: %w", err)
	}
	v := &serverStorage{m: m, store: store, ids: ids, records: records, bound: []byte(purposeID + "\x00" + m.Name)}
	for i := range v.turns {
		v.turns[i] = make(chan struct{}, 1)
	}
	return v, nil
}

func (v *serverStorage) load(ctx context.Context, s *Session, value string) error {
	ctx = context.WithoutCancel(ctx)
	if len(value) != seal.TextLen(idSize) { // before it is decoded
		return errSeal
	}
	if s.lookups == maxLookups {
		return errTooMany
	}
	at, err := v.openID(value)
	if err != nil {
		return err
	}
	s.lookups++
	content, err := v.fetch(ctx, &at)
	if errors.Is(err, errEnded) {
		s.at.ended = true
		return errOver
	}
	if err != nil {
		return err
	}
	s.at, s.content = at, content
	return nil
}

// openID gives the handle that a cookie's value stands for.
func (v *serverStorage) openID(value string) (handle, error) {
	buf := scratches.Get().(*scratch) // not for as long as the store takes
	defer scratches.Put(buf)
	box, err := seal.AppendBox(buf[:0], value)
	if err != nil {
		return handle{}, errSpelling
	}
	id, current, err := v.ids.Open(box[len(box):], box, v.bound)
	if err != nil {
		return handle{}, errSeal
	}
	at := handleOf(string(id))
	at.recook = !current
	return at, nil
}

// fetch reads the record at a handle and notes its version there.
func (v *serverStorage) fetch(ctx context.Context, at *handle) (codec.Container, error) {
	record, err := v.store.Load(ctx, at.name)
	if errors.Is(err, ErrNotFound) {
		return codec.Container{}, errGone
	}
	if err != nil {
		return codec.Container{}, unavailable(err)
	}
	at.version = record.Version
	buf := scratches.Get().(*scratch)
	defer scratches.Put(buf)
	bound := v.appendBound(buf[:0], at)
	plaintext, _, err := v.records.Open(bound[len(bound):], record.Data, bound)
	if err != nil {
		return codec.Container{}, errRecord
	}
	if string(plaintext) == markEnded {
		return codec.Container{}, errEnded
	}
	content, err := codec.Parse(string(plaintext))
	if err != nil {
		return codec.Container{}, errRecord
	}
	if v.m.expired(&content) {
		return codec.Container{}, ErrExpired
	}
	at.permanent, at.emptied = content.Permanent, content.Empty()
	return content, nil
}

func (v *serverStorage) commit(ctx context.Context, s *Session) (line string, err error) {
	ctx = context.WithoutCancel(ctx)
	switch {
	case s.destroyed:
		return v.destroy(ctx, s)
	case s.renewed:
		return v.renew(ctx, s)
	case s.at.ended:
		return "", errEnded
	case s.held:
		return v.change(ctx, s)
	default:
		return v.create(ctx, s)
	}
}

// change saves over the record that was loaded, replaying what this request
// did on whatever others have saved meanwhile.
func (v *serverStorage) change(ctx context.Context, s *Session) (line string, err error) {
	try := v.newRetry(&s.at)
	defer try.done()
	for {
		if err = ErrConflict; s.at.version != nil {
			err = v.save(ctx, &s.at, &s.content)
		}
		if !s.did.any() && lost(err) {
			return "", nil // just a sign of life, which others gave as well
		}
		if err == nil {
			return v.changedCookie(s)
		}
		if !lost(err) {
			return "", err
		}
		if err := try.wait(ctx, err); err != nil {
			return "", err
		}
		if held, err := v.replay(ctx, s); err != nil {
			return "", err
		} else if !held {
			return v.create(ctx, s)
		}
	}
}

// replay applies what this request did to the newest version of the record. If
// the record is gone or no longer ours, it starts from nothing: a copy of what
// was there is never stored again.
func (v *serverStorage) replay(ctx context.Context, s *Session) (held bool, err error) {
	at := s.at
	content, err := v.fetch(ctx, &at)
	held = err == nil
	s.did.collect(&s.content)
	if errors.Is(err, errEnded) { // whatever comes, what was loaded is over
		s.at.ended = true
		s.content, s.held, s.rejected = v.m.fresh(), false, ErrUnknown
		return false, err
	}
	if err != nil && rejection(err) == nil {
		return false, err
	}
	if !held {
		at, content = handle{}, v.m.fresh()
	}
	if err := s.did.apply(&content); err != nil {
		return false, err
	}
	s.at, s.content, s.held = at, content, held // together: a version goes with its content
	return held, nil
}

// changedCookie tells the browser what it has to know after a change. All that
// the request did is stored by now, whatever becomes of the cookie: doing it
// again would count an update twice.
func (v *serverStorage) changedCookie(s *Session) (line string, err error) {
	s.did.reset()
	switch {
	case s.content.Empty() && !s.headersGone:
		return s.expireCookie(), nil
	case s.content.Empty():
		return "", nil // a cookie that leads to nothing does no harm
	case s.at.emptied, s.at.permanent != s.content.Permanent, s.at.recook && !s.headersGone,
		s.setCookie != "" && !s.headersGone: // what an earlier Save tells it may no longer hold
		return v.cookieFor(s)
	}
	return "", nil
}

// create stores what is in the session under a new id.
func (v *serverStorage) create(ctx context.Context, s *Session) (line string, err error) {
	if s.content.Empty() {
		s.at = handle{} // what comes next begins anew, also where the old one is over
		return "", nil
	}
	if s.headersGone {
		return "", errLate
	}
	s.at = newHandle()
	if err := v.save(ctx, &s.at, &s.content); err != nil {
		return "", err
	}
	return v.cookieFor(s)
}

// renew stores the session under a new id and leaves a mark at the old one, in
// this order, so that nothing is lost if the second step fails.
func (v *serverStorage) renew(ctx context.Context, s *Session) (line string, err error) {
	if !s.held || s.at.ended {
		return v.create(ctx, s)
	}
	if s.headersGone {
		return "", errLate
	}
	try := v.newRetry(&s.at)
	defer try.done()
	for {
		if err = ErrConflict; s.at.version != nil {
			line, err = v.move(ctx, s)
		}
		if err == nil {
			return line, nil
		}
		if !lost(err) {
			return "", err
		}
		if err := try.wait(ctx, err); err != nil {
			return "", err
		}
		// Others have changed the old one: their work moves too. If it has
		// ended, this renewal (a log-in) starts from what it did itself.
		created := s.content.Created
		held, err := v.replay(ctx, s)
		if errors.Is(err, errEnded) {
			s.content = v.m.fresh()
			held, err = false, s.did.apply(&s.content)
		}
		if err != nil {
			return "", err
		}
		s.content.Created = created
		if !held {
			return v.create(ctx, s)
		}
	}
}

// move stores the session under a new id and puts a mark over the version of
// the old record that was loaded.
func (v *serverStorage) move(ctx context.Context, s *Session) (line string, err error) {
	old := s.at
	if line, err = v.create(ctx, s); err == nil {
		if err = v.mark(ctx, &old); err == nil && s.content.Empty() {
			line, s.at = s.expireCookie(), handle{}
		}
		if err == nil {
			return line, nil
		}
		if !lost(err) && line != "" { // the mark may be there: the new id must not be lost with the old one
			s.setCookie = line
		} else if line != "" {
			_ = v.store.Delete(ctx, s.at.name) // nobody knows it, and it expires
		}
	}
	s.at = old
	return "", err
}

// destroy leaves a mark at the session's id and stores what was set since
// under a new one.
func (v *serverStorage) destroy(ctx context.Context, s *Session) (line string, err error) {
	if s.held {
		if err := v.end(ctx, s.at); err != nil {
			return "", err
		}
	}
	expire := s.expireCookie()
	s.at, s.held = handle{}, false
	line, err = v.create(ctx, s)
	if line == "" && err == nil && !s.headersGone {
		line = expire
	}
	return line, err
}

// end puts a mark over whatever version of the record there is.
func (v *serverStorage) end(ctx context.Context, at handle) error {
	try := v.newRetry(&at)
	defer try.done()
	for {
		err := v.mark(ctx, &at)
		if err == nil || errors.Is(err, ErrNotFound) {
			return nil
		}
		if !lost(err) {
			return err
		}
		if err := try.wait(ctx, err); err != nil {
			return err
		}
		if _, err := v.fetch(ctx, &at); errors.Is(err, errEnded) || errors.Is(err, ErrUnknown) {
			return nil
		} else if err != nil && rejection(err) == nil {
			return err
		}
	}
}

func (v *serverStorage) mark(ctx context.Context, at *handle) error {
	record := v.sealRecord(at, func(dst []byte) []byte { return append(dst, markEnded...) })
	return v.put(ctx, at, record, time.Now().Add(markTime))
}

// save stores content at a handle: over its version, or, without one, where
// nothing is. An emptied session stays for a moment: a parallel request may
// have something to add to it.
func (v *serverStorage) save(ctx context.Context, at *handle, content *codec.Container) error {
	content.Expires = v.m.expiry(content.Created)
	keep := content.Expires
	if content.Empty() {
		keep = time.Now().Add(markTime)
	}
	err := v.put(ctx, at, v.sealRecord(at, content.Append), keep)
	if err == nil {
		at.version = nil // only a load tells
	}
	return err
}

// sealRecord gives the record that holds what appendPlaintext appends.
func (v *serverStorage) sealRecord(at *handle, appendPlaintext func(dst []byte) []byte) []byte {
	buf := scratches.Get().(*scratch) // not for as long as the store takes
	defer scratches.Put(buf)
	bound := v.appendBound(buf[:0], at)
	return v.records.Seal(nil, appendPlaintext(bound[len(bound):]), bound)
}

func (v *serverStorage) put(ctx context.Context, at *handle, data []byte, expires time.Time) error {
	err := v.store.Save(ctx, at.name, Record{Data: data, Expires: expires, Version: at.version})
	if err == nil || lost(err) || errors.Is(err, ErrTooLarge) {
		return err
	}
	return unavailable(err)
}

// cookieFor gives the Set-Cookie line with the session's id. It lasts as long
// as the session can.
func (v *serverStorage) cookieFor(s *Session) (string, error) {
	if s.headersGone {
		return "", errLate
	}
	s.at.recook, s.at.emptied, s.at.permanent = false, false, s.content.Permanent
	box := v.ids.Seal(nil, []byte(s.at.id), v.bound)
	return v.m.cookie.set(seal.AppendText(nil, box), s.maxAge(s.content.Created.Add(v.m.Lifetime)))
}

// appendBound appends what binds a record to its id and to the cookie's name:
// whoever can write to the store cannot hand one session's record to another.
func (v *serverStorage) appendBound(dst []byte, at *handle) []byte {
	dst = append(append(dst, purposeRecord+"\x00"...), v.m.Name...)
	return append(append(dst, 0), at.id...)
}

func newHandle() handle {
	id := make([]byte, idSize)
	_, _ = rand.Read(id) // never fails: it ends the program instead
	return handleOf(string(id))
}

func handleOf(id string) handle {
	sum := sha256.Sum256([]byte(id))
	return handle{id: id, name: string(base64.RawURLEncoding.AppendEncode(make([]byte, 0, nameSize), sum[:]))}
}

// lost tells whether a save failed because the record is not what it was.
func lost(err error) bool { return errors.Is(err, ErrConflict) || errors.Is(err, ErrNotFound) }

func unavailable(err error) error {
	if errors.Is(err, ErrUnavailable) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, err)
}

// retry bounds how long requests compete for one record. Whoever has met a
// conflict queues up with the others of this process: else a large record that
// many requests save at once would keep most of them reading it in vain.
type retry struct {
	turn  chan struct{}
	mine  bool
	until time.Time // zero until the first conflict
	pause time.Duration
}

const (
	maxContention = 5 * time.Second
	maxPause      = 10 * time.Millisecond
)

func (v *serverStorage) newRetry(at *handle) retry { return retry{turn: v.turns[at.id[0]]} }

// wait waits for its turn, and then, each time that another process was faster,
// for a random moment that grows.
func (r *retry) wait(ctx context.Context, cause error) error {
	if r.until.IsZero() {
		r.until = time.Now().Add(maxContention)
	}
	timer := time.NewTimer(time.Until(r.until))
	turn := r.turn
	if r.mine {
		r.pause = min(2*r.pause+time.Millisecond/2, maxPause)
		timer.Reset(min(mathrand.N(r.pause), time.Until(r.until))) //nolint:gosec // jitter
		turn = nil                                                 // nobody else can have it
	}
	defer timer.Stop()
	select {
	case turn <- struct{}{}:
		r.mine = true
	case <-timer.C:
	case <-ctx.Done():
		return unavailable(ctx.Err())
	}
	if !time.Now().Before(r.until) {
		return fmt.Errorf("%w: too many requests save one session at once: %w", ErrUnavailable, cause)
	}
	return nil
}

// done lets the next one go on.
func (r *retry) done() {
	if r.mine {
		<-r.turn
	}
}
