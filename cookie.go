package ginsession

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/ginsession/ginsession/internal/codec"
	"github.com/ginsession/ginsession/internal/flask"
	"github.com/ginsession/ginsession/internal/seal"
)

// maxSetCookie is the length of a whole Set-Cookie line that every browser
// takes, in bytes.
const maxSetCookie = 4096

// cookie reads and writes the session's cookie: its name, attributes and
// size. What the value means is up to the [storage].
type cookie struct {
	name       string
	attributes string // all but Max-Age
}

func newCookie(c *config) cookie {
	var b strings.Builder
	b.WriteString("; Path=" + c.Path)
	if c.Domain != "" {
		b.WriteString("; Domain=" + c.Domain)
	}
	if c.HTTPOnly {
		b.WriteString("; HttpOnly")
	}
	if c.Secure {
		b.WriteString("; Secure")
	}
	switch c.SameSite {
	case http.SameSiteLaxMode:
		b.WriteString("; SameSite=Lax")
	case http.SameSiteStrictMode:
		b.WriteString("; SameSite=Strict")
	case http.SameSiteNoneMode:
		b.WriteString("; SameSite=None")
	}
	if c.Partitioned {
		b.WriteString("; Partitioned")
	}
	return cookie{name: c.Name, attributes: b.String()}
}

// values gives the value of every cookie of this name, in the order in which
// they came. A browser can send several: of other paths, or planted by a
// neighbouring subdomain.
func (k *cookie) values(h http.Header) iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, line := range h["Cookie"] {
			for line != "" {
				var pair string
				pair, line, _ = strings.Cut(line, ";")
				name, value, _ := strings.Cut(textproto.TrimString(pair), "=")
				if name == k.name && !yield(value) {
					return
				}
			}
		}
	}
}

// came tells whether the request has any cookie of this name.
func (k *cookie) came(h http.Header) bool {
	for range k.values(h) {
		return true
	}
	return false
}

// isSet tells whether the response has a Set-Cookie line of this name.
func (k *cookie) isSet(h http.Header) bool {
	return slices.ContainsFunc(h["Set-Cookie"], func(line string) bool { return strings.HasPrefix(line, k.name+"=") })
}

// set gives the Set-Cookie line for a value. The cookie goes with the browser
// window where maxAge is 0.
func (k *cookie) set(value []byte, maxAge time.Duration) (string, error) {
	line := k.name + "=" + string(value) + k.attributes
	if maxAge > 0 {
		seconds := 1 + int64((maxAge-1)/time.Second) // rounded up
		line += "; Max-Age=" + strconv.FormatInt(seconds, 10)
	}
	if len(line) > maxSetCookie {
		return "", fmt.Errorf("%w: its Set-Cookie line has %d bytes, and browsers need take no more than %d; keep less in it",
			ErrTooLarge, len(line), maxSetCookie)
	}
	return line, nil
}

// expire gives the Set-Cookie line that makes the browser drop the cookie.
func (k *cookie) expire() string {
	return k.name + "=" + k.attributes + "; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT"
}

// scratch is memory for sealing and opening, which is not needed any longer
// than that. It saves a read 2 of 7 allocations.
type scratch [12 << 10]byte // session, box and text of the largest cookie

var scratches = sync.Pool{New: func() any { return new(scratch) }}

// purposeCookie separates the key for sealed cookies from those for all else,
// and future formats from this one.
const purposeCookie = "ginsession cookie 1"

// sealedCookie keeps the whole session, encrypted, in the cookie's value. The
// name is bound to it, so that a cookie cannot be passed off as another
// session of the same app.
type sealedCookie struct {
	sealer *seal.Sealer
	bound  []byte
}

func newSealedCookie(c *config) (*sealedCookie, error) {
	sealer, err := seal.New(purposeCookie, c.secrets()...)
	if err != nil {
		return nil, fmt.Errorf("ginsession: %w", err)
	}
	return &sealedCookie{sealer: sealer, bound: []byte(purposeCookie + "\x00" + c.Name)}, nil
}

func (k *sealedCookie) load(_ context.Context, s *Session, value string) error {
	if len(value) > maxSetCookie { // before it is decoded
		return errSpelling
	}
	buf := scratches.Get().(*scratch)
	defer scratches.Put(buf)
	box, err := seal.AppendBox(buf[:0], value)
	if err != nil {
		return errSpelling
	}
	plaintext, _, err := k.sealer.Open(box[len(box):], box, k.bound)
	if err != nil {
		return errSeal
	}
	content, err := codec.Parse(string(plaintext))
	if err != nil {
		return errContent
	}
	if s.m.expired(&content) {
		return ErrExpired
	}
	s.content = content
	return nil
}

func (k *sealedCookie) commit(_ context.Context, s *Session) (line string, err error) {
	return s.cookieOrNone(func(buf []byte) ([]byte, error) {
		s.content.Expires = s.m.expiry(s.content.Created)
		plaintext := s.content.Append(buf)
		box := k.sealer.Seal(plaintext[len(plaintext):], plaintext, k.bound)
		return seal.AppendText(box[len(box):], box), nil
	})
}

// cookieOrNone gives the Set-Cookie line for a session that lives in its
// cookie: with the value, or, emptied, to take it out of the browser. The value
// may use buf.
func (s *Session) cookieOrNone(value func(buf []byte) ([]byte, error)) (line string, err error) {
	if s.content.Empty() {
		if line = s.expireCookie(); line == "" {
			return "", nil
		}
	} else {
		buf := scratches.Get().(*scratch)
		defer scratches.Put(buf)
		text, err := value(buf[:0])
		if err != nil {
			return "", err
		}
		if line, err = s.m.cookie.set(text, s.maxAge(s.content.Expires)); err != nil {
			return "", err
		}
	}
	if s.headersGone {
		return "", errLate
	}
	return line, nil
}

// flaskCookie keeps the session in the cookie of a Flask app: signed, readable
// by its owner.
type flaskCookie struct {
	signer *flask.Signer
}

func newFlaskCookie(secrets []string) *flaskCookie {
	return &flaskCookie{flask.NewSigner(secrets...)}
}

func (k *flaskCookie) load(_ context.Context, s *Session, value string) error {
	if len(value) > maxSetCookie { // before it is decoded
		return errSpelling
	}
	text, signed, err := k.signer.Open(value, time.Now(), s.m.Lifetime)
	if errors.Is(err, flask.ErrExpired) {
		return ErrExpired
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	parsed, err := flask.Parse(text)
	if err != nil {
		return errContent
	}
	s.content = codec.Container{
		Created: signed, // of the last write; Flask keeps no other time
		Expires: signed.Add(s.m.Lifetime),
	}
	s.content.Fill(parsed.Entries, parsed.Flashes)
	s.flaskPermanent = parsed.Permanent
	s.content.Permanent = flask.True(parsed.Permanent)
	return nil
}

func (k *flaskCookie) commit(_ context.Context, s *Session) (line string, err error) {
	return s.cookieOrNone(func([]byte) ([]byte, error) {
		now := time.Now()
		s.content.Created, s.content.Expires = now, now.Add(s.m.Lifetime)
		session := flask.Session{Entries: s.content.Entries(), Flashes: s.content.Flashes(), Permanent: s.flaskPermanent}
		if s.content.Permanent != flask.True(s.flaskPermanent) {
			session.Permanent = strconv.FormatBool(s.content.Permanent)
		}
		text, err := session.Dump()
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrValue, err)
		}
		value, err := k.signer.Sign(text, now)
		if err != nil {
			return nil, fmt.Errorf("%w: %w; keep less in it", ErrTooLarge, err)
		}
		return []byte(value), nil
	})
}
