package ginsession

import "github.com/ginsession/ginsession/internal/seal"

// SealCookie seals any plaintext as the cookie called name, so that tests can
// send what no session is written as.
func SealCookie(secret, name, plaintext string) string {
	sealer, err := seal.New(purposeCookie, secret)
	if err != nil {
		panic(err)
	}
	return seal.Text(sealer.Seal([]byte(plaintext), []byte(purposeCookie+"\x00"+name)))
}
