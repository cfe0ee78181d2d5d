package recordstore

import (
	"fmt"
	"math/rand/v2"
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
// newest version.
func (v *Storage) contend(at *txn.Locator, attempt, again func() error) error {
	c := contest{queue: v.queues[at.ID[0]]}
	defer c.leave()
	for {
		err := sessionerr.ErrConflict
		if at.Version != nil {
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

// contest is optimistic concurrency with a bound. A request that has met a
// conflict queues up with the others of this process: otherwise a large record
// that many requests save at once would keep most of them reading it in vain.
// Between processes it is exponential backoff with jitter.
type contest struct {
	queue chan struct{}
	first bool      // this request is at the head of the queue
	until time.Time // zero before the first conflict
	pause time.Duration
}

// wait returns when it is this request's turn to try again.
func (c *contest) wait(cause error) error {
	if c.until.IsZero() {
		c.until = time.Now().Add(maxContention)
	}
	timer := time.NewTimer(time.Until(c.until))
	defer timer.Stop()
	queue := c.queue
	if c.first {
		c.pause = min(2*c.pause+time.Millisecond/2, maxPause)
		timer.Reset(min(rand.N(c.pause), time.Until(c.until))) //nolint:gosec // jitter
		queue = nil                                            // nobody else can have it
	}
	select {
	case queue <- struct{}{}:
		c.first = true
	case <-timer.C:
	}
	if !time.Now().Before(c.until) {
		return fmt.Errorf("%w: too many requests save one session at once: %w", sessionerr.ErrUnavailable, cause)
	}
	return nil
}

// leave lets the next request go on.
func (c *contest) leave() {
	if c.first {
		<-c.queue
	}
}
