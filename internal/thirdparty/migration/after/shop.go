// Package after is the shop of package before, moved to ginsession by
// docs/MIGRATION.md.
package after

import (
	"html/template"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/ginsession/ginsession"
)

// Line is one of the cart.
type Line struct {
	Article string
	Count   int
}

const month = 30 * 24 * 60 * 60

var page = template.Must(template.New("page").Parse(`
{{- range .errors}}error: {{.Message}}
{{end}}{{range .flashes}}flash: {{.Message}}
{{end}}name: {{.name}}
visits: {{.visits}}
theme: {{.theme}}
{{range .cart}}{{.Count}} {{.Article}}
{{end}}`))

// New makes the shop. Its sessions are kept in Memcached, if there is a
// server, or in cookies.
func New(secret string, servers ...string) http.Handler {
	options := []ginsession.Option{ginsession.WithLifetime(month * time.Second)}
	if len(servers) > 0 {
		options = append(options, ginsession.WithMemcached(servers...), ginsession.WithKeyPrefix("shop:"))
	}

	r := gin.New()
	r.SetHTMLTemplate(page)
	r.Use(ginsession.Must(ginsession.New(secret, options...)))
	r.Use(ginsession.Must(ginsession.New(secret, append(options,
		ginsession.WithName("__Host-prefs"),
		ginsession.WithContextKey("prefs"))...)))
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
	session := ginsession.From(c)

	ginsession.Update(session, "visits", func(visits int) int { return visits + 1 })
	visits := session.GetInt("visits")

	name := session.GetString("name")
	theme, ok := ginsession.Get[string](c.MustGet("prefs").(*ginsession.Session), "theme")
	if !ok {
		theme = "light"
	}
	cart, _ := ginsession.Get[[]Line](session, "cart")
	errs := session.Flashes("error")
	flashes := session.Flashes("")
	c.HTML(http.StatusOK, "page", gin.H{
		"name": name, "visits": visits, "theme": theme, "cart": cart, "errors": errs, "flashes": flashes,
	})
}

func login(c *gin.Context) {
	session := ginsession.From(c)
	if c.PostForm("password") != "open sesame" {
		session.AddFlash("Wrong password", "error")
		c.Redirect(http.StatusSeeOther, "/")
		return
	}
	if c.PostForm("remember") != "" {
		session.SetPermanent(true)
	}
	session.Renew()
	session.Set("name", c.PostForm("name"))
	session.AddFlash("Welcome", "")
	c.Redirect(http.StatusSeeOther, "/")
}

func logout(c *gin.Context) {
	session := ginsession.From(c)
	session.Destroy()
	c.Redirect(http.StatusSeeOther, "/")
}

func addToCart(c *gin.Context) {
	session := ginsession.From(c)
	cart, _ := ginsession.Get[[]Line](session, "cart")
	cart = append(cart, Line{Article: c.PostForm("article"), Count: 1})
	session.Set("cart", cart)
	session.AddFlash("It is in your cart", "")
	c.Redirect(http.StatusSeeOther, "/")
}

func clearCart(c *gin.Context) {
	session := ginsession.From(c)
	session.Delete("cart")
	c.Redirect(http.StatusSeeOther, "/")
}

func setTheme(c *gin.Context) {
	prefs := c.MustGet("prefs").(*ginsession.Session)
	prefs.Set("theme", c.PostForm("theme"))
	c.Redirect(http.StatusSeeOther, "/")
}

func needLogin(c *gin.Context) {
	session := ginsession.From(c)
	if !session.Has("name") {
		c.AbortWithStatus(http.StatusForbidden)
	}
}

func account(c *gin.Context) {
	session := ginsession.From(c)
	c.JSON(http.StatusOK, gin.H{"name": session.GetString("name")})
}
