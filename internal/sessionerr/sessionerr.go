// Package sessionerr holds the errors that the rooms of ginsession share. The
// root package exports the sentinels.
package sessionerr

import (
	"errors"
	"fmt"
)

// The sentinels, which the root package documents.
var (
	ErrExpired     = errors.New("ginsession: the session has expired")
	ErrInvalid     = errors.New("ginsession: the session cookie is not one of ours")
	ErrUnknown     = errors.New("ginsession: the session is not in the store")
	ErrRevoked     = errors.New("ginsession: the session was revoked")
	ErrValue       = errors.New("ginsession: a value cannot be stored")
	ErrTooLarge    = errors.New("ginsession: the session is too large to store")
	ErrLate        = errors.New("ginsession: too late to set the session cookie")
	ErrUnavailable = errors.New("ginsession: the session is unavailable")
	ErrNotFound    = errors.New("ginsession: no such session record")
	ErrConflict    = errors.New("ginsession: the session record has changed")
)

// Details of why a cookie is not accepted, for the log.
var (
	ErrForm    = fmt.Errorf("%w: it is malformed", ErrInvalid)
	ErrSeal    = fmt.Errorf("%w: no secret opens it under this name; forged, damaged, or made with another secret, name or kind of storage", ErrInvalid)
	ErrContent = fmt.Errorf("%w: it opens, but holds no session", ErrInvalid)
	ErrRecord  = fmt.Errorf("%w: it is genuine, but its record in the store is not", ErrInvalid)
	ErrGone    = fmt.Errorf("%w: evicted, expired, or lost in a restart", ErrUnknown)
	ErrOver    = fmt.Errorf("%w: it was renewed or destroyed", ErrUnknown)
)

// ErrEnded is returned by a commit whose session has ended since it was loaded:
// it was renewed, destroyed, evicted, or it expired. What the request changed is
// dropped. It is no reason for an error page.
var ErrEnded = fmt.Errorf("%w: it has ended, and what this request changed is dropped", ErrUnknown)

// ErrTooLate is returned by a commit that needs a cookie after the headers have left.
var ErrTooLate = fmt.Errorf("%w: change it before the response is flushed, hijacked, or longer than WithResponseBuffer", ErrLate)

// ErrAbandoned is returned by a commit after a handler in a second pass through
// HandleContext has panicked.
var ErrAbandoned = errors.New("ginsession: a handler has panicked in a second pass through HandleContext, and what was not saved before is dropped")

// ErrPanic is the error of a session whose store or validator has panicked.
var ErrPanic = fmt.Errorf("%w: the store or the function given to WithValidator has panicked", ErrUnavailable)

// Rejection returns the sentinel if err reports that a cookie is not accepted, and
// nil if the outcome is unknown.
func Rejection(err error) error {
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

// Unavailable wraps err in [ErrUnavailable], once.
func Unavailable(err error) error {
	if errors.Is(err, ErrUnavailable) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, err)
}
