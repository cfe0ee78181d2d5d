package main

import (
	"bufio"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/gomodule/redigo/redis"
)

// asked counts the commands that a server has got so far, each a round trip.
func asked(server, addr string) (int64, error) {
	if server == redisServer {
		return redisAsked(addr)
	}
	stats, err := memcachedStats(addr, "stats")
	if err != nil {
		return 0, err
	}
	return stats["cmd_get"] + stats["cmd_set"] + stats["cmd_touch"] + stats["cmd_meta"] +
		stats["delete_hits"] + stats["delete_misses"], nil
}

// redisAsked counts what the server has read, its own asking too: it counts the
// commands within a script as if they had come from outside.
func redisAsked(addr string) (int64, error) {
	info, err := redisInfo(addr, "stats")
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(info["total_reads_processed"], 10, 64)
}

// redisInfo asks for a section of INFO.
func redisInfo(addr, section string) (map[string]string, error) {
	conn, err := redis.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	text, err := redis.String(conn.Do("INFO", section))
	info := map[string]string{}
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			info[name] = value
		}
	}
	return info, err
}

// redisMemory is what Redis has in use, and how many keys there are.
func redisMemory(addr string) (used, keys int64, err error) {
	info, err := redisInfo(addr, "memory")
	if err != nil {
		return 0, 0, err
	}
	if used, err = strconv.ParseInt(info["used_memory"], 10, 64); err != nil {
		return 0, 0, err
	}
	if info, err = redisInfo(addr, "keyspace"); err != nil {
		return 0, 0, err
	}
	if text, ok := info["db0"]; ok { // "keys=3,expires=3,…", once there are any
		_, err = fmt.Sscanf(text, "keys=%d,", &keys)
	}
	return used, keys, err
}

// memcachedStats asks a server for its counters: "stats", "stats slabs".
func memcachedStats(addr, command string) (map[string]int64, error) {
	conn, err := net.Dial("tcp", addr) //nolint:noctx // on loopback
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := fmt.Fprintf(conn, "%s\r\n", command); err != nil {
		return nil, err
	}
	stats := map[string]int64{}
	lines := bufio.NewScanner(conn)
	for lines.Scan() && lines.Text() != "END" {
		fields := strings.Fields(lines.Text()) // STAT name value
		if len(fields) != 3 {
			continue
		}
		if n, err := strconv.ParseInt(fields[2], 10, 64); err == nil {
			stats[fields[1]] = n
		}
	}
	return stats, lines.Err()
}
