package explorer_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/ginsession/ginsession"
)

// outcome is what is left when all requests have ended and all responses have
// arrived.
type outcome struct {
	*schedule
	sessions map[string]*view // what the cookies that were handed out open, by id
	opens    map[string]*view // the same by cookie; nil: nothing
	jarOpens *view
	noted    []string // what went wrong in finding out
}

// A rule returns what breaks it, or "".
type rule struct {
	name  string
	check func(*outcome) string
}

var rules = []rule{
	{"every request ends", ends},
	{"every session can be used afterwards", usableAfterwards},
	{"a 5xx carries nothing of the handler's body", errorPage},
	{"no page says 200 where its save has failed", failureShows},
	{"nothing fails without a fault", noErrorWithoutFault},
	{"a page that only reads does not fail because of a write", readersDoNotFail},
	{"a handler reads what it wrote", readsOwnWrites},
	{"acknowledged changes survive, updates exactly once", acknowledgedSurvive},
	{"updates are counted at most once", atMostOnce},
	{"what was reported as dropped stays dropped", droppedStaysDropped},
	{"nothing begins in the place of what is gone", goneIsOver},
	{"one session, one live record", oneRecord},
	{"no record is left that nobody can open", noOrphans},
	{"nothing opens after an acknowledged Destroy", destroyEnds},
	{"the old id is dead after an acknowledged Renew or Destroy", oldIDIsDead},
	{"what was deleted does not come back", deletedStaysDeleted},
	{"a flash is not lost", flashNotLost},
	{"a flash is not shown twice", flashNotTwice},
	{"nobody sees the data of another user", nobodyElse},
	{"a log-in stays logged in", loginStays},
	{"the jar leads to what was acknowledged", jarFollows},
	{"the browser ends with the newest cookie", newestCookie},
	{"a permanent session has a persistent cookie", permanentIsPersistent},
	{"an acknowledged SetPermanent is not lost", permanentStays},
	{"a log-out that fails expires the cookie", failedLogout},
	{"a Renew that fails gives no cookie", failedRenew},
	{"a request that only reads sends no cookie", readersSendNothing},
	{"a change alone sends no cookie", changesSendNothing},
	{"no session outlives its lifetime", lifetimeEnds},
}

// judge returns the rules that a schedule has broken, with what breaks each.
func judge(run *schedule) (broken [][2]string) {
	o := &outcome{schedule: run, sessions: map[string]*view{}, opens: map[string]*view{}}
	if why := ends(o); why != "" {
		return [][2]string{{rules[0].name, why}}
	}
	o.look()
	for _, r := range rules {
		if why := r.check(o); why != "" {
			broken = append(broken, [2]string{r.name, why})
		}
	}
	return broken
}

// look sends a request with each cookie that was ever handed out. The first one
// to a session shows its flashes.
func (o *outcome) look() {
	for _, value := range o.given {
		if _, done := o.opens[value]; done {
			continue
		}
		var v view
		_, err := o.world.visit(value, func(s *ginsession.Session) {
			if v = o.world.look(s); v.id != "" && o.sessions[v.id] == nil {
				v.flashes = messages(s)
			}
		})
		if err != nil {
			o.noted = append(o.noted, err.Error())
		}
		if v.id != "" && o.sessions[v.id] == nil {
			o.sessions[v.id] = &v
		}
		o.opens[value] = o.sessions[v.id] // nil for ""
	}
	o.jarOpens = o.opens[o.jar.value]
}

// Facts that several rules go by.

// faulty reports whether anything but the order of the steps was unusual.
func (o *outcome) faulty() bool { return o.left < o.faults }

// all are the sessions, to be printed.
func (o *outcome) all() []*view { return slices.Collect(maps.Values(o.sessions)) }

// holders returns how many live sessions have a key.
func (o *outcome) holders(key string) (n int) {
	for _, v := range o.sessions {
		if slices.Contains(v.keys, key) {
			n++
		}
	}
	return n
}

// total is how often the updates of request i are counted, in all sessions.
func (o *outcome) total(i int) (n int) {
	for _, v := range o.sessions {
		n += counted(v.n, i)
	}
	return n
}

// waiting returns how often a flash waits to be shown, in all sessions.
func (o *outcome) waitingFlash(name string) (n int) {
	for _, v := range o.sessions {
		for _, f := range v.flashes {
			if f == name {
				n++
			}
		}
	}
	return n
}

// item is something that a request put into its session.
type item struct {
	name    string
	segment int
}

// items returns the keys that a request set and did not take away again itself,
// by the segment of the program in which it set them.
func (p *process) items() (items []item) {
	at := 0
	for i, step := range string(p.program) {
		for at < len(p.segments)-1 && i >= p.segments[at].until+1 {
			at++
		}
		switch step {
		case 'S':
			items = append(items, item{p.name("k"), at})
		case 'K':
			items = append(items, item{p.name("l"), at})
		case 'L':
			items = append(items, item{p.name("user"), at})
		case 'C', 'X':
			items = nil
		}
	}
	return items
}

// count returns the updates of a request that it did not take away again
// itself: all, the acknowledged ones, and those reported as dropped.
func (p *process) count() (all, acked, dropped int) {
	at := 0
	for i, step := range string(p.program) {
		for at < len(p.segments)-1 && i >= p.segments[at].until+1 {
			at++
		}
		switch step {
		case 'C', 'X':
			all, acked, dropped = 0, 0, 0
		case 'U':
			all++
			if p.segments[at].acked {
				acked++
			}
			if p.dropped(at) {
				dropped++
			}
		}
	}
	return all, acked, dropped
}

// dropped reports whether the commit of a segment said that its changes are.
func (p *process) dropped(segment int) bool {
	s := p.segments[segment]
	last := segment == len(p.segments)-1
	if last && p.program.has("NX") {
		return false // it may have been said of an earlier one, and this one be honoured
	}
	return errors.Is(s.err, ginsession.ErrUnknown) && !errors.Is(s.err, ginsession.ErrUnavailable)
}

// mayBeGone reports whether something is allowed to have ended or cleared what
// request p committed at a step.
func (o *outcome) mayBeGone(p *process, write int) bool {
	if o.evicted > write || o.expires() {
		return true
	}
	for _, q := range o.procs {
		if q.write <= write {
			continue
		}
		if q != p && q.program.has("XC") {
			return true
		}
		unsure := slices.Contains(q.faults, lost) || slices.Contains(q.faults, late)
		if q.program.has("NX") && o.faulty() && (!q.acked() || unsure && o.jumped >= 0) {
			return true // it may have closed the session without being able to know or to say so
		}
	}
	return false
}

// expires reports whether sessions may have reached the end of their lifetime.
func (o *outcome) expires() bool { return o.world.lifetime > 0 && o.jumped >= 0 }

// fresh reports whether a request was entitled to begin a session of its own.
func (p *process) fresh() bool { return p.came == "" || p.missed || p.program.has("NX") }

// The rules.

func ends(o *outcome) string {
	for _, p := range o.procs {
		if p.panicked != nil {
			return fmt.Sprintf("request %c panicked: %v", 'A'+p.index, p.panicked)
		}
	}
	return o.hung
}

func usableAfterwards(o *outcome) string {
	return strings.Join(o.noted, "; ")
}

func errorPage(o *outcome) string {
	for _, p := range o.procs {
		if p.failed() && strings.Contains(string(p.got.body), page) {
			return fmt.Sprintf("request %c: status %d with %q", 'A'+p.index, p.got.status, p.got.body)
		}
	}
	return ""
}

// failureShows is about handlers that leave the save to the middleware: an error
// that Save has returned is theirs, and what is flushed has left. A dropped
// change is no failure.
func failureShows(o *outcome) string {
	for _, p := range o.procs {
		err := p.end().err
		if err != nil && !errors.Is(err, ginsession.ErrUnknown) && !p.failed() && !p.program.has("v!") {
			return fmt.Sprintf("request %c: status %d: %v", 'A'+p.index, p.got.status, err)
		}
	}
	return ""
}

func noErrorWithoutFault(o *outcome) string {
	if o.faulty() {
		return ""
	}
	for _, p := range o.procs {
		if p.failed() {
			return fmt.Sprintf("request %c: status %d: %v", 'A'+p.index, p.got.status, p.end().err)
		}
		if err := p.end().err; err != nil && !errors.Is(err, ginsession.ErrUnknown) && !errors.Is(err, ginsession.ErrLate) {
			return fmt.Sprintf("request %c: %v", 'A'+p.index, err)
		}
	}
	return ""
}

// readersDoNotFail: the only write of a page that reads is an idle-timeout
// refresh.
func readersDoNotFail(o *outcome) string {
	for _, p := range o.procs {
		loads := slices.ContainsFunc(o.steps, func(s step) bool { return s.proc == p.index && s.fault != none && s.call.kind == load })
		if p.program.reads() && !loads && p.failed() {
			return fmt.Sprintf("request %c: status %d: %v", 'A'+p.index, p.got.status, p.end().err)
		}
	}
	return ""
}

func readsOwnWrites(o *outcome) string {
	for _, p := range o.procs {
		if p.misread != "" {
			return p.misread
		}
	}
	return ""
}

func acknowledgedSurvive(o *outcome) string {
	for _, p := range o.procs {
		for _, it := range p.items() {
			s := p.segments[it.segment]
			if s.acked && o.holders(it.name) == 0 && !o.mayBeGone(p, s.write) {
				return fmt.Sprintf("%s, which request %c set, is in no session", it.name, 'A'+p.index)
			}
		}
		if _, acked, _ := p.count(); o.total(p.index) < acked && !o.mayBeGone(p, p.firstAck()) {
			return fmt.Sprintf("request %c updated the counter %d times, counted %d", 'A'+p.index, acked, o.total(p.index))
		}
	}
	return ""
}

// firstAck is the step of the write that made the first acknowledged segment
// last.
func (p *process) firstAck() int {
	for _, s := range p.segments {
		if s.acked && s.write >= 0 {
			return s.write
		}
	}
	return -1
}

func atMostOnce(o *outcome) string {
	for _, p := range o.procs {
		if all, _, _ := p.count(); o.total(p.index) > all {
			return fmt.Sprintf("request %c updated the counter %d times, counted %d", 'A'+p.index, all, o.total(p.index))
		}
	}
	return ""
}

func droppedStaysDropped(o *outcome) string {
	for _, p := range o.procs {
		for _, it := range p.items() {
			if p.dropped(it.segment) && o.holders(it.name) > 0 {
				return fmt.Sprintf("%s of request %c is there", it.name, 'A'+p.index)
			}
		}
		if all, _, dropped := p.count(); dropped > 0 && o.total(p.index) > all-dropped {
			return fmt.Sprintf("%d updates of request %c are counted, of %d, %d dropped", o.total(p.index), 'A'+p.index, all, dropped)
		}
	}
	return ""
}

// goneIsOver: a request that has loaded a session, or a tombstone, stores
// nothing under a new id unless it asks for one.
func goneIsOver(o *outcome) string {
	for _, p := range o.procs {
		if p.found && p.created && !p.program.has("NX") {
			return fmt.Sprintf("request %c has begun a session", 'A'+p.index)
		}
	}
	return ""
}

// oneRecord goes by what sessions hold: two that hold the same were one.
func oneRecord(o *outcome) string {
	names := slices.Clone(o.start.content.keys)
	for _, p := range o.procs {
		for _, it := range p.items() {
			names = append(names, it.name)
		}
	}
	for _, name := range names {
		if o.holders(name) > 1 {
			return fmt.Sprintf("%d live sessions hold %s: %v", o.holders(name), name, o.all())
		}
	}
	return ""
}

// noOrphans goes by how long a record is kept: a tombstone or an emptied one
// lasts a minute.
func noOrphans(o *outcome) string {
	if o.faulty() || o.world.lifetime > 0 || o.world.age > 0 {
		return ""
	}
	for id, r := range o.world.store.records {
		if id != o.start.other && o.sessions[id] == nil && time.Until(r.Expires) > 5*time.Minute {
			return "a record is live, and no cookie opens it"
		}
	}
	return ""
}

// destroyEnds: what is left after a log-out is what other requests began
// explicitly, or what came after it.
func destroyEnds(o *outcome) string {
	for _, p := range o.procs {
		if !p.program.has("X") || !p.acked() || p.came == "" {
			continue
		}
		if p.missed && (o.evicted >= 0 || o.jumped >= 0) {
			continue // the tombstone that names the successor was gone
		}
		for _, v := range o.sessions {
			if why := o.survives(p, v); why != "" {
				return fmt.Sprintf("after the log-out by request %c a cookie opens %v: %s", 'A'+p.index, v, why)
			}
		}
	}
	return ""
}

// survives returns what of a session the log-out by p should have ended.
func (o *outcome) survives(p *process, v *view) string {
	for _, key := range o.start.content.keys {
		if slices.Contains(v.keys, key) && !o.began(p.came) {
			return key + " was there before"
		}
	}
	for _, q := range o.procs {
		if q == p || q.started > p.finished || q.fresh() || q.came != p.came && o.began(q.came) {
			continue
		}
		for _, it := range q.items() {
			if slices.Contains(v.keys, it.name) {
				return it.name + " was set in the session that it ended"
			}
		}
	}
	return ""
}

// began reports whether a cookie may be of a session that a request began,
// rather than of one that it renewed.
func (o *outcome) began(value string) bool {
	for _, p := range o.procs {
		if c, _ := p.got.setCookie(); c.value != value || value == "" {
			continue
		}
		ended := slices.Contains(o.start.dead, p.came) || o.evicted >= 0 || o.jumped >= 0 ||
			slices.ContainsFunc(o.procs, func(q *process) bool {
				return q != p && q.program.has("NX") && q.first >= 0 && q.first < p.write
			})
		return p.came == "" || p.missed || p.program.has("X") || p.program.has("N") && ended
	}
	return false
}

func oldIDIsDead(o *outcome) string {
	for _, value := range o.start.dead {
		if v := o.opens[value]; v != nil {
			return fmt.Sprintf("the cookie of a session that had ended before opens %v", v)
		}
	}
	for _, p := range o.procs {
		if v := o.opens[p.came]; p.program.has("NX") && p.acked() && v != nil {
			return fmt.Sprintf("the cookie that request %c came with opens %v", 'A'+p.index, v)
		}
	}
	return ""
}

func deletedStaysDeleted(o *outcome) string {
	for _, p := range o.procs {
		if !p.acked() {
			continue
		}
		for _, key := range p.removed {
			if slices.Contains(o.start.content.keys, key) && o.holders(key) > 0 {
				return fmt.Sprintf("request %c removed %s, and it is there: %v", 'A'+p.index, key, o.all())
			}
		}
	}
	return ""
}

func flashNotLost(o *outcome) string {
	for _, f := range o.flashes() {
		if !f.acked || o.waitingFlash(f.name) > 0 || o.wasShown(f.name) || f.by != nil && f.by.program.has("XC") && !strings.HasSuffix(string(f.by.program), "F") {
			continue
		}
		if o.mayBeGone(f.by, f.write) || o.takerFailed() || o.wasTooLarge() {
			continue
		}
		return fmt.Sprintf("nobody has seen %s", f.name)
	}
	return ""
}

// flash is a message that there was before, or that a request added.
type flash struct {
	name  string
	by    *process
	acked bool
	write int
}

func (o *outcome) flashes() (all []flash) {
	for _, name := range o.start.content.flashes {
		all = append(all, flash{name: name, acked: true, write: -1})
	}
	for _, p := range o.procs {
		if p.program.has("F") {
			all = append(all, flash{p.name("f"), p, p.acked(), p.end().write})
		}
	}
	return all
}

// wasShown reports whether a page that arrived shows a flash.
func (o *outcome) wasShown(name string) bool {
	return slices.ContainsFunc(o.procs, func(p *process) bool { return !p.failed() && slices.Contains(p.shown, name) })
}

func (o *outcome) takerFailed() bool {
	return slices.ContainsFunc(o.procs, func(p *process) bool { return p.program.has("T") && !p.acked() && o.faulty() })
}

// wasTooLarge reports whether a record was too large: messages give way to what
// else is in it.
func (o *outcome) wasTooLarge() bool {
	return slices.ContainsFunc(o.steps, func(s step) bool { return s.fault == tooLarge })
}

func flashNotTwice(o *outcome) string {
	for _, f := range o.flashes() {
		if n := o.waitingFlash(f.name); n > 1 {
			return fmt.Sprintf("%s waits %d times", f.name, n)
		}
		for _, p := range o.procs {
			if !p.acked() || !slices.Contains(p.shown, f.name) {
				continue
			}
			if o.waitingFlash(f.name) > 0 {
				return fmt.Sprintf("request %c has shown %s, and it waits to be shown", 'A'+p.index, f.name)
			}
			for _, q := range o.procs {
				if q.loaded > p.finished && slices.Contains(q.shown, f.name) {
					return fmt.Sprintf("request %c shows %s, which request %c had shown", 'A'+q.index, f.name, 'A'+p.index)
				}
			}
		}
	}
	return ""
}

func nobodyElse(o *outcome) string {
	for _, p := range o.procs {
		if slices.Contains(p.saw, "other") {
			return fmt.Sprintf("request %c has seen them", 'A'+p.index)
		}
	}
	for _, v := range o.sessions {
		if slices.Contains(v.keys, "other") {
			return "a cookie opens them"
		}
	}
	if id := o.start.other; !o.world.cookie && o.world.store.records[id].Version != o.start.records[id].Version {
		return "the session of the other user has changed"
	}
	return ""
}

// inOrder reports whether the responses that changed the jar arrived in the
// order of what they committed.
func (o *outcome) inOrder() bool {
	return slices.IsSortedFunc(o.jarFrom, func(i, j int) int { return o.procs[i].write - o.procs[j].write })
}

func loginStays(o *outcome) string {
	for _, p := range o.procs {
		if !p.program.has("L") || !p.acked() || o.jarMayBeOther(p) || o.mayBeGone(p, p.end().write) {
			continue
		}
		if o.jarOpens == nil || !slices.Contains(o.jarOpens.keys, p.name("user")) {
			return fmt.Sprintf("request %c has logged in, and the browser's cookie opens %v", 'A'+p.index, o.jarOpens)
		}
	}
	return ""
}

// jarMayBeOther reports whether the jar may hold a cookie that does not lead to
// what p did.
func (o *outcome) jarMayBeOther(p *process) bool {
	expired := slices.ContainsFunc(o.procs, func(q *process) bool { c, ok := q.got.setCookie(); return ok && c.value == "" })
	merges := o.world.cookie && !p.program.has("N") && !expired // an older version of a session leads to the newest
	if !o.inOrder() && !merges || o.scenario.start == "none" || p.missed {
		return true
	}
	for _, q := range o.procs {
		if q != p && (q.program.has("NXC!") || q.came == "" || q.missed || !q.acked() && o.faulty()) {
			return true
		}
	}
	return p.program.has("XC!") || p.came == ""
}

func jarFollows(o *outcome) string {
	for _, p := range o.procs {
		if o.jarMayBeOther(p) {
			continue
		}
		for _, it := range p.items() {
			s := p.segments[it.segment]
			if s.acked && !o.mayBeGone(p, s.write) && (o.jarOpens == nil || !slices.Contains(o.jarOpens.keys, it.name)) {
				return fmt.Sprintf("request %c set %s, and the browser's cookie opens %v", 'A'+p.index, it.name, o.jarOpens)
			}
		}
	}
	return ""
}

// newestCookie sends one more request that reads the session in a cookie, and
// opens the cookie that the browser has then in another process.
func newestCookie(o *outcome) string {
	if !o.world.cookie || o.jarOpens == nil || len(o.jarOpens.keys) == 0 {
		return "" // its flashes were shown, and it is empty
	}
	now := o.jar
	var want, got view
	response, err := o.world.visit(now.value, func(s *ginsession.Session) { want = o.world.look(s) })
	if c, ok := response.setCookie(); ok {
		now = c
	}
	_, err2 := visit(o.world.alone, now.value, func(s *ginsession.Session) { got = o.world.look(s) })
	if err != nil || err2 != nil || got.String() != want.String() {
		return fmt.Sprintf("its cookie holds %v, and the session is %v (%v)", got, want, errors.Join(err, err2))
	}
	return ""
}

// permanentIsPersistent asks for it once more: what an earlier request could
// not tell the browser is no reason to tell it nothing now.
func permanentIsPersistent(o *outcome) string {
	if o.jarOpens == nil || len(o.jarOpens.keys) == 0 || !slices.ContainsFunc(o.procs, func(p *process) bool { return p.program.has("P") }) || !o.inOrder() {
		return ""
	}
	now := o.jar
	got, err := o.world.visit(o.jar.value, func(s *ginsession.Session) { s.SetPermanent(true) })
	if c, ok := got.setCookie(); ok {
		now = c
	}
	if err == nil && !now.persistent {
		return "a further SetPermanent(true) is acknowledged, and the cookie goes with the window"
	}
	return ""
}

// permanentStays knows the session by what was in it before, and the request saw.
func permanentStays(o *outcome) string {
	for _, p := range o.procs {
		if !p.program.has("P") || !p.acked() || o.mayBeGone(p, p.end().write) {
			continue
		}
		for _, v := range o.sessions {
			if !v.permanent && slices.ContainsFunc(o.start.content.keys, func(key string) bool {
				return slices.Contains(p.saw, key) && slices.Contains(v.keys, key)
			}) {
				return fmt.Sprintf("request %c made it permanent, and it is %v", 'A'+p.index, v)
			}
		}
	}
	return ""
}

func failedLogout(o *outcome) string {
	for _, p := range o.procs {
		if !p.program.has("X") || p.program.has("!") || !p.failed() || p.came == "" {
			continue
		}
		if c, ok := p.got.setCookie(); !ok || c.value != "" {
			return fmt.Sprintf("request %c: status %d, cookie %s", 'A'+p.index, p.got.status, describeCookie(c, ok))
		}
	}
	return ""
}

func failedRenew(o *outcome) string {
	for _, p := range o.procs {
		if c, ok := p.got.setCookie(); p.program.has("N") && !p.program.has("v!") && p.failed() && ok && c.value != "" {
			return fmt.Sprintf("request %c: status %d with a cookie", 'A'+p.index, p.got.status)
		}
	}
	return ""
}

func readersSendNothing(o *outcome) string {
	for _, p := range o.procs {
		if _, ok := p.got.setCookie(); ok && p.program.reads() && !o.world.cookie {
			return fmt.Sprintf("request %c", 'A'+p.index)
		}
	}
	return ""
}

// changesSendNothing: a cookie that is sent for nothing can replace a newer one.
func changesSendNothing(o *outcome) string {
	if o.faulty() || o.scenario.start == "emptied" || len(o.world.engines) > 1 || o.world.cookie {
		return ""
	}
	for _, p := range o.procs {
		if p.program.has("DCTPX") {
			return "" // it may have emptied the session, or told the browser something that it may not know
		}
	}
	for _, p := range o.procs {
		if _, ok := p.got.setCookie(); ok && p.found && !p.program.has("N") {
			return fmt.Sprintf("request %c", 'A'+p.index)
		}
	}
	return ""
}

func lifetimeEnds(o *outcome) string {
	if !o.expires() {
		return ""
	}
	for _, p := range o.procs {
		if p.program.has("N") && p.first >= 0 && p.first < o.jumped {
			return "" // it began a new lifetime in time
		}
	}
	for _, key := range o.start.content.keys {
		if o.holders(key) > 0 {
			return fmt.Sprintf("%s is still there", key)
		}
	}
	return ""
}
