// Package redisstore keeps the sessions of
// [github.com/ginsession/ginsession] in Redis or Valkey: on one server, under
// Sentinel, or in a Cluster.
//
//	store := redisstore.Must(redisstore.Open(os.Getenv("REDIS_URL")))
//	r.Use(ginsession.Must(ginsession.New(secret, ginsession.WithStore(store))))
//
// Each session is one string, under a prefix and a hash of the session's id.
// It is encrypted and bound to its id: anyone who can write to Redis can delete
// sessions and restore older records, but can neither read nor forge one.
//
// # Versions
//
// Each record begins with a version: 16 random bytes, new for each save. A save
// is a compare-and-swap: a script, which Redis runs atomically, replaces the
// record only if its version is still the one that was loaded. SET with NX creates
// a record. Versions are
// never reused, whatever is deleted, restarted or failed over, and a save that
// is sent twice, because its first reply was lost, is idempotent.
//
// # What a failover can lose
//
// Redis replicates asynchronously: a master acknowledges a save before its
// replicas have it. If it fails at that moment, the save is lost. A log-out
// that was answered with success is then undone: the session is valid again
// until it expires. The same holds for a master that is cut off from its
// replicas but not from the app, until it notices. These settings of the server
// bound the loss:
//
//	min-replicas-to-write 1
//	min-replicas-max-lag 2
//
// A master that has heard of no replica in the last 2 seconds then takes no
// writes, and the app answers 503. Without replicas, persistence decides:
// "appendfsync always" loses nothing, "everysec" up to two seconds, and without
// persistence a restart ends all sessions.
//
// Redis must not run out of memory. A maxmemory-policy that evicts ends
// sessions in use; with "noeviction", saving fails with status 503. Redis
// deletes expired sessions by itself.
package redisstore
