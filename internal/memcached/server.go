package memcached

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"time"

	"github.com/bradfitz/gomemcache/memcache"

	"github.com/ginsession/ginsession/internal/sessionerr"
)

// server talks to one server (or to all behind a client that the app
// gave).
type server struct {
	client *memcache.Client
	seed   uint64
	stall  breaker
}

func (s *server) get(key string) (item *memcache.Item, err error) {
	err = s.exchange(func() error {
		item, err = s.client.Get(key)
		return err
	})
	switch {
	case errors.Is(err, memcache.ErrCacheMiss):
		return nil, sessionerr.ErrNotFound
	case err != nil:
		return nil, err
	case item.Key != key:
		return nil, errors.New("ginsession: memcached answered with another key than the one asked for")
	}
	return item, nil
}

// store runs Add or CompareAndSwap. If the answer is lost it asks what is there
// before it tries again, so that nothing is stored twice. If another request has
// saved since, it is unknown whether that was over ours: then the lost answer is
// the error, for a conflict would be replayed.
func (s *server) store(verb func(*memcache.Client, *memcache.Item) error, item *memcache.Item) error {
	var lostAnswer error
	for try := 1; ; try++ {
		err := s.guarded(func() error { return verb(s.client, item) })
		switch {
		case err == nil:
			return nil
		case errors.Is(err, memcache.ErrCacheMiss):
			return sessionerr.ErrNotFound
		case errors.Is(err, memcache.ErrCASConflict), errors.Is(err, memcache.ErrNotStored):
			return s.conflict(item, lostAnswer)
		case strings.Contains(err.Error(), "object too large"):
			return fmt.Errorf("%w: its record has %d bytes, more than this memcached takes; keep less in it, or raise the server's -I",
				sessionerr.ErrTooLarge, len(item.Value))
		case !answerLost(err) || try == tries:
			return err
		}
		lostAnswer = err
		_ = s.client.Close() // the other idle connections are as dead
		there, lookErr := s.get(item.Key)
		switch {
		case lookErr == nil && bytes.Equal(there.Value, item.Value):
			return nil
		case lookErr == nil && there.CasID == item.CasID, // nothing has happened: again
			errors.Is(lookErr, sessionerr.ErrNotFound) && item.CasID == 0:
			continue
		case errors.Is(lookErr, sessionerr.ErrNotFound):
			return sessionerr.ErrNotFound
		default:
			return err
		}
	}
}

// conflict returns [sessionerr.ErrConflict], unless it was an earlier try of our
// own, which the server got to late, that was faster.
func (s *server) conflict(item *memcache.Item, lostAnswer error) error {
	if lostAnswer == nil {
		return sessionerr.ErrConflict
	}
	if there, err := s.get(item.Key); err == nil && bytes.Equal(there.Value, item.Value) {
		return nil
	}
	return lostAnswer
}

func (s *server) delete(key string) error {
	err := s.exchange(func() error { return s.client.Delete(key) })
	if errors.Is(err, memcache.ErrCacheMiss) {
		return nil
	}
	return err
}

// exchange runs what may be repeated, anew if a connection was dead. A
// server that does not answer in time is not asked again.
func (s *server) exchange(fn func() error) error {
	for try := 1; ; try++ {
		err := s.guarded(fn)
		if !answerLost(err) || timedOut(err) || try == tries {
			return err
		}
		_ = s.client.Close()
	}
}

// guarded does not ask a server that has stopped answering.
func (s *server) guarded(fn func() error) error {
	if !s.stall.allow() {
		return errStalled
	}
	err := fn()
	if err == nil {
		s.stall.note(false)
		return nil
	}
	s.stall.note(timedOut(err))
	if unanswered(err) {
		err = fmt.Errorf("memcached does not answer: %w", err)
	}
	return err
}

var errStalled = errors.New("ginsession: memcached has stopped answering; it is asked again in a moment")

// answerLost reports whether it is unknown if the server has done what it was
// asked: the connection broke or timed out after it was dialled.
func answerLost(err error) bool {
	if err == nil {
		return false
	}
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Op != "dial"
	}
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || timedOut(err) && !dialTimedOut(err)
}

// unanswered reports whether the server could not be asked or did not answer, as
// opposed to what it answered.
func unanswered(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) || answerLost(err) || dialTimedOut(err)
}

func timedOut(err error) bool {
	var n net.Error
	return errors.As(err, &n) && n.Timeout() || dialTimedOut(err)
}

func dialTimedOut(err error) bool {
	var dial *memcache.ConnectTimeoutError
	return errors.As(err, &dial)
}

// breaker stops asking after several time-outs in a row, and then lets one
// request at a time find out whether the server is back. Otherwise each of a
// hundred requests would wait for a server that is known not to answer.
type breaker struct {
	timeouts atomic.Int32
	until    atomic.Int64 // nanoseconds since 1970
}

const (
	maxTimeouts = 3
	stallPause  = 500 * time.Millisecond
)

func (b *breaker) allow() bool {
	if b.timeouts.Load() < maxTimeouts {
		return true
	}
	until, now := b.until.Load(), time.Now().UnixNano()
	return now >= until && b.until.CompareAndSwap(until, now+int64(stallPause))
}

func (b *breaker) note(timedOut bool) {
	switch {
	case !timedOut:
		if b.timeouts.Load() != 0 {
			b.timeouts.Store(0)
		}
	case b.timeouts.Add(1) == maxTimeouts:
		b.until.Store(time.Now().Add(stallPause).UnixNano())
	}
}
