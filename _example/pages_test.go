package main

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/ginsession/ginsession"
)

func TestHome_countsVisits(t *testing.T) {
	v := newVisitor(t)
	v.get("/").shows(t, "Hello, stranger", "<strong>first</strong> visit")
	v.get("/").shows(t, "<strong>2 times</strong>")
	v.get("/").shows(t, "<strong>3 times</strong>")
	newVisitor(t).get("/").shows(t, "<strong>first</strong> visit")
}

func TestLogin(t *testing.T) {
	v := newVisitor(t)
	v.get("/login").shows(t, `<label for="name">`, `<label for="password">`, `<label for="remember">`)
	v.post("/login", "name", " Ada ", "password", "abc").at(t, "/").
		shows(t, "Hello, Ada<", `<p class="flash success">Welcome back, Ada</p>`, "forgets you")
	v.get("/").hides(t, "Welcome back")
	v.get("/todo").shows(t, "<span>Ada</span>", "Log out")
}

func TestLogin_remember(t *testing.T) {
	v := newVisitor(t)
	v.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	for _, row := range []struct{ remember, attribute string }{
		{"", "SameSite=Lax"},
		{"yes", "Max-Age=2592000"}, // 30 days
		{"", "SameSite=Lax"},
	} {
		a := v.post("/login", "name", "Ada", "password", "abc", "remember", row.remember)
		if a.status != http.StatusSeeOther || a.header.Get("Location") != "/" {
			t.Errorf("got status %d to %q, want 303 to /", a.status, a.header.Get("Location"))
		}
		if line := a.header.Get("Set-Cookie"); !strings.HasSuffix(line, "; "+row.attribute) {
			t.Errorf("remember %q: got attributes %q, want %q last", row.remember, attributes(line), row.attribute)
		}
	}
}

// attributes is a Set-Cookie line without its value.
func attributes(line string) string {
	_, rest, _ := strings.Cut(line, ";")
	return rest
}

func TestLogin_refused(t *testing.T) {
	for _, row := range []struct{ name, password string }{
		{"Ada", ""}, {"Ada", "ab"}, {"", "abc"}, {"   ", "abc"}, {"\xff", "abc"}, {strings.Repeat("a", 41), "abc"}, {"Ada", "éé"},
	} {
		v := newVisitor(t)
		v.post("/login", "name", row.name, "password", row.password).at(t, "/login").
			shows(t, `<p class="flash error">That did not work.`)
		v.get("/").shows(t, "Hello, stranger")
	}
}

func TestLogin_escapes(t *testing.T) {
	v := newVisitor(t)
	a := v.post("/login", "name", "<b>Ada</b>", "password", "abc")
	a.shows(t, "Hello, &lt;b&gt;Ada", "Welcome back, &lt;b&gt;Ada")
	a.hides(t, "<b>Ada")
}

func TestLogout(t *testing.T) {
	v := newVisitor(t)
	v.post("/login", "name", "Ada", "password", "abc")
	v.post("/todo", "text", "Buy milk")
	v.post("/logout").at(t, "/").shows(t, "Hello, stranger", "You are logged out", "<strong>first</strong> visit")
	v.get("/").hides(t, "You are logged out", "Ada")
	v.get("/todo").hides(t, "Buy milk")
}

func TestBasics(t *testing.T) {
	v := newVisitor(t)
	for _, row := range []struct{ path, want string }{
		{"/getsession", "Welcome Anonymous"},
		{"/popsession", "Nothing to pop"},
		{"/setsession", "Session set for Admin"},
		{"/getsession", "Welcome Admin"},
		{"/getsession", "Welcome Admin"},
		{"/popsession", "Session popped for Admin"},
		{"/getsession", "Welcome Anonymous"},
	} {
		if a := v.get(row.path); a.status != http.StatusOK || a.body != row.want {
			t.Errorf("%s: got %d %q, want %q", row.path, a.status, a.body, row.want)
		}
	}
	if c := v.cookie(); c != nil {
		t.Error("an emptied session still has a cookie")
	}
}

func TestPay(t *testing.T) {
	for _, row := range []struct{ wage, hours, week, year string }{
		{"12.5", "10", "125", "6500"},
		{"12,5", "10", "125", "6500"},
		{"0.1", "3", "0.30", "15.60"},
		{"20", "38.5", "770", "40040"},
	} {
		v := newVisitor(t)
		v.get("/wage").shows(t, `<label for="wage">`)
		v.post("/wage", "wage", row.wage).at(t, "/pay").shows(t, `<label for="hours">`)
		v.post("/pay", "hours", row.hours).at(t, "/pay").shows(t, "<dd>"+row.week+"</dd>", "<dd>"+row.year+"</dd>")
	}
}

func TestPay_badNumbers(t *testing.T) {
	v := newVisitor(t)
	v.get("/pay").at(t, "/wage").shows(t, "Enter your wage first.")
	v.post("/pay", "hours", "10").at(t, "/wage").shows(t, "Enter your wage first.")
	for _, wage := range []string{"", "much", "0", "-1", "NaN", "Inf", "1e9", "12.5.3"} {
		v.post("/wage", "wage", wage).at(t, "/wage").shows(t, "Enter your wage for an hour as a number")
	}
	v.post("/wage", "wage", "12.5")
	for _, hours := range []string{"", "all", "0", "-1", "NaN", "169"} {
		v.post("/pay", "hours", hours).at(t, "/pay").shows(t, "Enter the hours of your week", "You earn 12.50 an hour")
	}
	v.get("/wage").shows(t, `value="12.50"`)
}

func TestTodo(t *testing.T) {
	v := newVisitor(t)
	v.get("/todo").shows(t, "Nothing on the list yet.")
	v.post("/todo", "text", "Buy milk").at(t, "/todo").shows(t, "<span>Buy milk</span>", "1 of 1 still open")
	v.post("/todo", "text", "Call Bob").shows(t, "2 of 2 still open")
	v.post("/todo/toggle", "id", "1").shows(t, `class="done"`, "1 of 2 still open")
	v.post("/todo/toggle", "id", "1").shows(t, "2 of 2 still open")
	v.post("/todo/toggle", "id", "7").shows(t, "2 of 2 still open")
	a := v.post("/todo/delete", "id", "1")
	a.shows(t, "Call Bob", "1 of 1 still open")
	a.hides(t, "Buy milk")
	v.post("/todo/toggle", "id", "2").shows(t, "All done.")
}

func TestTodo_limits(t *testing.T) {
	v := newVisitor(t)
	for _, text := range []string{"", "  ", strings.Repeat("a", 81)} {
		v.post("/todo", "text", text).shows(t, "Say what there is to do", "Nothing on the list yet.")
	}
	for n := range maxTodos {
		v.post("/todo", "text", fmt.Sprintf("thing %d", n+1))
	}
	v.post("/todo", "text", "one more").shows(t, "Twenty things are enough.", "20 of 20 still open")
}

// What a cookie cannot hold is refused, and what it held stays.
func TestTodo_tooMuchForCookie(t *testing.T) {
	v := newVisitor(t)
	for n := range maxTodos {
		a := v.post("/todo", "text", strings.Repeat("🍋", maxTodoText))
		if a.status == http.StatusOK {
			continue
		}
		if a.status != http.StatusInternalServerError || !strings.Contains(a.body, "does not fit into your session") {
			t.Errorf("got status %d, want 500:\n%s", a.status, a.body)
		}
		v.get("/todo").shows(t, fmt.Sprintf("%d of %d still open", n, n))
		return
	}
	t.Error("a cookie took more than it can hold")
}

func TestCart(t *testing.T) {
	v := newVisitor(t)
	v.get("/cart").shows(t, "Your cart is empty.", "Juniper berries", "€4.90")
	v.post("/cart/add", "sku", "berry").at(t, "/cart").shows(t, "Juniper berries is in your cart", "Total", "€4.90")
	v.post("/cart/add", "sku", "berry").shows(t, `value="2"`, "€9.80")
	v.post("/cart/add", "sku", "spoon").shows(t, "€22.55")
	v.post("/cart/quantity", "sku", "berry", "quantity", "10").shows(t, "€49.00", "€61.75")
	for _, quantity := range []string{"", "-1", "100", "many"} {
		v.post("/cart/quantity", "sku", "berry", "quantity", quantity).shows(t, "Enter a quantity from 0 to 99.", "€61.75")
	}
	v.post("/cart/remove", "sku", "berry").hides(t, "quantity-berry", "€61.75")
	v.post("/cart/quantity", "sku", "spoon", "quantity", "0").shows(t, "Your cart is empty.")
	v.post("/cart/add", "sku", "rum").shows(t, "We do not sell that.", "Your cart is empty.")
}

func TestCheckout(t *testing.T) {
	v := newVisitor(t)
	v.get("/checkout").at(t, "/cart").shows(t, "Your cart is empty.")
	v.post("/checkout", "name", "Ada").at(t, "/cart").shows(t, "Your cart is empty.")
	v.post("/cart/add", "sku", "glass")

	v.post("/checkout", "name", "Ada", "street", "", "city", strings.Repeat("b", 61), "email", "nowhere").at(t, "/checkout").
		shows(t, "Please fill in street and number.", "Please shorten postcode and city to 60 letters.",
			"Please check your e-mail address", `value="Ada"`, `value="nowhere"`)
	v.get("/checkout").hides(t, "Please fill", "Please shorten")

	v.post("/checkout", "name", "Ada", "street", "1 Elm Row", "city", "12345 Here", "email", "ada@example.com").at(t, "/cart").
		shows(t, "Your order of €19.50 is on its way.", "Your cart is empty.")
	v.post("/cart/add", "sku", "glass")
	v.get("/checkout").shows(t, `value="1 Elm Row"`, `value="ada@example.com"`)
}

func TestInspect(t *testing.T) {
	v := newVisitor(t)
	v.get("/session").shows(t, "It is empty", "just now", "0 of 4096 bytes", "no, ends with the window")
	v.post("/login", "name", "Ada", "password", "abc", "remember", "yes")
	v.post("/wage", "wage", "12.5")
	v.get("/pay")
	size := len(cookieName) + 1 + len(v.cookie().Value)
	a := v.get("/session")
	a.shows(t, "<code>name</code>", "<code>&#34;Ada&#34;</code>", "<code>wage</code>", "<code>12.5</code>",
		"<dd>yes</dd>", strconv.Itoa(size)+" of 4096 bytes", " ago</dd>")
	a.hides(t, "not one of ours", "_flashes")
}

func TestInspect_keepsMessages(t *testing.T) {
	v := newVisitor(t)
	v.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	v.post("/login", "name", "Ada", "password", "abc")
	v.get("/session").shows(t, "Welcome back, Ada")
	v.get("/session").shows(t, "Welcome back, Ada")
	v.get("/todo").shows(t, "Welcome back, Ada")
	v.get("/session").hides(t, "Welcome back, Ada")
}

func TestInspect_rejected(t *testing.T) {
	v := newVisitor(t)
	u, err := url.Parse(v.url)
	if err != nil {
		t.Fatal(err)
	}
	v.http.Jar.SetCookies(u, []*http.Cookie{{Name: cookieName, Value: "forged", Path: "/", Secure: true}})
	v.get("/session").shows(t, "Your cookie is not one of ours", "It is empty")
	v.post("/todo", "text", "Buy milk")
	v.get("/session").hides(t, "not one of ours")
}

func TestRejection(t *testing.T) {
	seen := map[string]bool{}
	for _, err := range []error{nil, ginsession.ErrExpired, ginsession.ErrUnknown, ginsession.ErrInvalid} {
		text := rejection(err)
		if (text == "") != (err == nil) || seen[text] {
			t.Errorf("%v: got %q, want a reason of its own", err, text)
		}
		seen[text] = true
	}
}

func TestParallel(t *testing.T) {
	v := newVisitor(t)
	v.get("/parallel").shows(t, "None of the keys", "/static/parallel.js")
	v.post("/parallel/reset")
	var requests sync.WaitGroup
	for n := range parallelRequests {
		requests.Go(func() {
			if a := v.post("/parallel/set", "n", strconv.Itoa(n+1)); a.status != http.StatusNoContent {
				t.Errorf("got status %d, want 204", a.status)
			}
		})
	}
	requests.Wait()
	v.get("/parallel").shows(t, `class="kept"`, "20 of 20 keys are in the session")
	v.post("/parallel/reset").at(t, "/parallel").shows(t, "None of the keys")
	for _, n := range []string{"", "0", "21", "x"} {
		if a := v.post("/parallel/set", "n", n); a.status != http.StatusBadRequest {
			t.Errorf("n=%q: got status %d, want 400", n, a.status)
		}
	}
}

func TestStatic(t *testing.T) {
	v := newVisitor(t)
	for _, row := range []struct{ path, kind string }{
		{"/static/style.css", "text/css"}, {"/static/parallel.js", "text/javascript"}, {"/static/icon.svg", "image/svg+xml"},
	} {
		a := v.get(row.path)
		if kind := a.header.Get("Content-Type"); a.status != http.StatusOK || !strings.HasPrefix(kind, row.kind) {
			t.Errorf("%s: got %d %q, want %q", row.path, a.status, kind, row.kind)
		}
		if a.header.Get("Vary") != "" || a.header.Get("Set-Cookie") != "" {
			t.Errorf("%s touches the session", row.path)
		}
	}
	if a := v.get("/static/"); a.status != http.StatusNotFound || !strings.Contains(a.body, "No such page") {
		t.Errorf("got status %d, want 404 with a page:\n%s", a.status, a.body)
	}
}

func TestOtherSitesCannotPost(t *testing.T) {
	v := newVisitor(t)
	v.post("/login", "name", "Ada", "password", "abc")
	for _, header := range []http.Header{{"Sec-Fetch-Site": {"cross-site"}}, {"Origin": {"https://evil.example"}}} {
		if a := v.do(http.MethodPost, "/logout", header, nil); a.status != http.StatusForbidden {
			t.Errorf("%v: got status %d, want 403", header, a.status)
		}
	}
	v.get("/").shows(t, "Hello, Ada")
}

func TestPages_haveSafeHeaders(t *testing.T) {
	v := newVisitor(t)
	for _, path := range []string{"/", "/login", "/wage", "/todo", "/cart", "/session", "/parallel"} {
		a := v.get(path)
		if a.header.Get("Cache-Control") != "no-store" || !strings.Contains(a.header.Get("Content-Security-Policy"), "default-src 'self'") {
			t.Errorf("%s: got %v", path, a.header)
		}
		a.hides(t, "<script>", "style=", "onclick=")
	}
}

func TestNewApp_shortSecret(t *testing.T) {
	_, err := newApp(config{secret: "short"})
	var mistake *ginsession.ConfigError
	if !errors.As(err, &mistake) || mistake.Option != "secret" {
		t.Errorf("got %v, want a ConfigError for the secret", err)
	}
}
