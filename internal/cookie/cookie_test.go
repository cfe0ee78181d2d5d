package cookie_test

import (
	"errors"
	"math"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ginsession/ginsession/internal/cookie"
	"github.com/ginsession/ginsession/internal/sessionerr"
)

const expired = "; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT"

// TestCookie_Values picks the values of the cookie n out of Cookie lines. HTTP/2
// lets a browser send each cookie on a line of its own.
func TestCookie_Values(t *testing.T) {
	tests := []struct {
		name  string
		lines []string
		want  []string
	}{
		{"none", nil, nil}, {"empty line", []string{""}, nil}, {"one", []string{"n=1"}, []string{"1"}}, {"empty", []string{"n="}, []string{""}},
		{"without =", []string{"n"}, []string{""}}, {"= in the value", []string{"n=1=2"}, []string{"1=2"}}, {"quotes stay", []string{`n="1"`}, []string{`"1"`}},
		{"among others", []string{"a=b; n=1; c=d"}, []string{"1"}}, {"no blank", []string{"a=b;n=1;"}, []string{"1"}}, {"tabs", []string{"=x;\tn=1\t"}, []string{"1"}},
		{"several", []string{"n=1; n=2"}, []string{"1", "2"}}, {"several lines", []string{"n=1", "a=b", "n=2;;"}, []string{"1", "2"}},
		{"other names", []string{"N=1; nn=2; a=n; n2=3"}, nil}, {"in a value", []string{"a=n=1"}, nil},
	}
	k := cookie.New(cookie.Attributes{Name: "n", Path: "/"})
	for _, test := range tests {
		h := http.Header{"Cookie": test.lines}
		if got := slices.Collect(k.Values(h)); !slices.Equal(got, test.want) {
			t.Errorf("%s: got %q, want %q", test.name, got, test.want)
		}
		if got := k.Came(h); got != (test.want != nil) {
			t.Errorf("%s: Came: got %v, want %v", test.name, got, test.want != nil)
		}
		for range k.Values(h) {
			break // ends the sequence
		}
	}
}

// TestCookie_Set writes lines with all attributes, and how long they last.
func TestCookie_Set(t *testing.T) {
	all := cookie.Attributes{Name: "n", Path: "/a", Domain: "b.c", Secure: true, HTTPOnly: true, Partitioned: true, SameSite: http.SameSiteStrictMode}
	plain := cookie.Attributes{Name: "n", Path: "/"}
	lax, none, browsers := plain, plain, plain
	lax.SameSite, none.SameSite, browsers.SameSite = http.SameSiteLaxMode, http.SameSiteNoneMode, http.SameSiteDefaultMode
	tests := []struct {
		name       string
		attributes cookie.Attributes
		maxAge     time.Duration
		want       string
	}{
		{"all", all, 0, "n=v; Path=/a; Domain=b.c; HttpOnly; Secure; SameSite=Strict; Partitioned"},
		{"none", plain, 0, "n=v; Path=/"},
		{"lax", lax, 0, "n=v; Path=/; SameSite=Lax"},
		{"same site none", none, 0, "n=v; Path=/; SameSite=None"},
		{"browser's default", browsers, 0, "n=v; Path=/"},
		{"90 seconds", plain, 90 * time.Second, "n=v; Path=/; Max-Age=90"},
		{"parts of a second", plain, 90*time.Second + 1, "n=v; Path=/; Max-Age=91"},
		{"very short", plain, 1, "n=v; Path=/; Max-Age=1"},
		{"longest", plain, math.MaxInt64, "n=v; Path=/; Max-Age=9223372037"},
	}
	for _, test := range tests {
		k := cookie.New(test.attributes)
		got, err := k.Set([]byte("v"), test.maxAge)
		if err != nil || got != test.want {
			t.Errorf("%s: got %q, %v, want %q", test.name, got, err, test.want)
		}
		if value := cookie.Value(got); value != "v" || cookie.Value("") != "" {
			t.Errorf("%s: got the value %q back", test.name, value)
		}
		if got, err := k.AppendSet([]byte("before "), []byte("v"), test.maxAge); err != nil || string(got) != "before "+test.want {
			t.Errorf("%s, appended: got %q, %v, want %q", test.name, got, err, test.want)
		}
		if !k.IsSet(http.Header{"Set-Cookie": {"a=b", got}}) || k.IsSet(http.Header{"Set-Cookie": {"nn=b", "a=n"}}) {
			t.Errorf("%s: IsSet is wrong", test.name)
		}
	}
	k := cookie.New(all)
	if got, want := k.Expire(), "n=; Path=/a; Domain=b.c; HttpOnly; Secure; SameSite=Strict; Partitioned"+expired; got != want {
		t.Errorf("Expire: got %q, want %q", got, want)
	}
}

// TestCookie_Set_limit writes the longest line that every browser takes.
func TestCookie_Set_limit(t *testing.T) {
	k := cookie.New(cookie.Attributes{Name: "n", Path: "/"})
	value := []byte(strings.Repeat("v", cookie.MaxLine-len("n=; Path=/; Max-Age=60")))
	if line, err := k.Set(value, time.Minute); err != nil || len(line) != 4096 {
		t.Errorf("got %d bytes and %v, want 4096 and nil", len(line), err)
	}
	if _, err := k.AppendSet(make([]byte, 100), value, time.Minute); err != nil {
		t.Errorf("appended: got %v, want nil", err)
	}
	value = append(value, 'v')
	_, err := k.Set(value, time.Minute)
	if _, appended := k.AppendSet(nil, value, time.Minute); !errors.Is(err, sessionerr.ErrTooLarge) || !errors.Is(appended, sessionerr.ErrTooLarge) {
		t.Errorf("one more: got %v and %v, want ErrTooLarge", err, appended)
	}
}

// TestCookie_Variants expires what the app may have set before it had a domain
// or a path.
func TestCookie_Variants(t *testing.T) {
	tests := []struct {
		path, domain string
		want         []string // in place of path and domain
	}{
		{"/", "", nil}, {"/", "b.c", []string{"/"}}, {"/a", "", []string{"/"}}, {"/a", "b.c", []string{"/a", "/; Domain=b.c", "/"}},
	}
	for _, test := range tests {
		k := cookie.New(cookie.Attributes{Name: "n", Path: test.path, Domain: test.domain})
		var want []string
		for _, attributes := range test.want {
			want = append(want, "n=; Path="+attributes+expired)
		}
		if got := k.Variants(); !slices.Equal(got, want) {
			t.Errorf("%s %s: got %q, want %q", test.path, test.domain, got, want)
		}
	}
}
