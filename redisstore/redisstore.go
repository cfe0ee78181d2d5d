package redisstore

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/ginsession/ginsession"
)

const (
	// versionSize is how many random bytes stand before the data.
	versionSize = 16

	// maxValue is the largest value, version included, in bytes: 1 MiB, the
	// lowest limit that a server can be set to (proto-max-bulk-len).
	maxValue = 1 << 20

	// maxData is the largest data of a record, in bytes.
	maxData = maxValue - versionSize
)

// Store keeps sessions in Redis or Valkey, for [ginsession.WithStore]. It may
// be used from many goroutines at once, and by several middlewares.
type Store struct {
	client  redis.UniversalClient
	own     bool // made by Open
	prefix  string
	timeout time.Duration
	patient bool // the client ignores a context's deadline
}

var _ ginsession.Store = (*Store)(nil)

// version is the first bytes of a value that was loaded. It is shorter than
// [versionSize] only if another program wrote the value.
type version string

// Load implements [ginsession.Store], in one round trip. A value that another
// program wrote loads as a record that does not open.
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

// Save implements [ginsession.Store], in one round trip: SET with NX for a new
// record, a script for one that replaces another, which takes a second round trip
// if the server does not have the script yet. It returns [ginsession.ErrTooLarge] if the data
// has more than 1048560 bytes.
//
// If the client has sent the save more than once and the record now has the
// version of another save, the outcome is unknown: Save then returns
// [ginsession.ErrUnavailable], not [ginsession.ErrConflict].
func (s *Store) Save(ctx context.Context, id string, r ginsession.Record) error {
	if len(r.Data) > maxData {
		return fmt.Errorf("%w: its record has %d bytes, and redisstore takes no more than %d; keep less in it",
			ginsession.ErrTooLarge, len(r.Data), maxData)
	}
	save := &save{client: s.client, key: s.prefix + id, value: newValue(r.Data), expires: r.Expires}
	run := save.create
	switch over := r.Version.(type) {
	case nil:
	case version:
		save.over, run = string(over), save.replace
	default:
		return fmt.Errorf("ginsession: a version of type %T is not one that redisstore gave", r.Version)
	}
	outcome, err := within(ctx, s, run)
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

// CallTimeout returns the limit of [WithTimeout]. A store that has this method
// gets no deadline from ginsession, unless ginsession.WithStoreTimeout is given.
func (s *Store) CallTimeout() time.Duration { return s.timeout }

// Close closes the connections of a store that [Open] made. For a store that
// [New] made it does nothing: the client is the caller's.
func (s *Store) Close() error {
	if !s.own {
		return nil
	}
	return s.client.Close()
}

// within calls ask under the store's time limit. If the client ignores the
// context's deadline, ask goes on in a goroutine of its own.
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

// calmly turns a panic into an error. The client panics at a reply that claims
// to be longer than memory, and in our goroutine no caller could recover.
func calmly[T any](ctx context.Context, ask func(context.Context) (T, error)) (reply T, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("ginsession: the Redis client panicked: %v", p)
		}
	}()
	return ask(ctx)
}

// value is a version and the data behind it, as sent to the server. It counts
// how often it is sent: the client repeats a command whose reply was lost.
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

// replaceScript stores ARGV[1], which begins with its version, for ARGV[2]
// milliseconds over the version ARGV[3]. If its own version is there already, an
// earlier try succeeded and its reply was lost. This makes the save idempotent.
var replaceScript = redis.NewScript(`
local there = redis.call('GETRANGE', KEYS[1], 0, 15)
if there == '' and redis.call('EXISTS', KEYS[1]) == 0 then
	return 'gone'
end
if there == ARGV[3] then
	redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
	return 'saved'
end
return there == string.sub(ARGV[1], 1, 16) and 'saved' or 'taken'
`)

// The outcomes of a save. The script returns them.
const (
	saved = "saved"
	gone  = "gone"  // there is no record to replace
	taken = "taken" // by another version
)

// save is one save of a record.
type save struct {
	client  redis.UniversalClient
	key     string
	value   *value
	expires time.Time
	over    string // the version to replace
	unsure  bool   // an earlier try may have succeeded
}

// create stores a value if there is none. If there is one and the value was sent
// more than once, it may be its own: then the version is looked at.
func (s *save) create(ctx context.Context) (outcome string, err error) {
	reply, err := s.client.Do(ctx, "set", s.key, s.value, "nx", "px", millisecondsUntil(s.expires)).Text()
	switch {
	case err == nil && reply == "OK":
		return saved, nil
	case !errors.Is(err, redis.Nil):
		return "", err
	case s.value.sent.Load() == 1:
		return taken, nil
	}
	s.unsure = true
	there, err := s.client.GetRange(ctx, s.key, 0, versionSize-1).Result()
	if err == nil && there == string(s.value.bytes[:versionSize]) {
		return saved, nil
	}
	return taken, err
}

// replace sends the script's hash, and then the script if the server does not
// have it.
func (s *save) replace(ctx context.Context) (outcome string, err error) {
	left := millisecondsUntil(s.expires)
	outcome, err = s.client.Do(ctx, "evalsha", replaceScript.Hash(), "1", s.key, s.value, left, s.over).Text()
	answered := int32(1)
	if redis.HasErrorPrefix(err, "NOSCRIPT") {
		outcome, err = replaceScript.Eval(ctx, s.client, []string{s.key}, s.value, left, s.over).Text()
		answered++
	}
	s.unsure = s.value.sent.Load() > answered
	return outcome, err
}

func (s *save) judge(outcome string) error {
	switch {
	case outcome == saved:
		return nil
	case outcome == gone:
		return ginsession.ErrNotFound
	case outcome != taken:
		return fmt.Errorf("%w: Redis answered what it never answers to a save", ginsession.ErrUnavailable)
	case s.unsure:
		return fmt.Errorf("%w: a reply was lost, and another request has saved since: the outcome of this save is unknown", ginsession.ErrUnavailable)
	}
	return ginsession.ErrConflict
}

// millisecondsUntil rounds up, so that no record expires early. A relative time
// allows the server's clock to differ from ours.
func millisecondsUntil(t time.Time) int64 {
	left := time.Until(t)
	n := int64(left / time.Millisecond)
	if left%time.Millisecond > 0 {
		n++
	}
	return max(n, 1)
}
