package benchmarks

import (
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/bradfitz/gomemcache/memcache"
	"github.com/gin-gonic/gin"
	"golang.org/x/crypto/chacha20poly1305"

	"github.com/ginsession/ginsession"
)

// BenchmarkParts does by hand what a request with an encrypted cookie needs, a
// step more each time: the last one is the sum of the parts.
func BenchmarkParts(b *testing.B) {
	a := newOurs()
	for do, steps := range map[string][]int{"read": {0, 1, 2, 3, 4}, "write": {0, 1, 2, 3, 4, 5, 6, 7}, "log-in": {0, 1, 4, 5, 6, 7}} {
		cookie := ""
		if do != "log-in" {
			cookie = follow(a, "", "/fill")
		}
		for i, step := range steps {
			b.Run("do="+do+"/step="+parts[step].name, func(b *testing.B) {
				h := newByHand(a.prepare("/"+do, cookie), cookie)
				r := newEngine()
				r.GET("/", func(c *gin.Context) {
					for _, step := range steps[:i+1] {
						parts[step].do(h, c)
					}
					answer(c)
				})
				loop(b, httpApp(r).prepare("/", h.cookie).send)
			})
		}
	}
}

const nonceSize = chacha20poly1305.NonceSizeX

// byHand reads and writes a cookie of the size of ginsession's: no lock, no
// response that is held back, no lifetimes, nothing that finds a value, and
// buffers that are used again. It serves one request at a time.
type byHand struct {
	aead                               cipher.AEAD
	name, plaintext, box, opened, line []byte
	cookie, attributes, kept           string // of the request, of the Set-Cookie line, the plaintext
	now                                time.Time
}

func newByHand(e *exchange, cookie string) *byHand {
	e.send()
	pair, attributes, _ := strings.Cut(append(e.cookies(), cookie)[0], ";") // a read sets none
	name, value, _ := strings.Cut(pair, "=")
	h := &byHand{
		aead: must(chacha20poly1305.NewX([]byte(secret[:32]))), name: []byte(name), attributes: ";" + attributes,
		plaintext: make([]byte, base64.RawURLEncoding.DecodedLen(len(value))-nonceSize-chacha20poly1305.Overhead), box: make([]byte, 0, 4<<10), opened: make([]byte, 0, 4<<10),
	}
	if cookie != "" {
		parts[5].do(h, nil) // encode
		parts[6].do(h, nil) // seal
		h.cookie = name + "=" + base64.RawURLEncoding.EncodeToString(h.box)
	}
	return h
}

var parts = []struct {
	name string
	do   func(*byHand, *gin.Context)
}{
	{"gin", func(*byHand, *gin.Context) {}},
	{"context", func(_ *byHand, c *gin.Context) { // a value is put there and found
		c.Set(secret, new(ginsession.Session))
		c.MustGet(secret)
	}},
	{"decode", func(h *byHand, c *gin.Context) {
		_, value, _ := strings.Cut(c.Request.Header["Cookie"][0], "=")
		h.box = must(base64.RawURLEncoding.AppendDecode(h.box[:0], []byte(value)))
	}},
	{"open", func(h *byHand, _ *gin.Context) {
		h.opened = must(h.aead.Open(h.opened[:0], h.box[:nonceSize], h.box[nonceSize:], h.name))
	}},
	{"keep", func(h *byHand, c *gin.Context) { // the plaintext gets memory of its own, the clock is read, Vary is set
		h.kept, h.now = string(h.opened), time.Now()
		c.Writer.Header()["Vary"] = []string{"Cookie"}
	}},
	{"encode", func(h *byHand, _ *gin.Context) { h.box = append(h.box[:nonceSize], h.plaintext...) }},
	{"seal", func(h *byHand, _ *gin.Context) {
		_, _ = rand.Read(h.box[:nonceSize])
		h.box = h.aead.Seal(h.box[:nonceSize], h.box[:nonceSize], h.box[nonceSize:], h.name)
	}},
	{"line", func(h *byHand, c *gin.Context) { // of Set-Cookie, with base64
		h.line = append(append(h.line[:0], h.name...), '=')
		h.line = append(base64.RawURLEncoding.AppendEncode(h.line, h.box), h.attributes...)
		c.Writer.Header()["Set-Cookie"] = []string{string(h.line)}
	}},
}

// BenchmarkClient makes the calls of gomemcache that a request needs, with a
// record of the same size, and nothing else.
func BenchmarkClient(b *testing.B) {
	v := choose("ginsession", "Memcached")[0]
	a, alone := v.start(b, true)
	follow(a, "", "/fill")
	size, client := alone.recordSize(v.store), memcache.New(servers[v.store].addr)
	key := "session:" + strings.Repeat("0", 43)
	must(0, client.Set(&memcache.Item{Key: key, Value: make([]byte, size)}))
	get := func() *memcache.Item { return must(client.Get(key)) }
	b.Run("do=read", func(b *testing.B) { loop(b, func() { get() }) })
	b.Run("do=write", func(b *testing.B) { loop(b, func() { must(0, client.CompareAndSwap(get())) }) })
}
