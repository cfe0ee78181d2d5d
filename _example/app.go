package main

import (
	"embed"
	"errors"
	"html/template"
	"net/http"
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/ginsession/ginsession"
	"github.com/ginsession/ginsession/redisstore"
)

//go:embed templates static
var files embed.FS

// config is what the environment says.
type config struct {
	secret    string
	memcached string // a server; without one of these, sessions are kept in the cookie
	redis     string // a URL
	sql       string // a URL, or a file
}

// sessions makes the session middleware. It is the one place that knows where
// sessions are kept; no handler does.
func sessions(cfg config, l *logouts) (gin.HandlerFunc, error) {
	opts := []ginsession.Option{ginsession.WithErrorHandler(sessionFailed), ginsession.WithValidator(l.valid), ginsession.WithLifetime(halfDay)}
	if cfg.memcached != "" {
		opts = append(opts, ginsession.WithMemcached(cfg.memcached))
	}
	if cfg.redis != "" {
		store, err := redisstore.Open(cfg.redis)
		if err != nil {
			return nil, err
		}
		opts = append(opts, ginsession.WithStore(store))
	}
	if cfg.sql != "" {
		store, err := openSQL(cfg.sql)
		if err != nil {
			return nil, err
		}
		opts = append(opts, ginsession.WithStore(store))
	}
	return ginsession.New(cfg.secret, opts...)
}

// server names where sessions are kept, for the texts; "" is the cookie.
func (cfg config) server() string {
	switch {
	case cfg.memcached != "":
		return "Memcached"
	case cfg.redis != "":
		return "Redis"
	case strings.HasPrefix(cfg.sql, "postgres"):
		return "PostgreSQL"
	case strings.HasPrefix(cfg.sql, "mysql://"):
		return "MySQL"
	case cfg.sql != "":
		return "SQLite"
	}
	return ""
}

// newApp puts the app together.
func newApp(cfg config) (http.Handler, error) {
	l := newLogouts()
	session, err := sessions(cfg, l)
	if err != nil {
		return nil, err
	}
	pages, err := template.New("").Funcs(functions).Funcs(template.FuncMap{"server": cfg.server}).
		ParseFS(files, "templates/*.html")
	if err != nil {
		return nil, err
	}

	r := gin.New()
	r.SetHTMLTemplate(pages)
	if err := r.SetTrustedProxies(nil); err != nil {
		return nil, err
	}
	r.Use(gin.Logger(), gin.Recovery(), secure, session)
	r.NoRoute(notFound)
	for _, name := range []string{"style.css", "parallel.js", "icon.svg"} {
		r.StaticFileFS("/static/"+name, "static/"+name, http.FS(files))
	}
	addLogin(r)
	addAccount(r, l)
	addBasics(r)
	addPay(r)
	addTodo(r)
	addCart(r)
	addCheckout(r)
	addInspect(r)
	addParallel(r)

	// Forms of other sites are refused here, before any handler runs.
	return http.NewCrossOriginProtection().Handler(r), nil
}

// secure tells the browser to load nothing from elsewhere, and to run no
// script that slipped into a page.
func secure(c *gin.Context) {
	c.Header("Content-Security-Policy",
		"default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'")
	c.Header("X-Content-Type-Options", "nosniff")
	c.Header("Referrer-Policy", "same-origin")
}

// show renders a page. The layout shows the flash messages: reading them
// changes the session, which is fine, since the response is held back until
// the session is saved.
func show(c *gin.Context, page string, data gin.H) {
	if data == nil {
		data = gin.H{}
	}
	data["session"] = ginsession.From(c)
	data["path"] = c.Request.URL.Path
	c.Header("Cache-Control", "no-store") // or the back button shows it after the log-out
	c.HTML(http.StatusOK, page, data)
}

// redirect ends a POST, so that a reload does not send the form again.
func redirect(c *gin.Context, to string) { c.Redirect(http.StatusSeeOther, to) }

// reject sends the user back to a form, with a reason.
func reject(c *gin.Context, to, reason string) {
	ginsession.From(c).AddFlash(reason, "error")
	redirect(c, to)
}

func notFound(c *gin.Context) {
	showError(c, http.StatusNotFound, "No such page", "There is nothing at this address.")
}

// sessionFailed answers if a session could not be read or saved. What the
// handler wrote is gone by now; what the session held before is not.
func sessionFailed(c *gin.Context, err error) {
	status, text := http.StatusInternalServerError, "Your session could not be saved. Nothing in it has changed."
	switch {
	case errors.Is(err, ginsession.ErrTooLarge):
		text = "That does not fit into your session any more. Nothing in it has changed; remove something and try again."
	case errors.Is(err, ginsession.ErrUnavailable):
		status, text = http.StatusServiceUnavailable, "Sessions are out of reach for the moment. Try again in a minute."
	}
	showError(c, status, "That did not work", text)
}

// showError renders a page that has nothing to do with a session, which may be
// what went wrong.
func showError(c *gin.Context, status int, title, text string) {
	c.HTML(status, "error.html", gin.H{"title": title, "text": text, "path": ""})
}
