package ginsession

import (
	"context"
	"time"

	"github.com/ginsession/ginsession/internal/recordstore"
)

// Store keeps records on a server, for [WithStore]. Its methods are called
// from many goroutines at once. They never see a credential or a value: an id
// is the SHA-256 of the one in the cookie, in base64url (43 bytes), and data is
// encrypted.
//
// A store needs one atomic operation: saving a record only if no other
// request has saved it since it was loaded. The package storetest has a suite that reports
// whether a store keeps this contract.
//
// The context of a call has the values of the request, and a deadline, by
// default 500 milliseconds later ([WithStoreTimeout]); it does not end when the
// client hangs up. It ends with the call: a store that goes on afterwards uses
// another one. A store that limits its calls itself may have a method
// CallTimeout() time.Duration, which returns its limit; then the context has no
// deadline, unless WithStoreTimeout is given.
type Store interface {
	// Load returns the record under id, with the Version that a later Save
	// has to name. It returns [ErrNotFound] if there is none or it has expired.
	// After all other errors the outcome is unknown, also if the context is
	// over.
	Load(ctx context.Context, id string) (Record, error)

	// Save stores r under id until r.Expires, or a little longer. The Version
	// decides over what:
	//
	//   - nil: only if nothing is there, otherwise [ErrConflict];
	//   - a Version that Load returned: only over the record of that very
	//     version, otherwise [ErrConflict], or [ErrNotFound] if nothing is
	//     there. A record that is gone is never created again, and no version
	//     is used twice for one id.
	//
	// A record that is too large gives [ErrTooLarge] and leaves the one before
	// intact. After any other error the record may or may not be saved, but
	// never twice: a store that retries finds out first.
	Save(ctx context.Context, id string, r Record) error

	// Delete removes the record under id. That there is none is no error.
	Delete(ctx context.Context, id string) error
}

// Record is a session as a [Store] keeps it.
type Record struct {
	Data    []byte    // encrypted; a store keeps a copy
	Expires time.Time // when the record may go
	Version any       // of the stored record; the store's own business
}

// storeRoom is a [Store] as internal/recordstore knows it.
type storeRoom struct{ Store }

func (s storeRoom) Load(ctx context.Context, id string) (recordstore.Record, error) {
	r, err := s.Store.Load(ctx, id)
	return recordstore.Record(r), err
}

func (s storeRoom) Save(ctx context.Context, id string, r recordstore.Record) error {
	return s.Store.Save(ctx, id, Record(r))
}
