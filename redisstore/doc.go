// Package redisstore keeps the sessions of
// [github.com/ginsession/ginsession] in Redis or Valkey: on one server, under
// Sentinel, or in a Cluster.
//
//	store := redisstore.Must(redisstore.Open(os.Getenv("REDIS_URL")))
//	r.Use(ginsession.Must(ginsession.New(secret, ginsession.WithStore(store))))
//
// Each session is one string, under a prefix and a hash of the session's id.
// It is encrypted and bound to its id: whoever can write to Redis can delete
// sessions and put older records back, but neither read nor forge one.
//
// # Versions
//
// Each record begins with 16 random bytes that the writer of the record has
// chosen. A save replaces the record only if the bytes are still those that
// were loaded, by a script that Redis runs in one piece. So a version never
// comes again, whatever is deleted, restarted or failed over, and a save that
// is sent twice, because its first reply was lost, knows itself again.
//
// # What a failover can lose
//
// Redis replicates asynchronously: a master acknowledges a save before its
// replicas have it. When it fails in this moment, the save is lost, and a
// log-out that was answered with a success comes undone: the session is back,
// until it expires. A master that is cut off from its replicas, but not from
// the app, goes on like that until it notices. The server's settings bound
// this; with
//
//	min-replicas-to-write 1
//	min-replicas-max-lag 2
//
// a master without a replica that was heard of in the last 2 seconds takes no
// writes at all, and the app answers 503. Without replicas, persistence
// decides: "appendfsync always" loses nothing, "everysec" up to the last two
// seconds, and without persistence a restart ends all sessions.
//
// Redis must not run out of memory: with a maxmemory-policy that evicts, it
// ends sessions that somebody uses; with "noeviction", saving fails with
// status 503. Sessions expire by themselves.
package redisstore
