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

	// What Open sets: how long one dialling and one exchange may take, and how
	// many connections there are. Within defaultTimeout there is time to ask
	// again on another connection.
	openDial     = 500 * time.Millisecond
	openExchange = time.Second
	openPool     = 100
)

// Option changes one default of [New] and [Open].
type Option func(*Store)

// WithKeyPrefix begins the keys. The default is "session:". The keys go on
// with 43 characters. A prefix with a {hash tag} keeps all sessions on one
// shard of a Cluster.
func WithKeyPrefix(prefix string) Option { return func(s *Store) { s.prefix = prefix } }

// WithTimeout bounds each load, save and delete, the client's retries
// included. The default is 2 seconds. A shorter deadline of the request's
// context counts too; so do the client's own limits.
func WithTimeout(d time.Duration) Option { return func(s *Store) { s.timeout = d } }

// New makes a store over a client of yours, which says where Redis is, how to
// log in, and how long to wait and retry:
//
//   - [redis.NewClient] for one server,
//   - [redis.NewFailoverClient] for a master under Sentinel,
//   - [redis.NewClusterClient] for a Cluster.
//
// The time limits and retries of the client stay as they are; [WithTimeout]
// adds one over all. With ContextTimeoutEnabled in the client's options, a
// call that ran into it ends at once; without, it goes on in the background
// until the client's own limits: its DialTimeout, DialerRetries times, and
// its ReadTimeout. The client also allocates as many bytes as a reply claims to
// have: connect only to a server that you trust, or use [Open].
//
// New connects to nothing. It refuses, with a [*ginsession.ConfigError] that
// names the way out, a client that may answer with something old: a session
// that was logged out would be seen again. These are clients that read from
// replicas (ReadOnly, RouteByLatency, RouteRandomly) or from a cache of their
// own (ClientSideCache), and a [redis.Ring], which goes to another server when
// one is down. FailoverOptions.ReplicaOnly cannot be seen here: leave it out.
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

// Open makes a store for one server:
//
//	redis://user:password@host:6379/0    the last part is the database
//	rediss://user:password@host:6379     over TLS
//	unix:///run/redis/redis.sock         a unix socket
//
// User, password, port and database may be left out. Options of the client
// follow as in redis://host?read_timeout=1s; see [redis.ParseURL]. Where they
// say nothing else, one dialling may take 500 milliseconds, one exchange a
// second, and there are up to 100 connections.
//
// A reply that is malformed, or larger than any record (1 MiB), is refused with
// [ginsession.ErrUnavailable] before anything is allocated for it. Clients
// given to [New] have no such limit.
//
// Open connects to nothing: a server that is down is seen with the first
// session. No error shows the URL or the password. [Store.Close] ends the
// connections.
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

// Must returns the store, and panics on an error: for use at a program's start.
func Must(s *Store, err error) *Store {
	if err != nil {
		panic(err)
	}
	return s
}

// parse never passes on what others say about the URL: they quote it.
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

// unfit tells why a client would lose or revive sessions.
func unfit(client redis.UniversalClient) string {
	const stale = "; a session that was logged out would be seen again"
	if v := reflect.ValueOf(client); !v.IsValid() || v.Kind() == reflect.Pointer && v.IsNil() {
		return "the client is nil; make one with redis.NewClient"
	}
	switch c := client.(type) {
	case *redis.Ring:
		return "a redis.Ring asks another server when one is down" + stale + "; use a Cluster or Sentinel"
	case *redis.AutoPipeliner:
		return "a redis.AutoPipeliner hides which saves were sent twice; use the client that it was made of"
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
