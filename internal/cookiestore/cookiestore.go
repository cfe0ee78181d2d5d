// Package cookiestore keeps sessions in the cookie itself: [Sealed] encrypts
// them, [Flask] shares the cookie of a Flask app.
package cookiestore

import (
	"context"
	"encoding/binary"
	"errors"
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
// than that: session, box and text of the largest cookie.
type scratch [12 << 10]byte

var scratches = sync.Pool{New: func() any { return new(scratch) }}

// Sealed keeps the whole session, encrypted, in the cookie's value. The name is
// bound to it, so that a cookie cannot be passed off as another session of the
// same app. It is safe for concurrent use.
type Sealed struct {
	policy txn.Policy
	cookie cookie.Cookie
	sealer *seal.Sealer
	bound  []byte
}

// NewSealed returns a storage that seals under the first secret.
func NewSealed(policy txn.Policy, k cookie.Cookie, secrets []string) (*Sealed, error) {
	sealer, err := seal.New(purpose, secrets...)
	if err != nil {
		return nil, fmt.Errorf("ginsession: %w", err)
	}
	return &Sealed{policy: policy, cookie: k, sealer: sealer, bound: []byte(purpose + "\x00" + k.Name)}, nil
}

// Rank implements [txn.Storage].
func (k *Sealed) Rank(value string) (time.Time, error) {
	var content codec.Container
	age, err := k.open(value, &content)
	return content.Created.Add(age), err
}

// Load implements [txn.Storage].
func (k *Sealed) Load(_ context.Context, value string, into *txn.Image) (since time.Time, err error) {
	age, err := k.open(value, &into.Content)
	if err == nil && k.policy.Expired(&into.Content) {
		err = sessionerr.ErrExpired
	}
	return into.Content.Created.Add(age), err
}

// open fills in the content that a cookie's value seals, and returns how long
// after its creation it was written.
func (k *Sealed) open(value string, into *codec.Container) (age time.Duration, err error) {
	buf := scratches.Get().(*scratch)
	defer scratches.Put(buf)
	box, err := seal.AppendBox(buf[:0], value)
	if err != nil {
		return 0, sessionerr.ErrForm
	}
	plaintext, _, err := k.sealer.Open(box[len(box):], box, k.bound)
	if err != nil {
		return 0, sessionerr.ErrSeal
	}
	age, container, ok := cutAge(string(plaintext))
	if !ok {
		return 0, sessionerr.ErrContent
	}
	if *into, err = codec.Parse(container); err != nil {
		return 0, sessionerr.ErrContent
	}
	return age, nil
}

// aged begins a plaintext that says how long after its creation the session was
// written, which tells the newer of two cookies of one session. The milliseconds
// follow as a uvarint, and then the container, which begins with another byte. A
// session that begins with this cookie, or was written within a millisecond of
// its creation, is the container alone.
const aged = 0x20

func appendAge(dst []byte, created time.Time) []byte {
	if age := time.Since(created) / time.Millisecond; age > 0 {
		dst = binary.AppendUvarint(append(dst, aged), uint64(age))
	}
	return dst
}

func cutAge(plaintext string) (age time.Duration, container string, ok bool) {
	if plaintext == "" || plaintext[0] != aged {
		return 0, plaintext, true
	}
	n, size := binary.Uvarint([]byte(plaintext[1:min(len(plaintext), 1+binary.MaxVarintLen64)]))
	if size <= 0 || n > uint64(math.MaxInt64/time.Millisecond) {
		return 0, "", false
	}
	return time.Duration(n) * time.Millisecond, plaintext[1+size:], true
}

// Commit implements [txn.Storage].
func (k *Sealed) Commit(_ context.Context, w *txn.Work, r *txn.Result) error {
	return commit(&k.cookie, w, r, func(c *codec.Container, buf []byte) ([]byte, error) {
		c.Expires = k.policy.Expiry(c.Created)
		if w.Place == txn.Stored && w.Intent == txn.Save {
			buf = appendAge(buf, c.Created)
		}
		plaintext := c.Append(buf)
		box := k.sealer.Seal(plaintext[len(plaintext):], plaintext, k.bound)
		return seal.AppendText(box[len(box):], box), nil
	})
}

// commit makes the Set-Cookie line for a session that lives in its cookie, or
// none if it is empty. The oldest messages that the cookie has no room for are
// dropped. The encoder sets the times of the content; it may use buf.
func commit(k *cookie.Cookie, w *txn.Work, r *txn.Result, encode func(c *codec.Container, buf []byte) ([]byte, error)) error {
	r.Content = w.Content
	empty := r.Content.Empty()
	if w.Late && (!empty || w.Place == txn.Stored || w.Intent == txn.Destroy) {
		return sessionerr.ErrTooLate
	}
	if empty {
		return nil
	}
	buf := scratches.Get().(*scratch)
	defer scratches.Put(buf)
	for !r.Content.Empty() {
		text, err := encode(&r.Content, buf[:0])
		if err == nil {
			r.Line, err = k.Set(text, txn.MaxAge(&r.Content, r.Content.Expires))
		}
		if err == nil {
			r.At, r.Place, r.Size = w.At, txn.Stored, len(r.Line)
			return nil
		}
		if !errors.Is(err, sessionerr.ErrTooLarge) || !r.DropFlashes() {
			return err
		}
	}
	return nil
}
