package main

import (
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gin-gonic/gin"

	"github.com/ginsession/ginsession"
)

// How long users stay logged in: those who ask to be remembered, and the others.
const (
	month   = 30 * 24 * time.Hour
	halfDay = 12 * time.Hour
)

const (
	minPassword = 3  // letters; a real app compares a hash
	maxName     = 40 // letters; the session has to fit into a cookie
)

func addLogin(r gin.IRouter) {
	r.GET("/", home)
	r.GET("/login", func(c *gin.Context) { show(c, "login.html", nil) })
	r.POST("/login", login)
	r.POST("/logout", logout)
}

func home(c *gin.Context) {
	s := ginsession.From(c)
	ginsession.Update(s, "visits", func(n int) int { return n + 1 })
	show(c, "home.html", gin.H{"name": s.GetString("name"), "visits": s.GetInt("visits")})
}

func login(c *gin.Context) {
	name := field(c, "name")
	if name == "" || letters(name) > maxName || letters(c.PostForm("password")) < minPassword {
		reject(c, "/login", "That did not work. Give a name, and a password of at least 3 letters.")
		return
	}
	s := ginsession.From(c)
	s.Renew() // at every change of privilege
	s.Set("name", name)
	s.Remember(0) // who is logged in may log in anew
	if c.PostForm("remember") != "" {
		s.Remember(month)
	} else {
		s.SetLifetime(halfDay)
	}
	s.AddFlash("Welcome back, "+name, "success")
	redirect(c, "/")
}

func logout(c *gin.Context) {
	s := ginsession.From(c)
	s.Destroy()
	s.AddFlash("You are logged out", "success") // begins a fresh session
	redirect(c, "/")
}

func letters(s string) int { return utf8.RuneCountInString(s) }

// field is what the user typed, without surrounding space. A session takes
// valid UTF-8 only, which browsers send and others may not.
func field(c *gin.Context, name string) string {
	return strings.TrimSpace(strings.ToValidUTF8(c.PostForm(name), ""))
}
