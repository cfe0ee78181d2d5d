package redisstore

import (
	"fmt"
	"net/url"
	"reflect"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/ginsession/ginsession"
)

const (
	defaultKeyPrefix = "session:"
	defaultTimeout   = 2 * time.Second

	// The limits that Open sets for one dialing, one exchange and the number of
	// connections. defaultTimeout leaves time for a second try.
	openDial     = 500 * time.Millisecond
	openExchange = time.Second
	openPool     = 100
)

// Option changes one default of [New] and [Open].
type Option func(*Store)

// WithKeyPrefix sets the prefix of the keys, which 43 characters follow. The
// default is "session:". A prefix with a {hash tag} keeps all sessions on one
// shard of a Cluster.
func WithKeyPrefix(prefix string) Option { return func(s *Store) { s.prefix = prefix } }

// WithTimeout bounds each load, save and delete, including the client's
// retries. The default is 2 seconds, the minimum 10 milliseconds. A shorter
// deadline of the request's context and the client's own limits apply too.
func WithTimeout(d time.Duration) Option { return func(s *Store) { s.timeout = d } }

// New returns a store that uses the given client, whose options say where Redis
// is, how to log in, and how long to wait and retry:
//
//   - [redis.NewClient] for one server,
//   - [redis.NewFailoverClient] for a master under Sentinel,
//   - [redis.NewClusterClient] for a Cluster.
//
// The time limits and retries of the client stay as they are; [WithTimeout]
// adds one over all. If the client's options have ContextTimeoutEnabled, a call
// that reaches it ends at once; if not, it goes on in the background until the
// client's own limits: its DialTimeout, DialerRetries times, and its
// ReadTimeout. The client also allocates as many bytes as a reply claims to
// have: connect only to a server that you trust, or use [Open].
//
// New does not connect. It returns a [*ginsession.ConfigError] for a client that
// may return stale data, for a session that was logged out would then be
// accepted again: a client that reads from replicas (ReadOnly, RouteByLatency,
// RouteRandomly) or from a cache of its own (ClientSideCache), and a
// [redis.Ring], which uses another server when one is down. It cannot detect
// FailoverOptions.ReplicaOnly: leave it out.
func New(client redis.UniversalClient, opts ...Option) (*Store, error) {
	s := &Store{client: client, prefix: defaultKeyPrefix, timeout: defaultTimeout}
	for i, opt := range opts {
		if opt == nil {
			return nil, wrong("options", fmt.Sprintf("option %d is nil; leave it out", i+1))
		}
		opt(s)
	}
	if s.timeout < 10*time.Millisecond {
		return nil, wrong("WithTimeout", "a limit is a time.Duration of 10ms or more, such as 2*time.Second; leave the option out for 2 seconds")
	}
	if reason := unfit(client); reason != "" {
		return nil, wrong("New", reason)
	}
	s.patient = !heedsContext(client)
	return s, nil
}

// Open returns a store for one server:
//
//	redis://user:password@host:6379/0    the last part is the database
//	rediss://user:password@host:6379     over TLS
//	unix:///run/redis/redis.sock         a unix socket
//
// User, password, port and database may be left out. Options of the client
// follow as in redis://host?read_timeout=1s; see [redis.ParseURL]. By default,
// one dialing may take 500 milliseconds, one exchange a second, and there are
// up to 100 connections.
//
// A reply that is malformed, or larger than any record (1 MiB), is refused with
// [ginsession.ErrUnavailable] before anything is allocated for it. Clients
// given to [New] have no such limit.
//
// Open does not connect: the first session fails if the server is down. No
// error contains the URL or the password. [Store.Close] closes the connections.
func Open(address string, opts ...Option) (*Store, error) {
	o, err := parse(address)
	if err != nil {
		return nil, err
	}
	s, err := New(redis.NewClient(o), opts...)
	if err != nil {
		return nil, err
	}
	s.own = true
	return s, nil
}

// Must returns the store, and panics if err is not nil. It is for use at a
// program's start.
func Must(s *Store, err error) *Store {
	if err != nil {
		panic(err)
	}
	return s
}

// parse wraps no error of other packages, for they quote the URL.
func parse(address string) (*redis.Options, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, wrong("Open", "this is no URL such as redis://127.0.0.1:6379 (it is not shown, for it may hold a password); write / ? # @ : % in a password as %2F %3F %23 %40 %3A %25")
	}
	if u.Scheme != "redis" && u.Scheme != "rediss" && u.Scheme != "unix" {
		return nil, wrong("Open", "the URL begins with none of redis:// rediss:// unix://, as in redis://user:password@host:6379/0")
	}
	if strings.Contains(address, "#") || u.Opaque != "" {
		return nil, wrong("Open", "the URL is not of the form redis://user:password@host:6379/0; write / ? # @ : % in a password as %2F %3F %23 %40 %3A %25")
	}
	o, err := redis.ParseURL(address)
	if err != nil {
		return nil, wrong("Open", "the URL's database is no number, or an option behind the ? is unknown or has no such value; redis://user:password@host:6379/0 needs none")
	}
	o.ContextTimeoutEnabled = true
	o.DialerRetries = 1
	setDefault(&o.DialTimeout, openDial)
	setDefault(&o.ReadTimeout, openExchange)
	setDefault(&o.WriteTimeout, openExchange)
	setDefault(&o.PoolSize, openPool)
	o.Dialer = guardedDialer(o)
	return o, nil
}

func setDefault[T comparable](option *T, value T) {
	var unset T
	if *option == unset {
		*option = value
	}
}

// unfit returns why a client would lose or revive sessions, or "".
func unfit(client redis.UniversalClient) string {
	const stale = "; a session that was logged out would be seen again"
	if v := reflect.ValueOf(client); !v.IsValid() || v.Kind() == reflect.Pointer && v.IsNil() {
		return "the client is nil; make one with redis.NewClient"
	}
	switch c := client.(type) {
	case *redis.Ring:
		return "a redis.Ring asks another server when one is down" + stale + "; use a Cluster or Sentinel"
	case *redis.AutoPipeliner:
		return "a redis.AutoPipeliner hides which saves were sent twice; use the client that it was made from"
	case *redis.ClusterClient:
		if o := c.Options(); o.ReadOnly || o.RouteByLatency || o.RouteRandomly {
			return "the client reads from replicas, which lag behind" + stale + "; leave out ReadOnly, RouteByLatency and RouteRandomly"
		}
	case *redis.Client:
		if o := c.Options(); o.ClientSideCache != nil || o.ClientSideCacheConfig != nil {
			return "the client keeps a cache of its own" + stale + "; leave out ClientSideCache and ClientSideCacheConfig"
		}
	}
	return ""
}

func heedsContext(client redis.UniversalClient) bool {
	switch c := client.(type) {
	case *redis.Client:
		return c.Options().ContextTimeoutEnabled
	case *redis.ClusterClient:
		return c.Options().ContextTimeoutEnabled
	}
	return false
}

func wrong(option, reason string) error {
	return &ginsession.ConfigError{Option: "redisstore." + option, Reason: reason}
}
