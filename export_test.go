package ginsession

import (
	"bytes"
	"compress/zlib"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"time"
)

// SignFlask signs any text as Flask's cookie, so that tests can send what no
// app writes. It compresses it always.
func SignFlask(secret, text string, at time.Time) string {
	mac := func(key, text string) string {
		h := hmac.New(sha1.New, []byte(key))
		h.Write([]byte(text))
		return string(h.Sum(nil))
	}
	var packed bytes.Buffer
	w := zlib.NewWriter(&packed)
	_, _ = w.Write([]byte(text))
	_ = w.Close()
	encode := base64.RawURLEncoding.EncodeToString
	signed := "." + encode(packed.Bytes()) + "." + encode(binary.BigEndian.AppendUint32(nil, uint32(at.Unix())))
	return signed + "." + encode([]byte(mac(mac(secret, "cookie-session"), signed)))
}
