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
		Created:   signed, // of the last write; Flask keeps no other time
		Expires:   signed.Add(k.policy.Lifetime),
		Permanent: flask.True(parsed.Permanent),
	}
	into.Content.Fill(parsed.Entries, parsed.Flashes)
	into.At.Note = parsed.Permanent
	return signed, nil
}

// Commit implements [txn.Storage].
func (k *Flask) Commit(_ context.Context, w *txn.Work, r *txn.Result) error {
	permanent := w.At.Note // as it was spelled
	if w.Intent == txn.Destroy || w.Journal.Cleared() {
		permanent = ""
	}
	if w.Content.Permanent != flask.True(permanent) {
		permanent = strconv.FormatBool(w.Content.Permanent)
	}
	err := commit(&k.cookie, w, r, func(c *codec.Container, buf []byte) ([]byte, error) {
		now := time.Now()
		c.Created, c.Expires = now, now.Add(k.policy.Lifetime)
		session := flask.Session{Entries: c.Entries(), Flashes: c.Flashes(), Permanent: permanent}
		text, err := session.Append(buf)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", sessionerr.ErrValue, err)
		}
		value, err := k.signer.Sign(text[len(text):], text, now)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", sessionerr.ErrTooLarge, err)
		}
		return value, nil
	})
	if r.Place == txn.Stored {
		r.At.Note = permanent
	}
	return err
}
