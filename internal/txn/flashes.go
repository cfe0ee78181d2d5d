package txn

import (
	"slices"

	"github.com/ginsession/ginsession/internal/codec"
)

// AddFlash adds a message.
func (t *Txn) AddFlash(category, raw string) {
	t.work.Content.AddFlashes(codec.Flash{ID: t.work.Journal.AddFlash(), Category: category, Raw: raw})
	t.changed()
}

// TakeFlashes removes the messages that are wanted, and returns all of those
// that it has removed in this request.
func (t *Txn) TakeFlashes(wanted func(codec.Flash) bool) []codec.Flash {
	if t.seen == nil {
		if t.seen = t.work.Content.Flashes(); t.seen == nil {
			t.seen = []codec.Flash{}
		}
	}
	seen := map[uint64]bool{}
	for _, f := range t.seen {
		seen[f.ID] = true
	}
	t.work.Content.DeleteFlashes(func(f codec.Flash) bool {
		if !wanted(f) || !seen[f.ID] {
			return false
		}
		t.work.Journal.TakeFlash(f.ID)
		t.changed()
		return true
	})
	return t.seen
}

// KeepFlashes puts back those of the messages which [Txn.TakeFlashes] has returned
// that are wanted and that it has removed.
func (t *Txn) KeepFlashes(wanted func(codec.Flash) bool) {
	there := map[uint64]bool{}
	for _, f := range t.work.Content.Flashes() {
		there[f.ID] = true
	}
	t.seen = slices.Clone(t.seen)
	for i := range t.seen {
		f := &t.seen[i]
		if !wanted(*f) || there[f.ID] {
			continue
		}
		if !t.work.Journal.KeepFlash(f.ID) {
			f.ID = t.work.Journal.AddFlash()
		}
		t.work.Content.AddFlashes(*f)
		t.changed()
	}
}

// DropFlashes removes the oldest messages of a session that is too large, a few
// of many at a time, and reports whether there were any.
func (r *Result) DropFlashes() bool {
	content := *r.Content // what the request sees stays as it is
	n := content.DropFlashes(1 + len(content.Flashes())/16)
	r.Content = &content
	r.Dropped += n
	return n > 0
}
