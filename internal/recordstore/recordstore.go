// Package recordstore keeps sessions in a [Store] on a server; the cookie
// carries nothing but a sealed id.
//
// A change is a compare-and-swap; after a conflict it is replayed on the newer
// record. A renewal stores the session under a new id and then puts a tombstone
// at the old one, as the end of a session does. A tombstone is a sealed record without content that replaces that of an ended
// session for [txn.TombstoneLife]. That of a renewal names its successor, so
// that a log-out that comes with the old id ends the new one, too.
package recordstore

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/ginsession/ginsession/internal/codec"
	"github.com/ginsession/ginsession/internal/cookie"
	"github.com/ginsession/ginsession/internal/seal"
	"github.com/ginsession/ginsession/internal/sessionerr"
	"github.com/ginsession/ginsession/internal/txn"
)

// Store is the contract that the root package documents.
type Store interface {
	Load(ctx context.Context, id string) (Record, error)
	Save(ctx context.Context, id string, r Record) error
	Delete(ctx context.Context, id string) error
}

// Record is a session as a [Store] keeps it.
type Record struct {
	Data    []byte
	Expires time.Time
	Version any
}

const (
	idSize   = 16 // bytes, from crypto/rand
	nameSize = 43 // characters, of what the store knows an id by

	purposeID     = "ginsession id 1"
	purposeRecord = "ginsession record 1"

	// tombstone is the plaintext of one; the successor's id may follow. No
	// container begins like it.
	tombstone = "ended"
)

// What the cookie of an id says after it. Version 0.1.0 said nothing.
const (
	saysWindow     = 0
	saysPersistent = 1
)

// reseal is the note of a cookie that an earlier secret sealed. The next write
// sends it again.
const reseal = "reseal"

func isReseal(at txn.Locator) bool { return at.Note == reseal }

// successor returns the id that replaced the one at a tombstone, which is the
// note of its locator, or "".
func successor(at txn.Locator) string {
	if len(at.Note) != idSize {
		return ""
	}
	return at.Note
}

// Storage is a [txn.Storage] over a Store. It is safe for concurrent use.
type Storage struct {
	store   limited
	policy  txn.Policy
	cookie  cookie.Cookie
	ids     *seal.Sealer
	records *seal.Sealer
	boundID []byte
	queues  [256]queue // by an id's first byte, see [contest]
}

// New returns a storage that seals under the first secret. The limit is the time
// that each call of the store may take; 0 is for a store that has its own.
func New(store Store, limit time.Duration, policy txn.Policy, k cookie.Cookie, secrets []string) (*Storage, error) {
	ids, err := seal.New(purposeID, secrets...)
	if err != nil {
		return nil, fmt.Errorf("ginsession: %w", err)
	}
	records, err := seal.New(purposeRecord, secrets...)
	if err != nil {
		return nil, fmt.Errorf("ginsession: %w", err)
	}
	v := &Storage{
		store: limited{store, limit}, policy: policy, cookie: k,
		ids: ids, records: records, boundID: []byte(purposeID + "\x00" + k.Name),
	}
	for i := range v.queues {
		v.queues[i].turn = make(chan struct{}, 1)
	}
	return v, nil
}

// scratch is memory for sealing and opening, which is not needed any longer
// than that.
type scratch [4 << 10]byte

var scratches = sync.Pool{New: func() any { return new(scratch) }}

// Rank implements [txn.Storage].
func (v *Storage) Rank(value string) (time.Time, error) {
	return time.Time{}, v.openID(value, new(txn.Locator))
}

// Load implements [txn.Storage].
func (v *Storage) Load(ctx context.Context, value string, into *txn.Image) (since time.Time, err error) {
	if err := v.openID(value, &into.At); err != nil {
		return since, err
	}
	err = v.fetch(ctx, into)
	switch {
	case errors.Is(err, sessionerr.ErrEnded):
		return since, sessionerr.ErrOver
	case err != nil:
		*into = txn.Image{}
	}
	if err == nil {
		since = into.Content.Created.Time()
	}
	return since, err
}

// openID fills in the locator that a cookie's value stands for.
func (v *Storage) openID(value string, at *txn.Locator) error {
	if len(value) != seal.TextLen(idSize) && len(value) != seal.TextLen(idSize+1) { // before it is decoded
		return sessionerr.ErrForm
	}
	buf := scratches.Get().(*scratch) // not for as long as the store takes
	defer scratches.Put(buf)
	box, err := seal.AppendBox(buf[:0], value)
	if err != nil {
		return sessionerr.ErrForm
	}
	plaintext, current, err := v.ids.Open(box[len(box):], box, v.boundID)
	if err != nil {
		return sessionerr.ErrSeal
	}
	locate(at, string(plaintext[:idSize]))
	if len(plaintext) > idSize {
		at.Told = txn.TellPermanent(plaintext[idSize] == saysPersistent)
	}
	if !current {
		at.Note = reseal
	}
	return nil
}

// fetch reads the record at a locator, with its version. At a tombstone it
// returns ErrEnded and notes the successor.
func (v *Storage) fetch(ctx context.Context, image *txn.Image) error {
	at := &image.At
	record, err := v.store.Load(ctx, at.Name)
	if errors.Is(err, sessionerr.ErrNotFound) {
		return sessionerr.ErrGone
	}
	if err != nil {
		return sessionerr.Unavailable(err)
	}
	at.Version = record.Version
	buf := scratches.Get().(*scratch)
	defer scratches.Put(buf)
	bound := v.appendBound(buf[:0], at)
	plaintext, _, err := v.records.Open(bound[len(bound):], record.Data, bound)
	if err != nil {
		return sessionerr.ErrRecord
	}
	text := string(plaintext)
	if isTombstone(text) {
		at.Note = text[len(tombstone):]
		return sessionerr.ErrEnded
	}
	if image.Content, err = codec.Parse(text); err != nil {
		return sessionerr.ErrRecord
	}
	if v.policy.Expired(&image.Content, time.Now()) {
		return sessionerr.ErrExpired
	}
	if image.Content.Empty() {
		at.Told = txn.ToldToDrop
	}
	return nil
}

func isTombstone(plaintext string) bool {
	return len(plaintext) >= len(tombstone) && plaintext[:len(tombstone)] == tombstone
}

// put saves a record at a locator: over its version, or, without one, only if
// nothing is there. It returns ErrUnavailable if the outcome is unknown.
func (v *Storage) put(ctx context.Context, at *txn.Locator, data []byte, expires time.Time) error {
	err := v.store.Save(ctx, at.Name, Record{Data: data, Expires: expires, Version: at.Version})
	if err == nil || superseded(err) || errors.Is(err, sessionerr.ErrTooLarge) {
		return err
	}
	return sessionerr.Unavailable(err)
}

// superseded reports whether a save failed because the record is not what it was.
func superseded(err error) bool {
	return errors.Is(err, sessionerr.ErrConflict) || errors.Is(err, sessionerr.ErrNotFound)
}

// sealContent returns the record for a content.
func (v *Storage) sealContent(at *txn.Locator, content *codec.Container) []byte {
	buf := scratches.Get().(*scratch) // not for as long as the store takes
	defer scratches.Put(buf)
	bound := v.appendBound(buf[:0], at)
	return v.records.Seal(nil, content.Append(bound[len(bound):]), bound)
}

// sealTombstone returns the record of an ended session. Its successor, if there
// is one, is named by its id.
func (v *Storage) sealTombstone(at *txn.Locator, next string) []byte {
	buf := scratches.Get().(*scratch)
	defer scratches.Put(buf)
	bound := v.appendBound(buf[:0], at)
	return v.records.Seal(nil, append(append(bound[len(bound):], tombstone...), next...), bound)
}

// appendBound appends what binds a record to its id and to the cookie's name:
// anyone who can write to the store cannot hand one session's record to another.
func (v *Storage) appendBound(dst []byte, at *txn.Locator) []byte {
	dst = append(append(dst, purposeRecord+"\x00"...), v.cookie.Name...)
	return append(append(dst, 0), at.ID...)
}

// line returns the Set-Cookie line with the session's id, and notes what it
// tells the browser. The cookie lasts as long as the session can.
func (v *Storage) line(at *txn.Locator, content *codec.Container) (string, error) {
	plaintext := append(make([]byte, 0, idSize+1), at.ID...)
	if content.Permanent {
		plaintext = append(plaintext, saysPersistent)
	} else {
		plaintext = append(plaintext, saysWindow)
	}
	at.Told, at.Note = txn.TellPermanent(content.Permanent), ""
	buf := scratches.Get().(*scratch)
	defer scratches.Put(buf)
	box := v.ids.Seal(buf[:0], plaintext, v.boundID)
	return v.cookie.Set(seal.AppendText(box[len(box):], box), txn.MaxAge(content, v.policy.End(content)))
}

// newLocator makes at that of a new session.
func newLocator(at *txn.Locator) {
	id := make([]byte, idSize)
	_, _ = rand.Read(id) // never fails: it ends the program instead
	locate(at, string(id))
}

// locate makes at the locator of the session with an id.
func locate(at *txn.Locator, id string) {
	sum := sha256.Sum256([]byte(id))
	*at = txn.Locator{ID: id, Name: string(base64.RawURLEncoding.AppendEncode(make([]byte, 0, nameSize), sum[:]))}
}
