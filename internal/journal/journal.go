// Package journal notes what a request does to its session, as opposed to what
// it sees, so that the changes can be replayed on a newer version of the session.
package journal

import (
	"math/rand/v2"
	"slices"
	"time"

	"github.com/ginsession/ginsession/internal/codec"
)

// Journal holds the changes of a request since its last commit. Replayed, they
// keep what parallel requests did to other keys. It notes what was changed; the
// values are in the content that the request sees.
type Journal struct {
	// Detailed is set before anything is noted: the changes may be replayed, or
	// will be logged. Otherwise the journal only counts, which allocates nothing.
	Detailed bool

	cleared    bool      // everything from before is gone
	permanent  permanent // what was set
	remembered bool      // with the lifetime
	noted      uint32    // changes other than flashes that were added
	keys       *changes  // nil if there are none

	// The flashes that were added have the ids first, first+1 and so on.
	first uint64

	lifetime time.Duration // that was set, ofTheApp, or 0 if none was
	given    uint32        // ids
	kept     uint32        // flashes, of those, that were not taken again
}

// permanent is what [Journal.SetPermanent] was called with, if it was.
type permanent int8

const (
	unset permanent = iota
	windowOnly
	persistent
)

func permanentOf(b bool) permanent {
	if b {
		return persistent
	}
	return windowOnly
}

// changes are those of keys.
type changes struct {
	list  []change       // each key once
	index map[string]int // into the list, if it is long
	room  [1]change      // for the first
}

// change is that of one key: it gets the value that the request sees, or none, or
// what a function returns for the value that is there.
type change struct {
	key string
	fn  UpdateFunc // nil if the value depends on no other request
}

// UpdateFunc returns the new value of a key; it may be called several times.
type UpdateFunc func(old string, found bool) (raw string, err error)

// fewKeys are found faster by a look at each than in a map.
const fewKeys = 16

// Any reports whether there is anything to save.
func (j *Journal) Any() bool { return j.noted > 0 || j.kept > 0 }

// Cleared reports whether everything from before is gone.
func (j *Journal) Cleared() bool { return j.cleared }

// Reset forgets all changes.
func (j *Journal) Reset() { *j = Journal{Detailed: j.Detailed} }

// note counts a change and reports whether its details are wanted.
func (j *Journal) note() bool {
	j.noted++
	return j.Detailed
}

// Set notes that a key was set or deleted.
func (j *Journal) Set(key string) {
	if j.note() {
		j.change(key).fn = nil
	}
}

// Update notes the function that a key was updated by. After a set, a delete or a
// clear the value depends on no other request.
func (j *Journal) Update(key string, fn UpdateFunc) {
	depends := !j.cleared
	if c := j.find(key); c != nil {
		depends = c.fn != nil
	}
	if !j.note() {
		return
	}
	if c := j.change(key); depends {
		c.fn = after(c.fn, fn)
	}
}

// after returns a function that applies first, unless that is nil, and then fn.
func after(first, fn UpdateFunc) UpdateFunc {
	if first == nil {
		return fn
	}
	return func(old string, found bool) (string, error) {
		raw, err := first(old, found)
		if err != nil {
			return "", err
		}
		return fn(raw, true)
	}
}

// Updates reports whether the value of key depends on what other requests save.
func (j *Journal) Updates(key string) bool {
	c := j.find(key)
	return c != nil && c.fn != nil
}

// Clear notes that everything was removed, and whether the session is permanent
// after that.
func (j *Journal) Clear(permanent bool) {
	j.Reset()
	j.noted, j.cleared, j.permanent = 1, true, permanentOf(permanent)
}

// SetPermanent notes whether the session is to outlive the browser window.
func (j *Journal) SetPermanent(permanent bool) {
	j.noted++
	j.permanent = permanentOf(permanent)
}

// SetsPermanent reports whether [Journal.SetPermanent] or [Journal.Clear] was
// called.
func (j *Journal) SetsPermanent() bool { return j.permanent != unset }

// SetLifetime notes a lifetime, or 0 for that of the app.
func (j *Journal) SetLifetime(lifetime time.Duration, remembered bool) {
	if lifetime == 0 {
		lifetime = ofTheApp
	}
	j.noted++
	j.lifetime, j.remembered = lifetime, remembered
}

// SetsLifetime reports whether [Journal.SetLifetime] was called.
func (j *Journal) SetsLifetime() bool { return j.lifetime != 0 }

const ofTheApp = -1

// AddFlash returns the id for a flash that is added.
func (j *Journal) AddFlash() uint64 {
	if j.given == 0 {
		j.first = rand.Uint64() //nolint:gosec // the id is no secret
	}
	j.given++
	j.kept++
	return j.first + uint64(j.given) - 1
}

// TakeFlash notes that a flash was shown and removed.
func (j *Journal) TakeFlash(id uint64) {
	if j.gave(id) {
		j.kept--
	} else {
		j.noted++
	}
}

// KeepFlash notes that a flash which was removed is there again.
func (j *Journal) KeepFlash(id uint64) {
	if j.gave(id) {
		j.kept++
	}
}

func (j *Journal) gave(id uint64) bool { return id-j.first < uint64(j.given) }

// Replay applies the changes to a newer content. The values and the flashes that
// were added are in seen, the content that the request has worked on.
func (j *Journal) Replay(newest, seen *codec.Container, shown []codec.Flash) error {
	if j.cleared {
		newest.Fill(nil, nil)
		newest.Lifetime, newest.Remembered = 0, false
	}
	if j.SetsLifetime() {
		newest.Lifetime, newest.Remembered = max(0, j.lifetime), j.remembered
	}
	if j.permanent != unset {
		newest.Permanent = j.permanent == persistent
	}
	for _, c := range j.changes() {
		if err := c.replay(newest, seen); err != nil {
			return err
		}
	}
	if taken := Taken(shown); len(taken) > 0 {
		newest.DeleteFlashes(func(f codec.Flash) bool { return taken[f.ID] })
	}
	if j.kept > 0 {
		added := slices.DeleteFunc(slices.Clone(seen.Flashes()), func(f codec.Flash) bool { return !j.gave(f.ID) })
		newest.AddFlashes(added...)
	}
	return nil
}

// Taken returns the ids of the flashes that were shown and removed since the last
// commit.
func Taken(shown []codec.Flash) map[uint64]bool {
	var taken map[uint64]bool
	for _, f := range shown {
		if f.Taken == codec.TakenNow {
			if taken == nil {
				taken = make(map[uint64]bool, len(shown))
			}
			taken[f.ID] = true
		}
	}
	return taken
}

func (c *change) replay(newest, seen *codec.Container) (err error) {
	raw, found := seen.Find(c.key)
	if c.fn != nil {
		raw, err = c.fn(newest.Find(c.key))
		found = true
	}
	switch {
	case err != nil:
		return err
	case found:
		newest.Set(c.key, raw)
	default:
		newest.Delete(c.key)
	}
	return nil
}

// changes returns those of keys.
func (j *Journal) changes() []change {
	if j.keys == nil {
		return nil
	}
	return j.keys.list
}

// change returns the entry for key, which it makes if there is none.
func (j *Journal) change(key string) *change {
	if c := j.find(key); c != nil {
		return c
	}
	if j.keys == nil {
		j.keys = new(changes)
		j.keys.list = j.keys.room[:0]
	}
	return j.keys.add(key)
}

// find returns the entry for key, or nil.
func (j *Journal) find(key string) *change {
	if j.keys != nil && j.keys.index != nil {
		if i, ok := j.keys.index[key]; ok {
			return &j.keys.list[i]
		}
		return nil
	}
	for i, c := range j.changes() {
		if c.key == key {
			return &j.keys.list[i]
		}
	}
	return nil
}

func (k *changes) add(key string) *change {
	k.list = append(k.list, change{key: key})
	last := len(k.list) - 1
	if k.index != nil {
		k.index[key] = last
	} else if len(k.list) > fewKeys {
		k.index = make(map[string]int, 2*len(k.list))
		for i := range k.list {
			k.index[k.list[i].key] = i
		}
	}
	return &k.list[last]
}

// Summary is what was done, without any value, for the log.
type Summary struct {
	Cleared, Permanent, Lifetime bool
	Keys                         []string // that were changed, sorted
	Added, Taken                 int      // flashes
}

// Summary returns what the journal holds, but for the flashes that were taken.
func (j *Journal) Summary() Summary {
	s := Summary{Cleared: j.cleared, Permanent: j.SetsPermanent(), Lifetime: j.SetsLifetime(), Added: int(j.kept)}
	for _, c := range j.changes() {
		s.Keys = append(s.Keys, c.key)
	}
	slices.Sort(s.Keys)
	return s
}
