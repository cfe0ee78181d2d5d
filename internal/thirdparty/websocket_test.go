package thirdparty_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	coder "github.com/coder/websocket"
	"github.com/gin-contrib/gzip"
	"github.com/gin-gonic/gin"
	gorilla "github.com/gorilla/websocket"

	"github.com/ginsession/ginsession"
)

// A library answers an upgrade, reads a message and sends it back. The two
// differ in how: coder's goes through c.Writer, gorilla's writes the 101 itself
// and sends the headers that it is given.
type library struct {
	name string
	echo func(t *testing.T, c *gin.Context, header http.Header)
	talk func(t *testing.T, url, message string) (*http.Response, string)
}

var libraries = []library{
	{"coder", echoCoder, talkCoder},
	{"gorilla", echoGorilla, talkGorilla},
}

func echoCoder(t *testing.T, c *gin.Context, _ http.Header) {
	conn, err := coder.Accept(c.Writer, c.Request, nil)
	if err != nil {
		t.Errorf("Accept: %v", err)
		return
	}
	defer conn.CloseNow()
	kind, message, err := conn.Read(c)
	if err == nil {
		err = conn.Write(c, kind, message)
	}
	if err == nil {
		err = conn.Close(coder.StatusNormalClosure, "")
	}
	if err != nil {
		t.Error(err)
	}
}

func echoGorilla(t *testing.T, c *gin.Context, header http.Header) {
	var upgrader gorilla.Upgrader
	conn, err := upgrader.Upgrade(c.Writer, c.Request, header)
	if err != nil {
		t.Errorf("Upgrade: %v", err)
		return
	}
	defer conn.Close()
	kind, message, err := conn.ReadMessage()
	if err == nil {
		err = conn.WriteMessage(kind, message)
	}
	if err != nil {
		t.Error(err)
	}
	_, _, _ = conn.ReadMessage() // the client closes
}

func talkCoder(t *testing.T, url, message string) (*http.Response, string) {
	conn, resp, err := coder.Dial(timeout(t), url, nil)
	if err != nil {
		t.Fatalf("Dial: %v", err)
	}
	defer conn.CloseNow()
	if err := conn.Write(t.Context(), coder.MessageText, []byte(message)); err != nil {
		t.Fatal(err)
	}
	_, answer, err := conn.Read(timeout(t))
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.Close(coder.StatusNormalClosure, "")
	return resp, string(answer)
}

func talkGorilla(t *testing.T, url, message string) (*http.Response, string) {
	conn, resp, err := gorilla.DefaultDialer.DialContext(timeout(t), "ws"+strings.TrimPrefix(url, "http"), nil)
	if err != nil {
		t.Fatalf("Dial: %v", err)
	}
	defer conn.Close()
	if err := conn.WriteMessage(gorilla.TextMessage, []byte(message)); err != nil {
		t.Fatal(err)
	}
	_, answer, err := conn.ReadMessage()
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.WriteMessage(gorilla.CloseMessage, gorilla.FormatCloseMessage(gorilla.CloseNormalClosure, ""))
	return resp, string(answer)
}

// upgrade has one client talk to one server and wants the echo.
func upgrade(t *testing.T, dial library, handler gin.HandlerFunc, chain ...gin.HandlerFunc) (*http.Response, []error) {
	t.Helper()
	r := gin.New()
	srv := serve(t, r)
	r.Use(srv.watch)
	r.Use(chain...)
	r.GET("/", handler)
	resp, answer := dial.talk(t, srv.URL, "hello")
	if answer != "hello" || resp.StatusCode != http.StatusSwitchingProtocols {
		t.Errorf("got %d %q, want 101 %q", resp.StatusCode, answer, "hello")
	}
	return resp, srv.ended(t)
}

func TestWebSocket_everyClientWithEveryServer(t *testing.T) {
	for _, lib := range libraries {
		for _, client := range libraries {
			t.Run(client.name+" to "+lib.name, func(t *testing.T) {
				resp, errs := upgrade(t, client, func(c *gin.Context) {
					set(c)
					lib.echo(t, c, c.Writer.Header())
				}, newSessions(t))
				if n := cookiesOf(resp); n != 1 {
					t.Errorf("got %d cookies in the 101, want 1", n)
				}
				if len(errs) != 0 {
					t.Errorf("got errors %v, want none", errs)
				}
			})
		}
	}
}

func TestWebSocket_sessionStates(t *testing.T) {
	save := func(t *testing.T, c *gin.Context) http.Header {
		set(c)
		if err := ginsession.From(c).Save(); err != nil {
			t.Error(err)
		}
		if got := len(c.Writer.Header()["Set-Cookie"]); got != 1 {
			t.Errorf("after Save: got %d cookies in c.Writer.Header(), want 1", got)
		}
		return http.Header{"Set-Cookie": c.Writer.Header()["Set-Cookie"]}
	}
	nothing := func(*testing.T, *gin.Context) http.Header { return nil }
	read := func(_ *testing.T, c *gin.Context) http.Header { ginsession.From(c).Len(); return nil }
	tests := []struct {
		name    string
		before  func(*testing.T, *gin.Context) http.Header
		after   gin.HandlerFunc
		cookies int
		err     error
	}{
		{"untouched", nothing, func(*gin.Context) {}, 0, nil},
		{"read", read, func(*gin.Context) {}, 0, nil},
		{"read while talking", nothing, func(c *gin.Context) { ginsession.From(c).Len() }, 0, nil},
		{"saved before", save, func(*gin.Context) {}, 1, nil},
		{"changed while talking", nothing, set, 0, ginsession.ErrLate},
		{"saved before, changed again", save, func(c *gin.Context) { ginsession.From(c).Set("user", "bob") }, 1, ginsession.ErrLate},
	}
	for _, tt := range tests {
		for _, lib := range libraries {
			t.Run(tt.name+"/"+lib.name, func(t *testing.T) {
				var told []error
				hear := ginsession.WithErrorHandler(func(c *gin.Context, err error) { told = append(told, err); c.String(500, "x") })
				resp, errs := upgrade(t, lib, func(c *gin.Context) {
					lib.echo(t, c, tt.before(t, c))
					tt.after(c)
				}, newSessions(t, hear))
				if n := cookiesOf(resp); n != tt.cookies {
					t.Errorf("got %d cookies in the 101, want %d", n, tt.cookies)
				}
				if !errors.Is(errors.Join(errs...), tt.err) || len(errs) != len(told) || (len(errs) > 0) != (tt.err != nil) {
					t.Errorf("got errors %v and told %v, want %v", errs, told, tt.err)
				}
			})
		}
	}
}

// If the session cannot be saved, there is no upgrade but an error page.
func TestWebSocket_failedCommitRefusesTheUpgrade(t *testing.T) {
	servers := map[string]func(*gin.Context) error{
		"coder": func(c *gin.Context) error {
			conn, err := coder.Accept(c.Writer, c.Request, nil)
			if err == nil {
				_ = conn.CloseNow()
			}
			return err
		},
		"gorilla": func(c *gin.Context) error {
			var upgrader gorilla.Upgrader
			conn, err := upgrader.Upgrade(c.Writer, c.Request, nil)
			if err == nil {
				_ = conn.Close()
			}
			return err
		},
	}
	for name, accept := range servers {
		t.Run(name, func(t *testing.T) {
			r := gin.New()
			srv := serve(t, r)
			r.Use(srv.watch, newSessions(t))
			r.GET("/", func(c *gin.Context) {
				setBad(c)
				if err := accept(c); err == nil {
					t.Error("the upgrade went through")
				}
			})
			_, resp, err := coder.Dial(timeout(t), srv.URL, nil)
			if err == nil || resp == nil || resp.StatusCode != 500 {
				t.Errorf("got %v, %v, want status 500", resp, err)
			}
			if errs := srv.ended(t); len(errs) != 1 || !errors.Is(errs[0], ginsession.ErrValue) {
				t.Errorf("got errors %v, want one: %v", errs, ginsession.ErrValue)
			}
		})
	}
}

func TestWebSocket_behindGzip(t *testing.T) {
	for _, position := range []string{outside, inside} {
		for _, lib := range libraries {
			t.Run(position+"/"+lib.name, func(t *testing.T) {
				chain := []gin.HandlerFunc{gzip.Gzip(gzip.DefaultCompression), newSessions(t)}
				if position == inside {
					chain[0], chain[1] = chain[1], chain[0]
				}
				resp, errs := upgrade(t, lib, func(c *gin.Context) {
					set(c)
					lib.echo(t, c, c.Writer.Header())
				}, chain...)
				if cookiesOf(resp) != 1 || len(errs) != 0 {
					t.Errorf("got %d cookies in the 101 and errors %v, want 1 and none", cookiesOf(resp), errs)
				}
			})
		}
	}
}
