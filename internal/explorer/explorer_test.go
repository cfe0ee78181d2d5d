// Package explorer_test explores the interleavings of requests that share a
// session on a server store: a scheduler decides which call to the store goes
// on and what it suffers, and an oracle judges what the browser and later
// requests can see. It uses nothing but the public API.
//
// A schedule that breaks a rule is printed with the command that replays it.
// TestSoakExplorer is the long form.
package explorer_test

import (
	"flag"
	"fmt"
	"maps"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
)

var replayed = flag.String("explorer.schedule", "", "a schedule that TestExplorer has printed, for TestExplorer_replay")

func init() {
	gin.SetMode(gin.TestMode)
	debug.SetGCPercent(1000) // little lives longer than a schedule
}

// core are the programs that the short form plays with faults.
var core = []program{"S", "U", "F", "T", "N", "X", "XF", "NL", "C", "UvU"}

// some are those that the short form plays with a cookie in every order of
// requests and responses.
var some = []program{"S", "U", "F", "T", "N", "X", "NL", "C"}

// more are all of the issue's, for schedules without faults.
var more = append([]program{"D", "P", "R", "SvK", "SvNK", "NvS"}, core...)

// all are those of the long form.
var all = append([]program{"!S", "!U", "!D", "!C", "!F", "!T", "!N", "!X", "!XF", "!NL", "!P", "!R",
	"S!K", "XvL", "SvX", "SvN", "UvNU", "TvF", "CS", "DF", "PvU", "NX"}, more...)

// TestExplorer plays two requests in every order, with at most one fault.
func TestExplorer(t *testing.T) {
	began, total := time.Now(), newFindings()
	t.Run("all", func(t *testing.T) {
		for _, start := range startNames {
			t.Run(start, func(t *testing.T) {
				t.Parallel()
				found := newFindings()
				inBubble(t, configNamed("one"), func(w *world) { found.short(w, start) })
				total.add(found)
			})
		}
	})
	total.report(t, time.Since(began))
}

// TestExplorer_cookie plays two requests on one session in the encrypted cookie.
// They begin, go on and are answered in every order.
func TestExplorer_cookie(t *testing.T) {
	began, total := time.Now(), newFindings()
	t.Run("all", func(t *testing.T) {
		for _, start := range startNames {
			t.Run(start, func(t *testing.T) {
				t.Parallel()
				found := newFindings()
				inBubble(t, configNamed("cookie"), func(w *world) {
					s := scenario{config: w.name, start: start, mode: free}
					for _, s.programs = range ordered(some) {
						found.every(w, s, never)
					}
					s.mode = parallel
					for _, s.programs = range pairs(more) {
						found.every(w, s, never)
					}
				})
				total.add(found)
			})
		}
	})
	total.report(t, time.Since(began))
}

// short plays what the short form has of a start state.
func (f *findings) short(w *world, start string) {
	s := scenario{config: w.name, start: start, prune: true}
	for _, s.programs = range pairs(more) {
		s.mode, s.faults = parallel, 0
		if start != "login" && slices.Contains(core, s.programs[0]) && slices.Contains(core, s.programs[1]) {
			s.faults = 1 // after a log-in they do what they do to an anonymous session
		}
		f.every(w, s, never)
	}
	for _, s.programs = range ordered(more) {
		s.mode, s.faults = inTurn, 0
		f.every(w, s, never)
	}
}

func never() bool { return false }

// TestExplorer_pruning compares what can come of some pairs of requests with and
// without the schedules that mirror others.
func TestExplorer_pruning(t *testing.T) {
	for _, programs := range [][]program{{"S", "U"}, {"NL", "X"}, {"T", "F"}, {"C", "SvK"}} {
		s := scenario{config: "one", start: "flash", programs: programs, mode: parallel, faults: 1}
		inBubble(t, configNamed(s.config), func(w *world) {
			all, n := w.results(s)
			s.prune = true
			pruned, m := w.results(s)
			if !maps.Equal(all, pruned) || m >= n {
				t.Errorf("%v: %d results of %d schedules, got %d of %d with pruning", programs, len(all), n, len(pruned), m)
			}
			for result := range all {
				if !pruned[result] {
					t.Errorf("missing with pruning:\n%s", result)
				}
			}
		})
	}
}

// results are what a browser can see of all schedules of a scenario, and how
// many those are.
func (w *world) results(s scenario) (results map[string]bool, n int) {
	results = map[string]bool{}
	for given := []int{}; given != nil; {
		p := path{given: given}
		if run := w.play(s, p.choose); run != nil {
			results[run.result()], n = true, n+1
		}
		given = p.next()
	}
	return results, n
}

func (run *schedule) result() string {
	o := &outcome{schedule: run, sessions: map[string]*view{}, opens: map[string]*view{}}
	o.look()
	var lines []string
	for _, v := range o.sessions {
		lines = append(lines, v.String())
	}
	slices.Sort(lines)
	for _, p := range run.procs {
		c, ok := p.got.setCookie()
		lines = append(lines, fmt.Sprint(p.got.status, p.end().err, p.shown, describeCookie(c, ok)))
	}
	return strings.Join(append(lines, fmt.Sprint(o.jarOpens)), "\n")
}

// TestExplorer_replay plays one schedule again and prints it.
func TestExplorer_replay(t *testing.T) {
	if *replayed == "" {
		t.Skip("no schedule: set -explorer.schedule")
	}
	s, choices, err := parse(*replayed)
	if err != nil {
		t.Fatal(err)
	}
	inBubble(t, configNamed(s.config), func(w *world) {
		p := path{given: choices}
		run := w.play(s, p.choose)
		t.Logf("\n%v", run)
		for _, b := range judge(run) {
			t.Errorf("%s: %s", b[0], b[1])
		}
	})
}
