package journal_test

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ginsession/ginsession/internal/codec"
	"github.com/ginsession/ginsession/internal/journal"
)

// request is a session as one request sees it, and its journal.
type request struct {
	journal journal.Journal
	seen    codec.Container
	shown   []codec.Flash
}

func newRequest(detailed bool) *request {
	r := &request{journal: journal.Journal{Detailed: detailed}}
	r.seen = content("a=1 b=2", "old/1 error/2")
	return r
}

// content makes a container of keys, and of flashes by category and id.
func content(entries, flashes string) (c codec.Container) {
	for pair := range strings.FieldsSeq(entries) {
		key, raw, _ := strings.Cut(pair, "=")
		c.Set(key, raw)
	}
	for pair := range strings.FieldsSeq(flashes) {
		category, id, _ := strings.Cut(pair, "/")
		c.AddFlashes(codec.Flash{ID: uint64(id[0] - '0'), Category: category, Raw: id})
	}
	return c
}

// show is the other way round.
func show(c *codec.Container) (entries, flashes string) {
	var keys, shown []string
	for _, e := range c.Entries() {
		keys = append(keys, e.Key+"="+e.Raw)
	}
	for _, f := range c.Flashes() {
		shown = append(shown, f.Category+"/"+f.Raw)
	}
	return strings.Join(keys, " "), strings.Join(shown, " ")
}

var errUpdate = errors.New("update failed")

// do runs the words of a row:
//
//	set:k=v  delete:k  update:k  fail:k  clear  clear:permanent  permanent:true  flash:category  take:category
//
// An update appends an x to the value, or to a dash if there is none; one that
// fails does so when it is replayed. A take is of all flashes of a category that
// the request sees.
func (r *request) do(words string) {
	for word := range strings.FieldsSeq(words) {
		verb, arg, _ := strings.Cut(word, ":")
		switch verb {
		case "set":
			key, raw, _ := strings.Cut(arg, "=")
			r.seen.Set(key, raw)
			r.journal.Set(key)
		case "delete":
			r.seen.Delete(arg)
			r.journal.Set(arg)
		case "update", "fail":
			old, found := r.seen.Find(arg)
			raw, _ := appendX(old, found)
			r.seen.Set(arg, raw)
			fn := appendX
			if verb == "fail" {
				fn = func(string, bool) (string, error) { return "", errUpdate }
			}
			r.journal.Update(arg, fn)
		case "clear":
			r.seen.Fill(nil, nil)
			r.journal.Clear(arg == "permanent")
		case "permanent":
			r.journal.SetPermanent(arg == "true")
		case "flash":
			r.seen.AddFlashes(codec.Flash{ID: r.journal.AddFlash(), Category: arg, Raw: "new"})
		case "take":
			if r.shown == nil {
				r.shown = r.seen.Flashes()
			}
			r.seen.DeleteFlashes(func(f codec.Flash) bool {
				if f.Category != arg {
					return false
				}
				r.journal.TakeFlash(f.ID)
				for i := range r.shown {
					if r.shown[i].ID == f.ID {
						r.shown[i].Taken = codec.TakenNow
					}
				}
				return true
			})
		default:
			panic("no such word: " + word)
		}
	}
}

func appendX(old string, found bool) (string, error) {
	if !found {
		old = "-"
	}
	return old + "x", nil
}

// TestJournal_Replay replays what a request did to "a=1 b=2" and the flashes
// old/1 and error/2 on what another has made of it meanwhile.
func TestJournal_Replay(t *testing.T) {
	tests := []struct {
		name, do        string
		newest, flashes string // by the other request
		want, wantFlash string
		permanent       bool // afterwards; the other request has left it false
	}{
		{"nothing", "", "a=9 c=3", "old/1", "a=9 c=3", "old/1", false},
		{"set", "set:a=5", "a=9 c=3", "", "a=5 c=3", "", false},
		{"set a new key", "set:d=5", "a=9 c=3", "", "a=9 c=3 d=5", "", false},
		{"set twice", "set:a=5 set:a=6", "a=9", "", "a=6", "", false},
		{"set what is deleted", "set:a=5", "b=2", "", "a=5 b=2", "", false},
		{"delete", "delete:a", "a=9 b=2", "", "b=2", "", false},
		{"delete what is gone", "delete:a", "b=2", "", "b=2", "", false},
		{"delete and set", "delete:a set:a=5", "a=9", "", "a=5", "", false},
		{"set and delete", "set:a=5 delete:a", "a=9 b=2", "", "b=2", "", false},
		{"update", "update:a", "a=9", "", "a=9x", "", false},
		{"update twice", "update:a update:a", "a=9", "", "a=9xx", "", false},
		{"update what is deleted", "update:a", "b=2", "", "a=-x b=2", "", false},
		{"update after set", "set:a=5 update:a", "a=9", "", "a=5x", "", false},
		{"update after delete", "delete:a update:a", "a=9", "", "a=-x", "", false},
		{"update after clear", "clear update:a", "a=9 b=2", "", "a=-x", "", false},
		{"set after update", "update:a set:a=5", "a=9", "", "a=5", "", false},
		{"delete after update", "update:a delete:a", "a=9 b=2", "", "b=2", "", false},
		{"clear", "clear", "a=9 c=3", "old/1 added/3", "", "", false},
		{"clear after a set", "set:a=5 clear", "a=9", "", "", "", false},
		{"clear, then set", "clear set:a=5", "a=9 c=3", "old/1", "a=5", "", false},
		{"clear, then a flash", "flash:lost clear flash:kept", "a=9", "old/1", "", "kept/new", false},
		{"clear to permanent", "clear:permanent", "a=9", "", "", "", true},
		{"permanent", "permanent:true", "a=9", "", "a=9", "", true},
		{"permanent and not", "permanent:true permanent:false", "a=9", "", "a=9", "", false},
		{"permanent, then clear", "permanent:true clear", "a=9", "", "", "", false},
		{"add a flash", "flash:error", "", "old/1 added/3", "", "old/1 added/3 error/new", false},
		{"take a category", "take:error", "", "old/1 error/2 error/3", "", "old/1 error/3", false},
		{"take both categories", "take:old take:error", "", "old/1 error/2", "", "", false},
		{"take what is taken", "take:error", "", "old/1", "", "old/1", false},
		{"add two of a category and take them", "flash:x flash:x take:x", "", "old/1", "", "old/1", false},
		{"add two and take one", "flash:x flash:y take:x", "", "old/1", "", "old/1 y/new", false},
		{"take, then add one of the category", "take:error flash:error", "", "old/1 error/2", "", "old/1 error/new", false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r, newest := newRequest(true), content(test.newest, test.flashes)
			r.do(test.do)
			if err := r.journal.Replay(&newest, &r.seen, r.shown); err != nil {
				t.Fatal(err)
			}
			got, gotFlash := show(&newest)
			if got != test.want || gotFlash != test.wantFlash || newest.Permanent != test.permanent {
				t.Errorf("got %q, %q, permanent %v, want %q, %q, %v", got, gotFlash, newest.Permanent, test.want, test.wantFlash, test.permanent)
			}
		})
	}
}

// TestJournal_Replay_fails returns the error of an update that works on one
// value and not on another.
func TestJournal_Replay_fails(t *testing.T) {
	r, newest := newRequest(true), content("a=9", "")
	r.do("fail:a")
	if err := r.journal.Replay(&newest, &r.seen, r.shown); !errors.Is(err, errUpdate) {
		t.Errorf("got %v, want %v", err, errUpdate)
	}
}

// TestJournal_Any asks journals whether there is anything to save, with the
// details and without.
func TestJournal_Any(t *testing.T) {
	tests := []struct {
		do   string
		want bool
	}{
		{"", false}, {"set:a=5", true}, {"delete:a", true}, {"update:a", true}, {"clear", true}, {"permanent:false", true},
		{"flash:x", true}, {"take:error", true}, {"flash:x take:x", false}, {"flash:x flash:y take:x", true}, {"take:none", false},
	}
	for _, test := range tests {
		for _, detailed := range []bool{false, true} {
			r := newRequest(detailed)
			r.do(test.do)
			if got := r.journal.Any(); got != test.want {
				t.Errorf("%q, detailed %v: got %v, want %v", test.do, detailed, got, test.want)
			}
			r.journal.Reset()
			if r.journal.Any() || r.journal.Detailed != detailed || !reflect.DeepEqual(r.journal.Summary(), journal.Summary{}) {
				t.Errorf("%q, reset: got %+v", test.do, r.journal)
			}
		}
	}
}

// TestJournal_Summary says what was done without the values. A journal without
// details only counts.
func TestJournal_Summary(t *testing.T) {
	tests := []struct {
		do   string
		want journal.Summary
	}{
		{"set:b=5 update:a delete:c set:b=6", journal.Summary{Keys: []string{"a", "b", "c"}}},
		{"set:b=5 clear set:a=6", journal.Summary{Cleared: true, Permanent: true, Keys: []string{"a"}}},
		{"permanent:true", journal.Summary{Permanent: true}},
		{"flash:x flash:y take:x take:error", journal.Summary{Added: 1}},
	}
	for _, test := range tests {
		r, counted := newRequest(true), newRequest(false)
		r.do(test.do)
		counted.do(test.do)
		if got := r.journal.Summary(); !reflect.DeepEqual(got, test.want) {
			t.Errorf("%q: got %+v, want %+v", test.do, got, test.want)
		}
		if r.journal.Cleared() != test.want.Cleared || r.journal.SetsPermanent() != test.want.Permanent {
			t.Errorf("%q: got Cleared %v and SetsPermanent %v", test.do, r.journal.Cleared(), r.journal.SetsPermanent())
		}
		if got := counted.journal.Summary(); len(got.Keys) != 0 || got.Added != test.want.Added {
			t.Errorf("%q without details: got %+v", test.do, got)
		}
	}
}

// TestJournal_Updates asks whether a value depends on what other requests save.
func TestJournal_Updates(t *testing.T) {
	tests := []struct {
		do   string
		want bool
	}{{"", false}, {"update:a", true}, {"update:b", false}, {"set:a=1 update:a", false}, {"update:a set:a=1", false}, {"clear update:a", false}}
	for _, test := range tests {
		r := newRequest(true)
		r.do(test.do)
		if got := r.journal.Updates("a"); got != test.want {
			t.Errorf("%q: got %v, want %v", test.do, got, test.want)
		}
	}
}

// TestJournal_manyKeys changes more keys than are looked at one by one.
func TestJournal_manyKeys(t *testing.T) {
	r, newest, want := newRequest(true), content("k3=9 k30=9 other=1", ""), content("other=1", "")
	for i := range 40 {
		r.do(fmt.Sprintf("set:k%d=1", i))
	}
	for i := range 40 {
		if i%2 == 0 {
			r.do(fmt.Sprintf("delete:k%d", i))
			continue
		}
		r.do(fmt.Sprintf("update:k%d", i))
		want.Set(fmt.Sprintf("k%d", i), "1x")
	}
	if err := r.journal.Replay(&newest, &r.seen, r.shown); err != nil {
		t.Fatal(err)
	}
	if got := len(r.journal.Summary().Keys); !slices.Equal(newest.Entries(), want.Entries()) || got != 40 {
		t.Errorf("got %v and %d keys in the summary, want %v and 40", newest.Entries(), got, want.Entries())
	}
}

// TestJournal_Replay_lifetime replays on a session that another request has
// remembered for an hour.
func TestJournal_Replay_lifetime(t *testing.T) {
	for _, row := range []struct {
		name       string
		do         func(*journal.Journal)
		lifetime   time.Duration
		remembered bool
	}{
		{"nothing", func(*journal.Journal) {}, time.Hour, true},
		{"another", func(j *journal.Journal) { j.SetLifetime(time.Minute, false) }, time.Minute, false},
		{"that of the app", func(j *journal.Journal) { j.SetLifetime(0, false) }, 0, false},
		{"clear", func(j *journal.Journal) { j.Clear(false) }, 0, false},
		{"set, then clear", func(j *journal.Journal) { j.SetLifetime(time.Minute, true); j.Clear(false) }, 0, false},
		{"clear, then set", func(j *journal.Journal) { j.Clear(false); j.SetLifetime(time.Minute, true) }, time.Minute, true},
	} {
		var j journal.Journal
		row.do(&j)
		newest := codec.Container{Lifetime: time.Hour, Remembered: true}
		if err := j.Replay(&newest, new(codec.Container), nil); err != nil || newest.Lifetime != row.lifetime || newest.Remembered != row.remembered {
			t.Errorf("%s: got %v, %v and %v, want %v and %v", row.name, newest.Lifetime, newest.Remembered, err, row.lifetime, row.remembered)
		}
	}
}

// TestTaken: only a flash that was removed since the last commit is taken, whatever
// its id.
func TestTaken(t *testing.T) {
	shown := []codec.Flash{{ID: 0, Taken: codec.TakenNow}, {ID: 1}, {ID: 2, Taken: codec.TakenForGood}}
	if got := journal.Taken(shown); len(got) != 1 || !got[0] {
		t.Errorf("got %v, want the flash 0", got)
	}
}

// TestJournal_KeepFlash takes a flash that was added and keeps it after all.
func TestJournal_KeepFlash(t *testing.T) {
	var j journal.Journal
	id := j.AddFlash()
	j.TakeFlash(id)
	if j.Any() {
		t.Error("taken: want nothing to save")
	}
	if j.KeepFlash(id); !j.Any() {
		t.Error("kept: want it to be saved")
	}
}
