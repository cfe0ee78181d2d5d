package txn_test

import (
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/ginsession/ginsession/internal/sessionerr"
)

// TestTxn_Headers adds what the response owes to a session that is read or
// written, beside what the handler has set. A second call adds nothing.
func TestTxn_Headers(t *testing.T) {
	const no = "no-store"
	tests := []struct {
		name                string
		write               bool
		before, want        string // Vary, lines separated by a bar
		cookies, cookieWant string // Set-Cookie
		cache, cacheWant    string // Cache-Control
	}{
		{"read", false, "", "Cookie", "", "", "", ""},
		{"read, Vary is there", false, "Accept, cookie", "Accept, cookie", "", "", "", ""},
		{"read, Vary of all", false, "*", "*", "", "", "", ""},
		{"read, other Vary", false, "Accept", "Accept|Cookie", "", "", "", ""},
		{"read, Vary of a longer name", false, "Cookie-Preferences", "Cookie-Preferences|Cookie", "", "", "", ""},
		{"read, another cookie", false, "", "Cookie", "x=1", "x=1", "", ""},
		{"write", true, "", "Cookie", "", "sid=1", "", no},
		{"write, another cookie", true, "Origin", "Origin|Cookie", "x=1", "x=1|sid=1", "", no},
		{"write, Cache-Control is there", true, "", "Cookie", "", "sid=1", "private", "private"},
	}
	for _, test := range tests {
		h := http.Header{}
		for name, lines := range map[string]string{"Vary": test.before, "Set-Cookie": test.cookies, "Cache-Control": test.cache} {
			if lines != "" {
				h[name] = strings.Split(lines, "|")
			}
		}
		x := load(newConfig(&storage{}), "")
		if test.write {
			x.Set("a", "1")
		}
		if err := x.Finish(h); err != nil {
			t.Errorf("%s: %v", test.name, err)
		}
		for range 2 {
			x.Headers(h)
			for name, want := range map[string]string{"Vary": test.want, "Set-Cookie": test.cookieWant, "Cache-Control": test.cacheWant} {
				if got := strings.Join(h[name], "|"); got != want {
					t.Errorf("%s: %s: got %q, want %q", test.name, name, got, want)
				}
			}
		}
		if x.SendsCookie() != test.write {
			t.Errorf("%s: SendsCookie: got %v, want %v", test.name, x.SendsCookie(), test.write)
		}
	}
}

// TestTxn_Headers_replaces puts the line of a later commit in the place of an
// earlier one, and takes it out if the session has ended meanwhile.
func TestTxn_Headers_replaces(t *testing.T) {
	s, h := &storage{}, http.Header{"Set-Cookie": {"x=1"}}
	x := load(newConfig(s), "")
	save := func() {
		x.Set("n", string(rune('0'+len(s.calls))))
		_ = x.Save()
		x.Headers(h)
	}
	save()
	shared := h["Set-Cookie"]
	x.Renew()
	if save(); sent(h) != "x=1 sid=2" || !reflect.DeepEqual(shared, []string{"x=1", "sid=1"}) {
		t.Errorf("got %q and %q among those of before, want x=1 sid=2 and no change there", sent(h), shared)
	}
	s.gone = true
	if save(); sent(h) != "x=1" || x.Rejected() != sessionerr.ErrUnknown {
		t.Errorf("ended: got %q and %v, want x=1 and ErrUnknown", sent(h), x.Rejected())
	}
}
