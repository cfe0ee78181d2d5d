package ginsession

import (
	"slices"
	"strings"

	"github.com/ginsession/ginsession/internal/codec"
)

// changes is what a request did to its session, as opposed to what it saw. It
// can be replayed on a newer version of the session, where it keeps what
// parallel requests did.
type changes struct {
	cleared   bool // everything from before is gone
	permanent *bool
	keys      []keyChange // sorted by key, each key once
	added     []codec.Flash
	taken     []uint64 // ids of flashes
}

// keyChange is what became of one key in the end.
type keyChange struct {
	key     string
	raw     string // the new value, unless deleted or updated
	deleted bool
	updates []updateFunc // what to do to the value that is there
}

type updateFunc func(old string, found bool) (raw string, err error)

func (d *changes) any() bool {
	return d.cleared || d.permanent != nil || len(d.keys)+len(d.added)+len(d.taken) > 0
}

// apply does it again, to another version of the session.
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
	for _, id := range d.taken {
		c.DeleteFlash(id)
	}
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

func (d *changes) clear(permanent bool) { *d = changes{cleared: true, permanent: &permanent} }

func (d *changes) set(key, raw string) { *d.key(key) = keyChange{key: key, raw: raw} }

func (d *changes) delete(key string) { *d.key(key) = keyChange{key: key, deleted: true} }

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
	k := d.key(key)
	k.updates = append(k.updates, fn)
}

// updates tells whether what key holds depends on what others put there.
func (d *changes) updates(key string) bool {
	i, ok := d.index(key)
	return ok && d.keys[i].updates != nil
}

func (d *changes) add(f codec.Flash) { d.added = append(d.added, f) }

func (d *changes) take(id uint64) {
	before := len(d.added)
	d.added = slices.DeleteFunc(d.added, func(f codec.Flash) bool { return f.ID == id })
	if len(d.added) == before {
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
