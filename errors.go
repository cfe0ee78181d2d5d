package ginsession

import (
	"fmt"

	"github.com/ginsession/ginsession/internal/sessionerr"
)

// Why a session that came with the request was not accepted; see
// [Session.Rejected].
var (
	// ErrExpired is returned by [Session.Rejected] if the session's lifetime or
	// its idle timeout has passed.
	ErrExpired = sessionerr.ErrExpired

	// ErrInvalid is returned if no secret of this app opens the cookie under
	// this name: it was forged or damaged, its secret is no longer among those
	// given to [New] and [WithPreviousSecrets], or it was made for another kind of
	// storage (see [WithCookieMigration]).
	ErrInvalid = sessionerr.ErrInvalid

	// ErrUnknown is returned if the cookie is genuine, but the store does not
	// hold its session any more: it was logged out, renewed, evicted, lost in a
	// restart, or it expired. It is also the error of a request whose session
	// ended after it was loaded: what the request changed is dropped. So is, for a
	// minute, what a request changes that comes with the cookie of a session that
	// was logged out or renewed; its own [Session.Renew] or [Session.Destroy] is
	// honoured.
	ErrUnknown = sessionerr.ErrUnknown

	// ErrRevoked is returned if the app's [WithValidator] does not accept the
	// session.
	ErrRevoked = sessionerr.ErrRevoked
)

// Why a session was not saved; see [Session.Err] and [WithErrorHandler].
var (
	// ErrValue is returned for a value that JSON cannot carry (a channel, a
	// function, NaN, a cycle), a string that is not valid UTF-8, or a reserved
	// key.
	ErrValue = sessionerr.ErrValue

	// ErrTooLarge is returned if the Set-Cookie line would exceed 4096 bytes (RFC
	// 6265bis, section 5.6, lets browsers drop it), or the record the store's
	// limit.
	ErrTooLarge = sessionerr.ErrTooLarge

	// ErrLate is returned if the session changed after the response's headers
	// had left, and lives in a cookie or needs a new one.
	ErrLate = sessionerr.ErrLate

	// ErrUnavailable is returned if the store or [WithValidator] does not
	// answer, fails or panics, so that the outcome is unknown. It wraps the
	// cause.
	ErrUnavailable = sessionerr.ErrUnavailable
)

// The answers of a [Store].
var (
	// ErrNotFound is returned by a [Store] that has nothing under this id.
	ErrNotFound = sessionerr.ErrNotFound

	// ErrConflict is returned by a [Store] if another request saved the record
	// since it was loaded.
	ErrConflict = sessionerr.ErrConflict
)

// ConfigError is one mistake in the arguments of [New], which joins all that
// it finds; [errors.As] finds the first. It never holds a secret.
type ConfigError struct {
	Option string // the option's name, such as "WithName", or "secret"
	Reason string // the rule that it breaks, and the way out
}

// Error names the option, the rule and the way out.
func (e *ConfigError) Error() string {
	return fmt.Sprintf("ginsession: %s: %s", e.Option, e.Reason)
}
