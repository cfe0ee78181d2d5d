package redistest

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
)

const slots = 16384

// Cluster is a Redis Cluster: three masters, each with a replica.
type Cluster struct {
	Nodes []*Server // masters first, in the beginning

	tb testing.TB
}

// StartCluster runs six processes and waits until they agree. A master that is
// silent for a second is replaced.
func StartCluster(tb testing.TB) *Cluster {
	tb.Helper()
	c := &Cluster{tb: tb}
	for range 6 {
		_, bus, _ := net.SplitHostPort(FreeAddr(tb))
		c.Nodes = append(c.Nodes, newServer(tb, "--cluster-enabled", "yes", "--cluster-port", bus,
			"--cluster-node-timeout", "1000", "--cluster-replica-validity-factor", "0",
			"--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1"))
	}
	for _, n := range c.Nodes {
		n.Begin()
	}
	for i, n := range c.Nodes {
		n.Await("up", func(r *redis.Client) bool { return r.Ping(context.Background()).Err() == nil })
		n.Do("CLUSTER", "SET-CONFIG-EPOCH", i+1)
		if i < 3 {
			n.Do("CLUSTER", "ADDSLOTSRANGE", i*slots/3, (i+1)*slots/3-1)
		}
		if i > 0 {
			n.Do("CLUSTER", "MEET", "127.0.0.1", c.Nodes[0].Port(), c.busPort(0))
		}
	}
	c.assignReplicas()
	c.AwaitOK()
	return c
}

func (c *Cluster) busPort(i int) string {
	return c.Nodes[i].args[3]
}

// assignReplicas gives each master one, as soon as all know each other.
func (c *Cluster) assignReplicas() {
	c.tb.Helper()
	for i, n := range c.Nodes[3:] {
		id := c.Nodes[i].Do("CLUSTER", "MYID")
		n.Await("all nodes known", func(r *redis.Client) bool {
			text, err := r.ClusterNodes(context.Background()).Result()
			return err == nil && strings.Count(text, " connected") == len(c.Nodes) && !strings.Contains(text, "handshake")
		})
		n.Do("CLUSTER", "REPLICATE", id)
	}
}

// AwaitOK waits until every node that runs serves all slots, and each of these
// has a master that runs and a replica in step, where it runs.
func (c *Cluster) AwaitOK() {
	c.tb.Helper()
	for _, n := range c.running() {
		n.Await("cluster_state:ok", func(r *redis.Client) bool {
			text, err := r.ClusterInfo(context.Background()).Result()
			return err == nil && line(text, "cluster_state") == "ok" && line(text, "cluster_slots_ok") == fmt.Sprint(slots) &&
				(info(r, "role") == "master" || info(r, "master_link_status") == "up")
		})
	}
}

// AwaitFailover waits until three masters run and all nodes that run agree.
func (c *Cluster) AwaitFailover() {
	c.tb.Helper()
	c.running()[0].Await("three masters", func(*redis.Client) bool {
		masters := 0
		for _, n := range c.running() {
			if n.Info("role") == "master" {
				masters++
			}
		}
		return masters == 3
	})
	c.AwaitOK()
}

func (c *Cluster) running() (nodes []*Server) {
	for _, n := range c.Nodes {
		if n.up() {
			nodes = append(nodes, n)
		}
	}
	return nodes
}

// AwaitReplicated waits until every master's replica has what the master has
// now. Each needs one.
func (c *Cluster) AwaitReplicated() {
	c.tb.Helper()
	for _, n := range c.running() {
		n.AwaitReplicated()
	}
}

// AwaitReplicated waits until a master's replica says
// that it has all that the master had when this was called. That the two are
// connected is not enough: a master streams to a new replica only after its
// first acknowledgement, up to a second later.
func (s *Server) AwaitReplicated() {
	s.tb.Helper()
	written, _ := strconv.ParseInt(s.Info("master_repl_offset"), 10, 64)
	s.Await("the replica has it all", func(r *redis.Client) bool {
		if info(r, "role") != "master" { // not, or no longer
			return true
		}
		_, offset, _ := strings.Cut(info(r, "slave0"), ",offset=")
		offset, _, _ = strings.Cut(offset, ",")
		has, err := strconv.ParseInt(offset, 10, 64)
		return err == nil && has >= written
	})
}

// Master is the running master of a key.
func (c *Cluster) Master(key string) *Server {
	c.tb.Helper()
	for _, n := range c.running() {
		if n.Info("role") != "master" {
			continue
		}
		r := n.Client()
		_, err := r.Get(context.Background(), key).Result()
		_ = r.Close()
		if _, moved := redis.IsMovedError(err); !moved {
			return n
		}
	}
	c.tb.Fatal("the key has no master")
	return nil
}

// Addrs are the addresses of all nodes.
func (c *Cluster) Addrs() (addrs []string) {
	for _, n := range c.Nodes {
		addrs = append(addrs, n.Addr)
	}
	return addrs
}

// Keys lists what all masters hold.
func (c *Cluster) Keys() (keys []string) {
	c.tb.Helper()
	for _, n := range c.running() {
		if n.Info("role") == "master" {
			keys = append(keys, n.Keys()...)
		}
	}
	return keys
}
