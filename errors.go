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
	// session any more: logged out, renewed, evicted, lost in a restart, or
	// expired: a store forgets what is over.
	ErrUnknown = errors.New("ginsession: the session is not in the store")

	// ErrRevoked: the app's [WithValidator] does not accept the session.
	ErrRevoked = errors.New("ginsession: the session was revoked")
)

// What goes wrong with saving; see [Session.Err] and [WithErrorHandler].
var (
	// ErrValue: a value that JSON cannot carry (a channel, a function, NaN, a
	// cycle), a string that is not valid UTF-8, or a reserved key.
	ErrValue = errors.New("ginsession: a value cannot be stored")

	// ErrTooLarge: the Set-Cookie line would exceed 4096 bytes (RFC 6265bis,
	// section 5.6, lets browsers drop it), or the record the store's limit.
	ErrTooLarge = errors.New("ginsession: the session is too large to store")

	// ErrLate: the session changed after the response's headers had left, and
	// lives in a cookie, or needs a new one.
	ErrLate = errors.New("ginsession: too late to set the session cookie")

	// ErrUnavailable: the store does not answer, or [WithValidator] cannot
	// tell. It wraps the cause.
	ErrUnavailable = errors.New("ginsession: the session is unavailable")
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

var errValidator = fmt.Errorf("%w: the function given to WithValidator has panicked", ErrUnavailable)

// What a log says beyond the sentinels about a cookie that is not accepted.
var (
	errSpelling = fmt.Errorf("%w: it is not spelled like one", ErrInvalid)
	errSeal     = fmt.Errorf("%w: no secret opens it under this name; forged, damaged, or made with another secret, name or kind of storage", ErrInvalid)
	errContent  = fmt.Errorf("%w: it opens, and holds no session", ErrInvalid)
	errRecord   = fmt.Errorf("%w: it is genuine, but its record in the store is not", ErrInvalid)
	errGone     = fmt.Errorf("%w: evicted, expired, or lost in a restart", ErrUnknown)
	errOver     = fmt.Errorf("%w: it was renewed or destroyed", ErrUnknown)
	errTooMany  = fmt.Errorf("%w: nor are those of the other cookies, and no more are looked up", ErrUnknown)
)

// rejection gives the sentinel where err says that a cookie is not accepted,
// and nil where it says that nobody knows.
func rejection(err error) error {
	if errors.Is(err, ErrUnavailable) {
		return nil // whatever else it wraps
	}
	for _, sentinel := range []error{ErrExpired, ErrInvalid, ErrUnknown, ErrRevoked} {
		if errors.Is(err, sentinel) {
			return sentinel
		}
	}
	return nil
}

// statusFor is the status of the page that takes the response's place.
func statusFor(err error) int {
	if errors.Is(err, ErrUnavailable) {
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}
