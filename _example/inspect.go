package main

import (
	"encoding/json"
	"errors"
	"html/template"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/ginsession/ginsession"
)

// The session's cookie, under the name that ginsession gives it by default,
// and the size that browsers are bound to take, attributes included.
const (
	cookieName = "__Host-session"
	maxCookie  = 4096 // bytes
)

func addInspect(r gin.IRouter) { r.GET("/session", inspect) }

// functions are those of the templates.
var functions = template.FuncMap{"amount": amount, "price": price}

// entry is a key of the session with its value as JSON.
type entry struct{ Key, Value string }

func inspect(c *gin.Context) {
	s := ginsession.From(c)
	var entries []entry
	for _, key := range s.Keys() {
		value, err := json.Marshal(s.Get(key))
		if err != nil {
			value = []byte("not to be shown")
		}
		entries = append(entries, entry{key, string(value)})
	}
	show(c, "session.html", gin.H{
		"entries":  entries,
		"rejected": rejection(s.Rejected()),
		"age":      time.Since(s.CreatedAt()).Round(time.Second),
		"bytes":    cookieSize(c.Request),
		"most":     maxCookie,
	})
}

// rejection says in plain words why the cookie that came was not accepted.
func rejection(err error) string {
	switch {
	case err == nil:
		return ""
	case errors.Is(err, ginsession.ErrExpired):
		return "Your session has expired."
	case errors.Is(err, ginsession.ErrUnknown):
		return "Your session is over: logged out, expired, or lost on the server."
	case errors.Is(err, ginsession.ErrRevoked):
		return "You were logged out from another browser."
	default:
		return "Your cookie is not one of ours: it was damaged or changed, or the app has a new secret."
	}
}

// cookieSize is what the session's cookie takes in a request, in bytes.
func cookieSize(r *http.Request) int {
	size := 0
	for _, cookie := range r.CookiesNamed(cookieName) {
		size += len(cookie.Name) + len("=") + len(cookie.Value)
	}
	return size
}
