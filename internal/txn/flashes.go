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
	if t.work.Shown == nil {
		if t.work.Shown = t.work.Content.Flashes(); t.work.Shown == nil {
			t.work.Shown = []codec.Flash{}
		}
	}
	shown := map[uint64]bool{}
	for _, f := range t.work.Shown {
		shown[f.ID] = true
	}
	t.work.Content.DeleteFlashes(func(f codec.Flash) bool {
		if !wanted(f) || !shown[f.ID] {
			return false
		}
		t.work.Journal.TakeFlash(f.ID)
		t.changed()
		return true
	})
	return t.work.Shown
}

// KeepFlashes puts back those of the messages which [Txn.TakeFlashes] has returned
// that are wanted and that it has removed.
func (t *Txn) KeepFlashes(wanted func(codec.Flash) bool) {
	there := map[uint64]bool{}
	for _, f := range t.work.Content.Flashes() {
		there[f.ID] = true
	}
	t.work.Shown = slices.Clone(t.work.Shown)
	for i := range t.work.Shown {
		f := &t.work.Shown[i]
		if !wanted(*f) || there[f.ID] {
			continue
		}
		if f.ID == 0 {
			f.ID = t.work.Journal.AddFlash()
		} else {
			t.work.Journal.KeepFlash(f.ID)
		}
		t.work.Content.AddFlashes(*f)
		t.changed()
	}
}

// forgetTaken makes the messages that were taken unknown: a commit has removed
// them, so that no replay has to, and one that is kept is a new one.
func (t *Txn) forgetTaken() {
	there := map[uint64]bool{}
	for _, f := range t.work.Content.Flashes() {
		there[f.ID] = true
	}
	for i := range t.work.Shown {
		if f := &t.work.Shown[i]; !there[f.ID] {
			f.ID = 0
		}
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
