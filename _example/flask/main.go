// This demo runs a Flask app and a Gin app behind one port. They share one
// session: log in with one and be greeted by the other.
//
//	go run -C _example ./flask
//
// It needs a Python with Flask: apt-get install python3-flask, or pip install
// flask. ADDR is where it listens, localhost:8080 by default. SECRET_KEY is the
// secret of both apps; without one it makes its own.
package main

import (
	"bufio"
	"cmp"
	"context"
	"crypto/rand"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/ginsession/ginsession"
)

//go:embed app.py *.html style.css
var files embed.FS

func main() {
	if os.Getenv(gin.EnvGinMode) == "" {
		gin.SetMode(gin.ReleaseMode)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx)
	stop()
	if err != nil {
		log.Fatal(err)
	}
}

// run serves both apps until ctx ends.
func run(ctx context.Context) error {
	secret := cmp.Or(os.Getenv("SECRET_KEY"), rand.Text()+rand.Text())
	flask, err := startFlask(ctx, secret)
	if err != nil {
		return err
	}
	defer flask.stop()
	app, err := newApp(secret, flask.url)
	if err != nil {
		return err
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", cmp.Or(os.Getenv("ADDR"), "localhost:8080"))
	if err != nil {
		return err
	}
	port := listener.Addr().(*net.TCPAddr).Port
	log.Printf("open http://localhost:%d", port) //nolint:gosec // by this name: the cookie is Secure

	server := &http.Server{Handler: app, ReadHeaderTimeout: 5 * time.Second}
	end := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer end()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// newApp puts the Gin app in front of the Flask app.
func newApp(secret string, flask *url.URL) (http.Handler, error) {
	// 1. The one line that makes them share a session.
	session, err := ginsession.New(secret, ginsession.WithFlaskCookie())
	if err != nil {
		return nil, err
	}
	pages, err := template.ParseFS(files, "head.html", "gin.html")
	if err != nil {
		return nil, err
	}
	r := gin.New()
	r.SetHTMLTemplate(pages)
	if err := r.SetTrustedProxies(nil); err != nil {
		return nil, err
	}
	r.Use(gin.Recovery(), session)

	// 2. The routes that have moved to Gin.
	r.GET("/", home)
	r.POST("/login", login)
	r.POST("/logout", logout)
	r.StaticFileFS("/style.css", "style.css", http.FS(files))

	// 3. All others are still Flask's.
	r.NoRoute(gin.WrapH(&httputil.ReverseProxy{Rewrite: func(p *httputil.ProxyRequest) {
		p.SetURL(flask)
		p.Out.Host = p.In.Host
	}}))
	return http.NewCrossOriginProtection().Handler(r), nil
}

func home(c *gin.Context) {
	s := ginsession.From(c)
	ginsession.Update(s, "visits", func(n int) int { return n + 1 })
	type row struct {
		Key         string
		Value, Type string
	}
	var rows []row
	for _, key := range s.Keys() {
		value := s.Get(key)
		rows = append(rows, row{key, fmt.Sprint(value), fmt.Sprintf("%T", value)})
	}
	c.HTML(http.StatusOK, "gin.html", gin.H{"session": s, "rows": rows})
}

func login(c *gin.Context) {
	s := ginsession.From(c)
	name := strings.TrimSpace(strings.ToValidUTF8(c.PostForm("name"), ""))
	if name == "" || len(name) > 160 {
		s.AddFlash("Gin needs a name", "error")
		c.Redirect(http.StatusSeeOther, "/")
		return
	}
	s.Renew()
	s.Set("name", name)
	s.Set("by", "Gin")
	s.Set("since", time.Now())
	s.SetPermanent(c.PostForm("remember") != "")
	s.AddFlash(name+" logged in with Gin", "success")
	c.Redirect(http.StatusSeeOther, "/flask") // and Flask greets
}

func logout(c *gin.Context) {
	s := ginsession.From(c)
	s.Destroy()
	s.AddFlash("Logged out with Gin", "success")
	c.Redirect(http.StatusSeeOther, "/flask")
}

// flaskApp is a Flask app in a process of its own.
type flaskApp struct {
	url  *url.URL
	stop func() // ends the process
}

var errNoFlask = errors.New("no Python with Flask found: apt-get install python3-flask, or pip install flask")

// python finds a Python that has Flask. A distribution's package comes with
// that distribution's Python, which may not be the first on PATH.
func python(ctx context.Context) (string, error) {
	for _, name := range []string{"python3", "/usr/bin/python3", "python"} {
		if exec.CommandContext(ctx, name, "-c", "import flask").Run() == nil { //nolint:gosec // one of these
			return name, nil
		}
	}
	return "", errNoFlask
}

// startFlask runs app.py, which says on which port it listens and ends when its
// input is closed: also when this program is killed.
func startFlask(ctx context.Context, secret string) (*flaskApp, error) {
	name, err := python(ctx)
	if err != nil {
		return nil, err
	}
	var page strings.Builder
	for _, part := range []string{"head.html", "flask.html"} {
		text, err := files.ReadFile(part)
		if err != nil {
			return nil, err
		}
		page.Write(text)
	}
	source, err := files.ReadFile("app.py")
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, name, "-c", string(source)) //nolint:gosec // our own app.py
	cmd.Env = append(os.Environ(), "SECRET_KEY="+secret, "PAGE="+page.String())
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	stop := func() {
		_ = in.Close()
		_, _ = io.Copy(io.Discard, out)
		_ = cmd.Wait()
	}
	port, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		stop()
		return nil, fmt.Errorf("the Flask app does not start: %w", err)
	}
	return &flaskApp{&url.URL{Scheme: "http", Host: "127.0.0.1:" + strings.TrimSpace(port)}, stop}, nil
}
