// Package seal encrypts and authenticates bytes under keys derived from an
// app's secrets, and encodes them as text that fits into a cookie.
//
// A box is a random 24-byte nonce followed by the XChaCha20-Poly1305
// ciphertext. Its text is unpadded base64url (RFC 4648, section 5). Only the
// canonical encoding is accepted, so that a box has only one text that opens.
package seal

import (
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/crypto/chacha20poly1305"
)

// Overhead is what sealing adds to a plaintext, in bytes.
const Overhead = chacha20poly1305.NonceSizeX + chacha20poly1305.Overhead

// ErrOpen is returned if no key for this purpose opens the box with these
// additional data. It does not distinguish a wrong key from a damaged box.
var ErrOpen = errors.New("seal: does not open")

// Sealer seals under the first secret's key and opens under every secret's.
// It is safe for concurrent use.
type Sealer struct {
	keys []cipher.AEAD
}

// New derives a key for purpose from each secret with HKDF-SHA-256 (RFC
// 5869); the keys of two purposes are independent of each other. The Sealer
// keeps the keys, not the secrets. New returns an error if the Go runtime forbids
// the cipher (FIPS 140-only mode, from Go 1.26).
func New(purpose string, secrets ...string) (*Sealer, error) {
	s := new(Sealer)
	for _, secret := range secrets {
		key, err := hkdf.Key(sha256.New, []byte(secret), nil, purpose, chacha20poly1305.KeySize)
		if err != nil {
			return nil, fmt.Errorf("deriving a key: %w", err)
		}
		aead, err := chacha20poly1305.NewX(key)
		if err != nil {
			return nil, fmt.Errorf("setting up the cipher: %w", err)
		}
		s.keys = append(s.keys, aead)
	}
	return s, nil
}

// Seal encrypts plaintext, binds it to the additional data, and appends the
// box to dst. It needs at least one secret. Like the functions below, it
// allocates nothing if dst has the capacity.
func (s *Sealer) Seal(dst, plaintext, additional []byte) []byte {
	start := len(dst)
	dst = slices.Grow(dst, len(plaintext)+Overhead)[:start+chacha20poly1305.NonceSizeX]
	nonce := dst[start:]
	_, _ = rand.Read(nonce) // never fails: it crashes the program instead
	return s.keys[0].Seal(dst, nonce, plaintext, additional)
}

// Open decrypts a box that [Sealer.Seal] made with the same additional data,
// trying the keys in order, and appends the plaintext to dst. The box is current
// if the first key opened it. The error is [ErrOpen].
func (s *Sealer) Open(dst, box, additional []byte) (plaintext []byte, current bool, err error) {
	if len(box) < Overhead {
		return nil, false, ErrOpen
	}
	nonce, ciphertext := box[:chacha20poly1305.NonceSizeX], box[chacha20poly1305.NonceSizeX:]
	for i, key := range s.keys {
		if plaintext, err := key.Open(dst, nonce, ciphertext, additional); err == nil {
			return plaintext, i == 0, nil
		}
	}
	return nil, false, ErrOpen
}

// encoding refuses spare bits but skips CR and LF, which [AppendBox] detects.
var encoding = base64.RawURLEncoding.Strict()

// AppendText appends a box, encoded as canonical base64url, to dst.
func AppendText(dst, box []byte) []byte { return encoding.AppendEncode(dst, box) }

// TextLen returns the length of the text of a box with n bytes of plaintext.
func TextLen(n int) int { return encoding.EncodedLen(n + Overhead) }

// AppendBox decodes a text of [AppendText] and appends the box to dst. Every
// other text is [ErrOpen].
func AppendBox(dst []byte, text string) ([]byte, error) {
	start := len(dst)
	size := encoding.DecodedLen(len(text))
	dst = slices.Grow(dst, size)[:start+size]
	n, err := encoding.Decode(dst[start:], []byte(text))
	if err != nil || n < size || len(text)%4 == 1 { // fewer bytes, or one character too many: CR or LF was skipped
		return nil, ErrOpen
	}
	return dst, nil
}
