// Package flask reads and writes the session cookie of Flask, byte for byte:
//
//	cookie  = payload "." time "." signature
//	payload = base64url(json), or "." base64url(zlib(json)) where that is shorter
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

// MaxJSON is the most that a payload may inflate to, in bytes: a cookie of
// 97 kB could hold 100 MB.
const MaxJSON = 1 << 20

// salt is what Flask derives the key for sessions with.
const salt = "cookie-session"

var (
	// ErrInvalid says that no secret signed this, or that it is no session.
	ErrInvalid = errors.New("flask: not a session cookie of this app")

	// ErrExpired says that it was signed too long ago, or in the future.
	ErrExpired = errors.New("flask: the session cookie is too old")
)

var (
	errSignature = fmt.Errorf("%w: no secret has signed it", ErrInvalid)
	errTime      = fmt.Errorf("%w: it is signed, and its time is none", ErrInvalid)
	errPayload   = fmt.Errorf("%w: it is signed, and its payload does not decode or inflates to more than 1 MiB", ErrInvalid)
)

// Signer signs with the first secret and accepts the signatures of all of
// them. It is safe for concurrent use.
type Signer struct {
	keys [][]byte
}

// NewSigner derives the keys from SECRET_KEY and SECRET_KEY_FALLBACKS.
func NewSigner(secrets ...string) *Signer {
	s := new(Signer)
	for _, secret := range secrets {
		s.keys = append(s.keys, mac([]byte(secret), salt))
	}
	return s
}

// Sign gives the cookie for a JSON text.
func (s *Signer) Sign(json []byte, now time.Time) string {
	payload := encoding.EncodeToString(json)
	if packed := deflate(json); len(packed) < len(json)-1 {
		payload = "." + encoding.EncodeToString(packed)
	}
	seconds := binary.BigEndian.AppendUint64(nil, uint64(now.Unix()))
	text := payload + "." + encoding.EncodeToString(bytes.TrimLeft(seconds, "\x00"))
	return text + "." + encoding.EncodeToString(mac(s.keys[0], text))
}

// Open checks a cookie and gives its JSON text and the second in which it was
// signed. As in Flask, it is too old when more than maxAge whole seconds have
// passed.
func (s *Signer) Open(cookie string, now time.Time, maxAge time.Duration) (json []byte, signed time.Time, err error) {
	// 1. The signature, before anything else is believed.
	text, signature, ok := cutLast(cookie)
	if !ok || !s.verifies(text, signature) {
		return nil, time.Time{}, errSignature
	}

	// 2. The time.
	payload, seconds, ok := cutLast(text)
	when, err := decode(seconds)
	if !ok || err != nil || len(when) > 6 {
		return nil, time.Time{}, errTime
	}
	signed = time.Unix(bigEndian(when), 0)
	if age := now.Unix() - signed.Unix(); age < 0 || age > int64(maxAge/time.Second) {
		return nil, signed, ErrExpired
	}

	// 3. The payload.
	packed, compressed := strings.CutPrefix(payload, ".")
	json, err = decode(packed)
	if err == nil && compressed {
		json, err = inflate(json)
	}
	if err != nil {
		return nil, signed, errPayload
	}
	return json, signed, nil
}

func (s *Signer) verifies(text, signature string) bool {
	given, err := decode(signature)
	if err != nil {
		return false
	}
	for _, key := range s.keys {
		if hmac.Equal(given, mac(key, text)) {
			return true
		}
	}
	return false
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

// encoding refuses spare bits, but skips CR and LF, which decode refuses.
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

// writers are for [deflate]: a new one takes 800 kB, and nine tenths of the time
// of a write.
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

// readers are for [inflate]: a new one takes 40 kB, and two thirds of the time
// of a read.
var readers sync.Pool

func inflate(data []byte) ([]byte, error) {
	r, err := newReader(data)
	if err != nil {
		return nil, err
	}
	defer readers.Put(r)
	json, err := io.ReadAll(io.LimitReader(r, MaxJSON+1))
	if err == nil && len(json) > MaxJSON {
		err = ErrInvalid
	}
	return json, err
}

func newReader(data []byte) (io.Reader, error) {
	if r, ok := readers.Get().(io.Reader); ok {
		return r, r.(zlib.Resetter).Reset(bytes.NewReader(data), nil)
	}
	return zlib.NewReader(bytes.NewReader(data))
}
