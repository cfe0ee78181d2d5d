package main

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// These tests let months pass, on the clock of a bubble. No network belongs in
// there, so they call the app directly.

func TestLogin_startsNewLifetime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &direct{app: testApp(t)}
		d.get("/")
		time.Sleep(time.Hour)
		d.get("/session").shows(t, "<dd>1h0m0s ago")
		d.post("/login", url.Values{"name": {"Ada"}, "password": {"abc"}})
		d.get("/session").shows(t, "<dd>0s ago")
	})
}

func TestInspect_expired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &direct{app: testApp(t)}
		d.post("/login", url.Values{"name": {"Ada"}, "password": {"abc"}})
		time.Sleep(halfDay - time.Minute)
		d.get("/session").shows(t, "<span>Ada</span>")
		time.Sleep(time.Minute)
		a := d.get("/session")
		a.shows(t, "Your session has expired.", "It is empty")
		a.hides(t, "Ada")
	})
}

// TestLogin_lifetime wants those remembered for a month who ask for it, until
// they log in again and do not.
func TestLogin_lifetime(t *testing.T) {
	logIn := func(d *direct, remember string) {
		d.post("/login", url.Values{"name": {"Ada"}, "password": {"abc"}, "remember": {remember}})
	}
	synctest.Test(t, func(t *testing.T) {
		d := &direct{app: testApp(t)}
		logIn(d, "yes")
		time.Sleep(month - time.Minute)
		d.get("/").shows(t, "Hello, Ada", "remembers you")
		logIn(d, "")
		d.get("/").shows(t, "Hello, Ada", "forgets you")
		time.Sleep(halfDay)
		d.get("/").shows(t, "Hello, stranger")
	})
}

// direct calls the app without a network. It keeps the latest cookie, also
// where a browser would have dropped it.
type direct struct {
	app    http.Handler
	cookie string
}

// comesWith begins with a session that a test has made.
func (d *direct) comesWith(k *http.Cookie) { d.cookie = k.Name + "=" + k.Value }

// jar is what the next request will bring.
func (d *direct) jar() []*http.Cookie {
	name, value, _ := strings.Cut(d.cookie, "=")
	return []*http.Cookie{{Name: name, Value: value}}
}

func (d *direct) get(path string) answer {
	return d.do(httptest.NewRequest(http.MethodGet, path, nil))
}

func (d *direct) post(path string, form url.Values) answer {
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return d.do(r)
}

func (d *direct) do(r *http.Request) answer {
	if d.cookie != "" {
		r.Header.Set("Cookie", d.cookie)
	}
	w := httptest.NewRecorder()
	d.app.ServeHTTP(w, r)
	if line := w.Header().Get("Set-Cookie"); line != "" {
		d.cookie, _, _ = strings.Cut(line, ";")
	}
	return answer{w.Code, r.URL.Path, w.Header(), w.Body.String()}
}
