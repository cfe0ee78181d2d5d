package main

import (
	"context"
	"sync"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/ginsession/ginsession"
)

func addAccount(r gin.IRouter, l *logouts) {
	account := r.Group("/account", loggedIn)
	account.GET("", func(c *gin.Context) { show(c, "account.html", gin.H{"name": ginsession.From(c).GetString("name")}) })
	account.POST("/logout-elsewhere", l.logoutElsewhere)
}

// loggedIn lets only users pass who are logged in. It sends the others to the
// log-in, and says why.
func loggedIn(c *gin.Context) {
	s := ginsession.From(c)
	if s.Has("name") {
		return
	}
	if why := rejection(s.Rejected()); why != "" {
		s.AddFlash(why+" Please log in again.", "error") // begins a new session, so this is said once
	} else {
		s.AddFlash("Please log in first.", "error")
	}
	redirect(c, "/login")
	c.Abort()
}

// logouts knows when each user has logged out everywhere. A real app keeps that
// moment with the user in its database.
type logouts struct {
	mu     sync.Mutex
	moment map[string]time.Time
}

func newLogouts() *logouts { return &logouts{moment: map[string]time.Time{}} }

// valid is what the session middleware asks whenever somebody comes with a
// session: it ends those that began before the moment.
func (l *logouts) valid(_ context.Context, s *ginsession.Session) (bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !s.CreatedAt().Before(l.moment[s.GetString("name")]), nil
}

func (l *logouts) logoutElsewhere(c *gin.Context) {
	s := ginsession.From(c)
	s.Renew() // this session begins now, and stays
	l.mu.Lock()
	l.moment[s.GetString("name")] = s.CreatedAt()
	l.mu.Unlock()
	s.AddFlash("All other browsers are logged out", "success")
	redirect(c, "/account")
}
