package apptest

import (
	"bytes"
	"compress/zlib"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/chacha20poly1305"
)

// SignFlask signs a JSON text as Flask's cookie, compressed, so that tests can
// send what no app writes.
func SignFlask(secret, text string, at time.Time) string {
	var packed bytes.Buffer
	w := zlib.NewWriter(&packed)
	_, _ = w.Write([]byte(text))
	_ = w.Close()
	mac := func(key []byte, text string) []byte {
		h := hmac.New(sha1.New, key)
		h.Write([]byte(text))
		return h.Sum(nil)
	}
	encode := base64.RawURLEncoding.EncodeToString
	signed := "." + encode(packed.Bytes()) + "." + encode(binary.BigEndian.AppendUint32(nil, uint32(at.Unix())))
	return signed + "." + encode(mac(mac([]byte(secret), "cookie-session"), signed))
}

// Unseal opens what a middleware under [Secret] has sealed for a purpose, with
// nothing but what docs/SECURITY-MODEL.md says about it. The text of a cookie
// is to be decoded before.
func Unseal(t testing.TB, box []byte, purpose string, bound ...string) []byte {
	t.Helper()
	key, err := hkdf.Key(sha256.New, []byte(Secret), nil, purpose, chacha20poly1305.KeySize)
	if err != nil {
		t.Fatal(err)
	}
	aead, err := chacha20poly1305.NewX(key)
	if err != nil {
		t.Fatal(err)
	}
	nonce, ciphertext := box[:chacha20poly1305.NonceSizeX], box[chacha20poly1305.NonceSizeX:]
	data := strings.Join(append([]string{purpose}, bound...), "\x00")
	plaintext, err := aead.Open(nil, nonce, ciphertext, []byte(data))
	if err != nil {
		t.Fatalf("%s: %v", purpose, err)
	}
	return plaintext
}
