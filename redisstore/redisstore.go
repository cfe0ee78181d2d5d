package redisstore

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/ginsession/ginsession"
)

const (
	// versionSize is how many random bytes stand before the data.
	versionSize = 16

	// maxValue is how large a value may be, version and all: 1 MiB, the least
	// that a server can be told to take (proto-max-bulk-len).
	maxValue = 1 << 20

	// maxData is what is left for the data.
	maxData = maxValue - versionSize
)

// Store keeps sessions in Redis or Valkey, for [ginsession.WithStore]. It may
// be used from many goroutines at once, and by several middlewares.
type Store struct {
	client  redis.UniversalClient
	own     bool // made by Open
	prefix  string
	timeout time.Duration
	patient bool // the client does not heed a context's deadline
}

var _ ginsession.Store = (*Store)(nil)

// version is what stands before the data of a record that was loaded. It is
// shorter than [versionSize] only where the value is not ours.
type version string

// Load implements [ginsession.Store], in one round trip. A value that is not
// ours loads as a record that nothing opens.
func (s *Store) Load(ctx context.Context, id string) (ginsession.Record, error) {
	value, err := within(ctx, s, func(ctx context.Context) ([]byte, error) {
		return s.client.Get(ctx, s.prefix+id).Bytes()
	})
	if errors.Is(err, redis.Nil) {
		return ginsession.Record{}, ginsession.ErrNotFound
	}
	if err != nil {
		return ginsession.Record{}, s.explain(err)
	}
	n := min(versionSize, len(value))
	return ginsession.Record{Data: value[n:], Version: version(value[:n])}, nil
}

// Save implements [ginsession.Store], in one round trip (two when the server
// does not know the script yet). A record has at most 1048560 bytes.
//
// Where the client has sent the save more than once, and another save is found
// in its place, nobody can tell whether it was done before that: this is
// [ginsession.ErrUnavailable], not a conflict.
func (s *Store) Save(ctx context.Context, id string, r ginsession.Record) error {
	if len(r.Data) > maxData {
		return fmt.Errorf("%w: its record has %d bytes, and redisstore takes no more than %d; keep less in it",
			ginsession.ErrTooLarge, len(r.Data), maxData)
	}
	save := &save{key: s.prefix + id, value: newValue(r.Data), expires: r.Expires}
	switch over := r.Version.(type) {
	case nil:
	case version:
		save.over = []any{string(over)}
	default:
		return fmt.Errorf("ginsession: a version of type %T is not one that redisstore gave", r.Version)
	}
	outcome, err := within(ctx, s, func(ctx context.Context) (string, error) { return save.run(ctx, s.client) })
	if err != nil {
		return s.explain(err)
	}
	return save.judge(outcome)
}

// Delete implements [ginsession.Store], in one round trip.
func (s *Store) Delete(ctx context.Context, id string) error {
	_, err := within(ctx, s, func(ctx context.Context) (int64, error) { return s.client.Del(ctx, s.prefix+id).Result() })
	if err != nil {
		return s.explain(err)
	}
	return nil
}

// Close ends the connections of a store that [Open] has made. With [New] it
// does nothing: the client is yours.
func (s *Store) Close() error {
	if !s.own {
		return nil
	}
	return s.client.Close()
}

// within asks under the store's time limit. A client that waits for the
// network whatever the context says is left waiting alone.
func within[T any](ctx context.Context, s *Store, ask func(context.Context) (T, error)) (reply T, err error) {
	if err := ctx.Err(); err != nil {
		return reply, err
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	if !s.patient {
		return calmly(ctx, ask)
	}
	type answer struct {
		reply T
		err   error
	}
	answers := make(chan answer, 1)
	go func() {
		reply, err := calmly(ctx, ask)
		answers <- answer{reply, err}
	}()
	select {
	case a := <-answers:
		return a.reply, a.err
	case <-ctx.Done():
		return reply, ctx.Err()
	}
}

// calmly makes an error of a panic, which is what the client does at a reply
// that claims to be longer than memory. Nobody could recover from it in a
// goroutine of ours.
func calmly[T any](ctx context.Context, ask func(context.Context) (T, error)) (reply T, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("ginsession: the Redis client panicked: %v", p)
		}
	}()
	return ask(ctx)
}

// value is a version and the data behind it, as it goes to the server. It
// counts how often that happens: the client sends a command again when its
// reply is lost.
type value struct {
	bytes []byte
	sent  atomic.Int32
}

func newValue(data []byte) *value {
	v := &value{bytes: make([]byte, versionSize, versionSize+len(data))}
	_, _ = rand.Read(v.bytes) // never fails: it ends the program instead
	v.bytes = append(v.bytes, data...)
	return v
}

// MarshalBinary is called for each time that the value is sent.
func (v *value) MarshalBinary() ([]byte, error) {
	v.sent.Add(1)
	return v.bytes, nil
}

// String is for hooks of the client that log commands.
func (v *value) String() string { return fmt.Sprintf("(%d bytes)", len(v.bytes)) }

// saveScript stores ARGV[1], which begins with its version, for ARGV[2]
// milliseconds: over the version ARGV[3] or, without one, where nothing is.
// That its own version is there already says that an earlier try was done and
// its reply lost.
var saveScript = redis.NewScript(`
local there = redis.call('GETRANGE', KEYS[1], 0, 15)
local missing = there == '' and redis.call('EXISTS', KEYS[1]) == 0
if missing and ARGV[3] then
	return 'gone'
end
if not missing and there ~= ARGV[3] then
	return there == string.sub(ARGV[1], 1, 16) and 'saved' or 'taken'
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 'saved'
`)

// save is one save of a record.
type save struct {
	key     string
	value   *value
	expires time.Time
	over    []any // the version, or nothing
	unsure  bool  // it may have been done before the try that was answered
}

// run sends the script's hash, and the script where the server does not know
// it.
func (s *save) run(ctx context.Context, client redis.UniversalClient) (outcome string, err error) {
	args := append([]any{s.value, strconv.FormatInt(millisecondsUntil(s.expires), 10)}, s.over...)
	outcome, err = saveScript.EvalSha(ctx, client, []string{s.key}, args...).Text()
	answered := int32(1)
	if redis.HasErrorPrefix(err, "NOSCRIPT") {
		outcome, err = saveScript.Eval(ctx, client, []string{s.key}, args...).Text()
		answered++
	}
	s.unsure = s.value.sent.Load() > answered
	return outcome, err
}

func (s *save) judge(outcome string) error {
	switch {
	case outcome == "saved":
		return nil
	case outcome == "gone":
		return ginsession.ErrNotFound
	case outcome != "taken":
		return fmt.Errorf("%w: Redis gave an answer that the script does not give", ginsession.ErrUnavailable)
	case s.unsure:
		return fmt.Errorf("%w: a reply was lost, and others have saved since: nobody knows whether this was saved", ginsession.ErrUnavailable)
	}
	return ginsession.ErrConflict
}

// millisecondsUntil rounds up: a record does not go before its time. The
// server counts from now by itself, so that its clock may differ from ours.
func millisecondsUntil(t time.Time) int64 {
	left := time.Until(t)
	n := int64(left / time.Millisecond)
	if left%time.Millisecond > 0 {
		n++
	}
	return max(n, 1)
}
