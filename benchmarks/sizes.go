package main

import (
	"bufio"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/bradfitz/gomemcache/memcache"
	"github.com/gin-contrib/sessions/cookie"
	"github.com/gomodule/redigo/redis"
)

// size is what the standard session takes with a variant, in bytes.
type size struct {
	Variant *variant
	Cookie  int // the value
	Record  int // on the server, or 0
}

func measureSizes(running servers) (all []size, err error) {
	for _, v := range running.available() {
		if v.storage == "" {
			continue
		}
		s := size{Variant: v}
		if s.Cookie, s.Record, err = sizesOf(v); err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, nil
}

// sizesOf looks at the only session on a server of its own.
func sizesOf(v *variant) (cookie, record int, err error) {
	addr := ""
	if v.server != "" {
		p, err := startServer(v.server)
		if err != nil {
			return 0, 0, err
		}
		defer p.stop()
		addr = p.addr
	}
	a, err := v.start(addr)
	if err != nil {
		return 0, 0, err
	}
	pair, err := logIn(a)
	if err != nil {
		return 0, 0, err
	}
	_, value, _ := strings.Cut(pair, "=")
	record, err = recordSize(v.server, addr)
	return len(value), record, err
}

func recordSize(server, addr string) (int, error) {
	switch server {
	case memcachedServer:
		return memcachedRecord(addr)
	case redisServer:
		return redisRecord(addr)
	}
	return 0, nil
}

// memcachedRecord is the size of the only record there is.
func memcachedRecord(addr string) (int, error) {
	key, err := memcachedKey(addr)
	if err != nil {
		return 0, err
	}
	item, err := memcache.New(addr).Get(key)
	if err != nil {
		return 0, err
	}
	return len(item.Value), nil
}

// memcachedKey asks for a dump until there is a key in it: one passes over
// items that are in use.
func memcachedKey(addr string) (string, error) {
	conn, err := net.Dial("tcp", addr) //nolint:noctx // on loopback
	if err != nil {
		return "", err
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	lines := bufio.NewScanner(conn)
	for {
		if _, err := fmt.Fprint(conn, "lru_crawler metadump all\r\n"); err != nil {
			return "", err
		}
		for lines.Scan() && lines.Text() != "END" && !strings.HasPrefix(lines.Text(), "BUSY") {
			if field, ok := strings.CutPrefix(lines.Text(), "key="); ok {
				field, _, _ = strings.Cut(field, " ")
				return url.QueryUnescape(field)
			}
		}
		if err := lines.Err(); err != nil {
			return "", err
		}
	}
}

func redisRecord(addr string) (int, error) {
	conn, err := redis.Dial("tcp", addr)
	if err != nil {
		return 0, err
	}
	defer func() { _ = conn.Close() }()
	keys, err := redis.Strings(conn.Do("KEYS", "*"))
	if err != nil || len(keys) != 1 {
		return 0, fmt.Errorf("redis holds %d keys, not 1: %w", len(keys), err)
	}
	return redis.Int(conn.Do("STRLEN", keys[0]))
}

// signedCookie is the size of a cookie that gin-contrib/sessions signs and
// does not encrypt.
func signedCookie() (int, error) {
	authentication, _ := keys()
	pair, err := logIn(newContrib(cookie.NewStore(authentication)))
	_, value, _ := strings.Cut(pair, "=")
	return len(value), err
}

// memory is what many sessions take on a server of their own.
type memory struct {
	Variant  *variant
	Sessions int64
	Items    float64 // bytes per session: key, record and the server's header; 0 where it does not say
	All      float64 // bytes per session, with what the server's slabs or allocator round up
}

func measureMemory(running servers, sessions int) (all []memory, err error) {
	for _, v := range running.available() {
		if v.server == "" {
			continue
		}
		m, err := memoryOf(v, sessions)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", v.row(), err)
		}
		all = append(all, m)
	}
	return all, nil
}

func memoryOf(v *variant, sessions int) (memory, error) {
	p, err := startServer(v.server)
	if err != nil {
		return memory{}, err
	}
	defer p.stop()
	a, err := v.start(p.addr)
	if err != nil {
		return memory{}, err
	}
	if v.server == redisServer {
		return redisMemoryOf(v, a, p.addr, sessions)
	}
	if err := logInOften(a, sessions); err != nil {
		return memory{}, err
	}
	return countMemory(v, p.addr, int64(sessions))
}

func logInOften(a app, sessions int) error {
	login := a.prepare(pathFill, "")
	for range sessions {
		if login.send() != 200 {
			return fmt.Errorf("log-in: %s", login.body())
		}
	}
	return nil
}

// redisMemoryOf takes off what the server needs with one session: the
// connections too.
func redisMemoryOf(v *variant, a app, addr string, sessions int) (memory, error) {
	if err := logInOften(a, 1); err != nil {
		return memory{}, err
	}
	before, _, err := redisMemory(addr)
	if err != nil {
		return memory{}, err
	}
	if err := logInOften(a, sessions); err != nil {
		return memory{}, err
	}
	after, keys, err := redisMemory(addr)
	if err == nil && keys != int64(sessions)+1 {
		err = fmt.Errorf("redis holds %d sessions, not %d", keys, sessions+1)
	}
	return memory{Variant: v, Sessions: int64(sessions), All: float64(after-before) / float64(sessions)}, err
}

func countMemory(v *variant, addr string, sessions int64) (memory, error) {
	stats, err := memcachedStats(addr, "stats")
	if err != nil {
		return memory{}, err
	}
	if stats["curr_items"] != sessions {
		return memory{}, fmt.Errorf("memcached holds %d sessions, not %d", stats["curr_items"], sessions)
	}
	slabs, err := memcachedStats(addr, "stats slabs")
	if err != nil {
		return memory{}, err
	}
	return memory{v, sessions, float64(stats["bytes"]) / float64(sessions), float64(usedChunks(slabs)) / float64(sessions)}, nil
}

// usedChunks adds up the chunks in use over all slab classes, in bytes.
func usedChunks(slabs map[string]int64) (total int64) {
	for name, used := range slabs {
		if class, ok := strings.CutSuffix(name, ":used_chunks"); ok {
			total += used * slabs[class+":chunk_size"]
		}
	}
	return total
}
