package recordstore

import (
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/ginsession/ginsession/internal/sessionerr"
	"github.com/ginsession/ginsession/internal/txn"
)

const (
	maxContention = 5 * time.Second // for which requests contend for one record
	maxPause      = 10 * time.Millisecond
)

// contend attempts to save over the record at a locator until that succeeds or
// fails for another reason than a conflict. After a conflict, again loads the
// newest version. One that is urgent tries before it queues up.
func (v *Storage) contend(at *txn.Locator, urgent bool, attempt, again func() error) error {
	c := contest{queue: &v.queues[at.ID[0]], id: at.ID, last: urgent}
	defer c.leave()
	for {
		err := sessionerr.ErrConflict
		if at.Version != nil && (c.last || !c.behind()) {
			err = attempt()
		}
		if !superseded(err) {
			return err
		}
		if err := c.wait(err); err != nil {
			return err
		}
		if err := again(); err != nil {
			return err
		}
	}
}

// queue is for the requests of this process whose sessions' ids begin with one
// byte.
type queue struct {
	turn chan struct{}          // full while a request is at the head
	id   atomic.Pointer[string] // of the session that this request contends for, or nil
}

// contest is optimistic concurrency with a bound. A request that has met a
// conflict queues up with the others of this process, and so does one that comes
// while another contends for its session. Otherwise a large record that many
// requests save at once would keep most of them reading it in vain, and those that
// came last would overtake those that wait. So at most about one request of each
// process contends for a session, and between processes exponential backoff with
// jitter is enough.
type contest struct {
	queue *queue
	id    string    // of the session
	first bool      // this request is at the head of the queue
	last  bool      // it tries out of its turn: whoever is at the head may be held up by a function of the app's
	until time.Time // zero before the first conflict
	pause time.Duration
}

// behind reports whether another request of this process contends for the session.
func (c *contest) behind() bool {
	head := c.queue.id.Load()
	return !c.first && head != nil && *head == c.id
}

// wait returns when it is this request's turn to try again.
func (c *contest) wait(cause error) error {
	if c.until.IsZero() {
		c.until = time.Now().Add(maxContention)
	}
	timer := time.NewTimer(time.Until(c.until))
	defer timer.Stop()
	turn := c.queue.turn
	if c.first {
		c.pause = min(2*c.pause+time.Millisecond/2, maxPause)
		timer.Reset(min(rand.N(c.pause), time.Until(c.until))) //nolint:gosec // jitter
		turn = nil                                             // nobody else can have it
	}
	select {
	case turn <- struct{}{}:
		c.first = true
		id := c.id // a copy, so that c needs no allocation
		c.queue.id.Store(&id)
	case <-timer.C:
	}
	if over := !time.Now().Before(c.until); over && !c.last {
		c.last = true
	} else if over {
		return fmt.Errorf("%w: too many requests save one session at once: %w", sessionerr.ErrUnavailable, cause)
	}
	return nil
}

// leave lets the next request go on.
func (c *contest) leave() {
	if c.first {
		c.queue.id.Store(nil)
		<-c.queue.turn
	}
}
