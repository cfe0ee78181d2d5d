package redistest

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/redis/go-redis/v9"
)

// MasterName is what the sentinels call the master.
const MasterName = "sessions"

// Sentinels is a master with two replicas, watched by three sentinels.
type Sentinels struct {
	Servers   []*Server // the master first, in the beginning
	Sentinels []*Server

	tb testing.TB
}

// StartSentinels runs six processes and waits until they know each other. A
// master that is silent for a second is replaced.
func StartSentinels(tb testing.TB, args ...string) *Sentinels {
	tb.Helper()
	s := &Sentinels{tb: tb}
	args = append([]string{"--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1"}, args...)
	master := Start(tb, args...)
	s.Servers = append(s.Servers, master)
	for range 2 {
		s.Servers = append(s.Servers, Start(tb, append(args, "--replicaof", "127.0.0.1 "+master.Port())...))
	}
	for range 3 {
		s.Sentinels = append(s.Sentinels, s.startSentinel())
	}
	s.awaitReady()
	return s
}

func (s *Sentinels) startSentinel() *Server {
	s.tb.Helper()
	n := newServer(s.tb)
	conf := filepath.Join(n.Dir, "sentinel.conf")
	text := fmt.Sprintf("port %s\nbind 127.0.0.1\ndir %s\nsentinel monitor %s 127.0.0.1 %s 2\n"+
		"sentinel down-after-milliseconds %[3]s 1000\nsentinel failover-timeout %[3]s 5000\n",
		n.Port(), n.Dir, MasterName, s.Servers[0].Port())
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		s.tb.Fatal(err)
	}
	n.run(conf, "--sentinel")
	return n
}

// awaitReady waits until every sentinel knows two others and two replicas.
func (s *Sentinels) awaitReady() {
	s.tb.Helper()
	for _, n := range s.Sentinels {
		n.Await("all sentinels and replicas known", func(r *redis.Client) bool {
			state, err := r.Do(context.Background(), "SENTINEL", "MASTER", MasterName).Result()
			m, ok := state.(map[any]any)
			return err == nil && ok && m["num-other-sentinels"] == "2" && m["num-slaves"] == "2"
		})
	}
	for _, n := range s.Servers[1:] {
		n.Await("replication", func(r *redis.Client) bool { return info(r, "master_link_status") == "up" })
	}
}

// Addrs are the sentinels' addresses.
func (s *Sentinels) Addrs() (addrs []string) {
	for _, n := range s.Sentinels {
		addrs = append(addrs, n.Addr)
	}
	return addrs
}

// Master is who the sentinels say it is.
func (s *Sentinels) Master() *Server {
	s.tb.Helper()
	where := s.Sentinels[0].Do("SENTINEL", "GET-MASTER-ADDR-BY-NAME", MasterName).([]any)
	for _, n := range s.Servers {
		if n.Addr == net.JoinHostPort(where[0].(string), where[1].(string)) {
			return n
		}
	}
	s.tb.Fatal("the sentinels know no master of ours")
	return nil
}

// AwaitMaster waits until all sentinels name one running master that says so
// itself.
func (s *Sentinels) AwaitMaster() {
	s.tb.Helper()
	for _, n := range s.Sentinels {
		n.Await("a new master", func(r *redis.Client) bool {
			where := redis.NewStringSliceCmd(context.Background(), "SENTINEL", "GET-MASTER-ADDR-BY-NAME", MasterName)
			err := r.Process(context.Background(), where)
			return err == nil && len(where.Val()) == 2 && s.isMaster(net.JoinHostPort(where.Val()[0], where.Val()[1]))
		})
	}
}

func (s *Sentinels) isMaster(addr string) bool {
	for _, n := range s.Servers {
		if n.Addr == addr && n.up() {
			return n.Info("role") == "master"
		}
	}
	return false
}

// AwaitReplicas waits until all servers but the master follow it.
func (s *Sentinels) AwaitReplicas() {
	s.tb.Helper()
	s.AwaitMaster()
	master := s.Master()
	for _, n := range s.Servers {
		if n != master && n.up() {
			n.Await("it follows the master", func(r *redis.Client) bool {
				return info(r, "role") == "slave" && info(r, "master_port") == master.Port() && info(r, "master_link_status") == "up"
			})
		}
	}
}
