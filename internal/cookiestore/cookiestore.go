// Package cookiestore keeps sessions in the cookie itself: [Sealed] encrypts
// them, [Flask] shares the cookie of a Flask app.
package cookiestore

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/ginsession/ginsession/internal/codec"
	"github.com/ginsession/ginsession/internal/cookie"
	"github.com/ginsession/ginsession/internal/seal"
	"github.com/ginsession/ginsession/internal/sessionerr"
	"github.com/ginsession/ginsession/internal/txn"
)

// purpose separates the key for sealed cookies from those for all else, and
// future formats from this one.
const purpose = "ginsession cookie 1"

// scratch is memory for sealing and opening, which is not needed any longer
// than that: for the largest cookie its plaintext, box, text and line, and the
// container once more.
type scratch [20 << 10]byte

var scratches = sync.Pool{New: func() any { return new(scratch) }}

// Sealed keeps the whole session, encrypted, in the cookie's value. The name is
// bound to it, so that a cookie cannot be passed off as another session of the
// same app. It is safe for concurrent use.
//
// The plaintext is the session's container. From the second version on, the byte
// 0x20, the session's id (8 bytes) and the milliseconds from its creation to the
// write (uvarint) precede it. The first 8 bytes of the AEAD's nonce distinguish
// the versions of a session, and those of the first version are its id.
type Sealed struct {
	policy txn.Policy
	cookie cookie.Cookie
	sealer *seal.Sealer
	bound  []byte
	memory *memory
}

// NewSealed returns a storage that seals under the first secret, and that has
// mergeBuffer bytes to remember sessions which parallel requests may change.
func NewSealed(policy txn.Policy, k cookie.Cookie, secrets []string, mergeBuffer int) (*Sealed, error) {
	sealer, err := seal.New(purpose, secrets...)
	if err != nil {
		return nil, fmt.Errorf("ginsession: %w", err)
	}
	return &Sealed{policy: policy, cookie: k, sealer: sealer, bound: []byte(purpose + "\x00" + k.Name), memory: newMemory(mergeBuffer)}, nil
}

// Rank implements [txn.Storage].
func (k *Sealed) Rank(value string) (time.Time, error) {
	return k.open(value, new(txn.Image))
}

// Load implements [txn.Storage]. If this process remembers a newer version that
// has taken in that of the cookie, the newer one is the session.
func (k *Sealed) Load(_ context.Context, value string, into *txn.Image) (since time.Time, err error) {
	if since, err = k.open(value, into); err != nil {
		return since, err
	}
	now := time.Now()
	newest, known := k.memory.find(word(into.At.ID), word(into.At.Note), now)
	switch {
	case known && newest.ended:
		into.Content = codec.Container{}
		return since, sessionerr.ErrOver
	case known && newest.note != into.At.Note:
		if _, err = k.open(cookie.Value(newest.line), into); err != nil {
			return since, err
		}
		into.At.Told = txn.ToldOlder
		since = now
	}
	if k.policy.Expired(&into.Content, now) {
		err = sessionerr.ErrExpired
	}
	return since, err
}

// open fills in what a cookie's value seals, with its version as the note, and
// returns when it was written.
func (k *Sealed) open(value string, into *txn.Image) (written time.Time, err error) {
	buf := scratches.Get().(*scratch)
	defer scratches.Put(buf)
	box, err := seal.AppendBox(buf[:0], value)
	if err != nil || len(box) < numberSize {
		return written, sessionerr.ErrForm
	}
	opened, _, err := k.sealer.Open(append(box[len(box):], box[:numberSize]...), box, k.bound)
	if err != nil {
		return written, sessionerr.ErrSeal
	}
	text := string(opened)
	number := text[:numberSize]
	id, age, container, ok := cutHead(text[numberSize:])
	if !ok {
		return written, sessionerr.ErrContent
	}
	if into.Content, err = codec.Parse(container); err != nil {
		return written, sessionerr.ErrContent
	}
	into.At.ID, into.At.Note = cmp.Or(id, number), number
	return into.Content.Created.Time().Add(age), nil
}

// later begins the plaintext of all versions of a session but the first. No
// container begins like it.
const later = 0x20

func appendHead(dst []byte, id string, age time.Duration) []byte {
	if id == "" {
		return dst
	}
	return binary.AppendUvarint(append(append(dst, later), id...), uint64(max(0, age/time.Millisecond)))
}

func cutHead(plaintext string) (id string, age time.Duration, container string, ok bool) {
	if plaintext == "" || plaintext[0] != later {
		return "", 0, plaintext, true
	}
	if len(plaintext) < 1+numberSize {
		return "", 0, "", false
	}
	id, rest := plaintext[1:1+numberSize], plaintext[1+numberSize:]
	n, size := binary.Uvarint([]byte(rest[:min(len(rest), binary.MaxVarintLen64)]))
	if size <= 0 || n > uint64(math.MaxInt64/time.Millisecond) {
		return "", 0, "", false
	}
	return id, time.Duration(n) * time.Millisecond, rest[size:], true
}

// Create implements [txn.Storage]. A first version needs no memory: it has taken
// in no other.
func (k *Sealed) Create(_ context.Context, _ *txn.Work, r *txn.Result) error {
	_, err := k.seal(r, time.Time{}) // a first version does not say how old it is
	return err
}

// Change implements [txn.Storage]. It is a compare-and-swap on what this process
// remembers; each conflict means that another request has succeeded.
func (k *Sealed) Change(_ context.Context, w *txn.Work, r *txn.Result) error {
	now := time.Now()
	id, base := word(w.At.ID), word(w.At.Note)
	if w.At.Told == txn.ToldOlder && !w.Journal.Any() { // the browser gets the newest cookie as it is
		if newest, known := k.memory.find(id, base, now); known && !newest.ended {
			r.At = txn.Locator{ID: w.At.ID, Note: newest.note}
			if err := k.rebase(&newest, w, r); err != nil {
				return err
			}
			newest.tell(r)
			return nil
		}
	}
	for {
		r.At = txn.Locator{ID: w.At.ID}
		next, err := k.seal(r, now)
		if err != nil || k.memory.replace(id, base, &next, now) {
			return err
		}
		newest, known := k.memory.find(id, base, now)
		switch {
		case !known: // forgotten this moment
		case newest.ended:
			return sessionerr.ErrEnded
		default:
			base = newest.number()
			if err := k.rebase(&newest, w, r); err != nil {
				return err
			}
		}
	}
}

// Renew implements [txn.Storage].
func (k *Sealed) Renew(ctx context.Context, w *txn.Work, r *txn.Result) error {
	now := time.Now()
	id, base := word(w.At.ID), word(w.At.Note)
	for {
		r.At = txn.Locator{}
		if _, err := k.seal(r, now); err != nil {
			return err
		}
		tombstone := version{successor: word(r.At.ID), ended: true}
		if k.memory.replace(id, base, &tombstone, now) {
			return nil
		}
		newest, known := k.memory.find(id, base, now)
		switch {
		case !known: // forgotten this moment
		case newest.ended: // this renewal starts from what the request did itself
			*r = txn.Result{}
			fresh := k.policy.Fresh()
			if err := w.Rebase(&fresh, r); err != nil || r.Content.Empty() {
				return err
			}
			return k.Create(ctx, w, r)
		default:
			base = newest.number()
			if err := k.rebase(&newest, w, r); err != nil {
				return err
			}
		}
	}
}

// End implements [txn.Storage]. The session has ended for as long as this process
// remembers that. A copy of its cookie opens again after that.
func (k *Sealed) End(_ context.Context, at txn.Locator) error {
	now := time.Now()
	id, number := word(at.ID), word(at.Note)
	for id != 0 {
		id = k.memory.end(id, number, now)
		number = id // of a first version
	}
	return nil
}

// seal makes the next version of the session at the locator of a result of its
// content, or the first one.
func (k *Sealed) seal(r *txn.Result, now time.Time) (v version, err error) {
	r.Content.Life = k.policy.Life(r.Content)
	buf := scratches.Get().(*scratch)
	defer scratches.Put(buf)
	err = r.Fit(func() error {
		head := appendHead(buf[:0], r.At.ID, now.Sub(r.Content.Created.Time()))
		plaintext := r.Content.Append(head)
		box := k.sealer.Seal(plaintext[len(plaintext):], plaintext, k.bound)
		text := seal.AppendText(box[len(box):], box)
		line, err := k.cookie.AppendSet(text[len(text):], text, txn.MaxAge(r.Content, r.Content.Created.Time().Add(r.Content.Life)))
		if err == nil {
			v = complete(r, append(line, box[:numberSize]...))
		}
		return err
	})
	return v, err
}

// complete fills in a result and returns what is to be remembered of it, of a line
// with the version's number behind it.
func complete(r *txn.Result, numbered []byte) version {
	text := string(numbered)
	v := version{line: text[:len(text)-numberSize], note: text[len(text)-numberSize:]}
	r.At.ID, r.At.Note = cmp.Or(r.At.ID, v.note), v.note
	v.tell(r)
	return v
}

// tell fills in what the browser gets, which is nothing if the session is empty.
func (v *version) tell(r *txn.Result) {
	if r.Place = txn.Stored; !r.Content.Empty() {
		r.Line, r.Size = v.line, len(v.line)
	}
}

// rebase fills in a result with what a request did, replayed on a version.
func (k *Sealed) rebase(on *version, w *txn.Work, r *txn.Result) error {
	var newest txn.Image
	if _, err := k.open(cookie.Value(on.line), &newest); err != nil {
		return err
	}
	return w.Rebase(&newest.Content, r)
}
