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
	found, err := k.open(value)
	return found.Since, err
}

// Load implements [txn.Storage].
func (k *Sealed) Load(_ context.Context, value string) (txn.Found, error) {
	found, err := k.open(value)
	if err == nil && k.policy.Expired(&found.Content) {
		return txn.Found{}, sessionerr.ErrExpired
	}
	return found, err
}

func (k *Sealed) open(value string) (txn.Found, error) {
	buf := scratches.Get().(*scratch)
	defer scratches.Put(buf)
	box, err := seal.AppendBox(buf[:0], value)
	if err != nil {
		return txn.Found{}, sessionerr.ErrForm
	}
	plaintext, _, err := k.sealer.Open(box[len(box):], box, k.bound)
	if err != nil {
		return txn.Found{}, sessionerr.ErrSeal
	}
	age, container, ok := cutAge(string(plaintext))
	if !ok {
		return txn.Found{}, sessionerr.ErrContent
	}
	content, err := codec.Parse(container)
	if err != nil {
		return txn.Found{}, sessionerr.ErrContent
	}
	return txn.Found{Content: content, Since: content.Created.Add(age)}, nil
}

// aged begins a plaintext that says how long after its creation the session was
// written, which tells the newer of two cookies of one session. The milliseconds
// follow as a uvarint, and then the container, which begins with another byte. A
// session that was written within a millisecond of its creation is the container
// alone.
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
func (k *Sealed) Commit(_ context.Context, w *txn.Work) (txn.Result, error) {
	return commit(&k.cookie, w, func(c codec.Container, buf []byte) (codec.Container, []byte, error) {
		c.Expires = k.policy.Expiry(c.Created)
		plaintext := c.Append(appendAge(buf, c.Created))
		box := k.sealer.Seal(plaintext[len(plaintext):], plaintext, k.bound)
		return c, seal.AppendText(box[len(box):], box), nil
	})
}

// commit returns the Set-Cookie line for a session that lives in its cookie, or
// none if it is empty. The oldest messages that the cookie has no room for are
// dropped. The encoder sets the times of the content; it may use buf.
func commit(k *cookie.Cookie, w *txn.Work, encode func(c codec.Container, buf []byte) (codec.Container, []byte, error)) (txn.Result, error) {
	r := txn.Result{Content: w.Content}
	empty := r.Content.Empty()
	if w.Late && (!empty || w.Place == txn.Stored || w.Intent == txn.Destroy) {
		return txn.Result{}, sessionerr.ErrTooLate
	}
	if empty {
		return r, nil
	}
	r.At, r.Place = w.At, txn.Stored
	buf := scratches.Get().(*scratch)
	defer scratches.Put(buf)
	for {
		content, text, err := encode(r.Content, buf[:0])
		if err == nil {
			r.Content = content
			r.Line, err = k.Set(text, txn.MaxAge(&r.Content, r.Content.Expires))
		}
		if !errors.Is(err, sessionerr.ErrTooLarge) {
			r.Size = len(r.Line)
			return r, err
		}
		if !r.DropFlashes() {
			return txn.Result{}, err
		}
		if r.Content.Empty() {
			return txn.Result{Content: r.Content, Dropped: r.Dropped}, nil
		}
	}
}
