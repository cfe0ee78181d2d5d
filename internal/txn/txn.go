// Package txn is what one request does with one session: load it, change it,
// commit it, and tell the browser. Where sessions are kept between requests is
// the business of a [Storage].
//
// Three enums say what state a session is in: [Origin], [Place] and [Intent].
// The [journal.Journal] holds what the request did since the last commit.
//
// A Txn is not safe for concurrent use; the root package has the lock.
package txn

import (
	"context"
	"net/http"
	"time"

	"github.com/ginsession/ginsession/internal/codec"
	"github.com/ginsession/ginsession/internal/cookie"
	"github.com/ginsession/ginsession/internal/journal"
	"github.com/ginsession/ginsession/internal/sessionerr"
)

// Origin is where the content of a session came from. It does not change once
// the session is loaded.
type Origin int8

// The origins.
const (
	Fresh    Origin = iota // the session began with this request
	Loaded                 // it came with a cookie of ours
	Imported               // it came with a cookie that the app moves on from
)

// Place is where the session is now.
type Place int8

// The places.
const (
	Nowhere Place = iota // not stored yet, or not any more
	Stored               // the storage holds it
	Ended                // another request has ended it, or it was lost; its changes are dropped
)

// Intent is what the next commit is to do. It only rises until then.
type Intent int8

// The intents, in the order in which they prevail.
const (
	Save    Intent = iota // persist the changes
	Renew                 // and move to a new id
	Destroy               // end what was stored; what was set since begins a new session
)

// Told is what the browser's cookie says, as far as the server knows.
type Told int8

// What a browser can have been told.
const (
	ToldNothing    Told = iota // not known, or to be told anew with the next write
	ToldOlder                  // an older version of a session in its cookie: the newest is to be sent
	ToldToDrop                 // drop it: the session was emptied
	ToldWindow                 // keep it until the browser window closes
	ToldPersistent             // keep it longer
)

// TellPermanent returns what the browser has to be told of a session.
func TellPermanent(permanent bool) Told {
	if permanent {
		return ToldPersistent
	}
	return ToldWindow
}

// TombstoneLife is how long a renewed or destroyed session leaves a tombstone
// for requests that still hold its id. A request that takes longer than this
// finds nothing, and treats that like a tombstone.
const TombstoneLife = time.Minute

// Locator is where a storage keeps a session. It belongs to the storage; a Txn
// only hands it back.
type Locator struct {
	ID      string // the credential, in the clear
	Name    string // what the store knows it by; safe to log
	Version any    // of the record that was loaded; nil if not known
	Note    string // what else the storage wants to find again
	Told    Told
}

// Image is a session as a storage keeps it: what it holds, and where it is.
type Image struct {
	Content codec.Container
	At      Locator
}

// Work is what a storage gets to commit. It is not to be changed but for the
// times of the content.
type Work struct {
	Image                   // as the request sees it
	Journal journal.Journal // what the request did
	Shown   []codec.Flash   // the messages that Flashes returns; nil before the first call
	Place   Place
	Intent  Intent
	Late    bool // the headers have left: no cookie can be sent
}

// Result is what a commit has done.
type Result struct {
	Content *codec.Container // as it is stored now
	At      Locator
	Place   Place
	Line    string // the Set-Cookie line that the browser needs, or ""
	Size    int    // of the record or the line, in bytes
	Dropped int    // flash messages, the oldest, for which there was no room
}

// Storage keeps sessions between requests. Its methods may be called with a
// context that is over: a goroutine goes on, or the client has hung up.
//
// Create, Change and Renew fill in a result that has the content of the work,
// until they replace that by another one, and is zero otherwise. After ErrEnded the work is dropped; after ErrUnavailable the
// outcome is unknown; after ErrLate a result with [Stored] is what was stored
// although no cookie can be sent; after all other errors nothing has changed.
type Storage interface {
	// Rank orders several cookies of one name before they are loaded. It costs
	// little: no network, nothing inflated. It returns an error for a value that
	// does not open, ErrForm if that was seen before anything was computed, and
	// the zero time if only Load can tell how old it is.
	Rank(value string) (since time.Time, err error)

	// Load fills in the session that a cookie's value stands for, which is zero
	// before, and returns when it began or was last written, the later. The
	// errors of [sessionerr.Rejection] refuse the cookie; after all others the
	// outcome is unknown. With ErrOver the locator is that of the tombstone.
	Load(ctx context.Context, value string, into *Image) (since time.Time, err error)

	// Create stores the content, which is not empty, as a new session.
	Create(ctx context.Context, w *Work, r *Result) error

	// Change stores what the request did to the session that was loaded. If
	// another request has changed it since, the journal is replayed. An empty
	// journal refreshes the session.
	Change(ctx context.Context, w *Work, r *Result) error

	// Renew stores the session under a new id. The old one has ended after that.
	// If it has before, what the request did begins a new session.
	Renew(ctx context.Context, w *Work, r *Result) error

	// End ends a session, and those that it was renewed to. That there is none
	// is no error.
	End(ctx context.Context, at Locator) error
}

// Source is where sessions come from, and under which cookie.
type Source struct {
	Cookie  cookie.Cookie
	Storage Storage
	Foreign bool // a cookie of this name may be another app's: it is not rejected
}

// Config is what all requests of one middleware share. It does not change.
type Config struct {
	Source
	Policy
	Imports  []Source // sessions to take over, at most 8; the first that came counts
	InCookie bool     // the cookie holds the session: no change without headers
	Rolling  bool     // a permanent session is sent again with every response
	Replayed bool     // the journal of a stored session may be replayed

	// Validate reports whether a session still counts; nil accepts all. The
	// view can only be read.
	Validate func(ctx context.Context, view *Txn) (bool, error)
}

// Txn is one request's work on one session.
type Txn struct {
	config  *Config
	request *http.Request
	trace   *Trace // nil: nothing is logged

	work    Work
	trouble *trouble // nil if there is none

	setCookie  string    // the Set-Cookie line of the last commit
	sentCookie string    // the one among the headers
	lines      [3]string // ours among the headers: see the constants

	origin   Origin
	modified bool  // the request has changed the session, saved or not
	settled  bool  // an error was reported, and nothing has changed since
	asked    bool  // the storage or the validator has not answered, and never will if it has panicked
	taken    uint8 // the bit of the import that the session came from
	spent    uint8 // a bit for each import whose cookie is of no more use
}

// trouble is what went wrong with a session.
type trouble struct {
	rejected error   // why a cookie was not accepted
	broken   error   // why the outcome of a load or a commit is unknown
	refused  error   // a change that cannot be saved
	first    error   // of all but the rejection
	others   *others // more sessions that a log-out ends, or nil
}

// others is a list of sessions.
type others struct {
	at   Locator
	rest *others
}

// wrong returns what went wrong, to note more.
func (t *Txn) wrong() *trouble {
	if t.trouble == nil {
		t.trouble = new(trouble)
	}
	return t.trouble
}

// New returns a Txn that has yet to be loaded. It reads the request's cookies and
// context, also after the request; late says that the response's headers have
// left.
func New(config *Config, request *http.Request, late bool, trace *Trace) *Txn {
	t := &Txn{config: config, request: request, trace: trace}
	t.work.Late = late
	return t
}

// begin empties the journal. Its details are for a replay, which only a stored
// session can need, and for the log.
func (t *Txn) begin() {
	t.forgetTaken()
	t.work.Journal.Reset()
	t.work.Journal.Detailed = t.trace != nil || t.config.Replayed && t.work.Place == Stored
}

// Content returns the session as the request sees it. It is not to be changed.
func (t *Txn) Content() *codec.Container { return &t.work.Content }

// Origin returns where the session came from.
func (t *Txn) Origin() Origin { return t.origin }

// Modified reports whether the request has changed the session, saved or not.
func (t *Txn) Modified() bool { return t.modified }

// Rejected returns why a cookie was not accepted, or nil.
func (t *Txn) Rejected() error {
	if t.trouble == nil {
		return nil
	}
	return t.trouble.rejected
}

// Err returns the first thing that went wrong, or nil.
func (t *Txn) Err() error {
	if t.trouble == nil || t.trouble.first == nil {
		return t.Broken()
	}
	return t.trouble.first
}

// Broken returns why the outcome of a load or a commit is unknown, or nil.
func (t *Txn) Broken() error {
	switch {
	case t.asked:
		return sessionerr.ErrPanic
	case t.trouble == nil:
		return nil
	}
	return t.trouble.broken
}

// refused returns a change that cannot be saved, or nil.
func (t *Txn) refused() error {
	if t.trouble == nil {
		return nil
	}
	return t.trouble.refused
}

// Trace returns what happened so far, or nil if nothing is logged.
func (t *Txn) Trace() *Trace { return t.trace }

// ReadOnly reports whether the session can only be read.
func (t *Txn) ReadOnly() bool { return t.request == nil }

// ID returns the name of the stored session, or "".
func (t *Txn) ID() string {
	if t.work.Place != Stored || t.work.Content.Empty() {
		return ""
	}
	return t.work.At.Name
}

// ExpiresAt returns when the session ends if it is not used any more.
func (t *Txn) ExpiresAt() time.Time {
	c := &t.work.Content
	life := t.config.Life(c)
	if c.Life != 0 { // the lifetime may have been longer when it was saved
		life = min(c.Life, t.config.lifetime(c))
	}
	return c.Created.Time().Add(life)
}

// Fail notes an error of the session.
func (t *Txn) Fail(err error) {
	if w := t.wrong(); w.first == nil {
		w.first = err
	}
}

// Policy is how long sessions last.
type Policy struct {
	Lifetime    time.Duration // absolute, from creation or the last Renew
	IdleTimeout time.Duration // 0: none
	Permanent   bool          // new sessions outlive the browser window
}

// Fresh returns the content of a session that begins now.
func (p *Policy) Fresh() (c codec.Container) {
	p.Begin(&c)
	return c
}

// Begin makes an empty content that of a session that begins now.
func (p *Policy) Begin(c *codec.Container) {
	c.Created, c.Permanent = codec.InstantOf(time.Now()), p.Permanent
}

// lifetime returns how long a session lasts at most.
func (p *Policy) lifetime(c *codec.Container) time.Duration {
	if c.Lifetime > 0 {
		return c.Lifetime
	}
	return p.Lifetime
}

// End returns when a session ends at the latest.
func (p *Policy) End(c *codec.Container) time.Time { return c.Created.Time().Add(p.lifetime(c)) }

// Life returns how long a session that is used now lasts from its creation.
func (p *Policy) Life(c *codec.Container) time.Duration {
	life := p.lifetime(c)
	if p.IdleTimeout == 0 || c.Remembered {
		return life // without a look at the clock
	}
	return min(life, time.Since(c.Created.Time())+p.IdleTimeout)
}

// Expired goes by what was sealed and by the lifetime of today, whichever ends
// first, so that a shortened lifetime holds at once.
func (p *Policy) Expired(c *codec.Container, now time.Time) bool {
	age := now.Sub(c.Created.Time())
	return age >= c.Life || age >= p.lifetime(c)
}

// MaxAge returns how long the browser is to keep a cookie that is good until
// end; 0 is for the browser window.
func MaxAge(c *codec.Container, end time.Time) time.Duration {
	if !c.Permanent {
		return 0
	}
	return max(time.Until(end), time.Second)
}

// Rebase makes the content of a result that of a newer one, to which it applies
// the changes of the request. A renewal keeps its time.
func (w *Work) Rebase(newer *codec.Container, r *Result) error {
	if err := w.Journal.Replay(newer, &w.Content, w.Shown); err != nil {
		return err
	}
	if w.Intent == Renew {
		newer.Created = w.Content.Created
	}
	r.Content, r.Dropped = newer, 0
	return nil
}

// ask precedes a call of the storage, and answered follows it. In between, and for
// good if the storage panics, the outcome is unknown.
func (t *Txn) ask() (start time.Time) {
	t.asked = true
	return t.trace.now()
}

// Suspend says that a function of the app's own runs meanwhile, which may read the
// session, and returns what Resume needs when it has returned.
func (t *Txn) Suspend() (asked bool) {
	asked, t.asked = t.asked, false
	return asked
}

// Resume follows Suspend, also if the function panics.
func (t *Txn) Resume(asked bool) { t.asked = asked }

func (t *Txn) answered(start time.Time) {
	t.asked = false
	t.trace.took(start)
}
