package ginsession

import (
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/ginsession/ginsession/internal/codec"
)

// changes is what a request did to its session, as opposed to what it saw. It
// can be replayed on a newer version of the session, where it keeps what
// parallel requests did. For a session in a cookie, which has no newer version,
// it only tells whether there is anything to save: that saves a log-in 8 % of
// its time.
type changes struct {
	detailed  bool // a server store will replay it, or a log tell of it
	other     bool // something was done besides adding flashes
	cleared   bool // everything from before is gone
	permanent *bool
	keys      []keyChange // sorted by key, each key once
	taken     []uint64    // ids of flashes that others know

	// The flashes that were added have the ids first, first+1 and so on. They
	// are in the session's content, and here only while that is replaced.
	first uint64
	given uint32 // ids
	kept  uint32 // flashes, of those, that were not taken again
	added []codec.Flash
}

// keyChange is what became of one key in the end.
type keyChange struct {
	key     string
	raw     string // the new value, unless deleted or updated
	deleted bool
	updates []updateFunc // what to do to the value that is there
}

type updateFunc func(old string, found bool) (raw string, err error)

func (d *changes) any() bool { return d.other || d.kept > 0 }

// reset forgets it all.
func (d *changes) reset() { *d = changes{detailed: d.detailed} }

// note tells whether to note the details of what was done.
func (d *changes) note() bool {
	d.other = true
	return d.detailed
}

// collect takes what the request added from the content it saw, before that is
// replaced.
func (d *changes) collect(seen *codec.Container) {
	d.added = slices.DeleteFunc(slices.Clone(seen.Flashes()), func(f codec.Flash) bool { return !d.gave(f.ID) })
}

// apply does it all again, to another content.
func (d *changes) apply(c *codec.Container) error {
	if d.cleared {
		c.Fill(nil, nil)
	}
	if d.permanent != nil {
		c.Permanent = *d.permanent
	}
	for _, k := range d.keys {
		if err := k.apply(c); err != nil {
			return err
		}
	}
	taken := map[uint64]bool{}
	for _, id := range d.taken {
		taken[id] = true
	}
	c.DeleteFlashes(func(f codec.Flash) bool { return taken[f.ID] })
	c.AddFlashes(d.added...)
	return nil
}

func (k *keyChange) apply(c *codec.Container) error {
	if k.deleted {
		c.Delete(k.key)
		return nil
	}
	if k.updates == nil {
		c.Set(k.key, k.raw)
		return nil
	}
	for _, update := range k.updates {
		old, found := c.Find(k.key)
		raw, err := update(old, found)
		if err != nil {
			return err
		}
		c.Set(k.key, raw)
	}
	return nil
}

func (d *changes) clear(permanent bool) {
	d.reset()
	d.other, d.cleared, d.permanent = true, true, &permanent
}

func (d *changes) setPermanent(permanent bool) { d.other, d.permanent = true, &permanent }

func (d *changes) set(key, raw string) {
	if d.note() {
		*d.key(key) = keyChange{key: key, raw: raw}
	}
}

func (d *changes) delete(key string) {
	if d.note() {
		*d.key(key) = keyChange{key: key, deleted: true}
	}
}

// update notes fn, which has just given raw. After a set, a delete or a clear
// the value did not depend on anybody else, and raw is all there is to say.
func (d *changes) update(key, raw string, fn updateFunc) {
	known := d.cleared
	if i, ok := d.index(key); ok {
		known = d.keys[i].updates == nil
	}
	if known {
		d.set(key, raw)
		return
	}
	if d.note() {
		k := d.key(key)
		k.updates = append(k.updates, fn)
	}
}

// updates tells whether what key holds depends on what others put there.
func (d *changes) updates(key string) bool {
	i, ok := d.index(key)
	return ok && d.keys[i].updates != nil
}

// add gives the id for a flash that is added.
func (d *changes) add() uint64 {
	if d.given == 0 {
		d.first = rand.Uint64() //nolint:gosec // the id is no secret
	}
	d.given++
	d.kept++
	return d.first + uint64(d.given) - 1
}

func (d *changes) gave(id uint64) bool { return id-d.first < uint64(d.given) }

func (d *changes) take(id uint64) {
	if d.gave(id) {
		d.kept--
	} else if d.note() {
		d.taken = append(d.taken, id)
	}
}

// key returns the entry for key, which it makes if need be.
func (d *changes) key(key string) *keyChange {
	i, ok := d.index(key)
	if !ok {
		d.keys = slices.Insert(d.keys, i, keyChange{key: key})
	}
	return &d.keys[i]
}

func (d *changes) index(key string) (int, bool) {
	return slices.BinarySearchFunc(d.keys, key, func(k keyChange, key string) int {
		return strings.Compare(k.key, key)
	})
}
