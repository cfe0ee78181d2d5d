package txn

import (
	"errors"
	"slices"

	"github.com/ginsession/ginsession/internal/codec"
	"github.com/ginsession/ginsession/internal/sessionerr"
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
	shown := map[uint64]int{}
	for i, f := range t.work.Shown {
		shown[f.ID] = i
	}
	t.work.Content.DeleteFlashes(func(f codec.Flash) bool {
		i, was := shown[f.ID]
		if !was || !wanted(f) {
			return false
		}
		t.work.Shown[i].Taken = codec.TakenNow
		t.work.Journal.TakeFlash(f.ID)
		t.changed()
		return true
	})
	return t.work.Shown
}

// KeepFlashes puts back those of the messages which [Txn.TakeFlashes] has returned
// that are wanted and that it has removed.
func (t *Txn) KeepFlashes(wanted func(codec.Flash) bool) {
	t.work.Shown = slices.Clone(t.work.Shown)
	for i := range t.work.Shown {
		f := &t.work.Shown[i]
		switch {
		case f.Taken == codec.NotTaken || !wanted(*f):
			continue
		case f.Taken == codec.TakenNow:
			t.work.Journal.KeepFlash(f.ID)
		default: // no other request knows it any more
			f.ID = t.work.Journal.AddFlash()
		}
		f.Taken = codec.NotTaken
		t.work.Content.AddFlashes(*f)
		t.changed()
	}
}

// forgetTaken notes that no replay has to remove the messages that were taken.
func (t *Txn) forgetTaken() {
	for i := range t.work.Shown {
		if f := &t.work.Shown[i]; f.Taken == codec.TakenNow {
			f.Taken = codec.TakenForGood
		}
	}
}

// Fit calls store until the content is not too large: each time without the oldest
// messages, a few of many. What the request sees stays as it is.
func (r *Result) Fit(store func() error) error {
	for {
		err := store()
		if !errors.Is(err, sessionerr.ErrTooLarge) || len(r.Content.Flashes()) == 0 {
			return err
		}
		content := *r.Content
		r.Dropped += content.DropFlashes(1 + len(content.Flashes())/16)
		r.Content = &content
	}
}
