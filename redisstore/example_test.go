package redisstore_test

import (
	"fmt"
	"os"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/redis/go-redis/v9"

	"github.com/ginsession/ginsession"
	"github.com/ginsession/ginsession/redisstore"
)

// One server.
func ExampleOpen() {
	store := redisstore.Must(redisstore.Open("redis://127.0.0.1:6379/0"))
	defer func() { _ = store.Close() }()

	r := gin.New()
	r.Use(ginsession.Must(ginsession.New("keep this secret, 32 bytes or more", ginsession.WithStore(store))))
}

// A URL with a mistake. The error does not show it, for it may hold a password.
func ExampleOpen_incorrect() {
	_, err := redisstore.Open("10.0.0.1:6379")
	fmt.Println(err)
	// Output: ginsession: redisstore.Open: this is no URL such as redis://127.0.0.1:6379 (it is not shown, for it may hold a password); write / ? # @ : % in a password as %2F %3F %23 %40 %3A %25
}

// A master under Sentinel.
func ExampleNew() {
	client := redis.NewFailoverClient(&redis.FailoverOptions{
		MasterName:            "sessions",
		SentinelAddrs:         []string{"10.0.0.1:26379", "10.0.0.2:26379", "10.0.0.3:26379"},
		Password:              os.Getenv("REDIS_PASSWORD"),
		ContextTimeoutEnabled: true, // time limits reach the network
	})
	defer func() { _ = client.Close() }()
	store := redisstore.Must(redisstore.New(client, redisstore.WithTimeout(time.Second)))

	r := gin.New()
	r.Use(ginsession.Must(ginsession.New("keep this secret, 32 bytes or more", ginsession.WithStore(store))))
}

// A client that reads from replicas would show sessions that were logged out.
func ExampleNew_incorrect() {
	client := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{"10.0.0.1:6379"}, RouteByLatency: true})
	defer func() { _ = client.Close() }()
	_, err := redisstore.New(client)
	fmt.Println(err)
	// Output: ginsession: redisstore.New: the client reads from replicas, which lag behind; a session that was logged out would be seen again; leave out ReadOnly, RouteByLatency and RouteRandomly
}
