package cookiestore_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gin-gonic/gin"

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

// parallelBrowser sends requests at the same time. Their responses arrive in any
// order.
type parallelBrowser struct {
	mu      sync.Mutex
	browser *apptest.Browser
	waiting []func() // responses that have not arrived
}

func newParallelBrowser(servers ...http.Handler) *parallelBrowser {
	return &parallelBrowser{browser: apptest.NewBrowser(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		servers[rand.IntN(len(servers))].ServeHTTP(w, r)
	}))}
}

// do sends a request for each of the steps at once and returns the lines of their
// bodies.
func (p *parallelBrowser) do(steps ...string) (lines []string) {
	var group sync.WaitGroup
	b := p.clone()
	for _, step := range steps {
		group.Go(func() {
			got := p.send(b, step)
			p.mu.Lock()
			defer p.mu.Unlock()
			lines = append(lines, got...)
		})
	}
	group.Wait()
	p.receive(0)
	return lines
}

// clone returns the browser with the cookies that it has now.
func (p *parallelBrowser) clone() *apptest.Browser {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.browser.Clone()
}

func (p *parallelBrowser) send(b *apptest.Browser, step string) []string {
	r := httptest.NewRequest(http.MethodGet, "/?do="+step, nil)
	w := b.Send(r)
	p.mu.Lock()
	p.waiting = append(p.waiting, func() { p.browser.Take(r, w) })
	p.mu.Unlock()
	p.receive(rand.IntN(4))
	return w.Lines()
}

// receive lets responses arrive until so many are left.
func (p *parallelBrowser) receive(left int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.waiting) > left {
		i := rand.IntN(len(p.waiting))
		p.waiting[i]()
		p.waiting = slices.Delete(p.waiting, i, i+1)
	}
}

func (p *parallelBrowser) keys() string { return strings.Join(p.do("keys"), " ") }

// sizes are how much the tests of parallel requests do.
type sizes struct{ increments, sets, flashes int }

func TestSealed_Change_parallel(t *testing.T) { changeInParallel(t, sizes{1000, 400, 200}) }

func changeInParallel(t *testing.T, n sizes) {
	app := apptest.New(t)
	p := newParallelBrowser(app)
	p.do("set:user=ann")
	const goroutines = 64
	var group sync.WaitGroup
	for i := range goroutines {
		group.Go(func() {
			for range n.increments/goroutines + min(1, max(0, n.increments%goroutines-i)) {
				p.send(p.clone(), "incr:n")
			}
		})
	}
	group.Wait()
	p.receive(0)
	if got, want := p.keys(), fmt.Sprintf("n=%d user=ann", n.increments); got != want {
		t.Errorf("increments: got %q, want %q", got, want)
	}

	const atOnce = 40
	for range n.sets / atOnce {
		p := newParallelBrowser(app)
		p.do("set:user=ann")
		var steps []string
		for i := range atOnce {
			steps = append(steps, fmt.Sprintf("set:k%d=1", i))
		}
		p.do(steps...)
		if got := len(p.do("keys")); got != atOnce+1 {
			t.Errorf("sets: got %d keys, want %d", got, atOnce+1)
		}
	}

	for range n.flashes / atOnce {
		p := newParallelBrowser(app)
		p.do("set:user=ann")
		var steps, want []string
		for i := range atOnce {
			want = append(want, fmt.Sprint("f", i))
			steps = append(steps, "flash:"+want[i])
		}
		p.do(steps[:atOnce/2]...)
		shown := p.do(append(steps[atOnce/2:], "flashes")...)
		shown = append(shown, p.do("flashes")...)
		slices.Sort(shown)
		if slices.Sort(want); !slices.Equal(shown, want) {
			t.Errorf("flashes: got %q, want %q", shown, want)
		}
	}
}

func TestSealed_Renew_parallel(t *testing.T) { endInParallel(t, 300) }

// endInParallel races a request that changes a session with one that ends it.
func endInParallel(t *testing.T, races int) {
	app := apptest.New(t)
	for _, row := range []struct {
		name, do string
		want     []string // what the browser may see in the end
		old      string   // and with the cookie that it came with
	}{
		{"log-out", "destroy", []string{""}, ""},
		{"log-in", "renew,set:user=bob", []string{"user=bob", "user=bob x=1", ""}, ""}, // "": the older response came last
		{"emptying", "delete:user", []string{"x=1", ""}, "x=1"},                        // "": the cookie was expired last
	} {
		for range races {
			p := newParallelBrowser(app)
			p.do("set:user=ann")
			before := p.browser.Clone()
			p.do("set:x=1", row.do)
			if got := p.keys(); !slices.Contains(row.want, got) {
				t.Fatalf("%s: got %q, want one of %q", row.name, got, row.want)
			}
			if got := strings.Join(before.Get("/?do=keys").Lines(), " "); got != row.old {
				t.Fatalf("%s: the cookie before it opens %q, want %q", row.name, got, row.old)
			}
		}
	}
}

// TestSealed_Load_otherProcess sends each request to one of two processes, which
// know nothing of each other: what the browser has is the newest.
func TestSealed_Load_otherProcess(t *testing.T) {
	one, two := apptest.New(t), apptest.New(t)
	for range 20 {
		p, other := newParallelBrowser(one, two), newParallelBrowser(one, two)
		p.do("set:user=ann")
		other.do("set:user=bob")
		for i := range 30 {
			p.do("incr:n")
			other.do("get:user", "set:k=1", "set:l=1") // some of these get lost
			if got, want := p.keys(), fmt.Sprintf("n=%d user=ann", i+1); got != want {
				t.Fatalf("got %q, want %q", got, want)
			}
			if got := other.keys(); !strings.HasSuffix(got, "user=bob") {
				t.Fatalf("got %q, want user=bob", got)
			}
		}
	}
}
