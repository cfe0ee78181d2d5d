package cookiestore_test

import (
	"slices"
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
