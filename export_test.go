package ginsession

import (
	"time"

	"github.com/ginsession/ginsession/internal/flask"
	"github.com/ginsession/ginsession/internal/seal"
)

// SignFlask signs any text as Flask's cookie, so that tests can send what no
// app writes.
func SignFlask(secret, text string, at time.Time) string {
	return flask.NewSigner(secret).Sign([]byte(text), at)
}

// SealCookie seals any plaintext as the cookie called name, so that tests can
// send what no session is written as.
func SealCookie(secret, name, plaintext string) string {
	sealer, err := seal.New(purposeCookie, secret)
	if err != nil {
		panic(err)
	}
	return string(seal.AppendText(nil, sealer.Seal(nil, []byte(plaintext), []byte(purposeCookie+"\x00"+name))))
}
