package bridge_test

import (
	"encoding/gob"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/ginsession/ginsession"
)

const secret = "a secret of the tests, 32 bytes or more"

func TestMain(m *testing.M) {
	gin.SetMode(gin.TestMode)
	for _, v := range []any{[]line{}, &account{}, role(""), key(0)} {
		gob.Register(v)
	}
	os.Exit(m.Run())
}

type line struct {
	Article string
	Count   int
}

type account struct {
	ID     uint
	Secret string `json:"-"`
}

type role string

type key int

func our(t testing.TB, opts ...ginsession.Option) gin.HandlerFunc {
	t.Helper()
	m, err := ginsession.New(secret, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// user is a browser that keeps cookies by their names.
type user struct {
	t       testing.TB
	h       http.Handler
	cookies map[string]string
}

func newUser(t testing.TB, h http.Handler) *user { return &user{t, h, map[string]string{}} }

// send sends a form, if there are fields (names and values in turn), or a GET.
func (u *user) send(path string, fields ...string) *http.Response {
	method, form := http.MethodGet, url.Values{}
	for i := 0; i < len(fields); i += 2 {
		method = http.MethodPost
		form.Set(fields[i], fields[i+1])
	}
	req := httptest.NewRequestWithContext(u.t.Context(), method, path, strings.NewReader(form.Encode()))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for name, value := range u.cookies {
		req.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	w := httptest.NewRecorder()
	u.h.ServeHTTP(w, req)
	resp := w.Result()
	for _, k := range resp.Cookies() {
		if k.MaxAge < 0 {
			delete(u.cookies, k.Name)
		} else {
			u.cookies[k.Name] = k.Value
		}
	}
	return resp
}

func (u *user) body(path string, fields ...string) string {
	u.t.Helper()
	text, err := io.ReadAll(u.send(path, fields...).Body)
	if err != nil {
		u.t.Fatal(err)
	}
	return string(text)
}
