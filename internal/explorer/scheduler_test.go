package explorer_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing/synctest"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/ginsession/ginsession"
)

var target = &url.URL{Path: "/"}

// process is a request and what becomes of it.
type process struct {
	index   int
	program program

	// The scheduler and the request's goroutine hand these to each other.
	world  *world
	resume chan fault
	parked bool
	call   call
	since  int // the step after which it parked
	now    func() int
	done   bool

	// What happened. Steps are counted from 0; -1 is never.
	started   int
	loaded    int // the first Load
	write     int // the last write that was applied
	first     int // the first one
	finished  int
	delivered int
	came      string // the cookie
	found     bool   // the first Load found a record
	created   bool   // it stored a record under a new id
	missed    bool   // a call found no record
	faults    []fault
	session   *ginsession.Session
	got       *response
	segments  []segment
	shown     []string // flashes
	saw       []string // keys
	removed   []string // keys that were there
	before    int64    // an update
	misread   string
	errors    []string // of the gin.Context
	panicked  any
}

func newProcess(w *world, index int, p program, now func() int) *process {
	return &process{index: index, program: p, world: w, resume: make(chan fault), now: now,
		started: -1, loaded: -1, write: -1, first: -1, finished: -1, delivered: -1}
}

// name marks what this request sets, so that it differs from what others set.
func (p *process) name(s string) string { return s + string(rune('A'+p.index)) }

// park hands a call to the scheduler and waits until it may go on.
func (p *process) park(c call) fault {
	p.call, p.parked, p.since = c, true, p.now()
	f := <-p.resume
	return f
}

// returned notes what a call came to.
func (p *process) returned(c call, f fault, applied bool, err error) {
	if f != none {
		p.faults = append(p.faults, f)
	}
	if c.kind == load && p.loaded < 0 {
		p.loaded, p.found = p.now(), err == nil && !p.created
	}
	if c.kind == save && c.record.Version == nil && applied {
		p.created = true
	}
	if errors.Is(err, ginsession.ErrNotFound) {
		p.missed = true
	}
	if applied {
		p.wrote()
	}
}

func (p *process) wrote() {
	p.write = p.now()
	if p.first < 0 {
		p.first = p.write
	}
}

// committed notes the result of a commit that the program hears of.
func (p *process) committed(at int, err error) {
	from := 0
	if len(p.segments) > 0 {
		from = p.end().until + 1
	}
	if done := p.program[min(from, at):at]; p.world.cookie && (err == nil && done.has("SKLUDCFTP") || wasHonoured(err) && done.has("NX")) {
		p.wrote()
	}
	p.segments = append(p.segments, segment{err: err, acked: err == nil, until: at, write: p.write})
}

// wasHonoured reports whether a Renew or Destroy was: also after earlier changes
// were dropped.
func wasHonoured(err error) bool { return err == nil || errors.Is(err, ginsession.ErrUnknown) }

// run is the request.
func (p *process) run() {
	defer func() {
		p.panicked = recover()
		p.done, p.finished = true, p.now()
	}()
	ctx := context.WithValue(context.Background(), callerKey{}, p)
	ctx = context.WithValue(ctx, handlerKey{}, handler(func(c *gin.Context) {
		p.session = ginsession.From(c)
		_, _ = c.Writer.WriteString(page)
		p.perform(p.session, c.Writer)
	}))
	p.got = request(ctx, p.world.engines[p.index%len(p.world.engines)], p.came)
	err := p.session.Err()
	p.committed(len(p.program), err)
	end := &p.segments[len(p.segments)-1]
	end.acked = err == nil && p.got.status == 200 && len(p.errors) == 0
}

func (p *process) end() segment { return p.segments[len(p.segments)-1] }

// acked reports whether the whole request was acknowledged.
func (p *process) acked() bool { return p.end().acked }

// failed reports whether an error page took the place of the response.
func (p *process) failed() bool { return p.got.status >= 500 }

// mode is when requests begin and responses arrive.
type mode string

const (
	parallel mode = "parallel" // all begin with the same jar
	inTurn   mode = "in-turn"  // each begins when the response before it has arrived
	free     mode = "free"     // both are steps of the schedule
)

// scenario is all that a schedule depends on but its choices.
type scenario struct {
	config   string
	start    string
	programs []program
	mode     mode
	faults   int // at most
	prune    bool
}

func (s scenario) String() string {
	var programs []string
	for _, p := range s.programs {
		programs = append(programs, string(p))
	}
	return fmt.Sprintf("%s/%s/%s/%s/%d/%t", s.config, s.start, strings.Join(programs, ","), s.mode, s.faults, s.prune)
}

type stepKind int

const (
	goOn stepKind = iota
	begin
	deliver
	applyLate
	jump
)

// step is one choice of the scheduler.
type step struct {
	kind  stepKind
	proc  int
	fault fault
	call  call // of goOn and applyLate
	write int  // applyLate: the index among the late writes

	result string
}

// schedule is one run of a scenario.
type schedule struct {
	scenario
	world   *world
	start   *start
	procs   []*process
	jar     cookie
	jarFrom []int // who changed it, in the order of delivery
	given   []string
	pending []pendingWrite
	steps   []step
	left    int // faults
	jumped  int // the step of the jump, or -1
	evicted int // the last step that evicted a record, or -1
	hung    string
	mu      sync.Mutex // orders what was done before a sleep and what a timer wakes
}

// pendingWrite is the write of a late call.
type pendingWrite struct {
	proc  *process
	call  call
	since int
}

const maxSteps = 150

// play runs a schedule to its end, or returns nil if others mirror it.
func (w *world) play(s scenario, choose func([]step) int) *schedule {
	run := &schedule{scenario: s, world: w, start: w.begin(s.start), left: s.faults, jumped: -1, evicted: -1}
	run.jar = run.start.jar
	run.given = slices.Clone(run.start.given)
	now := func() int {
		run.mu.Lock() // a request that a timer wakes has not been waited for
		defer run.mu.Unlock()
		return len(run.steps)
	}
	for i, program := range s.programs {
		run.procs = append(run.procs, newProcess(w, i, program, now))
	}
	if s.mode == parallel {
		for _, p := range run.procs {
			run.begin(p)
		}
	}
	mirrored := false
	for run.hung == "" {
		run.settle()
		options := run.options()
		if len(options) == 0 {
			mirrored = run.parked()+len(run.pending) > 0 // others mirror what it could go on with
			break
		}
		run.take(options[choose(options)])
		if len(run.steps) > maxSteps {
			run.hung = fmt.Sprintf("it has not ended after %d steps", maxSteps)
		}
	}
	run.drain()
	if mirrored {
		return nil
	}
	return run
}

func (run *schedule) begin(p *process) {
	p.came, p.started = run.jar.value, len(run.steps)
	run.world.idle <- p
}

// settle waits until every request is parked or has ended, or waits for one
// that is.
func (run *schedule) settle() {
	synctest.Wait()
	if run.waiting() == 0 {
		return
	}
	run.sleep(10 * time.Millisecond) // a pause between attempts
	for slept := time.Duration(0); run.waiting() > 0 && run.parked() == 0; slept += time.Second {
		if slept > 2*time.Minute {
			run.hung = "a request neither calls the store nor ends"
			return
		}
		run.sleep(time.Second)
	}
}

// sleep lets the clock advance, and what it wakes go on until it waits again.
func (run *schedule) sleep(d time.Duration) {
	run.mu.Lock()
	run.mu.Unlock() //nolint:staticcheck // an edge for the race detector
	time.Sleep(d)
	synctest.Wait()
}

// waiting returns the number of requests that neither are parked nor have ended.
func (run *schedule) waiting() (n int) {
	for _, p := range run.procs {
		if p.started >= 0 && !p.parked && !p.done {
			n++
		}
	}
	return n
}

func (run *schedule) parked() (n int) {
	for _, p := range run.procs {
		if p.parked {
			n++
		}
	}
	return n
}

// options returns the steps that are possible now. An empty list is the end.
func (run *schedule) options() (options []step) {
	for i, p := range run.procs {
		if p.parked {
			options = run.calls(options, p)
		}
		if p.started < 0 && run.mayBegin(i) {
			options = append(options, step{kind: begin, proc: i})
		}
	}
	options = run.deliveries(options)
	active := run.parked() > 0
	for i, late := range run.pending {
		s := step{kind: applyLate, proc: late.proc.index, call: late.call, write: i}
		if !run.mirrored(s, late.since) {
			options = append(options, s)
		}
	}
	if active && run.world.jumps && run.jumped < 0 && run.left > 0 {
		options = append(options, step{kind: jump})
	}
	return options
}

func (run *schedule) calls(options []step, p *process) []step {
	s := step{proc: p.index, call: p.call}
	if !run.mirrored(s, p.since) {
		options = append(options, s)
	}
	if run.left > 0 {
		for _, f := range run.world.store.faults(p.call) {
			if s.fault = f; !run.mirrored(s, p.since) {
				options = append(options, s)
			}
		}
	}
	return options
}

func (run *schedule) mayBegin(i int) bool {
	return run.mode == free || i == 0 || run.procs[i-1].delivered >= 0
}

// deliveries adds the responses that can arrive. If no request can begin any
// more, only the order of those matters that have a cookie.
func (run *schedule) deliveries(options []step) []step {
	if run.mode == parallel && run.parked() > 0 {
		return options
	}
	for i, p := range run.procs {
		if !p.done || p.got == nil || p.delivered >= 0 { // nil: it panicked
			continue
		}
		s := step{kind: deliver, proc: i}
		if _, ok := p.got.setCookie(); !ok && run.prune {
			return []step{s}
		}
		options = append(options, s)
	}
	return options
}

// mirrored reports whether s, which was possible before the last step too, is
// independent of it and has its turn before it in another schedule, with the
// same outcome.
func (run *schedule) mirrored(s step, since int) bool {
	if !run.prune || len(run.steps) == 0 || since >= len(run.steps) {
		return false
	}
	last := run.steps[len(run.steps)-1]
	if last.kind != goOn && last.kind != applyLate || last.order() <= s.order() {
		return false
	}
	return last.touches() == "" || s.touches() == "" || last.touches() != s.touches() || last.onlyReads() && s.onlyReads()
}

func (s step) order() int {
	if s.kind == applyLate {
		return 100 + s.write
	}
	return s.proc
}

// touches returns the id of the record that a step reads or writes, or "".
func (s step) touches() string {
	if s.fault == refused || s.fault == tooLarge || s.fault == late {
		return ""
	}
	return s.call.id
}

func (s step) onlyReads() bool { return s.call.kind == load && s.fault != evicted }

func (run *schedule) take(s step) {
	run.steps = append(run.steps, s)
	at := len(run.steps) - 1
	if run.world.cookie {
		run.sleep(time.Microsecond)
	}
	p := run.procs[s.proc]
	switch s.kind {
	case goOn:
		run.goOn(p, s.fault)
	case begin:
		run.begin(p)
	case deliver:
		run.deliver(p)
	case applyLate:
		run.pending = slices.Delete(run.pending, s.write, s.write+1)
		if _, err := run.world.store.apply(s.call); err == nil {
			p.wrote()
			run.steps[at].result = "applied"
		}
	case jump:
		run.left--
		run.jumped = at
		run.sleep(61 * time.Second)
	}
}

// goOn lets a request make the call that it is parked at, and waits until it
// parks again.
func (run *schedule) goOn(p *process, f fault) {
	at := len(run.steps)
	if f != none {
		run.left--
	}
	if f == evicted {
		run.evicted = at
	}
	if f == late {
		run.pending = append(run.pending, pendingWrite{p, p.call, at})
	}
	p.parked = false
	p.resume <- f
	synctest.Wait()
}

func (run *schedule) deliver(p *process) {
	p.delivered = len(run.steps)
	c, ok := p.got.setCookie()
	if !ok {
		return
	}
	run.jar = c
	run.jarFrom = append(run.jarFrom, p.index)
	if c.value != "" {
		run.given = append(run.given, c.value)
	}
}

// drain lets all requests end that still go on.
func (run *schedule) drain() {
	for range 10 * maxSteps {
		synctest.Wait()
		if run.parked()+run.waiting() == 0 {
			return
		}
		for _, p := range run.procs {
			if p.parked {
				p.parked = false
				p.resume <- refused
			}
		}
		run.sleep(time.Second)
	}
	panic("explorer: a request does not end:\n" + run.String())
}

// String prints all that is needed to see what happened, and to replay it.
func (run *schedule) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "start %s: %v\n", run.scenario.start, run.start.content)
	for _, p := range run.procs {
		fmt.Fprintf(&b, "request %c: %s\n", 'A'+p.index, p.program)
	}
	names := map[string]string{}
	for i, s := range run.steps {
		fmt.Fprintf(&b, "  %2d %s\n", i+1, s.describe(names))
	}
	for _, p := range run.procs {
		if p.done && p.got != nil {
			c, ok := p.got.setCookie()
			fmt.Fprintf(&b, "response %c: status %d, Err %v, shown %v, cookie %s\n", 'A'+p.index, p.got.status, p.end().err, p.shown, describeCookie(c, ok))
			for _, s := range p.segments[:len(p.segments)-1] {
				fmt.Fprintf(&b, "  its commit after %q: %v\n", p.program[:s.until], s.err)
			}
		}
	}
	return b.String()
}

func describeCookie(c cookie, ok bool) string {
	switch {
	case !ok:
		return "none"
	case c.value == "":
		return "expired"
	case c.persistent:
		return "persistent"
	}
	return "for the window"
}

func (s step) describe(names map[string]string) string {
	who := string(rune('A' + s.proc))
	switch s.kind {
	case begin:
		return who + " begins"
	case deliver:
		return who + "'s response arrives"
	case jump:
		return "61 seconds pass"
	}
	if names[s.call.id] == "" {
		names[s.call.id] = fmt.Sprintf("#%d", len(names))
	}
	text := fmt.Sprintf("%s %v %s", who, s.call.kind, names[s.call.id])
	if s.call.kind == turn {
		return who + " goes on"
	}
	if s.call.kind == save {
		text += fmt.Sprintf(" (%d bytes over %v, for %v)", len(s.call.record.Data), s.call.record.Version, s.call.keep.Round(time.Second))
	}
	if s.fault != none {
		text += ": " + s.fault.String()
	}
	if s.kind == applyLate {
		text += ": the late write " + map[bool]string{true: "is applied", false: "finds another version"}[s.result != ""]
	}
	return text
}
