package redisstore

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/ginsession/ginsession"
)

// advice is, for a server's error code, its cause and the way out.
var advice = map[string]string{
	"NOAUTH":      "Redis wants a password: put it into the URL or the client's options",
	"WRONGPASS":   "Redis does not accept this user name and password: compare them with the server's (requirepass, or ACL LIST)",
	"NOPERM":      "the Redis user may not do this: it needs +get +set +del +getrange +exists +evalsha +eval on the keys under the prefix (ACL SETUSER)",
	"READONLY":    "this server is a replica and takes no writes: connect to the master, or through Sentinel (redis.NewFailoverClient)",
	"MOVED":       "this server is part of a Redis Cluster: use redis.NewClusterClient",
	"ASK":         "this server is part of a Redis Cluster: use redis.NewClusterClient",
	"CROSSSLOT":   "this server is part of a Redis Cluster: use redis.NewClusterClient",
	"CLUSTERDOWN": "the Redis Cluster does not serve this session's slot: look at CLUSTER INFO, and wait for a failover to end",
	"TRYAGAIN":    "the Redis Cluster is moving this session's slot: try again in a moment",
	"LOADING":     "Redis has just started and is still loading its data: try again in a moment",
	"MASTERDOWN":  "this server is a replica that has lost its master: connect to the master, or through Sentinel",
	"NOREPLICAS":  "the master has too few replicas to take writes (min-replicas-to-write): bring them back",
	"OOM":         "Redis is out of memory: raise maxmemory, or choose a maxmemory-policy that evicts",
	"MISCONF":     "Redis takes no writes because it cannot save to disk: its log says why",
	"BUSY":        "Redis is busy with another script: SCRIPT KILL ends it",
	"WRONGTYPE":   "another program keeps something else under this session's key: give each a prefix of its own (WithKeyPrefix)",
}

// inScript finds the code in the error of a script as Redis before 7 reports
// it: "ERR Error running script (call to f_…): @user_script:12: -OOM …".
var inScript = regexp.MustCompile(`: -([A-Z]+) `)

// explain wraps an error of the client in [ginsession.ErrUnavailable], with the
// way out.
func (s *Store) explain(err error) error {
	// A client of a Cluster would keep asking a dead master for up to a minute
	// after a replica has taken its place. It reloads five times a second at
	// most.
	if c, ok := s.client.(interface{ ReloadState(context.Context) }); ok {
		c.ReloadState(context.Background())
	}
	var server redis.Error
	switch {
	case errors.As(err, &server):
		return fmt.Errorf("%w: %s: %w", ginsession.ErrUnavailable, advise(server.Error()), err)
	case errors.Is(err, errReply):
		return fmt.Errorf("%w: %w", ginsession.ErrUnavailable, err)
	case errors.Is(err, context.Canceled):
		return err
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%w: Redis has not answered in time (redisstore.WithTimeout: %v): %w", ginsession.ErrUnavailable, s.timeout, err)
	}
	return fmt.Errorf("%w: Redis does not answer: %w", ginsession.ErrUnavailable, err)
}

func advise(text string) string {
	code, _, _ := strings.Cut(text, " ")
	if match := inScript.FindStringSubmatch(text); match != nil {
		code = match[1]
	}
	if strings.Contains(text, "The user executing the script can't") { // Redis 7.0's NOPERM inside a script
		code = "NOPERM"
	}
	if way, known := advice[code]; known {
		return way
	}
	return "Redis refuses"
}
