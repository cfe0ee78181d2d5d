package ginsession

import (
	"time"

	"github.com/ginsession/ginsession/internal/flask"
	"github.com/ginsession/ginsession/internal/seal"
)

// SignFlask signs any text as Flask's cookie, so that tests can send what no
// app writes.
func SignFlask(secret, text string, at time.Time) string {
	value, err := flask.NewSigner(secret).Sign([]byte(text), at)
	if err != nil {
		panic(err)
	}
	return value
}

// SealCookie seals any plaintext as the cookie called name, so that tests can
// send what no session is written as.
func SealCookie(secret, name, plaintext string) string {
	const purpose = "ginsession cookie 1"
	sealer, err := seal.New(purpose, secret)
	if err != nil {
		panic(err)
	}
	return string(seal.AppendText(nil, sealer.Seal(nil, []byte(plaintext), []byte(purpose+"\x00"+name))))
}
