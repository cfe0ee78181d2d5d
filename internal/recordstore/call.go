package recordstore

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/ginsession/ginsession/internal/sessionerr"
)

// call is the context of one call of a store. It has the values of the request,
// does not end when the client hangs up, and has a deadline of its own, unless
// that is zero. No timer is started before the store asks for Done: one that
// computes, or hands the deadline on to a connection, needs none.
type call struct {
	request  context.Context
	deadline time.Time

	mu     sync.Mutex
	timer  context.Context // what Done stands for; nil before that
	cancel context.CancelFunc
	ended  bool // the store has returned
}

func newCall(request context.Context, limit time.Duration) *call {
	c := &call{request: request}
	if limit > 0 {
		c.deadline = time.Now().Add(limit)
	}
	return c
}

// end frees what Done has started, and ends the contexts that the store has
// derived.
func (c *call) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = true
	if c.cancel != nil {
		c.cancel()
	}
}

// Deadline implements [context.Context].
func (c *call) Deadline() (time.Time, bool) { return c.deadline, !c.deadline.IsZero() }

// Done implements [context.Context].
func (c *call) Done() <-chan struct{} {
	if c.deadline.IsZero() {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.timer == nil {
		c.timer, c.cancel = context.WithDeadline(context.WithoutCancel(c.request), c.deadline)
		if c.ended {
			c.cancel()
		}
	}
	return c.timer.Done()
}

// Err implements [context.Context].
func (c *call) Err() error {
	if c.deadline.IsZero() {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.timer != nil:
		return c.timer.Err()
	case !time.Now().Before(c.deadline):
		return context.DeadlineExceeded
	case c.ended:
		return context.Canceled
	}
	return nil
}

// Value implements [context.Context]. Package context asks it for what Done
// stands for, and must not find what ends the request.
func (c *call) Value(key any) any {
	c.mu.Lock()
	timer := c.timer
	c.mu.Unlock()
	if timer != nil {
		return timer.Value(key)
	}
	return context.WithoutCancel(c.request).Value(key)
}

// limited is a store each of whose calls has a context of its own, with a time
// limit, unless that is 0.
type limited struct {
	store Store
	limit time.Duration
}

func (l limited) Load(ctx context.Context, id string) (Record, error) {
	c := newCall(ctx, l.limit)
	defer c.end()
	r, err := l.store.Load(c, id)
	return r, l.explain(c, err)
}

func (l limited) Save(ctx context.Context, id string, r Record) error {
	c := newCall(ctx, l.limit)
	defer c.end()
	return l.explain(c, l.store.Save(c, id, r))
}

func (l limited) Delete(ctx context.Context, id string) error {
	c := newCall(ctx, l.limit)
	defer c.end()
	return l.explain(c, l.store.Delete(c, id))
}

// explain adds to an error that the time of the call was over, unless it is what a
// store says about a record.
func (l limited) explain(c *call, err error) error {
	if err == nil || superseded(err) || errors.Is(err, sessionerr.ErrTooLarge) || !errors.Is(c.Err(), context.DeadlineExceeded) {
		return err
	}
	return fmt.Errorf("%w: the store has not answered within %v (WithStoreTimeout): %w", sessionerr.ErrUnavailable, l.limit, err)
}
