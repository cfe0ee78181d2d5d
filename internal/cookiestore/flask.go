package cookiestore

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/ginsession/ginsession/internal/codec"
	"github.com/ginsession/ginsession/internal/cookie"
	"github.com/ginsession/ginsession/internal/flask"
	"github.com/ginsession/ginsession/internal/sessionerr"
	"github.com/ginsession/ginsession/internal/txn"
)

// Flask keeps the session in the cookie of a Flask app: signed, readable by its
// owner. It is safe for concurrent use.
type Flask struct {
	policy txn.Policy
	cookie cookie.Cookie
	signer *flask.Signer
}

// NewFlask returns a storage that signs with the first secret.
func NewFlask(policy txn.Policy, k cookie.Cookie, secrets []string) *Flask {
	return &Flask{policy: policy, cookie: k, signer: flask.NewSigner(secrets...)}
}

// Rank implements [txn.Storage].
func (k *Flask) Rank(value string) (time.Time, error) {
	signed, err := k.signer.Verify(value, time.Now(), k.policy.Lifetime)
	switch {
	case errors.Is(err, flask.ErrForm):
		return time.Time{}, sessionerr.ErrForm
	case errors.Is(err, flask.ErrExpired):
		return signed, nil
	}
	return signed, err
}

// Load implements [txn.Storage].
func (k *Flask) Load(_ context.Context, value string, into *txn.Image) (since time.Time, err error) {
	text, signed, err := k.signer.Open(value, time.Now(), k.policy.Lifetime)
	if errors.Is(err, flask.ErrExpired) {
		return since, sessionerr.ErrExpired
	}
	if err != nil {
		return since, fmt.Errorf("%w: %w", sessionerr.ErrInvalid, err)
	}
	parsed, err := flask.Parse(text)
	if err != nil {
		return since, sessionerr.ErrContent
	}
	into.Content = codec.Container{
		Created:   codec.InstantOf(signed), // of the last write; Flask keeps no other time
		Life:      k.policy.Lifetime,
		Permanent: flask.True(parsed.Permanent),
	}
	into.Content.Fill(parsed.Entries, parsed.Flashes)
	into.At.Note = parsed.Permanent
	return signed, nil
}

// MayRoll implements [txn.Roller].
func (*Flask) MayRoll(value string) bool { return flask.MayBePermanent(value) }

// Create implements [txn.Storage].
func (k *Flask) Create(_ context.Context, w *txn.Work, r *txn.Result) error {
	permanent := w.At.Note // as it was encoded
	if w.Intent == txn.Destroy || w.Journal.Cleared() {
		permanent = ""
	}
	if w.Content.Permanent != flask.True(permanent) {
		permanent = strconv.FormatBool(w.Content.Permanent)
	}
	for !r.Content.Empty() {
		err := k.sign(r, permanent)
		if err == nil {
			r.At.Note, r.Place, r.Size = permanent, txn.Stored, len(r.Line)
			return nil
		}
		if !errors.Is(err, sessionerr.ErrTooLarge) || !r.DropFlashes() {
			return err
		}
	}
	return nil
}

func (k *Flask) sign(r *txn.Result, permanent string) error {
	now := time.Now()
	r.Content.Created, r.Content.Life = codec.InstantOf(now), k.policy.Lifetime
	session := flask.Session{Entries: r.Content.Entries(), Flashes: r.Content.Flashes(), Permanent: permanent}
	buf := scratches.Get().(*scratch)
	defer scratches.Put(buf)
	text, err := session.Append(buf[:0])
	if err != nil {
		return fmt.Errorf("%w: %w", sessionerr.ErrValue, err)
	}
	value, err := k.signer.Sign(text[len(text):], text, now)
	if err != nil {
		return fmt.Errorf("%w: %w", sessionerr.ErrTooLarge, err)
	}
	r.Line, err = k.cookie.Set(value, txn.MaxAge(r.Content, k.policy.End(r.Content)))
	return err
}

// Change implements [txn.Storage]: the last write wins.
func (k *Flask) Change(ctx context.Context, w *txn.Work, r *txn.Result) error {
	return k.Create(ctx, w, r)
}

// Renew implements [txn.Storage]. Flask's form has no id.
func (k *Flask) Renew(ctx context.Context, w *txn.Work, r *txn.Result) error {
	return k.Create(ctx, w, r)
}

// End implements [txn.Storage]. A copy of the cookie opens until its lifetime has
// passed.
func (*Flask) End(context.Context, txn.Locator) error { return nil }
