package ginsession_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/ginsession/ginsession"
	"github.com/ginsession/ginsession/internal/apptest"
	"github.com/ginsession/ginsession/memstore"
)

func ExampleNew() {
	r := gin.New()
	r.Use(ginsession.Must(ginsession.New("read it from the environment, 32 bytes or more")))
	r.GET("/", func(c *gin.Context) {
		s := ginsession.From(c)
		s.Set("visits", s.GetInt("visits")+1)
		c.String(http.StatusOK, "visit %d", s.GetInt("visits"))
	})

	b := apptest.NewBrowser(r)
	fmt.Println(b.Get("/").Body)
	fmt.Println(b.Get("/").Body)
	// Output:
	// visit 1
	// visit 2
}

func ExampleNew_mistakes() {
	_, err := ginsession.New("too short", ginsession.WithName("my session"))
	fmt.Println(err)
	// Output:
	// ginsession: secret: it has 9 bytes and needs at least 32; make one with: openssl rand -base64 32
	// ginsession: WithName: "my session": a cookie name has 1 to 256 letters, digits or !#$%&'*+-.^_`|~ (RFC 6265bis, section 4.1.1)
}

func ExampleSession_Renew() {
	r := exampleEngine()
	r.POST("/login", func(c *gin.Context) {
		s := ginsession.From(c)
		s.Renew() // at every change of privilege
		s.Set("user", "Ada")
		c.Redirect(http.StatusSeeOther, "/")
	})
	r.POST("/logout", func(c *gin.Context) {
		s := ginsession.From(c)
		s.Destroy()
		s.AddFlash("You are logged out", "") // begins a fresh session
		c.Redirect(http.StatusSeeOther, "/")
	})
	r.GET("/", func(c *gin.Context) {
		s := ginsession.From(c)
		c.String(http.StatusOK, "user %q %v", s.GetString("user"), s.Flashes())
	})

	b := apptest.NewBrowser(r)
	b.Post("/login")
	fmt.Println(b.Get("/").Body)
	b.Post("/logout")
	fmt.Println(b.Get("/").Body)
	// Output:
	// user "Ada" []
	// user "" [{You are logged out message}]
}

func ExampleSession_Flashes() {
	r := exampleEngine()
	r.POST("/save", func(c *gin.Context) {
		ginsession.From(c).AddFlash("Saved", "success")
		c.Redirect(http.StatusSeeOther, "/")
	})
	r.GET("/", func(c *gin.Context) {
		for _, f := range ginsession.From(c).Flashes() {
			c.String(http.StatusOK, "%s: %s", f.Category, f.Message)
		}
	})

	b := apptest.NewBrowser(r)
	b.Post("/save")
	fmt.Printf("%q\n", b.Get("/").Body)
	fmt.Printf("%q\n", b.Get("/").Body) // shown once
	// Output:
	// "success: Saved"
	// ""
}

func ExampleUpdate() {
	type line struct {
		Article string
		Count   int
	}
	r := exampleEngine()
	r.POST("/cart/:article", func(c *gin.Context) {
		ginsession.Update(ginsession.From(c), "cart", func(cart []line) []line {
			return append(cart, line{c.Param("article"), 1})
		})
	})
	r.GET("/cart", func(c *gin.Context) {
		cart, ok := ginsession.Get[[]line](ginsession.From(c), "cart")
		c.String(http.StatusOK, "%v %v", cart, ok)
	})

	b := apptest.NewBrowser(r)
	b.Post("/cart/tea")
	b.Post("/cart/milk")
	fmt.Println(b.Get("/cart").Body)
	// Output: [{tea 1} {milk 1}] true
}

func ExampleSession_Rejected() {
	r := exampleEngine()
	r.GET("/", func(c *gin.Context) {
		switch err := ginsession.From(c).Rejected(); {
		case errors.Is(err, ginsession.ErrExpired):
			c.String(http.StatusOK, "your session has expired, please log in again")
		case err != nil:
			c.String(http.StatusOK, "%v", err)
		default:
			c.String(http.StatusOK, "welcome")
		}
	})

	req := httptest.NewRequest(http.MethodGet, "/", nil)
	req.Header.Set("Cookie", "__Host-session=forged")
	fmt.Println(apptest.NewBrowser(r).Do(req).Body)
	// Output: ginsession: the session cookie is not one of ours
}

func ExampleWithErrorHandler() {
	r := exampleEngine(ginsession.WithErrorHandler(func(c *gin.Context, err error) {
		status := http.StatusInternalServerError
		if errors.Is(err, ginsession.ErrUnavailable) {
			status = http.StatusServiceUnavailable
		}
		c.JSON(status, gin.H{"error": "nothing was saved"})
	}))
	r.POST("/draft", func(c *gin.Context) {
		ginsession.From(c).Set("draft", make([]byte, 10000))
		c.String(http.StatusOK, "saved") // too early to say
	})

	w := apptest.NewBrowser(r).Post("/draft")
	fmt.Println(w.Code, w.Body)
	// Output: 500 {"error":"nothing was saved"}
}

// Twelve hours at most, thirty minutes idle, thirty days if remembered.
func ExampleSession_Remember() {
	r := exampleEngine(ginsession.WithLifetime(12*time.Hour), ginsession.WithIdleTimeout(30*time.Minute))
	r.POST("/login", func(c *gin.Context) {
		s := ginsession.From(c)
		s.Renew()
		s.Set("user", "Ada")
		if c.Query("remember") != "" {
			s.Remember(30 * 24 * time.Hour)
		}
		c.String(http.StatusOK, "%v, permanent: %v", s.ExpiresAt().Sub(s.CreatedAt()).Round(time.Minute), s.Permanent())
	})

	fmt.Println(apptest.NewBrowser(r).Post("/login").Body)
	fmt.Println(apptest.NewBrowser(r).Post("/login?remember=on").Body)
	// Output:
	// 30m0s, permanent: false
	// 720h0m0s, permanent: true
}

func ExampleSession_KeepFlashes() {
	r := exampleEngine()
	r.GET("/save", func(c *gin.Context) { ginsession.From(c).AddFlash("Saved", "") })
	r.GET("/old", func(c *gin.Context) {
		s := ginsession.From(c)
		fmt.Println(len(s.Flashes()), "shown")
		s.KeepFlashes() // this page redirects once more
		c.Redirect(http.StatusSeeOther, "/new")
	})
	r.GET("/new", func(c *gin.Context) { fmt.Println(len(ginsession.From(c).Flashes()), "shown") })

	b := apptest.NewBrowser(r)
	b.Get("/save")
	b.Get("/old")
	b.Get("/new")
	// Output:
	// 1 shown
	// 1 shown
}

// Two sessions: each has a cookie and a key of its own.
func ExampleFromKey() {
	r := exampleEngine()
	r.Use(ginsession.Must(ginsession.New(apptest.Secret, ginsession.WithName("__Host-prefs"), ginsession.WithContextKey("prefs"))))
	r.GET("/", func(c *gin.Context) {
		ginsession.From(c).Set("user", "Ada")
		ginsession.FromKey(c, "prefs").Set("theme", "dark")
	})

	for _, cookie := range apptest.NewBrowser(r).Get("/").Result().Cookies() {
		fmt.Println(cookie.Name)
	}
	// Unordered output:
	// __Host-session
	// __Host-prefs
}

// The session of a user who pays ends after ten minutes, used or not.
func ExampleSession_SetLifetime() {
	r := exampleEngine(ginsession.WithLifetime(12 * time.Hour))
	r.POST("/pay", func(c *gin.Context) {
		s := ginsession.From(c)
		s.Renew() // the lifetime begins now
		s.SetLifetime(10 * time.Minute)
		s.Set("paying", true)
		c.String(http.StatusOK, "%v", s.ExpiresAt().Sub(s.CreatedAt()))
	})
	r.GET("/bad", func(c *gin.Context) {
		s := ginsession.From(c)
		s.SetLifetime(10) // nanoseconds
		fmt.Println(s.Save())
	})

	b := apptest.NewBrowser(r)
	fmt.Println(b.Post("/pay").Body)
	b.Get("/bad")
	// Output:
	// 10m0s
	// ginsession: a value cannot be stored: a lifetime of 10ns; use a time.Duration of 10ms or more, such as 12*time.Hour
}

func ExampleFromContext() {
	r := exampleEngine(ginsession.WithRequestContext())
	visits := func(w http.ResponseWriter, req *http.Request) { // knows nothing of Gin
		if s, ok := ginsession.FromContext(req.Context()); ok {
			s.Set("visits", s.GetInt("visits")+1)
			_, _ = fmt.Fprintf(w, "visit %d, %v", s.GetInt("visits"), s.All())
		}
	}
	r.GET("/", gin.WrapF(visits))

	b := apptest.NewBrowser(r)
	b.Get("/")
	fmt.Println(b.Get("/").Body)
	// Output:
	// visit 2, map[visits:2]
}

// A session is good for one tenant only. A middleware before the session's puts the
// tenant into the context of the request, where the validator finds it.
func ExampleWithValidator() {
	type tenantKey struct{}
	valid := func(ctx context.Context, s *ginsession.Session) (bool, error) {
		return s.GetString("tenant") == ctx.Value(tenantKey{}), nil
	}
	r := gin.New()
	r.Use(func(c *gin.Context) {
		ctx := context.WithValue(c.Request.Context(), tenantKey{}, c.GetHeader("X-Tenant"))
		c.Request = c.Request.WithContext(ctx)
	})
	r.Use(ginsession.Must(ginsession.New(apptest.Secret, ginsession.WithValidator(valid))))
	r.POST("/login", func(c *gin.Context) { ginsession.From(c).Set("tenant", c.GetHeader("X-Tenant")) })
	r.GET("/", func(c *gin.Context) {
		c.String(http.StatusOK, "%q %v", ginsession.From(c).GetString("tenant"), ginsession.From(c).Rejected())
	})

	b := apptest.NewBrowser(r)
	visit := func(method, path, tenant string) *apptest.Response {
		req := httptest.NewRequest(method, path, nil)
		req.Header.Set("X-Tenant", tenant)
		return b.Do(req)
	}
	visit(http.MethodPost, "/login", "red")
	fmt.Println(visit(http.MethodGet, "/", "red").Body)
	fmt.Println(visit(http.MethodGet, "/", "blue").Body)
	// Output:
	// "red" <nil>
	// "" ginsession: the session was revoked
}

// The app kept sessions in the encrypted cookie, and moves them to a store.
func ExampleWithCookieMigration() {
	const secret = "read it from the environment, 32 bytes or more"
	app := func(opts ...ginsession.Option) http.Handler {
		r := gin.New()
		r.Use(ginsession.Must(ginsession.New(secret, opts...)))
		r.POST("/login", func(c *gin.Context) { ginsession.From(c).Set("user", "Ada") })
		r.GET("/", func(c *gin.Context) { c.String(http.StatusOK, "user %q", ginsession.From(c).GetString("user")) })
		return r
	}

	b := apptest.NewBrowser(app())
	b.Post("/login")
	store := memstore.New() // or Memcached, Redis, SQL
	b.Handler = app(ginsession.WithStore(store), ginsession.WithCookieMigration(secret))
	fmt.Println(b.Get("/").Body, store.Stats().Records, "record")

	b.Handler = app(ginsession.WithStore(store)) // a lifetime later
	fmt.Println(b.Get("/").Body)
	// Output:
	// user "Ada" 1 record
	// user "Ada"
}

// slowStore is a store that honours its context, over a server that does not
// answer.
type slowStore struct{ ginsession.Store }

func (slowStore) Load(ctx context.Context, _ string) (ginsession.Record, error) {
	<-ctx.Done()
	return ginsession.Record{}, ctx.Err()
}

func ExampleWithStoreTimeout() {
	store := memstore.New()
	b := apptest.NewBrowser(nil)
	visit := func(store ginsession.Store) *apptest.Response {
		r := exampleEngine(ginsession.WithStore(store), ginsession.WithStoreTimeout(20*time.Millisecond))
		r.GET("/", func(c *gin.Context) {
			s := ginsession.From(c)
			s.Set("visits", s.GetInt("visits")+1)
			c.String(http.StatusOK, "visit %d\n", s.GetInt("visits"))
		})
		b.Handler = r
		return b.Get("/")
	}

	fmt.Print(visit(store).Body)
	w := visit(slowStore{store})
	fmt.Print(w.Code, " ", w.Body)
	fmt.Print(visit(store).Body) // nothing was lost
	// Output:
	// visit 1
	// 503 Service Unavailable
	// visit 2
}

func exampleEngine(opts ...ginsession.Option) *gin.Engine {
	r := gin.New()
	r.Use(ginsession.Must(ginsession.New(apptest.Secret, opts...)))
	return r
}
