package txn_test

import (
	"slices"
	"strings"
	"testing"
)

// TestTxn_Clear: a session that was empty before it was made permanent is as it
// began.
func TestTxn_Clear(t *testing.T) {
	_, b := newApp(t)
	w := b.Get("/?do=permanent:true,clear,set:a=1")
	if got := w.SetCookies(cookieName); len(got) != 1 || strings.Contains(got[0], "Max-Age") || !slices.Equal(sees(b), []string{"a=1"}) {
		t.Errorf("got %q and %q, want one without Max-Age, and a=1", got, sees(b))
	}
}
