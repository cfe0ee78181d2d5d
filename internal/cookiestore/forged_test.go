package cookiestore_test

import (
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/ginsession/ginsession"
	"github.com/ginsession/ginsession/internal/apptest"
)

// TestSealed_Load_forged is what TestSoakSealed_Load_forged does at length.
func TestSealed_Load_forged(t *testing.T) { forge(t, 50_000) }

const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

func letter(r *rand.Rand) string { return string(alphabet[r.IntN(len(alphabet))]) }

// forgeries make a cookie that is not ours out of two that are.
var forgeries = []struct {
	name string
	make func(r *rand.Rand, a, b string) string
}{
	{"one letter changed", func(r *rand.Rand, a, _ string) string { i := r.IntN(len(a)); return a[:i] + letter(r) + a[i+1:] }},
	{"several letters changed", func(r *rand.Rand, a, _ string) string {
		k := []byte(a)
		for range 1 + r.IntN(8) {
			k[r.IntN(len(k))] = letter(r)[0]
		}
		return string(k)
	}},
	{"any byte", func(r *rand.Rand, a, _ string) string {
		i := r.IntN(len(a))
		return a[:i] + string([]byte{byte(r.IntN(256))}) + a[i+1:]
	}},
	{"cut", func(r *rand.Rand, a, _ string) string {
		i, j := r.IntN(len(a)), r.IntN(len(a)+1)
		return a[min(i, j):max(i, j)]
	}},
	{"lengthened", func(r *rand.Rand, a, _ string) string {
		i := r.IntN(len(a) + 1)
		return a[:i] + strings.Repeat(letter(r), 1+r.IntN(4)) + a[i:]
	}},
	{"spliced of two", func(r *rand.Rand, a, b string) string { i := 1 + r.IntN(min(len(a), len(b))-1); return a[:i] + b[i:] }},
	{"random", func(r *rand.Rand, _, _ string) string {
		var b strings.Builder
		for range r.IntN(400) {
			b.WriteString(letter(r))
		}
		return b.String()
	}},
	{"of another name", nil},
	{"of another secret", nil},
}

// forge shows n forged cookies to a middleware, which may accept none.
func forge(t *testing.T, n int) {
	genuine, ours := genuineCookies(t, apptest.Secret), map[string]bool{}
	for _, value := range genuine {
		ours[value] = true
	}
	others := map[string][]string{
		"of another name":   genuineCookies(t, apptest.Secret, ginsession.WithName("__Host-other")),
		"of another secret": genuineCookies(t, apptest.Secret+"!"),
	}
	tried := make([]atomic.Int64, len(forgeries))
	var workers sync.WaitGroup
	for range 4 {
		seed := rand.Uint64()
		workers.Go(func() {
			r, accepts := rand.New(rand.NewPCG(seed, seed)), newDoor(t)
			pick := func(of []string) string { return of[r.IntN(len(of))] }
			for i := range n / 4 {
				f := forgeries[i%len(forgeries)]
				var value string
				if f.make == nil {
					value = pick(others[f.name])
				} else if value = f.make(r, pick(genuine), pick(genuine)); ours[value] {
					continue // a change that changed nothing
				}
				if tried[i%len(forgeries)].Add(1); accepts(value) {
					t.Errorf("%s (seed %d): %q was accepted", f.name, seed, value)
					return
				}
			}
			for _, value := range genuine {
				if !accepts(value) {
					t.Error("a genuine cookie was refused: this test proves nothing")
				}
			}
		})
	}
	workers.Wait()
	for i := range tried {
		if t.Logf("%9d %s", tried[i].Load(), forgeries[i].name); tried[i].Load() < int64(n/len(forgeries)*9/10) {
			t.Errorf("%s: got %d, want more", forgeries[i].name, tried[i].Load())
		}
	}
}

// genuineCookies returns values for sessions of several sizes.
func genuineCookies(t *testing.T, secret string, opts ...ginsession.Option) (values []string) {
	t.Helper()
	a := apptest.Mount(apptest.Middleware(t, secret, opts...))
	for i := range 50 {
		w := apptest.NewBrowser(a).Get("/?do=set:user=" + strings.Repeat("x", 1+i*i%97))
		values = append(values, w.Result().Cookies()[0].Value)
	}
	return values
}

// newDoor returns a function that reports whether a middleware accepts a cookie.
func newDoor(t *testing.T) func(value string) bool {
	t.Helper()
	open, r, w := false, gin.New(), httptest.NewRecorder()
	r.GET("/", apptest.Middleware(t, apptest.Secret), func(c *gin.Context) {
		s := ginsession.From(c)
		open = !s.IsNew() || s.Len() > 0 || s.Rejected() == nil
	})
	req := httptest.NewRequest(http.MethodGet, "/", nil)
	return func(value string) bool {
		req.Header["Cookie"], open = []string{"__Host-session=" + value}, true
		clear(w.Header())
		r.ServeHTTP(w, req)
		return open
	}
}
