package ginsession

import (
	"slices"
	"strings"

	"github.com/bradfitz/gomemcache/memcache"

	"github.com/ginsession/ginsession/internal/memcached"
	"github.com/ginsession/ginsession/internal/recordstore"
)

// WithMemcached keeps sessions in Memcached; the cookie carries a sealed id and
// no value. A server is "host:port" or the path of a unix socket. With
// several, each session lives on one of them, by rendezvous hashing: a fifth
// server that joins four moves a fifth of the sessions, which are lost. All
// servers of the app name them alike, in any order.
//
// Names are resolved here, so that a wrong one is found at start, and again
// whenever a connection is dialled. Each exchange may take 500 milliseconds,
// and 100 idle connections are kept to each server. A server that times out
// several times in a row is left alone for half a second at a time.
//
// Nothing else is asked while a server is down: its sessions get
// [ErrUnavailable], status 503, until it is back. Memcached forgets: a restart
// or memory pressure ends sessions, which gives [ErrUnknown]. A record has at
// most 1047552 bytes.
//
// Anyone who can reach Memcached can delete sessions or put older records of a
// session back, but neither read nor forge one. Do not expose it.
func WithMemcached(servers ...string) Option {
	servers = slices.Clone(servers)
	return func(c *config) {
		c.storeFrom("WithMemcached", func(c *config) recordstore.Store {
			for _, mistake := range memcached.CheckServers(servers) {
				c.wrong("WithMemcached", mistake)
			}
			return memcached.New(c.KeyPrefix, servers)
		})
	}
}

// WithMemcachedClient is [WithMemcached] with a client of your own, for TLS,
// authentication or other time-outs. Server choice, time-outs, and what a
// misbehaving server can do are the client's own.
func WithMemcachedClient(client *memcache.Client) Option {
	return func(c *config) {
		c.storeFrom("WithMemcachedClient", func(c *config) recordstore.Store {
			if client == nil {
				c.wrong("WithMemcachedClient", "the client is nil; make one with memcache.New")
			}
			return memcached.NewClient(c.KeyPrefix, client)
		})
	}
}

// WithKeyPrefix sets the prefix of the keys of Memcached's items, for several
// apps on one server. The default is "session:". The keys go on with 43 characters.
func WithKeyPrefix(prefix string) Option {
	return func(c *config) { c.KeyPrefix, c.prefixed = prefix, true }
}

// isKeyText reports whether s can stand in a key of Memcached.
func isKeyText(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' })
}
