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
// keep what parallel requests did to other keys.
type Journal struct {
	// Detailed is set before anything is noted: the changes may be replayed, or
	// will be logged. Otherwise the journal only counts, which allocates nothing.
	Detailed bool

	cleared    bool      // everything from before is gone
	permanent  permanent // what was set
	remembered bool      // with the lifetime
	noted      uint32    // changes other than flashes that were added
	keys       *changes  // nil if there are none
	taken      *taken    // nil if there are none

	// The flashes that were added have the ids first, first+1 and so on. They
	// are in the session's content.
	first uint64

	lifetime time.Duration // that was set, or 0
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

// taken are the flashes that were shown, and that other requests may know.
type taken struct {
	ids  []uint64
	room [1]uint64 // for the first
}

// change is the net effect on one key.
type change struct {
	key  string
	raw  string     // the new value of a set
	fn   UpdateFunc // of an update
	kind kind
}

type kind int8

const (
	set     kind = iota // to a value that depends on no other request
	deleted             // removed
	updated             // the function is applied to the value that is there
)

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

// Set notes a new value.
func (j *Journal) Set(key, raw string) {
	if j.note() {
		*j.change(key) = change{key: key, raw: raw, kind: set}
	}
}

// Delete notes that a key was removed.
func (j *Journal) Delete(key string) {
	if j.note() {
		*j.change(key) = change{key: key, kind: deleted}
	}
}

// Update notes a function, which has just returned raw. After a set, a delete or
// a clear the value depends on no other request, and raw is all there is to note.
func (j *Journal) Update(key, raw string, fn UpdateFunc) {
	known := j.cleared
	if c := j.find(key); c != nil {
		known = c.kind != updated
	}
	if known {
		j.Set(key, raw)
		return
	}
	if j.note() {
		c := j.change(key)
		c.kind, c.fn = updated, after(c.fn, fn)
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
	return c != nil && c.kind == updated
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

// SetLifetime notes a lifetime, which is above 0.
func (j *Journal) SetLifetime(lifetime time.Duration, remembered bool) {
	j.noted++
	j.lifetime, j.remembered = lifetime, remembered
}

// SetsLifetime reports whether [Journal.SetLifetime] was called.
func (j *Journal) SetsLifetime() bool { return j.lifetime > 0 }

// AddFlash returns the id for a flash that is added.
func (j *Journal) AddFlash() uint64 {
	if j.given == 0 {
		j.first = rand.Uint64() //nolint:gosec // the id is no secret
	}
	j.given++
	j.kept++
	return j.first + uint64(j.given) - 1
}

// TakeFlash notes that a flash was shown.
func (j *Journal) TakeFlash(id uint64) {
	if j.gave(id) {
		j.kept--
	} else if j.note() {
		if j.taken == nil {
			j.taken = new(taken)
			j.taken.ids = j.taken.room[:0]
		}
		j.taken.ids = append(j.taken.ids, id)
	}
}

// KeepFlash notes that a flash which was shown stays. It returns false if that was
// not noted since the last commit: the flash has to be added anew.
func (j *Journal) KeepFlash(id uint64) bool {
	if j.gave(id) {
		j.kept++
		return true
	}
	i := slices.Index(j.takenIDs(), id)
	if i < 0 {
		return false
	}
	j.taken.ids = slices.Delete(j.taken.ids, i, i+1)
	return true
}

func (j *Journal) takenIDs() []uint64 {
	if j.taken == nil {
		return nil
	}
	return j.taken.ids
}

func (j *Journal) gave(id uint64) bool { return id-j.first < uint64(j.given) }

// Replay applies the changes to a newer content. The flashes that were added are
// in seen, the content that the request has worked on.
func (j *Journal) Replay(newest, seen *codec.Container) error {
	if j.cleared {
		newest.Fill(nil, nil)
		newest.Lifetime, newest.Remembered = 0, false
	}
	if j.SetsLifetime() {
		newest.Lifetime, newest.Remembered = j.lifetime, j.remembered
	}
	if j.permanent != unset {
		newest.Permanent = j.permanent == persistent
	}
	for i := range j.changes() {
		if err := j.keys.list[i].replay(newest); err != nil {
			return err
		}
	}
	if ids := j.takenIDs(); len(ids) > 0 {
		taken := make(map[uint64]bool, len(ids))
		for _, id := range ids {
			taken[id] = true
		}
		newest.DeleteFlashes(func(f codec.Flash) bool { return taken[f.ID] })
	}
	if j.kept > 0 {
		added := slices.DeleteFunc(slices.Clone(seen.Flashes()), func(f codec.Flash) bool { return !j.gave(f.ID) })
		newest.AddFlashes(added...)
	}
	return nil
}

func (c *change) replay(newest *codec.Container) error {
	switch c.kind {
	case set:
		newest.Set(c.key, c.raw)
	case deleted:
		newest.Delete(c.key)
	case updated:
		raw, err := c.fn(newest.Find(c.key))
		if err != nil {
			return err
		}
		newest.Set(c.key, raw)
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

// Summary says what was done without any value, for the log.
type Summary struct {
	Cleared, Permanent, Lifetime bool
	Keys                         []string // that were changed, sorted
	Added, Taken                 int      // flashes
}

// Summary returns what the journal holds.
func (j *Journal) Summary() Summary {
	s := Summary{Cleared: j.cleared, Permanent: j.SetsPermanent(), Lifetime: j.SetsLifetime(), Added: int(j.kept), Taken: len(j.takenIDs())}
	for _, c := range j.changes() {
		s.Keys = append(s.Keys, c.key)
	}
	slices.Sort(s.Keys)
	return s
}
