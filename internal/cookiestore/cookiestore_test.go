package cookiestore_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ginsession/ginsession"
	"github.com/ginsession/ginsession/internal/apptest"
	"github.com/ginsession/ginsession/internal/seal"
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

// genuine was sealed under the tests' secret and is good for 292 years.
const genuine = "_Pt1vNGrxnwjHcLqk-eAtHxWHKUc1lEesz0IDjZuRHUa2Wx8a8tguYYGKvJSH7-pZXTytbimIZyWtVNrMS_MGSG-U6pPxKpMRzML3pEzZWgiamMTWjfsfR3Iug"

const name = "__Host-session"

// reader is an app that reads a session from any Cookie line.
func reader(t testing.TB, opts ...ginsession.Option) func(line string) (w *apptest.Response, rejected error) {
	a := apptest.New(t, append(opts, ginsession.WithLifetime(math.MaxInt64))...)
	return func(line string) (*apptest.Response, error) {
		req := httptest.NewRequest(http.MethodGet, "/?do=keys", nil)
		req.Header["Cookie"] = []string{line}
		w := apptest.NewBrowser(a).Send(req)
		return w, a.Session.Rejected()
	}
}

// TestSealed_Load reads cookies that were made under a secret and a name, and
// changed on the way.
func TestSealed_Load(t *testing.T) {
	sealed := func(secret, name, plaintext string) string {
		sealer, err := seal.New("ginsession cookie 1", secret)
		if err != nil {
			t.Fatal(err)
		}
		return string(seal.AppendText(nil, sealer.Seal(nil, []byte(plaintext), []byte("ginsession cookie 1\x00"+name))))
	}
	const other = "another secret, also of 32 bytes or more"
	box, err := base64.RawURLEncoding.DecodeString(genuine)
	if err != nil {
		t.Fatal(err)
	}
	plaintext := string(apptest.Unseal(t, box, "ginsession cookie 1", name)) // as docs/SECURITY-MODEL.md says
	flipped := []byte(genuine)
	flipped[40] ^= 1
	tests := []struct {
		name, value string
		ok          bool
	}{
		{"genuine", genuine, true}, {"made by the test", sealed(apptest.Secret, name, plaintext), true},
		{"empty", "", false}, {"plain", "who=ann", false}, {"quoted", `"` + genuine + `"`, false}, {"escaped", "%5F" + genuine[1:], false}, {"5000 bytes", strings.Repeat("A", 5000), false},
		{"cut", genuine[:len(genuine)-1], false}, {"extended", genuine + "A", false}, {"padded", genuine + "=", false}, {"twice", genuine + genuine, false}, {"nonce only", genuine[:32], false}, {"flipped", string(flipped), false},
		{"other secret", sealed(other, name, plaintext), false}, {"other name", sealed(apptest.Secret, "session", plaintext), false},
		{"holds nothing", sealed(apptest.Secret, name, ""), false}, {"holds text", sealed(apptest.Secret, name, "x"), false}, {"holds a head", sealed(apptest.Secret, name, "\x10"), false},
		{"holds half", sealed(apptest.Secret, name, plaintext[:len(plaintext)-1]), false}, {"holds half an id", sealed(apptest.Secret, name, "\x20"+"1234567"), false}, {"holds half an age", sealed(apptest.Secret, name, "\x20"+"12345678\xff\xff"), false},
		{"a later version", sealed(apptest.Secret, name, "\x20"+"12345678\x01"+plaintext), true}, {"holds a long age", sealed(apptest.Secret, name, "\x20"+"12345678\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"+plaintext), false},
	}
	read := reader(t)
	for _, test := range tests {
		w, rejected := read(name + "=" + test.value)
		if got := slices.Equal(w.Lines(), []string{"who=ann"}); got != test.ok || (rejected == nil) != test.ok || !test.ok && !errors.Is(rejected, ginsession.ErrInvalid) {
			t.Errorf("%s: got %q and %v, want it accepted: %v", test.name, w.Body, rejected, test.ok)
		}
		if w.Code != http.StatusOK || len(w.SetCookies(name)) != 0 {
			t.Errorf("%s: got %d and %q, want 200 and no cookie", test.name, w.Code, w.SetCookies(name))
		}
	}
}

// TestSealed_Commit_differs seals one session twice: nobody can tell that it is
// the same.
func TestSealed_Commit_differs(t *testing.T) {
	a := apptest.New(t)
	value := func() string { return apptest.NewBrowser(a).Get("/?do=set:a=1").Result().Cookies()[0].Value }
	if one, two := value(), value(); one[:8] == two[:8] || one == two {
		t.Errorf("got %q and %q, want two that differ from the start", one, two)
	}
}

// TestSealed_previousSecrets rotates the secret: what the old one sealed is
// accepted, and sealed under the new one with the next write.
func TestSealed_previousSecrets(t *testing.T) {
	const next = "another secret, also of 32 bytes or more"
	app := func(secret string, opts ...ginsession.Option) *apptest.App {
		return apptest.Mount(apptest.Middleware(t, secret, opts...))
	}
	before, after := app(apptest.Secret), app(next)
	b := apptest.NewBrowser(before)
	b.Get("/?do=set:user=ann")
	b.Handler = app(next, ginsession.WithPreviousSecrets("a third secret, that nobody has used before", apptest.Secret))
	if w := b.Get("/?do=get:user"); !slices.Equal(w.Lines(), []string{"ann"}) || len(w.SetCookies(name)) != 0 {
		t.Errorf("read: got %q and the cookies %q, want ann and none", w.Body, w.SetCookies(name))
	}
	for _, row := range []struct {
		do  string
		app *apptest.App
		ok  bool
	}{{"keys", before, true}, {"keys", after, false}, {"set:n=1", before, false}, {"set:n=1", after, true}} {
		b.Get("/?do=" + row.do)
		copied := b.Clone()
		copied.Handler = row.app
		if got := len(copied.Get("/?do=keys").Lines()) > 0; got != row.ok {
			t.Errorf("after %s: got accepted %v, want %v", row.do, got, row.ok)
		}
	}
}

// FuzzSealed_Load: whatever a browser sends, there is no panic, no error page
// and no session but the one that was handed out.
func FuzzSealed_Load(f *testing.F) {
	for _, line := range []string{
		"", "=", "=x", "=" + genuine, "=" + genuine[1:], "=" + genuine + "A", "=" + genuine + "; " + name + "=x", "=x; " + name + "=" + genuine,
		`="` + genuine + `"`, "=" + genuine + "=", "=" + genuine + "\n", "=" + strings.Repeat("A", 4097), "=a; session=" + genuine, ";;=;" + name, "=b; " + name + "=" + genuine + " ; c",
	} {
		f.Add(name + line)
	}
	read := reader(f)
	f.Fuzz(func(t *testing.T, line string) {
		w, rejected := read(line)
		if w.Code != http.StatusOK || len(w.Header()["Set-Cookie"]) != 0 {
			t.Errorf("%.300q: got %d and %q, want 200 and no cookie", line, w.Code, w.Header()["Set-Cookie"])
		}
		opened := w.Body.Len() > 0
		if opened && (w.Body.String() != "who=ann\n" || !strings.Contains(line, name+"="+genuine)) {
			t.Errorf("forged: %.300q gives %q", line, w.Body)
		}
		if opened && rejected != nil || rejected != nil && !errors.Is(rejected, ginsession.ErrInvalid) {
			t.Errorf("%.300q: got %v, want ErrInvalid or nil", line, rejected)
		}
	})
}
