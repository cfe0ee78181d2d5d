// Command mutants shows that the explorer notices a broken commit: it makes one
// small change after the other to the code that loads and commits sessions, and
// runs TestExplorer on each. The source stays as it is: a changed file is in a
// temporary folder, and the build takes it from there (go help build, -overlay).
//
// It prints a line for each mutant, with the rules that it breaks, and fails if
// the explorer is red without a change, or if a mutant survives, does not
// compile, ends without a verdict, or no longer applies: its old text has to be
// in the file exactly once. Run it in the module's root; arguments choose
// mutants by a part of their name. It takes about four minutes, and at most 20.
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
)

var mutants = []mutant{
	// Renew.
	{"Renew leaves no tombstone", commit, `err := v.bury(ctx, old, r.At.ID)`, `var err error`},
	{"Renew deletes the old record", commit, `err := v.bury(ctx, old, r.At.ID)`, `err := v.store.Delete(ctx, old.Name)`},
	{"Renew's tombstone names no successor", commit, `err := v.bury(ctx, old, r.At.ID)`, `err := v.bury(ctx, old, "")`},
	{"Renew of an emptied session stores nothing", commit, `	r.At = newLocator()
`, `	if r.Content.Empty() {
		return v.bury(ctx, old, "")
	}
	r.At = newLocator()
`},
	{"a new record stays although its tombstone failed", commit, `_ = v.store.Delete(ctx, r.At.Name) // nobody`, `_ = ctx // nobody`},
	{"Renew of an ended session keeps its content", commit, `content := v.policy.Fresh()`, `content := w.Content`},

	// Destroy.
	{"Destroy leaves no tombstone", commit, `func() error { return v.bury(ctx, &at, "") }`, `func() error { return nil }`},
	{"Destroy ends nothing if the record has changed", commit, `_, err := v.fetch(ctx, &at)`, `err := sessionerr.ErrGone`},
	{"Destroy does not follow a Renew that it meets", commit, `if successor(at) == "" {`, `if true {`},
	{"Destroy does not follow a Renew that came before the load", commit, `if failed := v.end(ctx, o.At); err == nil {`, `if failed := error(nil); err == nil {`},
	{"the new session after a Destroy has the old content", changes, `t.work.Content = t.config.Fresh()
	t.work.Journal.Reset()
	t.work.Intent = Destroy`, `t.work.Intent = Destroy`},
	{"a log-out that fails leaves the cookie", txn, `t.setCookie = t.expireLine(Destroy, t.work.Place)`, `t.setCookie = ""`},

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
	{"the changes are replayed twice", commit, `	if err := w.Journal.Replay(&newest, &w.Content); err != nil {`, `	_ = w.Journal.Replay(&newest, &w.Content)
	if err := w.Journal.Replay(&newest, &w.Content); err != nil {`},
	{"a conflict saves what was loaded", commit, `r.Content, r.Dropped = newest, 0`, `r.Dropped = 0`},
	{"a conflict saves what others saved", commit, `	if err := w.Journal.Replay(&newest, &w.Content); err != nil {`, `	if err != nil {`},
	{"a conflict counts as success", contend, `		if !superseded(err) {`, `		if superseded(err) {
			return nil
		}
		if true {`},
	{"an unknown outcome is tried again as a change", commit, `func() error { return v.save(ctx, &r.At, &r) }`, `func() error {
		err := v.save(ctx, &r.At, &r)
		if errors.Is(err, sessionerr.ErrUnavailable) {
			return sessionerr.ErrConflict
		}
		return err
	}`},
	{"an unknown outcome is forgotten after Save", txn, `t.broken = err // it may be saved`, `_ = err // it may be saved`},
	{"a session that is gone begins anew", commit, `	if err != nil {
		return txn.Result{}, err
	}
	told, want`, `	if errors.Is(err, sessionerr.ErrEnded) {
		return v.create(ctx, w.Content, w.Late)
	}
	if err != nil {
		return txn.Result{}, err
	}
	told, want`},
	{"a record of unknown version is created again", contend, `if at.Version != nil {`, `if true {`},
	{"an emptied record is deleted", commit, `r.At.Told = txn.ToldToDrop // a cookie`, `_ = v.store.Delete(ctx, r.At.Name) // a cookie`},
	{"the cookie of an emptied session is not sent again", records, `		at.Told = txn.ToldToDrop
`, ``},
	{"every change sends the cookie", commit, `case told == want && `, `case told == want && w.Late && `},
	{"the browser is not told of SetPermanent", commit, `case told == want && `, `case told != txn.ToldToDrop || told == want && `},
	{"a conflict is never over for others", contend, `		<-c.queue
`, ``},

	// The journal.
	{"Update saves the value that it saw", journal, `known := j.cleared`, `known := true`},
	{"Clear is not replayed", journal, `		newest.Fill(nil, nil)
`, ``},
	{"Delete is not replayed", journal, `		newest.Delete(c.key)
`, ``},
	{"SetPermanent is not replayed", journal, `		newest.Permanent = j.permanent == persistent
`, ``},
	{"added flashes are not replayed", journal, `newest.AddFlashes(added...)`, `_ = added`},
	{"all flashes are replayed", journal, `return !j.gave(f.ID) })`, `return false })`},
	{"taken flashes are not noted", journal, `j.taken = append(j.taken, id)`, `_ = id`},

	// The request.
	{"a tombstone met by the load is none", records, `return txn.Found{At: at}, sessionerr.ErrOver`, `return txn.Found{}, sessionerr.ErrUnknown`},
	{"a store that fails has no session", records, `return codec.Container{}, sessionerr.Unavailable(err)`, `return codec.Container{}, sessionerr.ErrGone`},
	{"a failed load is no reason to fail", load, `		t.broken = err
`, ``},
	{"a commit that failed is answered 200", txn, `		t.settled = true
		return err
	}
	if h == nil`, `		t.settled = true
		return nil
	}
	if h == nil`},
	{"what was saved is saved again", txn, `t.work.Intent = r.Content, r.At, r.Place, Save
	t.work.Journal.Reset()`, `t.work.Intent = r.Content, r.At, r.Place, Save`},
	{"dropped changes stay in the session", txn, `Work{Content: t.config.Fresh(), Journal: t.work.Journal, Others`, `Work{Content: t.work.Content, Journal: t.work.Journal, Others`},
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
	if broken, err := explore(ctx, folder, nil); err != nil {
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
	return explore(ctx, folder, map[string]string{m.file: changed})
}

// verdict is what TestExplorer prints of a broken rule.
var verdict = regexp.MustCompile(`"([^"]+)" is broken in \d+ schedules`)

// explore returns the rules that break with some files replaced by others.
func explore(ctx context.Context, folder string, replace map[string]string) (broken []string, err error) {
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return nil, err
	}
	file := filepath.Join(folder, "overlay.json")
	if err := os.WriteFile(file, overlay, 0o600); err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, "go", "test", "-count=1", "-vet=off", "-timeout=2m", //nolint:gosec // our own tests
		"-overlay="+file, "-run=^TestExplorer$", "./internal/explorer")
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
