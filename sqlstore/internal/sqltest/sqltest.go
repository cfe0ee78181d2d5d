// Package sqltest runs real PostgreSQL and MariaDB servers for tests.
package sqltest

import (
	"context"
	"crypto/rand"
	"database/sql"
	"fmt"
	mathrand "math/rand/v2"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	_ "github.com/jackc/pgx/v5/stdlib" // a driver

	"github.com/ginsession/ginsession/internal/servertest"
)

// patience bounds how long a test waits for a server to come up.
const patience = 30 * time.Second

// password is that of the user "app", in this process's servers.
var password = rand.Text()

// Kind is a kind of server.
type Kind struct {
	Name string

	driver  string
	program string
	maker   string // of the program that makes a data directory
	make    func(dir string) (args []string)
	run     func(dir, port string) (args []string)
	dsn     func(user, password, addr, params string) string

	template template
	shared   shared
}

// PostgreSQL keeps what was committed if its process dies, not if the machine
// does: nothing waits for the disk.
var PostgreSQL = &Kind{
	Name: "PostgreSQL", driver: "pgx", program: "postgres", maker: "initdb",
	make: func(dir string) []string {
		return []string{"-D", filepath.Join(dir, "data"), "-U", "app", "--pwfile", filepath.Join(dir, "password"), "-A", "password",
			"-E", "UTF8", "--locale=C", "--no-sync", "--wal-segsize=1"}
	},
	run: func(dir, port string) []string {
		return []string{"-D", filepath.Join(dir, "data"), "-h", "127.0.0.1", "-p", port, "-k", dir,
			"-c", "fsync=off", "-c", "max_connections=200", "-c", "shared_buffers=16MB"}
	},
	dsn: func(user, password, addr, params string) string {
		return "postgres://" + user + ":" + url.PathEscape(password) + "@" + addr + "/postgres?sslmode=disable" + params
	},
}

// MariaDB keeps what was committed as PostgreSQL does.
var MariaDB = &Kind{
	Name: "MariaDB", driver: "mysql", program: "mariadbd", maker: "mariadb-install-db",
	make: func(dir string) []string {
		return []string{"--no-defaults", "--datadir=" + filepath.Join(dir, "data"), "--skip-test-db", "--skip-name-resolve",
			"--auth-root-authentication-method=socket", "--auth-root-socket-user=nobody", "--innodb-log-file-size=8M"}
	},
	run: func(dir, port string) []string {
		return []string{"--no-defaults", "--datadir=" + filepath.Join(dir, "data"), "--bind-address=127.0.0.1", "--port=" + port,
			"--socket=" + filepath.Join(dir, "socket"), "--pid-file=" + filepath.Join(dir, "pid"), "--init-file=" + filepath.Join(dir, "users.sql"),
			"--skip-name-resolve", "--max-connections=200", "--innodb-log-file-size=8M", "--innodb-buffer-pool-size=32M",
			"--innodb-flush-log-at-trx-commit=2", "--innodb-use-native-aio=0"}
	},
	dsn: func(user, password, addr, params string) string {
		return user + ":" + password + "@tcp(" + addr + ")/app?interpolateParams=true" + params
	},
}

// template is a data directory, made once and copied for each server.
type template struct {
	once sync.Once
	dir  string
	err  error
}

// Quiet keeps a driver from writing to a test's output about servers that the
// test has killed.
func Quiet() { _ = mysql.SetLogger(&mysql.NopLogger{}) }

// shared is a server that all tests use.
type shared struct {
	once   sync.Once
	server *Server
}

// End ends the servers of [Shared] and removes what all servers were copied
// from. TestMain calls it.
func End() {
	for _, k := range []*Kind{PostgreSQL, MariaDB} {
		if s := k.shared.server; s != nil {
			s.Kill()
			_ = os.RemoveAll(s.Dir)
		}
		_ = os.RemoveAll(k.template.dir)
	}
}

// Shared returns a server that lasts until [End]. A test has to use tables of
// its own there (see [Table]), and must leave the server up and as it is.
func Shared(tb testing.TB, kind *Kind) *Server {
	tb.Helper()
	need(tb, kind)
	kind.shared.once.Do(func() {
		s := newServer(tb, kind)
		s.Restart()
		kind.shared.server = s
	})
	if kind.shared.server == nil {
		tb.Fatalf("%s did not come up: an earlier test says why", kind.Name)
	}
	return kind.shared.server
}

// Server is a process on loopback. It ends with the test.
type Server struct {
	Addr string // host:port
	Dir  string

	kind *Kind
	tb   testing.TB
	args []string
	cmd  *exec.Cmd
	done chan struct{} // closed when cmd has ended
}

// findPrograms adds the directories to PATH that Debian and Homebrew hide the
// servers in.
var findPrograms = sync.OnceFunc(func() {
	path := []string{os.Getenv("PATH")}
	for _, pattern := range []string{"/usr/sbin", "/usr/lib/postgresql/*/bin", "/opt/homebrew/opt/postgresql*/bin", "/usr/local/opt/postgresql*/bin"} {
		dirs, _ := filepath.Glob(pattern)
		path = append(path, dirs...)
	}
	_ = os.Setenv("PATH", strings.Join(path, string(os.PathListSeparator)))
})

// Start runs a server; args are more settings.
func Start(tb testing.TB, kind *Kind, args ...string) *Server {
	tb.Helper()
	need(tb, kind)
	s := newServer(tb, kind, args...)
	tb.Cleanup(func() { s.Kill(); _ = os.RemoveAll(s.Dir) })
	s.Restart()
	return s
}

func need(tb testing.TB, kind *Kind) {
	tb.Helper()
	findPrograms()
	servertest.Need(tb, kind.program)
	servertest.Need(tb, kind.maker)
}

func newServer(tb testing.TB, kind *Kind, args ...string) *Server {
	tb.Helper()
	s := &Server{Addr: freeAddr(tb), Dir: tempDir(tb), kind: kind, tb: tb, args: args}
	s.command("cp", "-R", kind.prepare(tb)+"/.", s.Dir)
	return s
}

// prepare makes the template.
func (k *Kind) prepare(tb testing.TB) string {
	tb.Helper()
	k.template.once.Do(func() {
		dir, err := os.MkdirTemp("", "sqltest")
		if err != nil {
			tb.Fatal(err)
		}
		k.template.dir, k.template.err = dir, os.ErrInvalid // until it is made
		give(tb, dir)
		for name, text := range map[string]string{"password": password, "users.sql": users()} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil { //nolint:gosec // the directory is closed to others
				tb.Fatal(err)
			}
		}
		s := &Server{Dir: dir, kind: k, tb: tb}
		s.command(k.maker, k.make(dir)...)
		k.template.err = nil
	})
	if k.template.err != nil {
		tb.Fatalf("there is no data directory for %s: an earlier test says why", k.Name)
	}
	return k.template.dir
}

// users is the SQL that each start of a MariaDB begins with.
func users() string {
	return "CREATE DATABASE IF NOT EXISTS app;\n" +
		"CREATE USER IF NOT EXISTS 'app'@'127.0.0.1' IDENTIFIED BY '" + password + "';\n" +
		"GRANT ALL ON *.* TO 'app'@'127.0.0.1' WITH GRANT OPTION;\n"
}

// tempDir has a short path, for sockets.
func tempDir(tb testing.TB) string {
	tb.Helper()
	dir, err := os.MkdirTemp("", "sqltest")
	if err != nil {
		tb.Fatal(err)
	}
	give(tb, dir)
	return dir
}

// freeAddr returns a loopback address below the ephemeral ports, so that it
// stays free while a server restarts.
func freeAddr(tb testing.TB) string {
	tb.Helper()
	for range 100 {
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(12000+mathrand.IntN(20000))) //nolint:gosec // any will do
		if l, err := net.Listen("tcp", addr); err == nil {
			_ = l.Close()
			return addr
		}
	}
	tb.Fatal("no free port")
	return ""
}

// command runs a program to its end, as the server's user.
func (s *Server) command(program string, args ...string) {
	s.tb.Helper()
	cmd := exec.Command(program, args...) //nolint:gosec // of our own
	cmd.Dir = s.Dir
	unprivileged(s.tb, cmd)
	if out, err := cmd.CombinedOutput(); err != nil {
		s.tb.Fatalf("%s: %v\n%s", program, err, out)
	}
}

// Open returns a pool of up to 40 connections to addr, which is the server's or
// that of a wire to it. Parameters of the connection begin with "&". It is
// closed with the test.
func (s *Server) Open(tb testing.TB, addr, params string) *sql.DB {
	tb.Helper()
	return s.open(tb, s.kind.dsn("app", password, addr, params))
}

// OpenAs is [Server.Open] for another user.
func (s *Server) OpenAs(tb testing.TB, user, password string) *sql.DB {
	tb.Helper()
	return s.open(tb, s.kind.dsn(user, password, s.Addr, ""))
}

func (s *Server) open(tb testing.TB, dsn string) *sql.DB {
	tb.Helper()
	db, err := sql.Open(s.kind.driver, dsn)
	if err != nil {
		tb.Fatal(err)
	}
	db.SetMaxOpenConns(40)
	db.SetMaxIdleConns(40)
	tb.Cleanup(func() { _ = db.Close() })
	return db
}

// Restart starts the process, after [Server.Kill], at the same address, and
// waits until it answers. A PostgreSQL whose children have not noticed yet that
// their parent is dead does not start: it is tried again.
func (s *Server) Restart() {
	s.tb.Helper()
	db := s.Open(s.tb, s.Addr, "")
	defer func() { _ = db.Close() }()
	end := time.Now().Add(patience)
	for s.run(); ; time.Sleep(5 * time.Millisecond) {
		err := db.PingContext(context.Background())
		if err == nil {
			return
		}
		if time.Now().After(end) {
			s.tb.Fatalf("%s does not come up within %v: %v\n%s", s.kind.Name, patience, err, s.log())
		}
		select {
		case <-s.done:
			s.run()
		default:
		}
	}
}

func (s *Server) run() {
	s.tb.Helper()
	output, err := os.Create(filepath.Join(s.Dir, "log"))
	if err != nil {
		s.tb.Fatal(err)
	}
	defer func() { _ = output.Close() }()
	_, port, _ := net.SplitHostPort(s.Addr)
	done := make(chan struct{})
	cmd := exec.Command(s.kind.program, slices.Concat(s.kind.run(s.Dir, port), s.args)...) //nolint:gosec // of our own
	cmd.Dir, cmd.Stdout, cmd.Stderr = s.Dir, output, output
	unprivileged(s.tb, cmd)
	if err := cmd.Start(); err != nil {
		s.tb.Fatal(err)
	}
	s.cmd, s.done = cmd, done
	go func() { defer close(done); _ = cmd.Wait() }()
}

func (s *Server) log() string {
	text, err := os.ReadFile(filepath.Join(s.Dir, "log"))
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-3000):])
}

// Kill ends the process with SIGKILL.
func (s *Server) Kill() {
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Kill()
	<-s.done
	s.cmd = nil
}

var tables struct {
	sync.Mutex
	n int
}

// Table returns a new table name.
func Table() string {
	tables.Lock()
	defer tables.Unlock()
	tables.n++
	return fmt.Sprintf("t%d", tables.n)
}
