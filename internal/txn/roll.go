package txn

import (
	"net/http"

	"github.com/ginsession/ginsession/internal/cookie"
)

// Roller is a [Storage] whose permanent sessions are sent again with every
// response.
type Roller interface {
	// MayRoll reports whether a cookie's value may stand for such a session.
	// It costs less than Load, which decides.
	MayRoll(value string) bool
}

// MayRoll reports whether a session that a request has not used may have to be
// sent again. If it reports false, there is nothing to load.
func (c *Config) MayRoll(h http.Header) bool {
	value, n := c.Cookie.First(h)
	if n != 1 {
		return n > 0
	}
	r, ok := c.Storage.(Roller)
	return !ok || len(value) <= cookie.MaxLine && r.MayRoll(value)
}
