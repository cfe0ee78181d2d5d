//go:build soak

package redisstore_test

import (
	"sync"
	"testing"
	"time"

	"github.com/ginsession/ginsession/internal/storesuite"
	"github.com/ginsession/ginsession/redisstore/internal/redistest"
)

var longLoad = storesuite.Load{PerSecond: 400, Users: 80, Between: 5 * time.Second, Lasts: 3 * time.Second}

func TestSoak_sessions(t *testing.T) {
	storesuite.RunSessions(t, open(t, redistest.Start(t).Addr), storesuite.Full)
}

func TestSoak_outagesForgetful(t *testing.T) { outages(t, longLoad) }
func TestSoak_outagesPersistent(t *testing.T) {
	outages(t, longLoad, "--appendonly", "yes", "--appendfsync", "no")
}

func TestSoak_clusterSessions(t *testing.T) {
	storesuite.RunSessions(t, clusterStore(t, redistest.StartCluster(t)), storesuite.Full)
}

func TestSoak_clusterFailover(t *testing.T) {
	c := redistest.StartCluster(t)
	killed, returns := masterKilled(c)
	stalls := masterStalls(c)
	clusterFailover(t, c, longLoad, killed, returns, stalls, killed, returns, stalls)
}

func TestSoak_sentinelSessions(t *testing.T) {
	storesuite.RunSessions(t, sentinelStore(t, redistest.StartSentinels(t)), storesuite.Full)
}

func TestSoak_sentinelFailover(t *testing.T) {
	s := redistest.StartSentinels(t)
	killed, returns := sentinelMasterKilled(s)
	sentinelFailover(t, s, longLoad, killed, returns, killed, returns)
}

// Eight requests at once count in one session while its master dies: nothing
// that was acknowledged is lost, nothing is done twice, by whatever retries and
// redirections.
func TestSoak_clusterCounting(t *testing.T) {
	c := redistest.StartCluster(t)
	r := storesuite.App(clusterStore(t, c))
	_, _, cookie := storesuite.Get(r, "/set/x", "")
	key := c.Keys()[0]
	var failover sync.Mutex // one after the other
	wantCounted(t, r, cookie, 9000, func(i int64) {
		switch i {
		case 1000, 3000:
			failover.Lock()
			defer failover.Unlock()
			victim := c.Master(key)
			victim.Kill()
			c.AwaitFailover()
			victim.Restart()
			c.AwaitOK()
			c.AwaitReplicated()
		}
	})
}
