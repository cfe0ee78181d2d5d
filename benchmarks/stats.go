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

// redisAsked leaves out its own asking.
func redisAsked(addr string) (total int64, err error) {
	info, err := redisInfo(addr, "commandstats")
	for name, text := range info {
		var calls int64
		if name == "cmdstat_info" {
			continue
		}
		if _, err := fmt.Sscanf(text, "calls=%d,", &calls); err != nil {
			return 0, fmt.Errorf("redis says %s:%s: %w", name, text, err)
		}
		total += calls
	}
	return total, err
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
