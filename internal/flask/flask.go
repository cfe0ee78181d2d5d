// Package flask reads and writes the session cookie of Flask, byte for byte:
//
//	cookie  = payload "." time "." signature
//	payload = base64url(json), or "." base64url(zlib(json)) if that is shorter
//
// The signature is HMAC-SHA1 under a key that itsdangerous derives from the
// app's secret. The cookie is signed, not encrypted.
package flask

import (
	"bytes"
	"compress/zlib"
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // Flask's choice; HMAC does not need collision resistance
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

// MaxJSON is the length of the longest JSON text that is signed or opened, in
// bytes: 16 times what fits into a cookie. Without a limit, a cookie of 97 kB
// could inflate to 100 MB.
const MaxJSON = 64 << 10

// salt is the one with which Flask derives the key for sessions.
const salt = "cookie-session"

var (
	// ErrInvalid is returned for a cookie that no secret has signed, and for one
	// that does not hold a session.
	ErrInvalid = errors.New("flask: not a session cookie of this app")

	// ErrExpired is returned for a cookie that was signed too long ago, or in the
	// future.
	ErrExpired = errors.New("flask: the session cookie is too old")

	// ErrTooLarge is returned for a JSON text of more than [MaxJSON] bytes, which
	// is not signed because it would not be opened again.
	ErrTooLarge = errors.New("flask: the session's JSON is longer than 64 KiB")
)

var (
	// ErrForm is the [ErrInvalid] of a cookie that is refused before anything
	// is computed.
	ErrForm      = fmt.Errorf("%w: it does not consist of a payload, a time and a signature", ErrInvalid)
	errSignature = fmt.Errorf("%w: no secret has signed it", ErrInvalid)
	errTime      = fmt.Errorf("%w: it is signed, but its time does not decode", ErrInvalid)
	errPayload   = fmt.Errorf("%w: it is signed, but its payload does not decode or is longer than 64 KiB", ErrInvalid)
)

// Signer signs with the first secret and accepts the signatures of all of
// them. It is safe for concurrent use.
type Signer struct {
	keys [][]byte
}

// NewSigner derives the keys from SECRET_KEY and SECRET_KEY_FALLBACKS. It does
// not keep the secrets.
func NewSigner(secrets ...string) *Signer {
	s := new(Signer)
	for _, secret := range secrets {
		s.keys = append(s.keys, mac([]byte(secret), salt))
	}
	return s
}

// Sign returns the cookie for a JSON text. A text of more than [MaxJSON] bytes
// is [ErrTooLarge].
func (s *Signer) Sign(json []byte, now time.Time) (string, error) {
	if len(json) > MaxJSON {
		return "", ErrTooLarge
	}
	payload := encoding.EncodeToString(json)
	if packed := deflate(json); len(packed) < len(json)-1 {
		payload = "." + encoding.EncodeToString(packed)
	}
	seconds := binary.BigEndian.AppendUint64(nil, uint64(now.Unix()))
	text := payload + "." + encoding.EncodeToString(bytes.TrimLeft(seconds, "\x00"))
	return text + "." + encoding.EncodeToString(mac(s.keys[0], text)), nil
}

// Verify checks everything about a cookie but its payload, and returns the
// second in which it was signed. It decodes and inflates no payload, and
// computes no HMAC for a cookie that is not well-formed, so that a caller with
// many cookies of one name can choose among them at little cost. As in Flask, a
// cookie is too old if more than maxAge whole seconds have passed; signed is
// also returned with [ErrExpired].
func (s *Signer) Verify(cookie string, now time.Time, maxAge time.Duration) (signed time.Time, err error) {
	_, signed, err = s.verify(cookie, now, maxAge)
	return signed, err
}

// Open checks a cookie as [Signer.Verify] does, and returns its JSON text as
// well, which has at most [MaxJSON] bytes.
func (s *Signer) Open(cookie string, now time.Time, maxAge time.Duration) (json []byte, signed time.Time, err error) {
	payload, signed, err := s.verify(cookie, now, maxAge)
	if err != nil {
		return nil, signed, err
	}
	if json, err = decodePayload(payload); err != nil {
		return nil, signed, errPayload
	}
	return json, signed, nil
}

func (s *Signer) verify(cookie string, now time.Time, maxAge time.Duration) (payload string, signed time.Time, err error) {
	// 1. The form, which costs next to nothing.
	p, ok := split(cookie)
	if !ok {
		return "", time.Time{}, ErrForm
	}

	// 2. The signature, before anything else is believed.
	if !s.signed(p.text, p.signature[:]) {
		return "", time.Time{}, errSignature
	}

	// 3. The time.
	when, err := decode(p.seconds)
	if err != nil || len(when) > 6 {
		return "", time.Time{}, errTime
	}
	signed = time.Unix(bigEndian(when), 0)
	if age := now.Unix() - signed.Unix(); age < 0 || age > int64(maxAge/time.Second) {
		return "", signed, ErrExpired
	}
	return p.payload, signed, nil
}

// parts are those of a well-formed cookie.
type parts struct {
	payload, seconds string // base64url, not decoded
	text             string // the signed part: payload, dot and seconds
	signature        [sha1.Size]byte
}

// split reports whether a cookie is well-formed, and returns its parts: a
// payload that is not empty, a time, and the canonical base64url of a
// signature, with dots between them. It allocates nothing.
func split(cookie string) (p parts, ok bool) {
	text, signature, _ := cutLast(cookie)
	payload, seconds, ok := cutLast(text)
	if !ok || len(signature) != encoding.EncodedLen(sha1.Size) {
		return parts{}, false
	}
	if packed := strings.TrimPrefix(payload, "."); packed == "" || strings.Contains(packed, ".") {
		return parts{}, false
	}
	p = parts{payload: payload, seconds: seconds, text: text}
	n, err := encoding.Decode(p.signature[:], []byte(signature))
	return p, err == nil && n == sha1.Size // fewer bytes if it skipped CR or LF
}

func (s *Signer) signed(text string, signature []byte) bool {
	for _, key := range s.keys {
		if hmac.Equal(signature, mac(key, text)) {
			return true
		}
	}
	return false
}

// decodePayload returns the JSON text of a payload. Neither Flask nor Sign
// compresses a text that would not become shorter, so the limit holds for what
// base64 decodes to as well.
func decodePayload(payload string) ([]byte, error) {
	packed, compressed := strings.CutPrefix(payload, ".")
	if encoding.DecodedLen(len(packed)) > MaxJSON {
		return nil, ErrInvalid
	}
	json, err := decode(packed)
	if err == nil && compressed {
		json, err = inflate(json)
	}
	return json, err
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha1.New, key)
	_, _ = io.WriteString(h, text)
	return h.Sum(nil)
}

func cutLast(s string) (before, after string, ok bool) {
	i := strings.LastIndexByte(s, '.')
	if i < 0 {
		return "", "", false
	}
	return s[:i], s[i+1:], true
}

// encoding refuses spare bits but skips CR and LF, which decode refuses.
var encoding = base64.RawURLEncoding.Strict()

func decode(text string) ([]byte, error) {
	if strings.ContainsAny(text, "\r\n") {
		return nil, ErrInvalid
	}
	return encoding.DecodeString(text)
}

func bigEndian(b []byte) int64 {
	var v int64
	for _, c := range b {
		v = v<<8 | int64(c)
	}
	return v
}

// writers are for [deflate]: a new one takes 800 kB and most of the time of a
// write.
var writers = sync.Pool{New: func() any { return zlib.NewWriter(nil) }}

func deflate(data []byte) []byte {
	var b bytes.Buffer
	w := writers.Get().(*zlib.Writer)
	defer writers.Put(w)
	w.Reset(&b)
	_, _ = w.Write(data) // a buffer takes everything
	_ = w.Close()
	return b.Bytes()
}

// readers are for [inflate]: a new one takes 40 kB and most of the time of a
// read.
var readers sync.Pool

func inflate(data []byte) ([]byte, error) {
	r, err := newReader(data)
	if err != nil {
		return nil, err
	}
	defer readers.Put(r)
	json, err := io.ReadAll(io.LimitReader(r, MaxJSON+1))
	if len(json) > MaxJSON {
		return nil, ErrInvalid
	}
	return json, err
}

func newReader(data []byte) (io.Reader, error) {
	if r, ok := readers.Get().(io.Reader); ok {
		return r, r.(zlib.Resetter).Reset(bytes.NewReader(data), nil)
	}
	return zlib.NewReader(bytes.NewReader(data))
}
