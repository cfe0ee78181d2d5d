package thirdparty_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/ginsession/ginsession"
	"github.com/ginsession/ginsession/internal/apptest"
)

const (
	secret = "a secret of the tests, 32 bytes or more"
	cookie = "__Host-session"
)

func TestMain(m *testing.M) {
	gin.SetMode(gin.TestMode)
	os.Exit(m.Run())
}

func newSessions(t testing.TB, opts ...ginsession.Option) gin.HandlerFunc {
	t.Helper()
	h, err := ginsession.New(secret, opts...)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	return h
}

// set changes the session in a way that needs a Set-Cookie.
func set(c *gin.Context) { ginsession.From(c).Set("user", "ann") }

// setBad makes the commit fail.
func setBad(c *gin.Context) { ginsession.From(c).Set("bad", make(chan int)) }

// server is one on a real connection that reports its requests' errors.
type server struct {
	*httptest.Server
	errs chan []error // one entry a request, at its end
}

func serve(t testing.TB, r *gin.Engine) *server {
	t.Helper()
	return &server{Server: apptest.Serve(t, false, r), errs: make(chan []error, 16)}
}

// watch goes outside of everything else.
func (s *server) watch(c *gin.Context) {
	defer func() {
		var errs []error
		for _, e := range c.Errors {
			errs = append(errs, e.Err)
		}
		s.errs <- errs
	}()
	c.Next()
}

// ended waits for a request to end and returns its errors.
func (s *server) ended(t testing.TB) []error {
	t.Helper()
	select {
	case errs := <-s.errs:
		return errs
	case <-time.After(apptest.Patience):
		t.Fatal("waited in vain for the handler")
		return nil
	}
}

func timeout(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), apptest.Patience)
	t.Cleanup(cancel)
	return ctx
}

func cookiesOf(resp *http.Response) (n int) {
	for _, k := range resp.Cookies() {
		if k.Name == cookie {
			n++
		}
	}
	return n
}
