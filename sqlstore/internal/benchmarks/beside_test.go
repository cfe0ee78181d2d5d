package benchmarks

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alexedwards/scs/postgresstore"
	"github.com/alexedwards/scs/v2"
	"github.com/gin-contrib/sessions"
	contribgorm "github.com/gin-contrib/sessions/gorm"
	"github.com/gin-gonic/gin"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"

	"github.com/ginsession/ginsession"
	"github.com/ginsession/ginsession/sqlstore"
	"github.com/ginsession/ginsession/sqlstore/internal/sqltest"
)

// secret is ginsession's. gin-contrib/sessions gets its halves, to sign and to
// encrypt, as ginsession always does; scs does not encrypt.
const secret = "a secret of the benchmarks, 32 b" + "and an encryption key, 32 bytes."

const (
	userID, userName, firstCount = int64(1234567), "Jane Example", 41
	page                         = "<!doctype html><title>Settings</title><p>Everything is as you left it."
)

func TestMain(m *testing.M) {
	gin.SetMode(gin.ReleaseMode)
	code := m.Run()
	sqltest.End()
	os.Exit(code)
}

// session is what the routes need of a library's session.
type session interface {
	get(key string) any
	set(key string, value any)
	renew() // the id, if the library can
	save()  // if the app has to
}

type ours struct{ s *ginsession.Session }

func (o ours) get(key string) any        { return o.s.Get(key) }
func (o ours) set(key string, value any) { o.s.Set(key, value) }
func (o ours) renew()                    { o.s.Renew() }
func (o ours) save()                     {}

type contrib struct{ s sessions.Session }

func (o contrib) get(key string) any        { return o.s.Get(key) }
func (o contrib) set(key string, value any) { o.s.Set(key, value) }
func (o contrib) renew()                    {}
func (o contrib) save()                     { check(o.s.Save()) }

type scss struct {
	m *scs.SessionManager
	c *gin.Context
}

func (o scss) get(key string) any        { return o.m.Get(o.c.Request.Context(), key) }
func (o scss) set(key string, value any) { o.m.Put(o.c.Request.Context(), key, value) }
func (o scss) renew()                    { check(o.m.RenewToken(o.c.Request.Context())) }
func (o scss) save()                     {}

var (
	both  sync.WaitGroup // two requests
	alone sync.Mutex     // gorm's store has data races of its own
)

// meet sets a key in both requests after both have loaded the session.
func meet(s session, key string) {
	alone.Lock()
	s.get(key)
	alone.Unlock()
	both.Done()
	both.Wait()
	alone.Lock()
	defer alone.Unlock()
	s.set(key, int64(1))
	s.save()
}

// newEngine has the routes of every app.
func newEngine(open func(*gin.Context) session, middleware ...gin.HandlerFunc) *gin.Engine {
	r := gin.New()
	r.Use(middleware...)
	logIn := func(s session) {
		s.renew()
		s.set("user_id", userID)
		s.set("name", userName)
	}
	for path, do := range map[string]func(session){
		"/read": func(s session) {
			if s.get("user_id") != userID || s.get("name") != userName {
				panic("the session does not hold what was put in")
			}
		},
		"/write":  func(s session) { s.set("counter", s.get("counter").(int64)+1); s.save() },
		"/log-in": func(s session) { logIn(s); s.save() },
		"/fill": func(s session) { // with the standard session
			s.set("roles", []string{"reader", "editor", "admin"})
			s.set("token", []byte("0123456789abcdef0123456789abcdef"))
			s.set("counter", int64(firstCount))
			logIn(s)
			s.save()
		},
		"/a":   func(s session) { meet(s, "a") },
		"/b":   func(s session) { meet(s, "b") },
		"/all": func(s session) { panic(fmt.Sprint(s.get("counter"), s.get("a") != nil && s.get("b") != nil)) },
	} {
		r.GET(path, func(c *gin.Context) {
			do(open(c))
			_, _ = c.Writer.WriteString(page)
		})
	}
	return r
}

// library is a session library with PostgreSQL.
type library struct {
	name string
	open func(testing.TB, *sqltest.Server) http.Handler
}

var libraries = []library{
	{"ginsession", func(tb testing.TB, server *sqltest.Server) http.Handler {
		store := sqlstore.Must(sqlstore.New(server.Open(tb, server.Addr, ""), sqlstore.PostgreSQL, sqlstore.WithTable(sqltest.Table())))
		check(store.Migrate(tb.Context()))
		open := func(c *gin.Context) session { return ours{ginsession.From(c)} }
		return newEngine(open, ginsession.Must(ginsession.New(secret, ginsession.WithStore(store))))
	}},
	{"gorm", func(tb testing.TB, server *sqltest.Server) http.Handler {
		db, err := gorm.Open(postgres.New(postgres.Config{Conn: server.Open(tb, server.Addr, "")}))
		check(err)
		store := contribgorm.NewStore(db, false, []byte(secret[:32]), []byte(secret[32:]))
		open := func(c *gin.Context) session { return contrib{sessions.Default(c)} }
		return newEngine(open, sessions.Sessions("session", store))
	}},
	{"scs", func(tb testing.TB, server *sqltest.Server) http.Handler {
		db := server.Open(tb, server.Addr, "&search_path=scs") // gorm's table has the same name
		_, err := db.ExecContext(tb.Context(), `DROP SCHEMA IF EXISTS scs CASCADE; CREATE SCHEMA scs;
			CREATE TABLE sessions (token TEXT PRIMARY KEY, data BYTEA NOT NULL, expiry TIMESTAMPTZ NOT NULL);
			CREATE INDEX sessions_expiry_idx ON sessions (expiry)`)
		check(err)
		m := scs.New()
		m.Store = postgresstore.NewWithCleanupInterval(db, 0)
		return m.LoadAndSave(newEngine(func(c *gin.Context) session { return scss{m, c} }))
	}},
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

// send returns the cookie that the browser has after the response.
func send(h http.Handler, path, cookie string) string {
	req, w := httptest.NewRequest(http.MethodGet, path, nil), httptest.NewRecorder()
	if cookie != "" {
		req.Header.Set("Cookie", cookie)
	}
	if h.ServeHTTP(w, req); w.Code != http.StatusOK || w.Body.String() != page {
		panic(fmt.Sprintf("%s: %d %s", path, w.Code, w.Body))
	}
	if line := w.Header().Get("Set-Cookie"); line != "" {
		cookie, _, _ = strings.Cut(line, ";")
	}
	return cookie
}

// TestLibraries wants each app to do its work. Ours alone keeps what both of two
// parallel requests have set.
func TestLibraries(t *testing.T) {
	server := sqltest.Shared(t, sqltest.PostgreSQL)
	for _, l := range libraries {
		t.Run(l.name, func(t *testing.T) {
			h := l.open(t, server)
			cookie := send(h, "/fill", "")
			for _, path := range []string{"/read", "/write", "/write", "/read"} {
				cookie = send(h, path, cookie)
			}
			both.Add(2)
			var done sync.WaitGroup
			done.Go(func() { send(h, "/a", cookie) })
			done.Go(func() { send(h, "/b", cookie) })
			done.Wait()
			defer func() {
				if got, want := recover(), fmt.Sprint(firstCount+2, l.name == "ginsession"); got != want {
					t.Errorf("got the counter and both keys: %v, want %s", got, want)
				}
			}()
			send(h, "/all", cookie)
		})
	}
}

// BenchmarkBeside measures the libraries in rounds. A round is ten requests of
// each, one after the other, the libraries in another order each time. It reports
// the medians of a request, and their ratios to ginsession's.
func BenchmarkBeside(b *testing.B) {
	const requests = 10
	server := sqltest.Shared(b, sqltest.PostgreSQL)
	var apps []http.Handler
	for _, l := range libraries {
		apps = append(apps, l.open(b, server))
	}
	for _, do := range []string{"read", "write", "log-in"} {
		b.Run("do="+do, func(b *testing.B) {
			cookies, rounds := make([]string, len(apps)), make([][]float64, len(apps))
			for i, h := range apps {
				if do != "log-in" {
					cookies[i] = send(h, "/fill", "")
				}
				send(h, "/"+do, cookies[i])
			}
			for b.Loop() {
				for _, i := range rand.Perm(len(apps)) {
					begin := time.Now()
					for range requests {
						send(apps[i], "/"+do, cookies[i])
					}
					rounds[i] = append(rounds[i], float64(time.Since(begin).Microseconds())/requests)
				}
			}
			for i, l := range libraries {
				slices.Sort(rounds[i])
				median := rounds[i][len(rounds[i])/2]
				b.ReportMetric(median, l.name+"-µs")
				if i > 0 {
					b.ReportMetric(median/rounds[0][len(rounds[0])/2], l.name+"/ginsession")
				}
			}
			b.ReportMetric(0, "ns/op") // all of them together
		})
	}
}
