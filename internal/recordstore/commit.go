package recordstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ginsession/ginsession/internal/sessionerr"
	"github.com/ginsession/ginsession/internal/txn"
)

// Create implements [txn.Storage].
func (v *Storage) Create(ctx context.Context, _ *txn.Work, r *txn.Result) error {
	newLocator(&r.At)
	if err := v.save(ctx, r); err != nil {
		return err
	}
	if r.Content.Empty() { // nothing but messages, and no room for them
		_ = v.store.Delete(ctx, r.At.Name)
		r.At = txn.Locator{}
		return nil
	}
	r.Place = txn.Stored
	return v.tell(r)
}

// Change implements [txn.Storage]. An idle-timeout refresh is tried once. After
// an earlier commit the version is not known: a save without one could bring back
// a session that has ended since.
func (v *Storage) Change(ctx context.Context, w *txn.Work, r *txn.Result) error {
	r.At, r.Place = w.At, txn.Stored
	if !w.Journal.Any() && w.At.Version != nil {
		return v.saveWhole(ctx, r)
	}
	err := v.contend(&r.At, false, func() error { return v.save(ctx, r) }, func() error { return v.replay(ctx, w, &r.At, r) })
	if err != nil {
		r.Place = txn.Nowhere
		return err
	}
	told, want := r.At.Told, txn.TellPermanent(r.Content.Permanent)
	if w.Journal.SetsLifetime() && r.Content.Permanent {
		told = txn.ToldNothing // its cookie has another Max-Age
	}
	switch {
	case r.Content.Empty():
		r.At.Told = txn.ToldToDrop // a cookie that leads to nothing does no harm
		return nil
	case told == want && (!isReseal(r.At) || w.Late):
		return nil
	case w.Late && told == txn.ToldNothing && !w.Journal.SetsPermanent() && !w.Journal.SetsLifetime():
		return nil
	case w.Late: // all that the request did is stored, but the browser does not know
		return sessionerr.ErrTooLate
	}
	return v.tell(r)
}

// Renew implements [txn.Storage]. It stores the session under a new id and then
// replaces the old record by a tombstone, in this order, so that nothing is lost
// if the second step fails. The browser gets the new id only once the old record
// bears this very tombstone.
func (v *Storage) Renew(ctx context.Context, w *txn.Work, r *txn.Result) error {
	old := w.At
	err := v.contend(&old, false, func() error { return v.move(ctx, &old, r) }, func() error { return v.replay(ctx, w, &old, r) })
	if errors.Is(err, sessionerr.ErrEnded) { // this renewal starts from what the request did itself
		*r = txn.Result{}
		fresh := v.policy.Fresh()
		if err := w.Rebase(&fresh, r); err != nil || r.Content.Empty() {
			return err
		}
		return v.Create(ctx, w, r)
	}
	if err != nil {
		return err
	}
	r.Place = txn.Stored
	if r.Content.Empty() {
		r.At.Told = txn.ToldToDrop
		return nil
	}
	return v.tell(r)
}

// move is one attempt of [Storage.Renew].
func (v *Storage) move(ctx context.Context, old *txn.Locator, r *txn.Result) error {
	newLocator(&r.At)
	if err := v.save(ctx, r); err != nil {
		return err
	}
	err := v.bury(ctx, old, r.At.ID)
	if err != nil {
		_ = v.store.Delete(ctx, r.At.Name) // nobody holds its id, and it expires
	}
	return err
}

// maxRenewals bounds how many renewals in a row a log-out follows; more would
// have to come from one session within [txn.TombstoneLife].
const maxRenewals = 32

// End implements [txn.Storage]. It puts a tombstone over whatever version of the
// record there is. If the session was renewed, its successor ends.
func (v *Storage) End(ctx context.Context, at txn.Locator) error {
	for range maxRenewals {
		if next := successor(at); next != "" {
			locate(&at, next)
		}
		err := v.contend(&at, true, func() error { return v.bury(ctx, &at, "") }, func() error {
			there := txn.Image{At: at}
			err := v.fetch(ctx, &there)
			at = there.At
			return err
		})
		if err != nil && sessionerr.Rejection(err) == nil {
			return err
		}
		if successor(at) == "" {
			return nil
		}
	}
	return fmt.Errorf("%w: the session was renewed more than %d times within a minute", sessionerr.ErrUnavailable, maxRenewals)
}

// buryTries bounds how often a tombstone is put while the outcome is unknown.
const buryTries = 3

// bury puts a tombstone over the version of a record that was loaded. Unlike a
// change it may be put twice, so an unknown outcome is looked into and tried
// again.
func (v *Storage) bury(ctx context.Context, at *txn.Locator, next string) error {
	data := v.sealTombstone(at, next) // unlike any other, by its nonce
	expires := time.Now().Add(txn.TombstoneLife)
	var unknown error
	for range buryTries {
		err := v.put(ctx, at, data, expires)
		if err == nil || unknown == nil && !errors.Is(err, sessionerr.ErrUnavailable) {
			return err
		}
		if !superseded(err) {
			unknown = err
		}
		there, lookErr := v.store.Load(ctx, at.Name)
		switch {
		case lookErr == nil && bytes.Equal(there.Data, data):
			return nil
		case errors.Is(lookErr, sessionerr.ErrNotFound), lookErr == nil && superseded(err):
			return sessionerr.ErrConflict // something else is there, or nothing
		}
	}
	return unknown
}

// save stores the image of a result. The oldest messages that the record has no
// room for are dropped.
func (v *Storage) save(ctx context.Context, r *txn.Result) error {
	return r.Fit(func() error { return v.saveWhole(ctx, r) })
}

// saveWhole stores the image of a result. An emptied session stays for a moment:
// a parallel request may have something to add to it.
func (v *Storage) saveWhole(ctx context.Context, r *txn.Result) error {
	r.Content.Life = v.policy.Life(r.Content)
	keep := r.Content.Created.Time().Add(r.Content.Life)
	if r.Content.Empty() {
		keep = time.Now().Add(txn.TombstoneLife)
	}
	data := v.sealContent(&r.At, r.Content)
	r.Size = len(data)
	err := v.put(ctx, &r.At, data, keep)
	if err == nil {
		r.At.Version = nil // only a load knows the new one
	}
	return err
}

// replay makes the content of a result what the request did, applied to the
// newest version of a record. If the record is gone, is no longer ours or bears a
// tombstone, the session has ended: a copy of what was there is never stored
// again.
func (v *Storage) replay(ctx context.Context, w *txn.Work, at *txn.Locator, r *txn.Result) error {
	newest := txn.Image{At: *at}
	err := v.fetch(ctx, &newest)
	*at = newest.At
	if sessionerr.Rejection(err) != nil {
		return sessionerr.ErrEnded
	}
	if err != nil {
		return err
	}
	return w.Rebase(&newest.Content, r)
}

// tell completes a result by the cookie that leads to it.
func (v *Storage) tell(r *txn.Result) (err error) {
	r.Line, err = v.line(&r.At, r.Content)
	return err
}
