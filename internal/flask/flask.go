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
	"hash"
	"io"
	"slices"
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
	keys []*sync.Pool // of hash.Hash: HMACs that have taken in their key
}

// NewSigner derives the keys from SECRET_KEY and SECRET_KEY_FALLBACKS. It does
// not keep the secrets.
func NewSigner(secrets ...string) *Signer {
	s := new(Signer)
	for _, secret := range secrets {
		h := hmac.New(sha1.New, []byte(secret))
		_, _ = io.WriteString(h, salt)
		key := h.Sum(nil)
		s.keys = append(s.keys, &sync.Pool{New: func() any { return hmac.New(sha1.New, key) }})
	}
	return s
}

// Sign appends the cookie for a JSON text to dst. A text of more than [MaxJSON]
// bytes is [ErrTooLarge].
func (s *Signer) Sign(dst, json []byte, now time.Time) ([]byte, error) {
	if len(json) > MaxJSON {
		return nil, ErrTooLarge
	}
	start := len(dst)
	dst = appendPayload(dst, json)
	var seconds [8]byte
	binary.BigEndian.PutUint64(seconds[:], uint64(now.Unix()))
	dst = encoding.AppendEncode(append(dst, '.'), bytes.TrimLeft(seconds[:], "\x00"))
	m := memories.Get().(*memory)
	defer memories.Put(m)
	return encoding.AppendEncode(append(dst, '.'), m.mac(s.keys[0], dst[start:])), nil
}

// appendPayload compresses the text if that makes it shorter.
func appendPayload(dst, json []byte) []byte {
	pool := &deflaters[0]
	if len(json) > fewBytes {
		pool = &deflaters[1]
	}
	d := pool.Get().(*deflater)
	defer pool.Put(d)
	if packed := d.deflate(json); len(packed) < len(json)-1 {
		if len(json) <= smallWindow && !mayBePermanent(json) {
			copy(packed, notPermanent)
		}
		return encoding.AppendEncode(append(dst, '.'), packed)
	}
	return encoding.AppendEncode(dst, json)
}

// Verify checks everything about a cookie but its payload, and returns the
// second in which it was signed. It decodes and inflates no payload, and
// computes no HMAC for a cookie that is not well-formed, so that a caller with
// many cookies of one name can choose among them at little cost. As in Flask, a
// cookie is too old if more than maxAge whole seconds have passed; signed is
// also returned with [ErrExpired].
func (s *Signer) Verify(cookie string, now time.Time, maxAge time.Duration) (signed time.Time, err error) {
	m := memories.Get().(*memory)
	defer memories.Put(m)
	_, signed, err = s.verify(m, cookie, now, maxAge)
	return signed, err
}

// Open checks a cookie as [Signer.Verify] does, and returns its JSON text as
// well, which has at most [MaxJSON] bytes.
func (s *Signer) Open(cookie string, now time.Time, maxAge time.Duration) (json string, signed time.Time, err error) {
	m := memories.Get().(*memory)
	defer memories.Put(m)
	payload, signed, err := s.verify(m, cookie, now, maxAge)
	if err != nil {
		return "", signed, err
	}
	text, err := m.open(payload, MaxJSON)
	if err != nil {
		return "", signed, errPayload
	}
	return string(text), signed, nil
}

const (
	// maxPeek bounds what [MayBePermanent] inflates, in bytes.
	maxPeek = 8 << 10

	// notPermanent is the header of a zlib stream with [smallWindow]. Sign puts
	// it before a short text that is not permanent. Python's zlib announces a
	// window of 32 KiB for every text.
	notPermanent = "\x28\x91"
	smallWindow  = 1 << 10
)

// MayBePermanent reports whether a cookie may hold a permanent session. It
// believes the cookie and verifies nothing: if it reports true, [Signer.Open] and
// [Parse] decide. It inflates at most 8 KiB, and nothing if Sign has compressed a
// session that is not permanent.
func MayBePermanent(cookie string) bool {
	p, ok := split(cookie)
	if !ok {
		return false
	}
	m := memories.Get().(*memory)
	defer memories.Put(m)
	m.text = append(m.text[:0], p.payload...)
	if compressed, ok := bytes.CutPrefix(m.text, []byte(".")); ok && len(compressed) >= 4 {
		var start [3]byte
		if _, err := decode(start[:], compressed[:4]); err == nil && string(start[:2]) == notPermanent {
			return false
		}
	}
	text, err := m.open(m.text, maxPeek)
	return err != nil || mayBePermanent(text)
}

// mayBePermanent reports whether a text may have the key for it. Python escapes
// neither a letter nor "_", but another writer may.
func mayBePermanent(text []byte) bool {
	return bytes.Contains(text, []byte(keyPermanent)) || escapesASCII(text)
}

// verify returns the payload of a good cookie, which is part of m.
func (s *Signer) verify(m *memory, cookie string, now time.Time, maxAge time.Duration) (payload []byte, signed time.Time, err error) {
	// 1. The form, which costs next to nothing.
	p, ok := split(cookie)
	if !ok {
		return nil, time.Time{}, ErrForm
	}

	// 2. The signature, before anything else is believed.
	m.text = append(m.text[:0], p.text...)
	if !s.signed(m, p.signature[:]) {
		return nil, time.Time{}, errSignature
	}

	// 3. The time.
	var when [6]byte
	n, err := decode(when[:], m.text[len(p.payload)+1:])
	if err != nil {
		return nil, time.Time{}, errTime
	}
	signed = time.Unix(bigEndian(when[:n]), 0)
	if age := now.Unix() - signed.Unix(); age < 0 || age > int64(maxAge/time.Second) {
		return nil, signed, ErrExpired
	}
	return m.text[:len(p.payload)], signed, nil
}

// parts are those of a well-formed cookie.
type parts struct {
	payload   string // base64url, not decoded
	text      string // the signed part: payload, dot and time
	signature [sha1.Size]byte
}

// split reports whether a cookie is well-formed, and returns its parts: a
// payload that is not empty, a time, and the canonical base64url of a
// signature, with dots between them. It allocates nothing.
func split(cookie string) (p parts, ok bool) {
	text, signature, _ := cutLast(cookie)
	payload, _, ok := cutLast(text)
	if !ok || len(signature) != encoding.EncodedLen(sha1.Size) {
		return parts{}, false
	}
	if packed := strings.TrimPrefix(payload, "."); packed == "" || strings.Contains(packed, ".") {
		return parts{}, false
	}
	p = parts{payload: payload, text: text}
	n, err := encoding.Decode(p.signature[:], []byte(signature))
	return p, err == nil && n == sha1.Size // fewer bytes if it skipped CR or LF
}

func (s *Signer) signed(m *memory, signature []byte) bool {
	for _, key := range s.keys {
		if hmac.Equal(signature, m.mac(key, m.text)) {
			return true
		}
	}
	return false
}

// memory is what it takes to read a cookie, to be used again.
type memory struct {
	text     []byte // the signed part of the cookie
	packed   []byte // what its payload decodes to
	json     []byte // what that inflates to
	sum      [sha1.Size]byte
	inflater inflater
}

var memories = sync.Pool{New: func() any { return new(memory) }}

// open returns the JSON text of a payload, of up to limit bytes. It is part of m.
// Neither Flask nor Sign compresses a text that would not become shorter, so the
// limit holds for what base64 decodes to as well.
func (m *memory) open(payload []byte, limit int) (json []byte, err error) {
	packed, compressed := bytes.CutPrefix(payload, []byte("."))
	size := encoding.DecodedLen(len(packed))
	if size > limit {
		return nil, ErrInvalid
	}
	m.packed = slices.Grow(m.packed[:0], size)[:size]
	if _, err = decode(m.packed, packed); err != nil || !compressed {
		return m.packed, err
	}
	m.json, err = m.inflater.inflate(m.json[:0], m.packed, limit)
	return m.json, err
}

// mac returns the HMAC of a text. It is part of m.
func (m *memory) mac(key *sync.Pool, text []byte) []byte {
	h := key.Get().(hash.Hash)
	defer key.Put(h)
	h.Reset()
	_, _ = h.Write(text)
	return h.Sum(m.sum[:0])
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

// decode decodes all of text into dst, which must have room for it.
func decode(dst, text []byte) (n int, err error) {
	size := encoding.DecodedLen(len(text))
	if size > len(dst) {
		return 0, ErrInvalid
	}
	if n, err = encoding.Decode(dst, text); n != size {
		return 0, ErrInvalid
	}
	return n, err
}

func bigEndian(b []byte) int64 {
	var v int64
	for _, c := range b {
		v = v<<8 | int64(c)
	}
	return v
}

// fewBytes is how long a text may be to be compressed at zlib's fastest level.
// Most sessions are shorter; their cookies grow by about 3 %, while the default level
// clears 640 kB for each of them. A longer session has to fit into the cookie.
const fewBytes = 1 << 10

// deflaters are for texts of up to [fewBytes] and for longer ones. A new one
// takes up to 1 MB.
var deflaters = [2]sync.Pool{
	{New: func() any { return newDeflater(zlib.BestSpeed) }},
	{New: func() any { return newDeflater(zlib.DefaultCompression) }},
}

type deflater struct {
	packed bytes.Buffer
	writer *zlib.Writer
}

func newDeflater(level int) *deflater {
	d := new(deflater)
	d.writer, _ = zlib.NewWriterLevel(&d.packed, level)
	return d
}

// deflate compresses a text. The result is good until the next call.
func (d *deflater) deflate(text []byte) []byte {
	d.packed.Reset()
	d.writer.Reset(&d.packed)
	_, _ = d.writer.Write(text) // a buffer takes everything
	_ = d.writer.Close()
	return d.packed.Bytes()
}
