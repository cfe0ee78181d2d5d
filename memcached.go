package ginsession

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"math"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/bradfitz/gomemcache/memcache"
)

const (
	defaultKeyPrefix = "session:"

	// memcachedTimeout bounds one dialling, and one exchange, with a server.
	memcachedTimeout = 500 * time.Millisecond

	// memcachedIdle is how many idle connections are kept to each server.
	memcachedIdle = 100

	// maxMemcachedRecord is what surely fits into an item of 1 MiB, the
	// server's default limit, which counts the key and a header too.
	maxMemcachedRecord = 1<<20 - 1024

	// memcachedTries bounds how often an exchange is tried anew because its
	// connection was dead, as all idle ones are after a restart.
	memcachedTries = 4
)

// memcachedStore keeps each record in an item of its own, on the server that
// its id is assigned to. It never asks another: a server that comes back from
// an outage would bring logged-out sessions back.
type memcachedStore struct {
	prefix  string
	servers []*memcachedServer
}

// newMemcachedStore uses a client for each server, so that dropping one's dead
// connections leaves those to the others alone.
func newMemcachedStore(prefix string, servers []string) *memcachedStore {
	m := &memcachedStore{prefix: prefix}
	for _, server := range servers {
		client := memcache.NewFromSelector(oneServer{addressOf(server)})
		client.Timeout = memcachedTimeout
		client.MaxIdleConns = memcachedIdle
		client.DialContext = dialGuarded
		m.servers = append(m.servers, &memcachedServer{client: client, seed: hash(server)})
	}
	return m
}

// newMemcachedClientStore leaves everything about servers to the client.
func newMemcachedClientStore(prefix string, client *memcache.Client) *memcachedStore {
	return &memcachedStore{prefix: prefix, servers: []*memcachedServer{{client: client}}}
}

// Load implements [Store].
func (m *memcachedStore) Load(ctx context.Context, id string) (Record, error) {
	if err := ctx.Err(); err != nil {
		return Record{}, err
	}
	item, err := m.serverFor(id).get(m.prefix + id)
	if err != nil {
		return Record{}, err
	}
	return Record{Data: item.Value, Version: item.CasID}, nil
}

// Save implements [Store].
func (m *memcachedStore) Save(ctx context.Context, id string, r Record) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if len(r.Data) > maxMemcachedRecord {
		return fmt.Errorf("%w: its record has %d bytes, and Memcached takes no more than %d; keep less in it",
			ErrTooLarge, len(r.Data), maxMemcachedRecord)
	}
	item := &memcache.Item{Key: m.prefix + id, Value: r.Data, Expiration: expiration(r.Expires)}
	if r.Version == nil {
		return m.serverFor(id).store((*memcache.Client).Add, item)
	}
	version, ok := r.Version.(uint64)
	if !ok {
		return fmt.Errorf("ginsession: a version of type %T is not one that Memcached gave", r.Version)
	}
	item.CasID = version
	return m.serverFor(id).store((*memcache.Client).CompareAndSwap, item)
}

// Delete implements [Store].
func (m *memcachedStore) Delete(ctx context.Context, id string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return m.serverFor(id).delete(m.prefix + id)
}

// serverFor is rendezvous hashing: each server gives every id a score, and the
// highest has it. A server that joins or leaves moves only its own share of
// the sessions.
func (m *memcachedStore) serverFor(id string) *memcachedServer {
	best, top := m.servers[0], uint64(0)
	if len(m.servers) == 1 {
		return best
	}
	key := hash(id)
	for _, s := range m.servers {
		if score := mix(key ^ s.seed); score >= top {
			best, top = s, score
		}
	}
	return best
}

func hash(s string) uint64 {
	h := fnv.New64a()
	_, _ = io.WriteString(h, s)
	return mix(h.Sum64())
}

// mix spreads each bit over all (the finalizer of SplitMix64).
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// expiration spells a time as the protocol wants it: up to 30 days as seconds
// from now, beyond as Unix time. The server counts whole seconds of a clock of
// its own, which lags on a busy machine; with two seconds more no record goes
// before its time. The exact end is in the record.
func expiration(t time.Time) int32 {
	const (
		maxRelative = 30 * 24 * 60 * 60
		more        = 2
	)
	left := int64(max(time.Until(t), 0)/time.Second) + 1 + more // rounded up
	if left > maxRelative {
		return int32(min(t.Unix()+1+more, math.MaxInt32)) // until 2038
	}
	return int32(left)
}

// memcachedServer talks to one server (or to all behind a client that the app
// gave).
type memcachedServer struct {
	client *memcache.Client
	seed   uint64
	stall  breaker
}

func (s *memcachedServer) get(key string) (item *memcache.Item, err error) {
	err = s.exchange(func() error {
		item, err = s.client.Get(key)
		return err
	})
	switch {
	case errors.Is(err, memcache.ErrCacheMiss):
		return nil, ErrNotFound
	case err != nil:
		return nil, err
	case item.Key != key:
		return nil, errors.New("ginsession: memcached answered with another key than the one asked for")
	}
	return item, nil
}

// store runs Add or CompareAndSwap. Where the answer is lost it asks what is
// there before it tries again, so that nothing is stored twice. If somebody
// else has saved since, nobody can tell whether that was over ours: then the
// lost answer is the error, for a conflict would be replayed.
func (s *memcachedServer) store(verb func(*memcache.Client, *memcache.Item) error, item *memcache.Item) error {
	var lostAnswer error
	for try := 1; ; try++ {
		err := s.guarded(func() error { return verb(s.client, item) })
		switch {
		case err == nil:
			return nil
		case errors.Is(err, memcache.ErrCacheMiss):
			return ErrNotFound
		case errors.Is(err, memcache.ErrCASConflict), errors.Is(err, memcache.ErrNotStored):
			return s.conflict(item, lostAnswer)
		case strings.Contains(err.Error(), "object too large"):
			return fmt.Errorf("%w: its record has %d bytes, more than this memcached takes; keep less in it, or raise the server's -I",
				ErrTooLarge, len(item.Value))
		case !answerLost(err) || try == memcachedTries:
			return err
		}
		lostAnswer = err
		_ = s.client.Close() // the other idle connections are as dead
		there, lookErr := s.get(item.Key)
		switch {
		case lookErr == nil && bytes.Equal(there.Value, item.Value):
			return nil
		case lookErr == nil && there.CasID == item.CasID, // nothing has happened: again
			errors.Is(lookErr, ErrNotFound) && item.CasID == 0:
			continue
		case errors.Is(lookErr, ErrNotFound):
			return ErrNotFound
		default:
			return err
		}
	}
}

// conflict tells who was faster: somebody else, or an earlier try of our own
// that the server got to late.
func (s *memcachedServer) conflict(item *memcache.Item, lostAnswer error) error {
	if lostAnswer == nil {
		return ErrConflict
	}
	if there, err := s.get(item.Key); err == nil && bytes.Equal(there.Value, item.Value) {
		return nil
	}
	return lostAnswer
}

func (s *memcachedServer) delete(key string) error {
	err := s.exchange(func() error { return s.client.Delete(key) })
	if errors.Is(err, memcache.ErrCacheMiss) {
		return nil
	}
	return err
}

// exchange runs what may be repeated, anew where a connection was dead. A
// server that does not answer in time is not asked again.
func (s *memcachedServer) exchange(fn func() error) error {
	for try := 1; ; try++ {
		err := s.guarded(fn)
		if !answerLost(err) || timedOut(err) || try == memcachedTries {
			return err
		}
		_ = s.client.Close()
	}
}

// guarded does not ask a server that has stopped answering.
func (s *memcachedServer) guarded(fn func() error) error {
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

// answerLost tells whether nobody knows if the server has done what it was
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

// unanswered tells whether the server could not be asked or did not answer, as
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

// oneServer is a [memcache.ServerSelector] with no choice. The address stays a
// name, so that every dialling resolves it anew.
type oneServer struct{ address net.Addr }

func (o oneServer) PickServer(string) (net.Addr, error) { return o.address, nil }
func (o oneServer) Each(fn func(net.Addr) error) error  { return fn(o.address) }

type address struct{ network, name string }

func (a address) Network() string { return a.network }
func (a address) String() string  { return a.name }

func addressOf(server string) address {
	if strings.Contains(server, "/") {
		return address{"unix", server}
	}
	return address{"tcp", server}
}

// checkServers says what is wrong with a list of servers, one sentence each.
func checkServers(servers []string) (mistakes []string) {
	if len(servers) == 0 {
		mistakes = append(mistakes, "name at least one server, such as 127.0.0.1:11211")
	}
	for i, server := range servers {
		if slices.Contains(servers[:i], server) {
			mistakes = append(mistakes, fmt.Sprintf("%q is named twice", server))
		} else if reason := checkServer(server); reason != "" {
			mistakes = append(mistakes, fmt.Sprintf("%q: %s", server, reason))
		}
	}
	return mistakes
}

func checkServer(server string) string {
	if strings.Contains(server, "/") {
		return "" // a socket may come into being later
	}
	host, port, err := net.SplitHostPort(server)
	if err != nil {
		return "a server is host:port, such as 127.0.0.1:11211, or the path of a unix socket"
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return "the port is a number from 1 to 65535"
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if _, err := net.DefaultResolver.LookupHost(ctx, host); err != nil || host == "" {
		return "the host's name does not resolve"
	}
	return ""
}

// dialGuarded dials connections that refuse what no reply to us can look like.
func dialGuarded(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return &guardedConn{Conn: conn}, nil
}

// guardedConn looks at the head line of each value before the client does,
// which would believe any length and take any number of values.
type guardedConn struct {
	net.Conn
	values int    // of the reply so far
	skip   int    // bytes of the current value still to come
	line   []byte // what has come of the current line; the client takes no long ones
}

var errReply = errors.New("ginsession: memcached sent what is no reply to the request")

// Write begins a new exchange.
func (g *guardedConn) Write(p []byte) (int, error) {
	g.values, g.skip, g.line = 0, 0, g.line[:0]
	return g.Conn.Write(p)
}

func (g *guardedConn) Read(p []byte) (int, error) {
	n, err := g.Conn.Read(p)
	if bad := g.check(p[:n]); bad != nil {
		return 0, bad
	}
	return n, err
}

func (g *guardedConn) check(p []byte) error {
	for len(p) > 0 {
		if g.skip > 0 {
			n := min(g.skip, len(p))
			g.skip, p = g.skip-n, p[n:]
			continue
		}
		end := bytes.IndexByte(p, '\n') + 1
		if end == 0 {
			end = len(p)
		}
		g.line, p = append(g.line, p[:end]...), p[end:]
		if bytes.HasSuffix(g.line, []byte("\n")) {
			if err := g.checkLine(); err != nil {
				return err
			}
			g.line = g.line[:0]
		}
	}
	return nil
}

// checkLine reads "VALUE key flags length [version]" as the client does, with
// one space between two; other lines are for the client.
func (g *guardedConn) checkLine() error {
	rest, ok := bytes.CutPrefix(g.line, []byte("VALUE "))
	if !ok {
		return nil
	}
	space := []byte(" ")
	_, rest, _ = bytes.Cut(rest, space)
	_, rest, _ = bytes.Cut(rest, space)
	text, _, _ := bytes.Cut(bytes.TrimSuffix(rest, []byte("\r\n")), space)
	length, err := strconv.ParseUint(string(text), 10, 32)
	if g.values++; g.values > 1 || err != nil || length > 1<<20 {
		return errReply
	}
	g.skip = int(length) + len("\r\n")
	return nil
}
