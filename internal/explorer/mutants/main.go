// Command mutants shows that the explorer notices a broken commit: it makes one
// small change after the other to the code that loads and commits sessions, and
// runs TestExplorer on each. The source stays as it is: a changed file is in a
// temporary folder, and the build takes it from there (go help build, -overlay).
//
// It prints a line for each mutant, with the rules that it breaks, and fails if
// the explorer is red without a change, or if a mutant survives, does not
// compile, ends without a verdict, or no longer applies: its old text has to be
// in the file exactly once. Run it in the module's root; arguments choose
// mutants by a part of their name. It takes about six minutes, and at most 20.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// A mutant is a change to a file.
type mutant struct{ name, file, from, to string }

const (
	journal = "internal/journal/journal.go"
	records = "internal/recordstore/recordstore.go"
	commit  = "internal/recordstore/commit.go"
	contend = "internal/recordstore/contend.go"
	txn     = "internal/txn/commit.go"
	changes = "internal/txn/change.go"
	load    = "internal/txn/load.go"
	work    = "internal/txn/txn.go"
	sealed  = "internal/cookiestore/cookiestore.go"
	memory  = "internal/cookiestore/merge.go"
)

var mutants = []mutant{
	// Renew.
	{"Renew leaves no tombstone", commit, `err := v.bury(ctx, old, r.At.ID)`, `var err error`},
	{"Renew deletes the old record", commit, `err := v.bury(ctx, old, r.At.ID)`, `err := v.store.Delete(ctx, old.Name)`},
	{"Renew's tombstone names no successor", commit, `err := v.bury(ctx, old, r.At.ID)`, `err := v.bury(ctx, old, "")`},
	{"Renew of an emptied session stores nothing", commit, `v *Storage) move(ctx context.Context, old *txn.Locator, r *txn.Result) error {
`, `v *Storage) move(ctx context.Context, old *txn.Locator, r *txn.Result) error {
	if r.Content.Empty() {
		return v.bury(ctx, old, "")
	}
`},
	{"a new record stays although its tombstone failed", commit, `_ = v.store.Delete(ctx, r.At.Name) // nobody`, `_ = ctx // nobody`},
	{"Renew of an ended session keeps its content", commit, `fresh := v.policy.Fresh()`, `fresh := w.Content`},

	// Destroy.
	{"Destroy leaves no tombstone", commit, `func() error { return v.bury(ctx, &at, "") }`, `func() error { return nil }`},
	{"Destroy ends nothing if the record has changed", commit, `err := v.fetch(ctx, &there)
			at`, `err := sessionerr.ErrGone
			at`},
	{"Destroy does not follow a Renew that it meets", commit, `if successor(at) == "" {`, `if true {`},
	{"Destroy does not follow a Renew that came before the load", txn, `if failed := t.config.Storage.End(ctx, o.at); err == nil {`, `if failed := error(nil); err == nil {`},
	{"the new session after a Destroy has the old content", changes, `t.work.Content = t.config.Fresh()
	t.forgetTaken()
	t.work.Journal.Reset()
	t.work.Intent = Destroy`, `t.work.Intent = Destroy`},
	{"a log-out that fails leaves the browser logged in", txn, `t.setCookie = t.expireLine(Destroy, t.work.Place)`, `t.setCookie = ""`},

	// Tombstones with an unknown outcome.
	{"an unknown outcome counts as a tombstone", commit, `if err == nil || unknown == nil`, `if errors.Is(err, sessionerr.ErrUnavailable) {
			return nil
		}
		if err == nil || unknown == nil`},
	{"an unknown outcome counts as a conflict", commit, `if err == nil || unknown == nil`, `if errors.Is(err, sessionerr.ErrUnavailable) {
			return sessionerr.ErrConflict
		}
		if err == nil || unknown == nil`},
	{"a request's own tombstone counts as another's", commit, `case lookErr == nil && bytes.Equal(there.Data, data):`, `case lookErr == nil && bytes.Equal(there.Data, nil):`},

	// Changes.
	{"the changes are replayed twice", work, `	if err := w.Journal.Replay(newer, &w.Content, w.Shown); err != nil {`, `	_ = w.Journal.Replay(newer, &w.Content, w.Shown)
	if err := w.Journal.Replay(newer, &w.Content, w.Shown); err != nil {`},
	{"a conflict saves what was loaded", work, `r.Content, r.Dropped = newer, 0`, `r.Dropped = 0`},
	{"a conflict saves what others saved", work, `	if err := w.Journal.Replay(newer, &w.Content, w.Shown); err != nil {`, `	if err := error(nil); err != nil {`},
	{"a conflict counts as success", contend, `		if !superseded(err) {`, `		if superseded(err) {
			return nil
		}
		if true {`},
	{"an unknown outcome is tried again as a change", commit, `func() error { return v.save(ctx, r) }`, `func() error {
		err := v.save(ctx, r)
		if errors.Is(err, sessionerr.ErrUnavailable) {
			return sessionerr.ErrConflict
		}
		return err
	}`},
	{"an unknown outcome is forgotten after Save", txn, `t.wrong().broken = err // it may be saved`, `_ = err // it may be saved`},
	{"a session that is gone begins anew", commit, `	if err != nil {
		r.Place = txn.Nowhere`, `	if errors.Is(err, sessionerr.ErrEnded) {
		return v.Create(ctx, w, r)
	}
	if err != nil {
		r.Place = txn.Nowhere`},
	{"a record of unknown version is created again", contend, `if at.Version != nil && `, `if `},
	{"an emptied record is deleted", commit, `r.At.Told = txn.ToldToDrop // a cookie`, `_ = v.store.Delete(ctx, r.At.Name) // a cookie`},
	{"an emptied session is not sent again", records, `		at.Told = txn.ToldToDrop
`, ``},
	{"every change is sent", commit, `case told == want && `, `case told == want && w.Late && `},
	{"the browser is not told of SetPermanent", commit, `case told == want && `, `case told != txn.ToldToDrop || told == want && `},
	{"a conflict is never over for others", contend, `		<-c.queue.turn
`, ``},

	// The journal.
	{"Update saves the value that it saw", journal, `if c := j.change(key); depends {`, `if c := j.change(key); false {`},
	{"Clear is not replayed", journal, `		newest.Fill(nil, nil)
`, ``},
	{"Delete is not replayed", journal, `		newest.Delete(c.key)
`, ``},
	{"SetPermanent is not replayed", journal, `		newest.Permanent = j.permanent == persistent
`, ``},
	{"added flashes are not replayed", journal, `newest.AddFlashes(added...)`, `_ = added`},
	{"all flashes are replayed", journal, `return !j.gave(f.ID) })`, `return false })`},
	{"taken flashes are not noted", journal, `newest.DeleteFlashes(func(f codec.Flash) bool { return taken[f.ID] })`, `_ = taken`},

	// The request.
	{"a tombstone met by the load is none", records, `return since, sessionerr.ErrOver`, `*into = txn.Image{}
		return since, sessionerr.ErrUnknown`},
	{"a store that fails has no session", records, `return sessionerr.Unavailable(err)
	}
	at.Version`, `return sessionerr.ErrGone
	}
	at.Version`},
	{"a failed load is no reason to fail", load, `		t.wrong().broken = err
`, ``},
	{"a commit that failed is answered 200", txn, `		t.settled = true
		return err
	}
	if h == nil`, `		t.settled = true
		return nil
	}
	if h == nil`},
	{"what was saved is saved again", txn, `t.work.Intent = r.At, r.Place, Save
	t.begin()`, `t.work.Intent = r.At, r.Place, Save`},
	{"dropped changes stay in the session", txn, `Work{Image: Image{Content: t.config.Fresh()}, Shown`, `Work{Image: Image{Content: t.work.Content}, Shown`},

	// Sessions in cookies.
	{"a cookie's conflict counts as success", sealed, `if err != nil || k.memory.replace(id, base, &next, now) {`, `if k.memory.replace(id, base, &next, now); true {`},
	{"an older cookie is the session", sealed, `case known && newest.note != into.At.Note:`, `case false:`},
	{"the browser does not get the newest version of a cookie", load, `t.begin()`, `t.begin()
		t.work.At.Told = ToldNothing`},
	{"an ended cookie is the session", sealed, `case known && newest.ended:
		into`, `case false:
		into`},
	{"a cookie's Renew leaves no tombstone", sealed, `if k.memory.replace(id, base, &tombstone, now) {`, `if tombstone.ended {`},
	{"a cookie's Renew names no successor", sealed, `version{successor: word(r.At.ID), ended: true}`, `version{ended: true}`},
	{"a cookie's log-out leaves no tombstone", memory, `	s.put(id, &tombstone, m.limit, now)
`, ``},
	{"a log-out forgets the first cookie of a successor", sealed, `number = id // of`, `number = 0 // of`},
	{"a cookie's tombstone ends only the newest version", memory, `tombstone.taken, tombstone.successor = before.taken, before.successor`, `tombstone.successor = before.successor`},
	{"a cookie forgets the versions before it", memory, `	case known:
		next.taken = before.taken
`, `	case known:
`},
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(1)
	}
}

func run(parts []string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Minute)
	defer cancel()
	folder, err := os.MkdirTemp("", "mutants")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(folder) }()
	if broken, err := explore(ctx, folder, "^TestExplorer(_cookie)?$", nil); err != nil {
		return err
	} else if broken != nil {
		return fmt.Errorf("rules are broken without a change: %s", strings.Join(broken, "; "))
	}
	tried, wrong := 0, 0
	for _, m := range mutants {
		if !m.chosen(parts) {
			continue
		}
		tried++
		broken, err := m.explore(ctx, folder)
		switch {
		case err != nil:
			wrong++
			report("ERROR     %s: %v\n", m.name, err)
		case broken == nil:
			wrong++
			report("SURVIVED  %s\n", m.name)
		default:
			report("red       %s: %s\n", m.name, strings.Join(broken, "; "))
		}
	}
	if wrong > 0 {
		return fmt.Errorf("%d of %d were not red", wrong, tried)
	}
	report("all %d mutants were red\n", tried)
	return nil
}

func report(format string, args ...any) { _, _ = fmt.Fprintf(os.Stdout, format, args...) }

// chosen reports whether the name has one of the parts, if there are any.
func (m mutant) chosen(parts []string) bool {
	return len(parts) == 0 || slices.ContainsFunc(parts, func(part string) bool { return strings.Contains(m.name, part) })
}

// explore returns the rules that a mutant breaks.
func (m mutant) explore(ctx context.Context, folder string) (broken []string, err error) {
	source, err := os.ReadFile(m.file)
	if err != nil {
		return nil, err
	}
	if n := bytes.Count(source, []byte(m.from)); n != 1 {
		return nil, fmt.Errorf("%s has the text %d times; it has to be there once: %q", m.file, n, m.from)
	}
	changed := filepath.Join(folder, "changed.go")
	source = bytes.Replace(source, []byte(m.from), []byte(m.to), 1)
	if err := os.WriteFile(changed, source, 0o600); err != nil { //nolint:gosec // the source is our own
		return nil, err
	}
	test := "^TestExplorer$"
	if strings.Contains(m.name, "cookie") {
		test = "^TestExplorer_cookie$"
	}
	return explore(ctx, folder, test, map[string]string{m.file: changed})
}

// verdict is what TestExplorer prints of a broken rule.
var verdict = regexp.MustCompile(`"([^"]+)" is broken in \d+ schedules`)

// explore returns the rules that break with some files replaced by others.
func explore(ctx context.Context, folder, test string, replace map[string]string) (broken []string, err error) {
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return nil, err
	}
	file := filepath.Join(folder, "overlay.json")
	if err := os.WriteFile(file, overlay, 0o600); err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, "go", "test", "-count=1", "-vet=off", "-timeout=2m", //nolint:gosec // our own tests
		"-overlay="+file, "-run="+test, "./internal/explorer")
	cmd.WaitDelay = time.Second
	output, err := cmd.CombinedOutput()
	for _, rule := range verdict.FindAllSubmatch(output, -1) {
		broken = append(broken, string(rule[1]))
	}
	if err != nil && broken == nil {
		return nil, fmt.Errorf("no verdict: %w\n%.2000s", err, output)
	}
	return broken, nil
}
