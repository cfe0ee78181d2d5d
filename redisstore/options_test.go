package redisstore_test

import (
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/ginsession/ginsession"
	"github.com/ginsession/ginsession/internal/storesuite"
	"github.com/ginsession/ginsession/redisstore"
	"github.com/ginsession/ginsession/redisstore/internal/redistest"
)

// A client that may answer with something old is refused.
func TestNew_unfitClients(t *testing.T) {
	client := redis.NewClient(&redis.Options{})
	defer func() { _ = client.Close() }()
	pipeliner, err := client.AutoPipeline()
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]redis.UniversalClient{
		"nil":                       nil,
		"is nil":                    (*redis.ClusterClient)(nil),
		"redis.Ring":                redis.NewRing(&redis.RingOptions{Addrs: map[string]string{"one": "127.0.0.1:1"}}),
		"ReadOnly":                  redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{"127.0.0.1:1"}, ReadOnly: true}),
		"RouteByLatency":            redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{"127.0.0.1:1"}, RouteByLatency: true}),
		"RouteRandomly":             redis.NewFailoverClusterClient(&redis.FailoverOptions{MasterName: "m", SentinelAddrs: []string{"127.0.0.1:1"}, RouteRandomly: true}),
		"ClientSideCache":           redis.NewClient(&redis.Options{ClientSideCacheConfig: &redis.ClientSideCacheConfig{}}),
		"the client that it was of": pipeliner,
	}
	ways := map[string]string{"the client that it was of": "the client that it was made from"}
	for name, client := range rows {
		t.Run(name, func(t *testing.T) {
			_, err := redisstore.New(client)
			way := name
			if ways[name] != "" {
				way = ways[name]
			}
			storesuite.WantMistake(t, err, "redisstore.New", way)
			if client != nil && name != "is nil" && name != "the client that it was of" {
				_ = client.Close()
			}
		})
	}
}

func TestNew_options(t *testing.T) {
	client := redis.NewClient(&redis.Options{})
	defer func() { _ = client.Close() }()
	_, err := redisstore.New(client, redisstore.WithKeyPrefix("p:"), nil)
	storesuite.WantMistake(t, err, "redisstore.options", "option 2 is nil")
	for _, d := range []time.Duration{0, -time.Second, time.Millisecond} {
		_, err = redisstore.New(client, redisstore.WithTimeout(d))
		storesuite.WantMistake(t, err, "redisstore.WithTimeout", "10ms or more")
	}
	_, err = redisstore.Open("redis://127.0.0.1", redisstore.WithTimeout(0))
	storesuite.WantMistake(t, err, "redisstore.WithTimeout", "10ms or more")
}

// No error about a URL shows what may be a password.
func TestOpen_mistakes(t *testing.T) {
	rows := []struct{ url, way string }{
		{"", "redis://user:password@host"},
		{"localhost:6379", "redis://user:password@host"},
		{"hunter2@localhost", "redis://user:password@host"},
		{"memcached://:hunter2@localhost", "redis://user:password@host"},
		{"redis://:hunter2%zz@localhost", "%2F"},
		{"redis://:hun/ter2@localhost", "%2F"},
		{"redis://:hunter2 @localhost:x", "%2F"},
		{"redis://:hunter2@localhost/hunter2", "database is no number"},
		{"redis://:2357#hunter2@localhost", "%23"},
		{"redis:hunter2@localhost", "redis://user:password@host"},
		{"redis://:hunter2@localhost/0/hunter2", "database is no number"},
		{"redis://:hunter2@localhost/0?hunter2=1", "option behind the ?"},
		{"redis://:hunter2@localhost/0?read_timeout=hunter2", "option behind the ?"},
		{"unix://", "database is no number"},
	}
	for _, row := range rows {
		_, err := redisstore.Open(row.url)
		storesuite.WantMistake(t, err, "redisstore.Open", row.way)
		if err != nil && (strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "hun/ter2")) {
			t.Errorf("%q: the error shows it: %v", row.url, err)
		}
	}
}

func TestOpen_close(t *testing.T) {
	server := redistest.Start(t)
	own, err := redisstore.Open("redis://" + server.Addr)
	if err != nil {
		t.Fatal(err)
	}
	client := redis.NewClient(&redis.Options{Addr: server.Addr})
	yours := over(t, client)
	for _, store := range []*redisstore.Store{own, yours} {
		storesuite.MustSave(t, store, "id"+redistest.FreeAddr(t), storesuite.Stored("one", nil))
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	}
	storesuite.WantErr(t, storesuite.LoadErr(own), ginsession.ErrUnavailable)
	storesuite.WantErr(t, storesuite.LoadErr(own), redis.ErrClosed)
	storesuite.WantErr(t, storesuite.LoadErr(yours), ginsession.ErrNotFound) // the client goes on
}

func TestMust(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic over a mistake")
		}
	}()
	_ = redisstore.Must(redisstore.Open("redis://127.0.0.1")).Close()
	redisstore.Must(redisstore.Open("localhost"))
}

// TestWithTimeout: a store that reports a limit of its own gets no deadline from
// ginsession.
func TestWithTimeout(t *testing.T) {
	client := redis.NewClient(&redis.Options{})
	defer func() { _ = client.Close() }()
	for want, opts := range map[time.Duration][]redisstore.Option{2 * time.Second: nil, time.Minute: {redisstore.WithTimeout(time.Minute)}} {
		var store ginsession.Store = redisstore.Must(redisstore.New(client, opts...))
		if limited, ok := store.(interface{ CallTimeout() time.Duration }); !ok || limited.CallTimeout() != want {
			t.Errorf("got no limit of its own, or another than %v", want)
		}
	}
}
