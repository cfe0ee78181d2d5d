package ginsession_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/ginsession/ginsession"
	"github.com/ginsession/ginsession/internal/memcachedtest"
	"github.com/ginsession/ginsession/internal/memstore"
)

// since accepts sessions that did not begin before a moment, and counts how
// often it is asked.
type since struct {
	moment time.Time
	asked  int
}

func (v *since) valid(_ context.Context, s *ginsession.Session) (bool, error) {
	v.asked++
	return !s.CreatedAt().Before(v.moment), nil
}

var revoked = seen{"", true, ginsession.ErrRevoked}

// TestValidator logs a user out everywhere but in one browser.
func TestValidator(t *testing.T) {
	memcached := ginsession.WithMemcached(memcachedtest.Start(t).Addr)
	for name, where := range map[string]ginsession.Option{"cookie": ginsession.WithPath("/"), "Memcached": memcached} {
		v := new(since)
		h := mustNew(t, secret, where, ginsession.WithValidator(v.valid))
		here, elsewhere := cookieOf(t, h, "ann"), cookieOf(t, h, "ann")

		w := with(t, h, []*http.Cookie{here}, func(s *ginsession.Session) {
			s.Renew()
			v.moment = s.CreatedAt()
		})
		if got := look(t, h, w.Result().Cookies()...); got != (seen{who: "ann"}) {
			t.Errorf("%s: renewed after the moment: got %+v, want ann", name, got)
		}
		if got := look(t, h, elsewhere); got != revoked {
			t.Errorf("%s: begun before the moment: got %+v, want %+v", name, got, revoked)
		}
		if got := look(t, h, here); got.who != "" {
			t.Errorf("%s: a copy of the renewed cookie is still %q", name, got.who)
		}
	}
}

// A table of an app's sessions, from which a user can strike one out, and a
// lifetime of its own in each session (OWASP ASVS 5, 7.5.2 and 7.6.1).
func TestValidator_readsValues(t *testing.T) {
	table := map[string]bool{"phone": true, "laptop": true}
	h := mustNew(t, secret, ginsession.WithValidator(func(_ context.Context, s *ginsession.Session) (bool, error) {
		if s.IsNew() || s.ExpiresAt().IsZero() || s.Len() == 0 {
			t.Error("the validator does not see the session that came")
		}
		return table[s.GetString("who")] && !s.GetTime("until").After(time.Now().Add(time.Hour)), nil
	}))
	phone, laptop := cookieOf(t, h, "phone"), cookieOf(t, h, "laptop")
	delete(table, "phone")
	if got := look(t, h, phone); got != revoked {
		t.Errorf("struck out: got %+v, want %+v", got, revoked)
	}
	if got := look(t, h, laptop); got.who != "laptop" {
		t.Errorf("still in the table: got %+v", got)
	}
}

func TestValidator_isAskedOnceWhereASessionIsRead(t *testing.T) {
	v := new(since)
	h := mustNew(t, secret, ginsession.WithValidator(v.valid))
	k := cookieOf(t, h, "ann")
	look(t, h)
	server := mustNew(t, secret, ginsession.WithStore(memstore.New()), ginsession.WithValidator(v.valid))
	emptied := cookieOf(t, server, "ann")
	with(t, server, []*http.Cookie{emptied}, func(s *ginsession.Session) { s.Delete("who") })
	v.asked = 0
	look(t, server, emptied) // its record is still there, for a moment
	with(t, h, []*http.Cookie{k}, func(*ginsession.Session) {})
	if v.asked != 0 {
		t.Errorf("without a session that came and was read: asked %d times", v.asked)
	}
	with(t, h, []*http.Cookie{k}, func(s *ginsession.Session) {
		s.GetString("who")
		s.Set("who", "bob")
		_ = s.Save()
		s.Flashes()
	})
	if v.asked != 1 {
		t.Errorf("in one request: asked %d times, want 1", v.asked)
	}
}

// Of two cookies of one name, the revoked one does not hide the good one.
func TestValidator_nextCookie(t *testing.T) {
	h := mustNew(t, secret, ginsession.WithValidator(func(_ context.Context, s *ginsession.Session) (bool, error) {
		return s.GetString("who") != "mallory", nil
	}))
	bad, good := cookieOf(t, h, "mallory"), cookieOf(t, h, "ann")
	if got := look(t, h, bad, good); got != (seen{who: "ann"}) {
		t.Errorf("got %+v, want ann", got)
	}
	good.Value = good.Value[1:] // forged: to have been revoked says more
	if got := look(t, h, good, bad, good); got != revoked {
		t.Errorf("got %+v, want %+v", got, revoked)
	}
}

// Nothing of a revoked session is left in the one that begins, nor is its
// record touched.
func TestValidator_freshSession(t *testing.T) {
	store := memstore.New()
	v := new(since)
	h := mustNew(t, secret, ginsession.WithStore(store), ginsession.WithValidator(v.valid))
	old := cookieOf(t, h, "ann")
	v.moment = time.Now()
	w := with(t, h, []*http.Cookie{old}, func(s *ginsession.Session) {
		if s.ID() != "" || s.Permanent() || len(s.Flashes()) > 0 {
			t.Error("something of the revoked session is left")
		}
		s.Set("next", "/")
	})
	k := w.Result().Cookies()
	if len(k) != 1 || k[0].Value == old.Value || len(store.Sizes()) != 2 {
		t.Fatalf("got %d cookies and %d records, want a new one and 2", len(k), len(store.Sizes()))
	}
	v.moment = time.Time{}
	if got := look(t, h, old); got != (seen{who: "ann"}) {
		t.Errorf("the record of the revoked session: got %+v, want it as it was", got)
	}
}

// Where the app cannot tell, nobody is let in, and nobody becomes anonymous.
func TestValidator_cannotTell(t *testing.T) {
	cause := errors.New("no database")
	var fail error
	h := mustNew(t, secret, ginsession.WithValidator(func(context.Context, *ginsession.Session) (bool, error) { return true, fail }))
	k := cookieOf(t, h, "ann")
	fail = cause
	w := with(t, h, []*http.Cookie{k}, func(s *ginsession.Session) {
		if s.GetString("who") != "" || !errors.Is(s.Err(), ginsession.ErrUnavailable) || !errors.Is(s.Err(), cause) {
			t.Errorf("got %q, %v, want nobody and the cause", s.GetString("who"), s.Err())
		}
		s.Set("who", "anonymous")
	})
	if w.Code != http.StatusServiceUnavailable || len(setCookies(w)) > 0 {
		t.Errorf("got status %d, cookies %v, want 503 and none", w.Code, setCookies(w))
	}
}

func TestValidator_panics(t *testing.T) {
	down := false
	h := mustNew(t, secret, ginsession.WithValidator(func(context.Context, *ginsession.Session) (bool, error) {
		if down {
			panic("a bug in the app")
		}
		return true, nil
	}))
	k := cookieOf(t, h, "ann")
	down = true
	w := with(t, h, []*http.Cookie{k}, func(s *ginsession.Session) {
		func() {
			defer func() { _ = recover() }()
			s.Keys()
		}()
		if s.GetString("who") != "" {
			t.Error("a session that was not validated shows")
		}
		if !errors.Is(s.Err(), ginsession.ErrUnavailable) || s.CreatedAt().IsZero() {
			t.Errorf("got %v, created %v, want ErrUnavailable", s.Err(), s.CreatedAt())
		}
		s.Set("who", "anonymous")
	})
	if w.Code != http.StatusServiceUnavailable || len(setCookies(w)) > 0 {
		t.Errorf("got status %d, cookies %v, want 503 and none", w.Code, setCookies(w))
	}
}

// However many cookies come, no more are opened than the validator is asked
// about: one of Flask's form can hold a mebibyte.
func TestValidator_manyRefusedCookies(t *testing.T) {
	asked, refuse := 0, false
	h := mustNew(t, secret, ginsession.WithFlaskCookie(), ginsession.WithValidator(func(context.Context, *ginsession.Session) (bool, error) {
		asked++
		return !refuse, nil
	}))
	k := cookieOf(t, h, strings.Repeat("a", 60_000))
	refuse, asked = true, 0
	cookies := make([]*http.Cookie, 600)
	for i := range cookies {
		cookies[i] = k
	}
	begin := time.Now()
	with(t, h, cookies[:4], func(s *ginsession.Session) { s.Keys() })
	few := time.Since(begin)
	begin = time.Now()
	with(t, h, cookies, func(s *ginsession.Session) {
		if !errors.Is(s.Rejected(), ginsession.ErrRevoked) {
			t.Errorf("got %v, want ErrRevoked", s.Rejected())
		}
	})
	if many := time.Since(begin); many > 100*few || asked != 2 {
		t.Errorf("600 cookies took %v, and 4 of them %v; asked %d times, want 2", many, few, asked)
	}
}

// A validator that changes the session is a mistake, and finds out at once.
func TestValidator_onlyReads(t *testing.T) {
	changes := map[string]func(*ginsession.Session){
		"Set":      func(s *ginsession.Session) { s.Set("who", "bob") },
		"Delete":   func(s *ginsession.Session) { s.Delete("who") },
		"Update":   func(s *ginsession.Session) { ginsession.Update(s, "n", func(n int) int { return n + 1 }) },
		"Clear":    (*ginsession.Session).Clear,
		"Renew":    (*ginsession.Session).Renew,
		"Destroy":  (*ginsession.Session).Destroy,
		"AddFlash": func(s *ginsession.Session) { s.AddFlash("hello", "") },
		"a value":  func(s *ginsession.Session) { s.Set("f", func() {}) },
	}
	for name, change := range changes {
		var panicked any
		h := mustNew(t, secret, ginsession.WithValidator(func(_ context.Context, s *ginsession.Session) (bool, error) {
			defer func() { panicked = recover() }()
			_ = s.Save() // does nothing
			change(s)
			return true, nil
		}))
		with(t, h, []*http.Cookie{cookieOf(t, h, "ann")}, func(s *ginsession.Session) { s.Keys() })
		if text, _ := panicked.(string); !strings.Contains(text, "WithValidator") {
			t.Errorf("%s: got panic %v, want one that names WithValidator", name, panicked)
		}
	}
}

// Many keys, and Flask's, are not packed: what is shown must be a copy.
func TestValidator_isShownACopy(t *testing.T) {
	h := mustNew(t, secret, ginsession.WithStore(memstore.New()), ginsession.WithValidator(func(_ context.Context, s *ginsession.Session) (valid bool, _ error) {
		defer func() { valid = recover() != nil }()
		s.Set("who", "mallory")
		return false, nil
	}))
	k := with(t, h, nil, func(s *ginsession.Session) {
		for i := range 50 {
			s.Set(fmt.Sprint(i), 1)
		}
		s.Set("who", "ann")
	}).Result().Cookies()
	if got := look(t, h, k...); got.who != "ann" {
		t.Errorf("got %+v, want ann", got)
	}
}

// A session that is taken over from Flask is validated like all others.
func TestValidator_flask(t *testing.T) {
	const flaskSecret = "the SECRET_KEY of the Flask app"
	for name, opt := range map[string]ginsession.Option{
		"migration": ginsession.WithFlaskMigration(flaskSecret), "cookie": ginsession.WithFlaskCookie(),
	} {
		v := new(since)
		h := mustNew(t, flaskSecret+" ", opt, ginsession.WithValidator(v.valid))
		signer := flaskSecret
		if name == "cookie" {
			signer += " "
		}
		k := &http.Cookie{Name: "session", Value: ginsession.SignFlask(signer, `{"_permanent":true,"who":"ann"}`, time.Now())}
		if got := look(t, h, k); got.who != "ann" {
			t.Errorf("%s: got %+v, want ann", name, got)
		}
		v.moment = time.Now()
		if got := look(t, h, k); got != revoked {
			t.Errorf("%s: got %+v, want %+v", name, got, revoked)
		}
		// Flask's cookie is signed again in a response that did not use it,
		// which must not make a revoked session young.
		if w := with(t, h, []*http.Cookie{k}, func(*ginsession.Session) {}); len(setCookies(w)) > 0 {
			t.Errorf("%s: a revoked session is sent again: %v", name, setCookies(w))
		}
	}
}

// The client may hang up while the app asks its database.
func TestValidator_context(t *testing.T) {
	type key struct{}
	h := mustNew(t, secret, ginsession.WithValidator(func(ctx context.Context, _ *ginsession.Session) (bool, error) {
		if ctx.Value(key{}) != "request" {
			t.Error("the request's values are missing")
		}
		return true, ctx.Err()
	}))
	k := cookieOf(t, h, "ann")
	r := gin.New()
	r.Use(func(c *gin.Context) {
		ctx, cancel := context.WithCancel(context.WithValue(c.Request.Context(), key{}, "request"))
		cancel()
		c.Request = c.Request.WithContext(ctx)
	}, h)
	r.GET("/", func(c *gin.Context) { c.String(http.StatusOK, ginsession.From(c).GetString("who")) })
	if w := do(t, r, http.MethodGet, "/", k); w.Body.String() != "ann" {
		t.Errorf("got %d, %q, want ann", w.Code, w.Body)
	}
}

// Neither a planted second cookie nor a database that says ErrRevoked makes "I
// cannot tell" a "no", or a "yes".
func TestValidator_cannotTellOfOne(t *testing.T) {
	const flaskSecret = "the SECRET_KEY of the Flask app"
	flask := func(who string) *http.Cookie {
		return &http.Cookie{Name: "session", Value: ginsession.SignFlask(flaskSecret, `{"who":"`+who+`"}`, time.Now())}
	}
	for _, cause := range []error{errors.New("no database"), ginsession.ErrRevoked, fmt.Errorf("users: %w", ginsession.ErrUnknown)} {
		asked := func(_ context.Context, s *ginsession.Session) (bool, error) {
			switch s.GetString("who") {
			case "ann":
				return false, cause
			case "revoked":
				return false, nil
			}
			return true, nil
		}
		ours := mustNew(t, secret, ginsession.WithValidator(asked))
		migrating := mustNew(t, secret, ginsession.WithFlaskMigration(flaskSecret), ginsession.WithValidator(asked))
		for _, row := range []struct {
			h       gin.HandlerFunc
			cookies []*http.Cookie
		}{
			{ours, []*http.Cookie{cookieOf(t, ours, "ann")}},
			{ours, []*http.Cookie{cookieOf(t, ours, "mallory"), cookieOf(t, ours, "ann")}},
			{ours, []*http.Cookie{cookieOf(t, ours, "revoked"), cookieOf(t, ours, "ann")}},
			{migrating, []*http.Cookie{flask("ann"), flask("mallory")}},
			{migrating, []*http.Cookie{flask("ann"), flask("revoked")}},
		} {
			w := with(t, row.h, row.cookies, func(s *ginsession.Session) { s.Set("seen", s.GetString("who")) })
			if w.Code != http.StatusServiceUnavailable || len(setCookies(w)) > 0 {
				t.Errorf("%v: got status %d and cookies %v, want 503 and none", cause, w.Code, setCookies(w))
			}
		}
	}
}

// A header full of one revoked cookie does not become a thousand questions.
func TestValidator_isAskedEightTimesAtMost(t *testing.T) {
	for name, opt := range map[string]ginsession.Option{"cookie": ginsession.WithPath("/"), "Flask": ginsession.WithFlaskCookie()} {
		v := new(since)
		h := mustNew(t, secret, opt, ginsession.WithValidator(v.valid))
		var cookies []*http.Cookie
		for i := range 20 {
			cookies = append(cookies, cookieOf(t, h, strings.Repeat("ann", i+1)))
		}
		v.moment, v.asked = time.Now().Add(time.Hour), 0
		if got := look(t, h, cookies...); got != revoked || v.asked != 8 {
			t.Errorf("%s: got %+v and %d questions, want %+v and 8", name, got, v.asked, revoked)
		}
	}
}

// Where the clock does not tick in between, the renewed session stays too.
func TestValidator_sameTick(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := new(since)
		h := mustNew(t, secret, ginsession.WithValidator(v.valid))
		w := with(t, h, []*http.Cookie{cookieOf(t, h, "ann")}, func(s *ginsession.Session) {
			s.Renew()
			v.moment = s.CreatedAt()
		})
		if got := look(t, h, w.Result().Cookies()...); got.who != "ann" {
			t.Errorf("got %+v, want ann", got)
		}
	})
}
