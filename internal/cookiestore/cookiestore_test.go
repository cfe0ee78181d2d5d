package cookiestore_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ginsession/ginsession"
	"github.com/ginsession/ginsession/internal/apptest"
)

// TestSealed_Rank writes a session again after WithDomain was added: the browser
// keeps both cookies, and sends the older one first.
func TestSealed_Rank(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		before := apptest.New(t, ginsession.WithName("sid"))
		b := apptest.NewBrowser(before)
		b.Get("/?do=set:a=1")
		time.Sleep(2 * time.Millisecond)
		after := apptest.New(t, ginsession.WithName("sid"), ginsession.WithDomain("example.com"))
		b.Handler = after
		for _, do := range []string{"set:a=2", "set:b=3"} {
			b.Get("/?do=" + do)
			time.Sleep(2 * time.Millisecond)
		}
		if got := b.Get("/?do=get:a,get:b").Lines(); !slices.Equal(got, []string{"2", "3"}) {
			t.Errorf("got %q, want the newer cookie's 2 and 3", got)
		}
	})
}

// TestSealed_Rank_bound puts forged cookies of good form in front of a good one:
// 256 cookies of a name are authenticated, and no more.
func TestSealed_Rank_bound(t *testing.T) {
	app := apptest.New(t)
	b := apptest.NewBrowser(app)
	good := b.Get("/?do=set:user=ann").Result().Cookies()[0]
	for _, row := range []struct {
		forged int
		want   string
	}{{255, "ann"}, {256, ""}} {
		req := httptest.NewRequest(http.MethodGet, "/?do=get:user", nil)
		for i := range row.forged {
			req.AddCookie(&http.Cookie{Name: good.Name, Value: fmt.Sprintf("%0100d", i)})
		}
		req.AddCookie(good)
		w := httptest.NewRecorder()
		app.ServeHTTP(w, req)
		if got := strings.TrimSpace(w.Body.String()); got != row.want {
			t.Errorf("%d forged: got %q, want %q", row.forged, got, row.want)
		}
	}
}
