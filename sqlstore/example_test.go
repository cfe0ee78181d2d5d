package sqlstore_test

import (
	"context"
	"database/sql"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"

	"github.com/gin-gonic/gin"
	_ "modernc.org/sqlite" // the driver

	"github.com/ginsession/ginsession"
	"github.com/ginsession/ginsession/sqlstore"
)

// Sessions in a file, which a restart of the app does not end.
func Example() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		panic(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()

	start := func() (app *gin.Engine, stop func() error) {
		db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "app.db")+"?_pragma=journal_mode(WAL)&_pragma=busy_timeout(1000)")
		if err != nil {
			panic(err)
		}
		store := sqlstore.Must(sqlstore.New(db, sqlstore.SQLite))
		if err := store.Migrate(context.Background()); err != nil {
			panic(err)
		}
		r := gin.New()
		r.Use(ginsession.Must(ginsession.New("keep this secret, 32 bytes or more", ginsession.WithStore(store))))
		r.POST("/login", func(c *gin.Context) {
			s := ginsession.From(c)
			s.Renew()
			s.Set("name", "Ada")
		})
		r.GET("/", func(c *gin.Context) { c.String(http.StatusOK, "Hello, %s", ginsession.From(c).GetString("name")) })
		return r, db.Close
	}

	app, stop := start()
	login := httptest.NewRecorder()
	app.ServeHTTP(login, httptest.NewRequest(http.MethodPost, "/login", nil))
	_ = stop()

	app, stop = start()
	defer func() { _ = stop() }()
	home, request := httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil)
	request.AddCookie(login.Result().Cookies()[0])
	app.ServeHTTP(home, request)
	fmt.Println(home.Body)
	// Output: Hello, Ada
}

// A table's name is part of the SQL, and so may not be just anything.
func ExampleWithTable_incorrect() {
	db, err := sql.Open("sqlite", "file:app.db")
	if err != nil {
		panic(err)
	}
	defer func() { _ = db.Close() }()
	_, err = sqlstore.New(db, sqlstore.SQLite, sqlstore.WithTable("Sessions"))
	fmt.Println(err)
	// Output: ginsession: sqlstore.WithTable: "Sessions" is no table name: up to 50 of a-z 0-9 _, with no digit first, and maybe a schema and a dot in front
}
