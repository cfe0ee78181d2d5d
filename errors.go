package ginsession

import (
	"errors"
	"fmt"
	"net/http"
)

// Why a session that came with the request was not accepted; see
// [Session.Rejected].
var (
	// ErrExpired: the session was good once, and its lifetime or its idle
	// timeout is over.
	ErrExpired = errors.New("ginsession: the session has expired")

	// ErrInvalid: no secret of this app opens the cookie under this name. It
	// was forged or damaged, or its secret is no longer among those given to
	// [New] and [WithPreviousSecrets].
	ErrInvalid = errors.New("ginsession: the session cookie is not one of ours")

	// ErrUnknown: the cookie is genuine, but the store does not hold its
	// session any more: logged out, renewed, evicted, or lost in a restart.
	ErrUnknown = errors.New("ginsession: the session is not in the store")
)

// What goes wrong with saving; see [Session.Err] and [WithErrorHandler].
var (
	// ErrValue: a value that JSON cannot carry (a channel, a function, NaN, a
	// cycle), a string that is not valid UTF-8, or a reserved key.
	ErrValue = errors.New("ginsession: a value cannot be stored")

	// ErrTooLarge: the Set-Cookie line would exceed 4096 bytes (RFC 6265bis,
	// section 5.6, lets browsers drop it), or the record the store's limit.
	ErrTooLarge = errors.New("ginsession: the session is too large to store")

	// ErrLate: the session changed in a way that needs a new cookie after the
	// response's headers had left.
	ErrLate = errors.New("ginsession: too late to set the session cookie")

	// ErrUnavailable: the store does not answer. It wraps the cause.
	ErrUnavailable = errors.New("ginsession: the session store is unavailable")
)

// What a store answers.
var (
	// ErrNotFound: the store has nothing under this id.
	ErrNotFound = errors.New("ginsession: no such session record")

	// ErrConflict: somebody else saved the record in the meantime.
	ErrConflict = errors.New("ginsession: the session record has changed")
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

var errLate = fmt.Errorf("%w: change it before the response is flushed, hijacked or 64 KiB long", ErrLate)

// rejection tells whether err says that a cookie is not accepted, rather than
// that nobody knows.
func rejection(err error) bool {
	return errors.Is(err, ErrExpired) || errors.Is(err, ErrInvalid) || errors.Is(err, ErrUnknown)
}

// statusFor is the status of the page that takes the response's place.
func statusFor(err error) int {
	if errors.Is(err, ErrUnavailable) {
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}
