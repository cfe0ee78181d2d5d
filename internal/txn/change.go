package txn

import (
	"time"

	"github.com/ginsession/ginsession/internal/codec"
	"github.com/ginsession/ginsession/internal/journal"
	"github.com/ginsession/ginsession/internal/sessionerr"
)

// Set puts a value under key. Setting the value that key has already is no change.
func (t *Txn) Set(key, raw string) {
	if old, found := t.work.Content.Find(key); found && old == raw && !t.work.Journal.Updates(key) {
		return
	}
	t.work.Content.Set(key, raw)
	t.work.Journal.Set(key)
	t.changed()
}

// Updated puts raw under key, which is what fn returned for old.
func (t *Txn) Updated(key, old string, found bool, raw string, fn journal.UpdateFunc) {
	if found && old == raw && !t.work.Journal.Updates(key) {
		return
	}
	t.work.Content.Set(key, raw)
	t.work.Journal.Update(key, fn)
	t.changed()
}

// Delete removes a key that is there.
func (t *Txn) Delete(key string) {
	t.work.Content.Delete(key)
	t.work.Journal.Set(key)
	t.changed()
}

// Clear removes everything.
func (t *Txn) Clear() {
	c := &t.work.Content
	if c.Empty() && t.work.Place != Stored { // no other request can have put anything in
		c.Permanent, c.Lifetime, c.Remembered = t.config.Permanent, 0, false
		t.work.Journal.Reset()
		return
	}
	t.forgetTaken()
	t.work.Journal.Clear(t.config.Permanent)
	c.Fill(nil, nil)
	c.Permanent, c.Lifetime, c.Remembered = t.config.Permanent, 0, false
	t.changed()
}

// Renew gives the session a new id and a new lifetime with the next commit.
func (t *Txn) Renew() {
	if t.origin != Fresh || t.work.Place != Nowhere { // otherwise it begins with this request
		t.work.Content.Created, t.work.Content.Life = codec.InstantOf(time.Now()), 0
	}
	t.work.Intent = max(t.work.Intent, Renew)
	t.changed()
}

// Destroy ends the session with the next commit.
func (t *Txn) Destroy() {
	t.work.Content = t.config.Fresh()
	t.forgetTaken()
	t.work.Journal.Reset()
	t.work.Intent = Destroy
	t.changed()
}

// SetPermanent sets whether the session outlives the browser window. It is a
// change, too, if only the browser was told otherwise: a cookie may not have
// been sent.
func (t *Txn) SetPermanent(permanent bool) {
	told := t.work.At.Told
	known := t.config.InCookie || t.work.Place != Stored || told == ToldToDrop || told == TellPermanent(permanent)
	if t.work.Content.Permanent == permanent && known {
		return
	}
	t.work.Content.Permanent = permanent
	t.work.Journal.SetPermanent(permanent)
	t.changed()
}

// SetLifetime gives the session a lifetime of its own, or, if it is 0, that of the
// app. Remembered, it has no idle timeout.
func (t *Txn) SetLifetime(lifetime time.Duration, remembered bool) {
	c := &t.work.Content
	if c.Lifetime == lifetime && c.Remembered == remembered {
		return
	}
	c.Lifetime, c.Remembered = lifetime, remembered
	t.work.Journal.SetLifetime(lifetime, remembered)
	t.changed()
}

// Refuse notes a change that cannot be saved.
func (t *Txn) Refuse(err error) {
	t.Fail(err)
	if t.refused() == nil {
		t.wrong().refused = err
	}
	t.changed()
}

// Abandon refuses what is not saved yet, and all that follows: a handler has
// panicked. A log-out goes on.
func (t *Txn) Abandon() {
	if t.work.Intent > Save || t.work.Journal.Any() {
		t.Refuse(sessionerr.ErrAbandoned)
	}
}

// changed notes that there is something to save.
func (t *Txn) changed() {
	if t.ReadOnly() {
		panic("ginsession: the function given to WithValidator has changed the session, which it may only read")
	}
	t.modified, t.settled = true, false
	if t.work.Late && t.config.InCookie {
		t.Fail(sessionerr.ErrTooLate)
	}
}
