package cookiestore_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/ginsession/ginsession"
	"github.com/ginsession/ginsession/internal/apptest"
)

// TestFlask_Load_inflatesFew sends a signed cookie that inflates to over 1 MiB,
// 720 times. A request inflates few of them, and those not far.
func TestFlask_Load_inflatesFew(t *testing.T) {
	bomb := apptest.SignFlask(apptest.Secret, `{"a":"`+strings.Repeat("a", 1<<20)+`"}`, time.Now())
	a := apptest.New(t, ginsession.WithFlaskCookie())
	if got := send(a, "/?do=get:user", apptest.SignFlask(apptest.Secret, `{"user":"ann"}`, time.Now())).Lines(); !slices.Equal(got, []string{"ann"}) {
		t.Fatalf("got %q, want ann: what the tests sign is not Flask's", got)
	}
	a.GET("/untouched", func(c *gin.Context) { c.Status(http.StatusNoContent) })
	for _, path := range []string{"/untouched", "/?do=keys", "/?do=destroy"} {
		send(a, path, bomb)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		w := send(a, path, slices.Repeat([]string{bomb}, 720)...)
		runtime.ReadMemStats(&after)
		if got, most := after.TotalAlloc-before.TotalAlloc, uint64(20<<20); got > most {
			t.Errorf("%s: got %d MiB allocated, want %d at most", path, got>>20, most>>20)
		}
		if w.Code >= 500 {
			t.Errorf("%s: got %d", path, w.Code)
		}
	}
}

// TestFlask_Commit_writesOnlyWhatItReads: a session that compresses well is
// either stored and read back, or refused; what was stored before is intact.
func TestFlask_Commit_writesOnlyWhatItReads(t *testing.T) {
	a := apptest.New(t, ginsession.WithFlaskCookie())
	size := 0
	a.GET("/fill", func(c *gin.Context) { ginsession.From(c).Set("a", strings.Repeat("a", size)) })
	a.GET("/size", func(c *gin.Context) {
		s := ginsession.From(c)
		c.String(http.StatusOK, "%s %d", s.GetString("user"), len(s.GetString("a")))
	})
	for _, size = range []int{1 << 10, 10 << 10, 30 << 10, 100 << 10, 300 << 10, 1<<20 - 40, 1<<20 - 1, 1 << 20, 2 << 20} {
		b := apptest.NewBrowser(a)
		b.Get("/?do=set:user=ann")
		w := b.Get("/fill")
		want := fmt.Sprint("ann ", size)
		if w.Code != http.StatusOK {
			want = "ann 0"
			if w.Code != http.StatusInternalServerError || len(w.Errors) != 1 || !errors.Is(w.Errors[0], ginsession.ErrTooLarge) {
				t.Errorf("%d bytes: got %d and %v, want 500 and ErrTooLarge", size, w.Code, w.Errors)
			}
		}
		if got := b.Get("/size").Body.String(); got != want {
			t.Errorf("%d bytes, answered with %d: got %q, want %q", size, w.Code, got, want)
		}
	}
}

// TestFlask_Rank_junkCostsNoSignature sends 30,000 cookies without the form of
// one. More secrets do not make that slower: none is tried.
func TestFlask_Rank_junkCostsNoSignature(t *testing.T) {
	var junk, previous []string
	for i := range 30_000 {
		junk = append(junk, fmt.Sprint(i)) // equal ones would be looked at once
	}
	for i := range 20 {
		previous = append(previous, fmt.Sprintf("an earlier secret, 32 bytes or more: %d", i))
	}
	one, many := apptest.New(t, ginsession.WithFlaskCookie()), apptest.New(t, ginsession.WithFlaskCookie(), ginsession.WithPreviousSecrets(previous...))
	request := func(h http.Handler) time.Duration {
		start := time.Now()
		send(h, "/?do=keys", junk...)
		return time.Since(start)
	}
	few, more := time.Hour, time.Hour // the fastest: what others do on the machine only adds to it
	for start := time.Now(); ; {
		if few, more = min(few, request(one)), min(more, request(many)); more <= 3*few {
			return
		}
		if time.Since(start) > 3*time.Second {
			t.Fatalf("got %v with 21 secrets and %v with one, want no difference", more, few)
		}
	}
}

// send requests a page with these cookies, in this order.
func send(h http.Handler, path string, values ...string) *apptest.Response {
	req := httptest.NewRequest(http.MethodGet, path, http.NoBody)
	req.Header.Set("Cookie", "session="+strings.Join(values, "; session="))
	return apptest.NewBrowser(h).Do(req)
}
