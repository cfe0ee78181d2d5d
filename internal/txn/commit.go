package txn

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/ginsession/ginsession/internal/sessionerr"
)

// Save commits what the request did so far. The error is the app's: unless the
// session changes again, the handler's response stands.
func (t *Txn) Save() error {
	if t.ReadOnly() {
		return nil
	}
	err := t.commit(nil)
	if err != nil {
		t.settled, t.wrong().refused = true, nil
	}
	return err
}

// Finish is the commit before the headers h leave, or, if h is nil, after that.
func (t *Txn) Finish(h http.Header) error {
	if h == nil {
		t.work.Late = true
	}
	if err := t.Hold(h); err != nil {
		t.settled = true
		return err
	}
	if h == nil && t.setCookie != "" && t.setCookie != t.sentCookie {
		t.setCookie = t.sentCookie
		t.Fail(sessionerr.ErrTooLate)
		t.trace.failed(sessionerr.ErrTooLate)
		return sessionerr.ErrTooLate
	}
	return nil
}

// Hold is [Txn.Finish] if that may follow.
func (t *Txn) Hold(h http.Header) error {
	if t.settled {
		return nil
	}
	return t.commit(h)
}

// Close notes that the headers leave.
func (t *Txn) Close() { t.work.Late = true }

// commit persists what the request did. If it fails, all of it is still to be
// saved.
func (t *Txn) commit(h http.Header) error {
	t.trace.try(&t.work)
	err := t.tryCommit(h)
	if err == nil {
		return nil
	}
	t.trace.failed(err)
	t.Fail(err)
	if t.work.Intent == Destroy && !t.work.Late { // whatever is wrong, the browser is logged out
		t.setCookie = t.expireLine(Destroy, t.work.Place)
		t.spendImports()
	}
	return err
}

func (t *Txn) tryCommit(h http.Header) error {
	switch {
	case t.Broken() != nil:
		return t.Broken()
	case t.refused() != nil && t.work.Intent == Destroy: // the log-out goes on without what cannot be saved
		t.work.Content = t.config.Fresh()
		t.work.Journal.Reset()
		return errors.Join(t.refused(), t.store())
	case t.refused() != nil:
		return t.refused()
	case t.work.Intent > Save || t.work.Journal.Any():
		return t.store()
	case t.origin == Imported && t.work.Place == Nowhere && !t.work.Late:
		err := t.store()
		if errors.Is(err, sessionerr.ErrTooLarge) {
			return nil // it stays in the imported cookie, which may be larger
		}
		return err
	case t.RefreshDue(h):
		t.refresh()
	}
	return nil
}

// store hands the work to the storage.
func (t *Txn) store() error {
	result := results.Get().(*Result)
	defer result.free()
	err := t.hand(result)
	switch {
	case err == nil, errors.Is(err, sessionerr.ErrLate) && result.Place == Stored:
		t.install(result)
	case errors.Is(err, sessionerr.ErrEnded):
		t.drop()
	case errors.Is(err, sessionerr.ErrUnavailable):
		t.wrong().broken = err // it may be saved; a second try could count an update twice
	}
	return err
}

// refresh notes that the session is in use. The request has changed nothing, so a
// failure is no reason to fail its page.
func (t *Txn) refresh() {
	result := results.Get().(*Result)
	defer result.free()
	if t.hand(result) == nil {
		t.install(result)
	}
}

// results are not needed any longer than a commit takes. As variables each
// would be allocated, and as values each would be copied several times.
var results = sync.Pool{New: func() any { return new(Result) }}

func (r *Result) free() {
	*r = Result{}
	results.Put(r)
}

func (t *Txn) hand(r *Result) error {
	r.Content = &t.work.Content
	created, life := r.Content.Created, r.Content.Life
	start := t.ask()
	err := t.step(r)
	t.answered(start)
	if err != nil && !errors.Is(err, sessionerr.ErrLate) {
		t.work.Content.Created, t.work.Content.Life = created, life
	}
	return err
}

// step is the whole of a commit:
//
//	         nowhere   stored         ended
//	save     create    change         drop
//	renew    create    renew          create
//	destroy  create    end, create    create
func (t *Txn) step(r *Result) error {
	w, storage, ctx := &t.work, t.config.Storage, t.request.Context()
	switch {
	case w.Late && t.config.InCookie && (w.Intent == Destroy || w.Place == Stored):
		return sessionerr.ErrTooLate
	case w.Intent == Destroy:
		if err := t.end(ctx); err != nil {
			return err
		}
	case w.Place == Stored && w.Intent == Renew && w.Late:
		return sessionerr.ErrTooLate
	case w.Place == Stored && w.Intent == Renew:
		return storage.Renew(ctx, w, r)
	case w.Place == Stored:
		return storage.Change(ctx, w, r)
	case w.Place == Ended && w.Intent == Save:
		return sessionerr.ErrEnded
	}
	switch {
	case w.Content.Empty(): // it is never stored
		return nil
	case w.Late:
		return sessionerr.ErrTooLate
	}
	return storage.Create(ctx, w, r)
}

// end ends the session of the request and all others that it came with.
func (t *Txn) end(ctx context.Context) (err error) {
	if t.work.Place == Stored {
		err = t.config.Storage.End(ctx, t.work.At)
	}
	if t.trouble == nil {
		return err
	}
	for o := t.trouble.others; o != nil; o = o.rest {
		if failed := t.config.Storage.End(ctx, o.at); err == nil {
			err = failed
		}
	}
	return err
}

// install makes the outcome of a commit the state that the next one starts from.
func (t *Txn) install(r *Result) {
	line := r.Line
	if r.Content.Empty() && !t.work.Late {
		line = t.expireLine(t.work.Intent, t.work.Place)
	}
	if line != "" {
		t.setCookie = line
	}
	if t.config.InCookie {
		r.Size = len(line)
	}
	t.trace.saved(r, t.work.Place == Stored || !r.Content.Empty())
	t.spendImports()
	if t.work.Intent == Destroy && t.trouble != nil {
		t.trouble.others = nil // they have ended
	}
	if r.Content != &t.work.Content {
		t.work.Content = *r.Content
	}
	t.work.At, t.work.Place, t.work.Intent = r.At, r.Place, Save
	t.begin()
}

// drop gives up what the request did to a session that has ended meanwhile. What
// an earlier Save has told the browser is over, too.
func (t *Txn) drop() {
	t.setCookie = ""
	t.wrong().rejected = sessionerr.ErrUnknown
	t.spendImports()
	if t.work.Place == Stored {
		t.endToo(t.work.At) // a log-out follows its successor
	}
	t.work = Work{Image: Image{Content: t.config.Fresh()}, Shown: t.work.Shown, Place: Ended, Late: t.work.Late}
	t.begin()
}

// RefreshDue reports whether the use of a session is to be noted although
// nothing has changed. h are the response's headers so far.
func (t *Txn) RefreshDue(h http.Header) bool {
	switch {
	case t.work.Late, t.Broken() != nil, t.work.Place != Stored:
		return false
	case t.work.At.Told == ToldOlder:
		return true
	case t.origin == Fresh:
		return false
	case t.config.Rolling:
		// If this is Flask's own response, passed on by a proxy, it has the
		// cookie already.
		return t.work.Content.Permanent && !t.config.Cookie.IsSet(h)
	}
	gain := t.config.Life(&t.work.Content) - t.work.Content.Life
	if t.config.IdleTimeout == 0 || t.work.Content.Remembered {
		return gain >= time.Second // there was a timeout, or a shorter lifetime
	}
	return gain.Abs() >= t.config.IdleTimeout/4 // below 0 if the timeout is shorter than it was
}

// expireLine returns the Set-Cookie line that takes the session's cookie out of
// the browser, or "" if there is none in it.
func (t *Txn) expireLine(intent Intent, place Place) string {
	if place == Stored || t.setCookie != "" || intent == Destroy && t.config.Cookie.Came(t.request.Header) {
		return t.config.Cookie.Expire()
	}
	return ""
}

// spendImports notes which imported cookies have to go: what they hold was taken
// over, now or in an earlier request, and must not bring a session back that is
// logged out.
func (t *Txn) spendImports() {
	for i := range t.config.Imports {
		from := &t.config.Imports[i]
		bit := t.bit(from)
		if t.spent&bit != 0 {
			continue
		}
		if t.taken&bit != 0 && t.work.Place == Nowhere || from.Cookie.Name != t.config.Cookie.Name && t.came(from) {
			t.spent |= bit
		}
	}
}

// bit returns the one of an import, or 0 if sessions are not imported from there.
func (t *Txn) bit(from *Source) uint8 {
	for i := range t.config.Imports {
		if from == &t.config.Imports[i] {
			return 1 << i
		}
	}
	return 0
}
