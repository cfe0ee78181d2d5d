package main

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/ginsession/ginsession"
	"github.com/ginsession/ginsession/sessiontest"
)

// ada is the session of somebody who is logged in.
func ada(s *ginsession.Session) {
	s.Set("name", "Ada")
	s.Set("visits", 6)
	s.AddFlash("From the page before", "success")
}

// testSessions is the middleware of the app, for sessiontest.
func testSessions(t *testing.T) gin.HandlerFunc {
	t.Helper()
	session, err := sessions(config{secret: testSecret}, newLogouts())
	if err != nil {
		t.Fatal(err)
	}
	return session
}

func TestHome_fromASession(t *testing.T) {
	middleware := testSessions(t)
	d := &direct{app: testApp(t)}
	d.comesWith(sessiontest.New(t, middleware, ada))
	d.get("/").shows(t, "Hello, Ada", "7 times", "From the page before")
	s := sessiontest.Read(t, middleware, d.jar()...)
	if s.GetInt("visits") != 7 || len(s.Flashes()) > 0 {
		t.Errorf("got %d visits and %d messages, want 7 and none", s.GetInt("visits"), len(s.Flashes()))
	}
}

func TestAccount_needsALogin(t *testing.T) {
	v := newVisitor(t)
	a := v.get("/account").at(t, "/login")
	a.shows(t, "Please log in first.")
	v.post("/account/logout-elsewhere").at(t, "/login")
}

func TestAccount_expired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &direct{app: testApp(t)}
		d.comesWith(sessiontest.New(t, testSessions(t), ada))
		d.get("/account").shows(t, "logged in as <strong>Ada</strong>")
		time.Sleep(halfDay)
		if a := d.get("/account"); a.status != http.StatusSeeOther || a.header.Get("Location") != "/login" {
			t.Errorf("got status %d to %q, want 303 to /login", a.status, a.header.Get("Location"))
		}
		const why = "Your session has expired. Please log in again."
		d.get("/login").shows(t, why)
		d.get("/login").hides(t, why)
	})
}

func TestAccount_logoutElsewhere(t *testing.T) {
	app := testApp(t)
	phone, laptop, bob := newVisitorOf(t, app), newVisitorOf(t, app), newVisitorOf(t, app)
	for v, name := range map[*visitor]string{phone: "Ada", laptop: "Ada", bob: "Bob"} {
		v.post("/login", "name", name, "password", "abc").at(t, "/")
	}
	laptop.get("/account").at(t, "/account").shows(t, "Log out everywhere else")
	laptop.post("/account/logout-elsewhere").at(t, "/account").shows(t, "All other browsers are logged out")
	laptop.get("/").shows(t, "Hello, Ada")
	bob.get("/").shows(t, "Hello, Bob")
	phone.get("/account").at(t, "/login").shows(t, "You were logged out from another browser. Please log in again.")
	phone.get("/").shows(t, "Hello, stranger")
	phone.post("/login", "name", "Ada", "password", "abc").at(t, "/").shows(t, "Hello, Ada")
}

func TestAccount_browser(t *testing.T) {
	app := testApp(t)
	here, there := startBrowser(t, app).newTab(t), startBrowser(t, app).newTab(t)
	for _, u := range []*tab{here, there} {
		u.open("/login")
		u.login("Ada")
	}
	here.follow(".who a")
	here.follow("main form button")
	here.shows(".flash.success", "All other browsers are logged out")
	here.shows(".who", "Ada")
	there.follow(".who a")
	there.shows(".flash.error", "You were logged out from another browser. Please log in again.")
	there.login("Ada")
	there.shows("h1", "Hello, Ada")
}
