package ginsession_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/ginsession/ginsession"
)

// TestAttack_short is what TestSoakAttack does at length.
func TestAttack_short(t *testing.T) { attack(t, 200_000) }

// forger makes cookies that are not ours out of ones that are.
type forger struct {
	kind  string
	forge func(r *rand.Rand, genuine []string) string
}

const cookieAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

func forgers(otherName, otherSecret []string) []forger {
	pick := func(r *rand.Rand, of []string) string { return of[r.IntN(len(of))] }
	letter := func(r *rand.Rand) string { return string(cookieAlphabet[r.IntN(len(cookieAlphabet))]) }
	return []forger{
		{"one letter changed", func(r *rand.Rand, genuine []string) string {
			k := pick(r, genuine)
			i := r.IntN(len(k))
			return k[:i] + letter(r) + k[i+1:]
		}},
		{"several letters changed", func(r *rand.Rand, genuine []string) string {
			k := []byte(pick(r, genuine))
			for range 1 + r.IntN(8) {
				k[r.IntN(len(k))] = letter(r)[0]
			}
			return string(k)
		}},
		{"any byte", func(r *rand.Rand, genuine []string) string {
			k := pick(r, genuine)
			i := r.IntN(len(k))
			return k[:i] + string([]byte{byte(r.IntN(256))}) + k[i+1:]
		}},
		{"cut", func(r *rand.Rand, genuine []string) string {
			k := pick(r, genuine)
			from, to := r.IntN(len(k)), r.IntN(len(k)+1)
			return k[min(from, to):max(from, to)]
		}},
		{"lengthened", func(r *rand.Rand, genuine []string) string {
			k := pick(r, genuine)
			i := r.IntN(len(k) + 1)
			return k[:i] + strings.Repeat(letter(r), 1+r.IntN(4)) + k[i:]
		}},
		{"spliced of two", func(r *rand.Rand, genuine []string) string {
			a, b := pick(r, genuine), pick(r, genuine)
			i := 1 + r.IntN(min(len(a), len(b))-1)
			return a[:i] + b[i:]
		}},
		{"of another name", func(r *rand.Rand, _ []string) string { return pick(r, otherName) }},
		{"of another secret", func(r *rand.Rand, _ []string) string { return pick(r, otherSecret) }},
		{"random", func(r *rand.Rand, _ []string) string {
			var b strings.Builder
			for range r.IntN(400) {
				b.WriteString(letter(r))
			}
			return b.String()
		}},
	}
}

// attack shows n forged cookies to the middleware, which may accept none.
func attack(t *testing.T, n int) {
	genuine := cookiesOf(t, secret)
	ours := map[string]bool{}
	for _, k := range genuine {
		ours[k] = true
	}
	kinds := forgers(cookiesOf(t, secret, ginsession.WithName("__Host-other")), cookiesOf(t, secret+"!"))
	tried := make([]atomic.Int64, len(kinds))
	var accepted atomic.Int64
	var all sync.WaitGroup
	const workers = 4
	for range workers {
		seed := rand.Uint64()
		all.Go(func() {
			r := rand.New(rand.NewPCG(seed, seed))
			door := newDoor(t)
			for i := range n / workers {
				kind := i % len(kinds)
				forged := kinds[kind].forge(r, genuine)
				if ours[forged] {
					continue // a change that changed nothing
				}
				tried[kind].Add(1)
				if door.accepts(forged) && accepted.Add(1) < 10 {
					t.Errorf("%s (seed %d): %q was accepted", kinds[kind].kind, seed, forged)
				}
			}
		})
	}
	all.Wait()
	total := int64(0)
	for i, kind := range kinds {
		t.Logf("%9d %s", tried[i].Load(), kind.kind)
		total += tried[i].Load()
	}
	t.Logf("%9d in all, %d accepted", total, accepted.Load())
	if total < int64(n)*9/10 {
		t.Errorf("only %d of %d were tried", total, n)
	}
	door := newDoor(t)
	for _, k := range genuine {
		if !door.accepts(k) {
			t.Fatal("a genuine cookie was refused: this test proves nothing")
		}
	}
}

// cookiesOf gives values of cookies that a middleware has sealed, for sessions
// of several sizes.
func cookiesOf(t *testing.T, secret string, opts ...ginsession.Option) (values []string) {
	t.Helper()
	h, err := ginsession.New(secret, opts...)
	if err != nil {
		t.Fatal(err)
	}
	r := gin.New()
	r.GET("/:n", h, func(c *gin.Context) {
		c.MustGet(ginsession.Key).(*ginsession.Session).Set("user", strings.Repeat("x", len(c.Param("n"))))
	})
	for i := range 50 {
		w := do(t, r, http.MethodGet, "/"+strings.Repeat("n", 1+i*i%97))
		for _, k := range w.Result().Cookies() {
			values = append(values, k.Value)
		}
	}
	if len(values) != 50 {
		t.Fatalf("got %d cookies, want 50", len(values))
	}
	return values
}

// door asks the middleware whether it accepts a cookie.
type door struct {
	r    *gin.Engine
	req  *http.Request
	w    nowhere
	open bool
}

func newDoor(t *testing.T) *door {
	d := &door{r: newEngine(t), w: nowhere{http.Header{}}}
	d.r.GET("/", func(c *gin.Context) {
		s := ginsession.From(c)
		d.open = !s.IsNew() || s.Len() > 0 || s.Rejected() == nil
	})
	var err error
	if d.req, err = http.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil); err != nil {
		t.Fatal(err)
	}
	return d
}

func (d *door) accepts(value string) bool {
	d.req.Header["Cookie"] = []string{fmt.Sprintf("__Host-session=%s", value)}
	d.open = true
	clear(d.w.header)
	d.r.ServeHTTP(d.w, d.req)
	return d.open
}

// nowhere is a response that nobody reads.
type nowhere struct{ header http.Header }

func (w nowhere) Header() http.Header         { return w.header }
func (w nowhere) Write(p []byte) (int, error) { return len(p), nil }
func (w nowhere) WriteHeader(int)             {}
