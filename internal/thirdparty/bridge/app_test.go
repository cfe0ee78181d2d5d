package bridge_test

import (
	"net/http"
	"testing"

	"github.com/gin-contrib/sessions"
	"github.com/gin-contrib/sessions/cookie"
	"github.com/gin-gonic/gin"
	csrf "github.com/utrack/gin-csrf"

	"github.com/ginsession/ginsession"
	"github.com/ginsession/ginsession/gincontrib"
)

// An app with structs that are registered with encoding/gob, four sessions and a
// CSRF middleware, all of it written for gin-contrib/sessions. before and after
// differ in the lines that build the middleware, and in nothing else.

func before(*testing.T) http.Handler {
	store := cookie.NewStore([]byte(secret))
	store.Options(sessions.Options{Path: "/", HttpOnly: true, Secure: true, SameSite: http.SameSiteLaxMode})

	r := gin.New()
	site := r.Group("/", sessions.Sessions("site", store))
	shop := r.Group("/shop", sessions.SessionsMany([]string{"cart", "prefs", "order"}, store))
	return routes(r, site, shop)
}

func after(t *testing.T) http.Handler {
	r := gin.New()
	site := r.Group("/", our(t), gincontrib.Bridge())
	shop := r.Group("/shop")
	for _, name := range []string{"cart", "prefs", "order"} {
		shop.Use(our(t, ginsession.WithName("__Host-"+name), ginsession.WithContextKey(name)))
	}
	shop.Use(gincontrib.Bridge("cart", "prefs", "order"))
	return routes(r, site, shop)
}

func routes(r *gin.Engine, site, shop *gin.RouterGroup) http.Handler {
	site.Use(csrf.Middleware(csrf.Options{Secret: "csrf", ErrorFunc: func(c *gin.Context) {
		c.String(http.StatusBadRequest, "CSRF token mismatch")
		c.Abort()
	}}))
	site.GET("/", home)
	site.GET("/token", func(c *gin.Context) { c.String(http.StatusOK, csrf.GetToken(c)) })
	site.POST("/login", login)
	site.POST("/logout", logout)
	shop.GET("/", showShop)
	shop.POST("/add", add)
	shop.POST("/theme", setTheme)
	shop.POST("/next", nextStep)
	return r
}

func home(c *gin.Context) {
	session := sessions.Default(c)
	visits, _ := session.Get("visits").(int)
	session.Set("visits", visits+1)
	flashes, errs := session.Flashes(), session.Flashes("error")
	_ = session.Save()
	if session.Get("id") == nil {
		c.String(http.StatusOK, "stranger %d %v %v", visits, flashes, errs)
		return
	}
	who := session.Get("account").(*account)
	c.String(http.StatusOK, "%d %v %s %d %v %v", session.Get("id").(uint), session.Get("roles").([]string), who.Secret, visits, flashes, errs)
}

func login(c *gin.Context) {
	session := sessions.Default(c)
	if c.PostForm("password") == "" {
		session.AddFlash("no password", "error")
		_ = session.Save()
		return
	}
	session.Set("id", uint(7))
	session.Set("roles", []string{"admin", "staff"})
	session.Set("account", &account{ID: 7, Secret: "hidden from JSON"})
	session.AddFlash("welcome")
	_ = session.Save()
}

func logout(c *gin.Context) {
	session := sessions.Default(c)
	session.Clear()
	session.Options(sessions.Options{Path: "/", MaxAge: -1})
	_ = session.Save()
}

func showShop(c *gin.Context) {
	cart, _ := sessions.DefaultMany(c, "cart").Get("lines").([]line)
	theme, _ := sessions.DefaultMany(c, "prefs").Get(key(1)).(role)
	step, _ := sessions.DefaultMany(c, "order").Get("step").(int64)
	c.String(http.StatusOK, "%v %s %d", cart, theme, step)
}

func add(c *gin.Context) {
	cart := sessions.DefaultMany(c, "cart")
	lines, _ := cart.Get("lines").([]line)
	cart.Set("lines", append(lines, line{c.PostForm("article"), 1}))
	_ = cart.Save()
}

func setTheme(c *gin.Context) {
	prefs := sessions.DefaultMany(c, "prefs")
	prefs.Set(key(1), role(c.PostForm("theme")))
	_ = prefs.Save()
}

func nextStep(c *gin.Context) {
	order := sessions.DefaultMany(c, "order")
	step, _ := order.Get("step").(int64)
	order.Set("step", step+1)
	_ = order.Save()
}

func TestApp(t *testing.T) {
	for name, app := range map[string]func(*testing.T) http.Handler{"before": before, "after": after} {
		t.Run(name, func(t *testing.T) {
			u := newUser(t, app(t))
			want := func(path, text string) {
				t.Helper()
				if got := u.body(path); got != text {
					t.Errorf("%s: got %q, want %q", path, got, text)
				}
			}
			want("/", "stranger 0 [] []")
			token := u.body("/token")
			u.send("/login", "_csrf", token)
			want("/", "stranger 1 [] [no password]")
			u.send("/login", "_csrf", token, "password", "open sesame")
			want("/", "7 [admin staff] hidden from JSON 2 [welcome] []")
			want("/", "7 [admin staff] hidden from JSON 3 [] []")
			u.send("/shop/add", "article", "tea")
			u.send("/shop/add", "article", "milk")
			u.send("/shop/theme", "theme", "dark")
			u.send("/shop/next", "a", "b")
			want("/shop/", "[{tea 1} {milk 1}] dark 1")
			if len(u.cookies) != 4 {
				t.Errorf("got %d cookies, want 4", len(u.cookies))
			}
			u.send("/logout", "_csrf", u.body("/token"))
			want("/", "stranger 0 [] []")
			want("/shop/", "[{tea 1} {milk 1}] dark 1")
		})
	}
}

// TestCSRF runs a CSRF middleware that somebody else wrote.
func TestCSRF(t *testing.T) {
	for name, app := range map[string]func(*testing.T) http.Handler{"before": before, "after": after} {
		t.Run(name, func(t *testing.T) {
			u, attacker := newUser(t, app(t)), newUser(t, app(t))
			token, other := u.body("/token"), attacker.body("/token")
			if again := u.body("/token"); again != token || token == "" || token == other {
				t.Errorf("got the tokens %q and %q, and %q for somebody else", token, again, other)
			}
			tests := []struct {
				name, token string
				want        int
			}{
				{"none", "", http.StatusBadRequest},
				{"somebody else's", other, http.StatusBadRequest},
				{"the right one", token, http.StatusOK},
				{"the right one again", token, http.StatusOK},
			}
			for _, tt := range tests {
				if got := u.send("/login", "_csrf", tt.token).StatusCode; got != tt.want {
					t.Errorf("%s: got status %d, want %d", tt.name, got, tt.want)
				}
			}
		})
	}
}
