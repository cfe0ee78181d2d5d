//go:build soak

package ginsession_test

import (
	"testing"
	"time"

	"github.com/ginsession/ginsession"
	"github.com/ginsession/ginsession/internal/memcachedtest"
	"github.com/ginsession/ginsession/storetest"
)

func TestSoakMemcached_sessions(t *testing.T) {
	storetest.RunSessions(t, ginsession.NewMemcachedStore(memcachedtest.Start(t).Addr), storetest.Full)
}

func TestSoakMemcached_outages(t *testing.T) {
	memcachedOutages(t, storetest.Load{PerSecond: 400, Users: 80, Between: 5 * time.Second, Lasts: 3 * time.Second})
}
