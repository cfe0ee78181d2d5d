package ginsession_test

import (
	"testing"

	"github.com/bradfitz/gomemcache/memcache"
	"github.com/ginsession/ginsession"
	"github.com/ginsession/ginsession/internal/memcachedtest"
	"github.com/ginsession/ginsession/storetest"
)

func TestMemcached_contract(t *testing.T) {
	t.Run("tcp", func(t *testing.T) {
		storetest.Run(t, ginsession.NewMemcachedStore(memcachedtest.Start(t).Addr))
	})
	t.Run("unix", func(t *testing.T) {
		storetest.Run(t, ginsession.NewMemcachedStore(memcachedtest.StartUnix(t).Addr))
	})
	t.Run("client", func(t *testing.T) {
		storetest.Run(t, ginsession.NewMemcachedClientStore(memcache.New(memcachedtest.Start(t).Addr)))
	})
}

func TestMemcached_sessions(t *testing.T) {
	storetest.RunSessions(t, ginsession.NewMemcachedStore(memcachedtest.Start(t).Addr), storetest.Short)
}
