// Package before is a small shop on gin-contrib/sessions.
package before

import (
	"encoding/gob"
	"html/template"
	"net/http"

	"github.com/bradfitz/gomemcache/memcache"
	"github.com/gin-contrib/sessions"
	"github.com/gin-contrib/sessions/cookie"
	"github.com/gin-contrib/sessions/memcached"
	"github.com/gin-gonic/gin"
)

// Line is one of the cart.
type Line struct {
	Article string
	Count   int
}

func init() {
	gob.Register([]Line{})
}

const month = 30 * 24 * 60 * 60

var options = sessions.Options{Path: "/", HttpOnly: true, Secure: true, SameSite: http.SameSiteLaxMode}

var page = template.Must(template.New("page").Parse(`
{{- range .errors}}error: {{.}}
{{end}}{{range .flashes}}flash: {{.}}
{{end}}name: {{.name}}
visits: {{.visits}}
theme: {{.theme}}
{{range .cart}}{{.Count}} {{.Article}}
{{end}}`))

// New makes the shop. Its sessions are kept in Memcached, if there is a
// server, or in cookies.
func New(secret string, servers ...string) http.Handler {
	var store sessions.Store = cookie.NewStore([]byte(secret))
	if len(servers) > 0 {
		store = memcached.NewStore(memcache.New(servers...), "shop:", []byte(secret))
	}
	store.Options(options)

	r := gin.New()
	r.SetHTMLTemplate(page)
	r.Use(sessions.SessionsMany([]string{"shop", "prefs"}, store))
	r.GET("/", home)
	r.POST("/login", login)
	r.POST("/logout", logout)
	r.POST("/cart", addToCart)
	r.POST("/cart/clear", clearCart)
	r.POST("/theme", setTheme)
	r.GET("/account", needLogin, account)
	return r
}

func home(c *gin.Context) {
	session := sessions.DefaultMany(c, "shop")

	visits := 0
	if v := session.Get("visits"); v != nil {
		visits = v.(int)
	}
	visits++
	session.Set("visits", visits)

	name, _ := session.Get("name").(string)
	theme, ok := sessions.DefaultMany(c, "prefs").Get("theme").(string)
	if !ok {
		theme = "light"
	}
	cart, _ := session.Get("cart").([]Line)
	errs := session.Flashes("error")
	flashes := session.Flashes()
	if err := session.Save(); err != nil {
		_ = c.AbortWithError(http.StatusInternalServerError, err)
		return
	}
	c.HTML(http.StatusOK, "page", gin.H{
		"name": name, "visits": visits, "theme": theme, "cart": cart, "errors": errs, "flashes": flashes,
	})
}

func login(c *gin.Context) {
	session := sessions.DefaultMany(c, "shop")
	if c.PostForm("password") != "open sesame" {
		session.AddFlash("Wrong password", "error")
		session.Save()
		c.Redirect(http.StatusSeeOther, "/")
		return
	}
	if c.PostForm("remember") != "" {
		remember := options
		remember.MaxAge = month
		session.Options(remember)
	}
	session.Set("name", c.PostForm("name"))
	session.AddFlash("Welcome")
	session.Save()
	c.Redirect(http.StatusSeeOther, "/")
}

func logout(c *gin.Context) {
	session := sessions.DefaultMany(c, "shop")
	session.Clear()
	expired := options
	expired.MaxAge = -1
	session.Options(expired)
	session.Save()
	c.Redirect(http.StatusSeeOther, "/")
}

func addToCart(c *gin.Context) {
	session := sessions.DefaultMany(c, "shop")
	cart, _ := session.Get("cart").([]Line)
	cart = append(cart, Line{Article: c.PostForm("article"), Count: 1})
	session.Set("cart", cart)
	session.AddFlash("It is in your cart")
	session.Save()
	c.Redirect(http.StatusSeeOther, "/")
}

func clearCart(c *gin.Context) {
	session := sessions.DefaultMany(c, "shop")
	session.Delete("cart")
	session.Save()
	c.Redirect(http.StatusSeeOther, "/")
}

func setTheme(c *gin.Context) {
	prefs := sessions.DefaultMany(c, "prefs")
	prefs.Set("theme", c.PostForm("theme"))
	prefs.Save()
	c.Redirect(http.StatusSeeOther, "/")
}

func needLogin(c *gin.Context) {
	session := sessions.DefaultMany(c, "shop")
	if session.Get("name") == nil {
		c.AbortWithStatus(http.StatusForbidden)
	}
}

func account(c *gin.Context) {
	session := sessions.DefaultMany(c, "shop")
	c.JSON(http.StatusOK, gin.H{"name": session.Get("name").(string)})
}
