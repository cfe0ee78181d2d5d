// The demo of ginsession: a small web app that does what people use sessions
// for, one file for each.
//
//	go run -C _example .
//
// ADDR is where it listens, localhost:8080 by default. SESSION_SECRET is what
// its cookies are sealed with; without one it makes its own, and a restart
// logs everybody out. MEMCACHED, such as 127.0.0.1:11211, REDIS, such as
// redis://127.0.0.1:6379, or SQL, such as postgres://user:password@127.0.0.1/app,
// mysql://user:password@127.0.0.1:3306/app, or a file's name for SQLite, keeps
// the sessions there.
package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/gin-gonic/gin"
)

func main() {
	if os.Getenv(gin.EnvGinMode) == "" {
		gin.SetMode(gin.ReleaseMode)
	}
	if err := run(); err != nil {
		log.Fatal(err)
	}
}

// run serves until SIGINT or SIGTERM and lets requests under way finish.
func run() error {
	app, err := newApp(config{secret(), os.Getenv("MEMCACHED"), os.Getenv("REDIS"), os.Getenv("SQL")})
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", cmp.Or(os.Getenv("ADDR"), "localhost:8080"))
	if err != nil {
		return err
	}
	log.Printf("open %s", address(listener.Addr()))

	server := &http.Server{Handler: app, ReadHeaderTimeout: 5 * time.Second}
	stopped := make(chan error, 1)
	go func() {
		<-ctx.Done()
		stop() // a second signal ends the program at once
		limit, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		stopped <- server.Shutdown(limit)
	}()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return <-stopped
}

// secret is the app's, or a random one that lasts as long as the program.
func secret() string {
	if s := os.Getenv("SESSION_SECRET"); s != "" {
		return s
	}
	log.Print("SESSION_SECRET is not set: using a random one, so a restart logs everybody out")
	return rand.Text() + rand.Text() // 260 bits
}

// address is what to type into a browser. Browsers take Secure cookies over
// plain http from localhost only, and only by this name.
func address(a net.Addr) string {
	tcp := a.(*net.TCPAddr)
	host := tcp.IP.String()
	if tcp.IP.IsLoopback() || tcp.IP.IsUnspecified() {
		host = "localhost"
	}
	return "http://" + net.JoinHostPort(host, strconv.Itoa(tcp.Port))
}
