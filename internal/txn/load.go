package txn

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ginsession/ginsession/internal/cookie"
	"github.com/ginsession/ginsession/internal/sessionerr"
)

const (
	// maxLoads bounds how many cookies of one name a request makes us inflate
	// or look up.
	maxLoads = 8

	// maxRanked bounds how many cookies of one name are authenticated, when
	// several came. Browsers keep fewer for a site.
	maxRanked = 256
)

// Load reads the session: of the cookies of its name that are accepted, the one
// that began or was written last. The request came to the middleware at the time
// entered of the [Clock].
func (t *Txn) Load(entered time.Duration) {
	loaded := false
	defer func() {
		if !loaded { // also if the store or the validator panics
			t.work.Image = Image{}
			t.config.Begin(&t.work.Content)
		}
		t.begin()
	}()
	if loaded = t.loadFrom(&t.config.Source, Loaded); loaded {
		return
	}
	if rejected := t.Rejected(); rejected != nil && errors.Is(rejected, sessionerr.ErrUnknown) && Clock()-entered >= TombstoneLife {
		t.work.Place = Ended // a tombstone may have expired since
	}
	for i := range t.config.Imports {
		if loaded || t.Broken() != nil || t.work.Place != Nowhere {
			break
		}
		loaded = t.loadFrom(&t.config.Imports[i], Imported)
		t.work.At = Locator{}
	}
}

// epoch is when the [Clock] began.
var epoch = time.Now()

// Clock returns a time that only goes forward.
func Clock() time.Duration { return time.Since(epoch) }

// loadFrom reports whether one of the cookies was accepted.
func (t *Txn) loadFrom(from *Source, origin Origin) bool {
	switch value, n := from.Cookie.First(t.request.Header); n {
	case 0:
		return false
	case 1:
		_, err := t.fetch(from, value, &t.work.Image)
		return t.accept(err, from, origin)
	}
	return t.loadSeveral(from, origin)
}

// ranked is a cookie that opens, and the age that it states.
type ranked struct {
	value string
	since time.Time
}

// found is a cookie that was loaded, and how old its session is.
type found struct {
	Image
	since time.Time
}

// loadSeveral chooses by what costs little first: only a few of the cookies that
// open are loaded.
func (t *Txn) loadSeveral(from *Source, origin Origin) bool {
	var list []found
	accept := func() bool {
		slices.SortStableFunc(list, func(a, b found) int { return b.since.Compare(a.since) })
		for i := range list {
			t.work.Image = list[i].Image
			if t.accept(nil, from, origin) {
				if t.work.At.Told != ToldOlder {
					t.work.At.Told = ToldNothing
				}
				for j := range list {
					if j != i && origin == Loaded {
						t.endToo(list[j].At)
					}
				}
				return true
			}
			if t.Broken() != nil {
				return false
			}
		}
		list = nil
		return false
	}
	for i, r := range t.rank(from) {
		if i == maxLoads {
			break
		}
		var f found
		var err error
		if f.since, err = t.fetch(from, r.value, &f.Image); err != nil {
			t.work.Image = f.Image
			if t.accept(err, from, origin); t.Broken() != nil {
				return false
			}
			continue
		}
		list = append(list, f)
		if !r.since.IsZero() && accept() {
			return true
		}
	}
	return accept()
}

// rank returns the cookies that open, the newest first. If none does, it returns
// one, whose load says why.
func (t *Txn) rank(from *Source) []ranked {
	var list []ranked
	seen := map[string]bool{}
	first, authenticated := "", 0
	for value := range from.Cookie.Values(t.request.Header) {
		if len(value) > cookie.MaxLine || seen[value] {
			continue
		}
		seen[value] = true
		since, err := from.Storage.Rank(value)
		if err == nil {
			list = append(list, ranked{value, since})
		} else if first == "" {
			first = value
		}
		if errors.Is(err, sessionerr.ErrForm) {
			continue
		}
		if authenticated++; authenticated == maxRanked {
			break
		}
	}
	if len(list) == 0 {
		return []ranked{{value: first}}
	}
	slices.SortStableFunc(list, func(a, b ranked) int { return b.since.Compare(a.since) })
	return list
}

func (t *Txn) fetch(from *Source, value string, into *Image) (since time.Time, err error) {
	if len(value) > cookie.MaxLine { // before it is decoded
		return since, sessionerr.ErrForm
	}
	start := t.ask()
	since, err = from.Storage.Load(t.request.Context(), value, into)
	t.answered(start)
	return since, err
}

// accept makes the session that was loaded that of the request, if the storage
// and the validator accept it. If they do not, it notes why, and nothing of that
// session is left but where it is: a log-out ends it all the same.
func (t *Txn) accept(err error, from *Source, origin Origin) bool {
	if err == nil {
		err = t.validate()
	}
	if err == nil {
		if origin == Loaded {
			t.work.Place = Stored
		}
		if !t.work.Content.Empty() {
			t.origin, t.taken = origin, t.bit(from)
		} else {
			t.spent |= t.bit(from)
		}
		if t.trouble != nil {
			t.reject(nil, nil)
		}
		return true
	}
	if origin == Loaded {
		t.endToo(t.work.At)
	}
	t.work.Image = Image{}
	why := sessionerr.Rejection(err)
	switch {
	case from.Foreign && why != nil && !errors.Is(why, sessionerr.ErrRevoked): // a cookie of another app's
	case why == nil:
		t.wrong().broken = err
		t.Fail(err)
	case t.Rejected() == nil || errors.Is(why, sessionerr.ErrExpired) || errors.Is(why, sessionerr.ErrRevoked): // which say more than that another was not ours
		t.reject(why, err)
	}
	if errors.Is(err, sessionerr.ErrOver) {
		t.work.Place = Ended
	}
	return false
}

// endToo notes a session that a log-out ends as well, if it is on a server.
func (t *Txn) endToo(at Locator) {
	if at.ID != "" {
		t.wrong().others = &others{at, t.wrong().others}
	}
}

func (t *Txn) reject(why, detail error) {
	t.wrong().rejected = why
	if t.trace != nil {
		t.trace.Rejected = detail
	}
}

// validate asks the app whether a session still counts. Until it has said so,
// the outcome is unknown, and nothing of the session shows: also if it panics.
func (t *Txn) validate() error {
	if t.config.Validate == nil || t.work.Content.Empty() {
		return nil
	}
	view := &Txn{config: t.config, origin: Loaded}
	view.work = Work{Image: Image{Content: t.work.Content.Clone(), At: t.work.At}, Place: Stored}
	t.asked = true
	valid, err := t.config.Validate(context.WithoutCancel(t.request.Context()), view)
	t.asked = false
	switch {
	case err != nil:
		return fmt.Errorf("%w: WithValidator: %w", sessionerr.ErrUnavailable, err)
	case !valid:
		return sessionerr.ErrRevoked
	}
	return nil
}

// came reports whether a good cookie of a source to import came.
func (t *Txn) came(from *Source) bool {
	for i, r := range t.rank(from) {
		if i == maxLoads {
			break
		}
		if _, err := from.Storage.Load(t.request.Context(), r.value, new(Image)); err == nil {
			return true
		}
	}
	return false
}
