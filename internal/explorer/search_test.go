package explorer_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// path is the choices of one schedule.
type path struct {
	choices []int
	sizes   []int // how many there were to choose from
	given   []int // the first choices, which are not ours
}

func (p *path) choose(options []step) int {
	i := 0
	if at := len(p.choices); at < len(p.given) {
		i = min(p.given[at], len(options)-1)
	}
	p.choices, p.sizes = append(p.choices, i), append(p.sizes, len(options))
	return i
}

// next returns the beginning of the next path in depth-first order, or nil.
func (p *path) next() []int {
	for at, choice := range slices.Backward(p.choices) {
		if choice+1 < p.sizes[at] {
			return append(slices.Clone(p.choices[:at]), choice+1)
		}
	}
	return nil
}

// random chooses at random: a fault now and then, though most options are one.
func (p *path) random(r *rand.Rand) func([]step) int {
	return func(options []step) int {
		usual := slices.IndexFunc(options, func(s step) bool { return s.fault == none && s.kind != jump })
		i := r.IntN(len(options))
		for usual >= 0 && (options[i].fault != none || options[i].kind == jump) && r.IntN(4) > 0 {
			i = r.IntN(len(options))
		}
		p.choices = append(p.choices, i)
		return i
	}
}

// findings are the broken rules, each with the shortest schedule that breaks it
// for each kind of scenario.
type findings struct {
	mu        sync.Mutex // for add
	schedules int
	broken    int // schedules that break a rule
	rules     map[string]*finding
}

type finding struct {
	count int
	steps int
	text  string
	cases map[string]int // by programs
}

func newFindings() *findings { return &findings{rules: map[string]*finding{}} }

func (f *findings) judge(run *schedule, choices []int) {
	f.schedules++
	broken := judge(run)
	if len(broken) > 0 {
		f.broken++
	}
	for _, b := range broken {
		found := f.rules[b[0]]
		if found == nil {
			found = &finding{steps: maxSteps * 10, cases: map[string]int{}}
			f.rules[b[0]] = found
		}
		found.count++
		found.cases[run.summary()]++
		if steps := len(run.steps) + 100*(run.faults-run.left); steps < found.steps {
			found.steps = steps
			found.text = fmt.Sprintf("%s%s: %s\nreplay: go test ./internal/explorer -run Explorer_replay -explorer.schedule '%s'\n",
				run, b[0], b[1], format(run.scenario, choices))
		}
	}
}

// summary is the programs with the start state.
func (s scenario) summary() string {
	var programs []string
	for _, p := range s.programs {
		programs = append(programs, string(p))
	}
	return s.start + ":" + strings.Join(programs, ",")
}

// add takes over what another goroutine has found.
func (f *findings) add(g *findings) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.schedules += g.schedules
	f.broken += g.broken
	for name, found := range g.rules {
		mine := f.rules[name]
		if mine == nil {
			f.rules[name] = found
			continue
		}
		mine.count += found.count
		for c, n := range found.cases {
			mine.cases[c] += n
		}
		if found.steps < mine.steps {
			mine.steps, mine.text = found.steps, found.text
		}
	}
}

// report fails the test for each rule that is broken.
func (f *findings) report(t *testing.T, elapsed time.Duration) {
	t.Helper()
	t.Logf("%d schedules in %v (%.0f a second), %d break a rule", f.schedules, elapsed.Round(time.Millisecond),
		float64(f.schedules)/elapsed.Seconds(), f.broken)
	for _, r := range rules {
		if found := f.rules[r.name]; found != nil {
			t.Errorf("%q is broken in %d schedules, for example:\n%sprograms: %s", r.name, found.count, found.text, found.top())
		}
	}
}

// top lists the programs that break a rule most often.
func (f *finding) top() string {
	var names []string
	for name := range f.cases {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int {
		if d := f.cases[b] - f.cases[a]; d != 0 {
			return d
		}
		return strings.Compare(a, b)
	})
	if len(names) > 12 {
		names = append(names[:12:12], fmt.Sprintf("and %d more", len(names)-12))
	}
	return strings.Join(names, " ")
}

// format writes a schedule as the flag reads it.
func format(s scenario, choices []int) string {
	var texts []string
	for _, c := range choices {
		texts = append(texts, strconv.Itoa(c))
	}
	return s.String() + "/" + strings.Join(texts, ".")
}

func parse(text string) (s scenario, choices []int, err error) {
	parts := strings.Split(text, "/")
	if len(parts) != 7 {
		return s, nil, fmt.Errorf("%q has %d parts; it is config/start/programs/mode/faults/prune/choices", text, len(parts))
	}
	s = scenario{config: parts[0], start: parts[1], mode: mode(parts[3]), prune: parts[5] == "true"}
	for p := range strings.SplitSeq(parts[2], ",") {
		s.programs = append(s.programs, program(p))
	}
	if s.faults, err = strconv.Atoi(parts[4]); err != nil {
		return s, nil, err
	}
	for c := range strings.SplitSeq(parts[6], ".") {
		i, err := strconv.Atoi(c)
		if err != nil {
			return s, nil, err
		}
		choices = append(choices, i)
	}
	return s, choices, nil
}

// every plays all schedules of a scenario, until a time by the real clock.
func (f *findings) every(w *world, s scenario, expired func() bool) {
	for given := []int{}; given != nil && !expired(); {
		p := path{given: given}
		if run := w.play(s, p.choose); run != nil {
			if f.judge(run, p.choices); run.hung != "" {
				return // the others may be endless
			}
		}
		given = p.next()
	}
}

func configNamed(name string) *config {
	return configs[slices.IndexFunc(configs, func(c *config) bool { return c.name == name })]
}

// inBubble runs fn with a fake clock. The servers are built in there, as what
// they wait for has to belong to it.
func inBubble(t *testing.T, c *config, fn func(*world)) {
	synctest.Test(t, func(*testing.T) {
		w := newWorld(c)
		defer close(w.idle)
		fn(w)
	})
}

// pairs returns all pairs of programs in which the first comes no later in the
// list: the requests are alike, so the others mirror these.
func pairs(programs []program) (all [][]program) {
	for i, a := range programs {
		for _, b := range programs[i:] {
			all = append(all, []program{a, b})
		}
	}
	return all
}

// ordered returns all pairs: where one request begins after the other, or the
// servers differ, they do not mirror each other.
func ordered(programs []program) (all [][]program) {
	for _, a := range programs {
		for _, b := range programs {
			all = append(all, []program{a, b})
		}
	}
	return all
}
