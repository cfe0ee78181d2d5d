package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"
	"unicode"

	"github.com/gin-gonic/gin"

	"github.com/ginsession/ginsession"
	"github.com/ginsession/ginsession/memstore"
	"github.com/ginsession/ginsession/sessiontest"
)

const secret = "a secret of the tests, 32 bytes or more"

// call runs the command with a secret in its environment.
func call(stdin string, args ...string) (status int, stdout, stderr string) {
	return callWith(secret, stdin, args...)
}

func callWith(secret, stdin string, args ...string) (status int, stdout, stderr string) {
	var out, errs bytes.Buffer
	getenv := func(name string) string { return map[string]string{"SESSION_SECRET": secret}[name] }
	status = run(args, strings.NewReader(stdin), &out, &errs, getenv)
	return status, out.String(), errs.String()
}

func middleware(t *testing.T, opts ...ginsession.Option) gin.HandlerFunc {
	t.Helper()
	m, err := ginsession.New(secret, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func fill(s *ginsession.Session) {
	s.Set("user_id", 42)
	s.Set("tags", []string{"a", "b"})
	s.Set("raw", []byte("bytes"))
	s.Set("html", "<b>")
	s.AddFlash("Saved", "success")
	s.SetPermanent(true)
}

// value makes a session and returns its cookie's value.
func value(t *testing.T, opts ...ginsession.Option) string {
	t.Helper()
	return sessiontest.New(t, middleware(t, opts...), fill).Value
}

// shown is the session that a call printed.
func shown(t *testing.T, stdin string, args ...string) map[string]any {
	t.Helper()
	status, stdout, stderr := call(stdin, append([]string{"show"}, args...)...)
	var got map[string]any
	if err := json.Unmarshal([]byte(stdout), &got); err != nil || status != 0 || stderr != "" {
		t.Fatalf("got %v, status %d, %q and on stderr %q", err, status, stdout, stderr)
	}
	return got
}

// wantFailure fails unless a call said what is wrong and nothing else.
func wantFailure(t *testing.T, status, wantStatus int, stdout, stderr string, want ...string) {
	t.Helper()
	if status != wantStatus || stdout != "" {
		t.Errorf("got status %d and %q, want %d and nothing", status, stdout, wantStatus)
	}
	for _, text := range want {
		if !strings.Contains(stderr, text) {
			t.Errorf("got %q on stderr, want %q in it", stderr, text)
		}
	}
}

func TestMain(m *testing.M) {
	gin.SetMode(gin.ReleaseMode)
	m.Run()
}

func TestRun_usage(t *testing.T) {
	for _, args := range [][]string{{}, {"shew"}, {"secret", "now"}} {
		status, stdout, stderr := call("", args...)
		wantFailure(t, status, 2, stdout, stderr, "usage:")
	}
	for _, args := range [][]string{{"-h"}, {"--help"}, {"help"}, {"show", "-h"}} {
		if status, stdout, stderr := call("", args...); status != 0 || stdout != usage || stderr != "" {
			t.Errorf("%v: got status %d, %q and %q, want 0 and the usage", args, status, stdout, stderr)
		}
	}
}

func TestSecret(t *testing.T) {
	status, first, _ := call("", "secret")
	_, second, _ := call("", "secret")
	raw, err := base64.StdEncoding.DecodeString(strings.TrimSuffix(first, "\n"))
	if status != 0 || err != nil || len(raw) != 32 || first == second {
		t.Errorf("got %d bytes, %v, status %d, twice the same: %t", len(raw), err, status, first == second)
	}
	if _, err := ginsession.New(strings.TrimSpace(first)); err != nil {
		t.Error(err)
	}
}

func TestSecret_writeError(t *testing.T) {
	var errs bytes.Buffer
	if status := run([]string{"secret"}, nil, broken{}, &errs, nil); status != 1 {
		t.Errorf("got status %d, want 1", status)
	}
}

func TestShow_encrypted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now().UTC()
		cookie := value(t, ginsession.WithLifetime(time.Hour))
		time.Sleep(time.Minute)
		got := shown(t, cookie)
		want := map[string]any{
			"kind":      "encrypted cookie",
			"name":      "__Host-session",
			"size":      float64(len(cookie)),
			"created":   began.Format(time.RFC3339Nano),
			"expires":   began.Add(time.Hour).Format(time.RFC3339Nano),
			"permanent": true,
			"values": map[string]any{"user_id": 42.0, "tags": []any{"a", "b"}, "html": "<b>",
				"raw": base64.StdEncoding.EncodeToString([]byte("bytes"))},
			"flashes": []any{map[string]any{"category": "success", "message": "Saved"}},
		}
		wantSame(t, got, want)
	})
}

func TestShow_flask(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		signed := time.Now().UTC()
		cookie := value(t, ginsession.WithFlaskCookie())
		for _, args := range [][]string{nil, {"--flask"}, {"--name", "session", cookie}, {cookie, "-flask"}} {
			got := shown(t, cookie, args...)
			if got["kind"] != "Flask cookie" || got["signed"] != signed.Format(time.RFC3339Nano) ||
				got["expires"] != signed.Add(31*24*time.Hour).Format(time.RFC3339Nano) || got["created"] != nil {
				t.Errorf("%v: got %v", args, got)
			}
			if values := got["values"].(map[string]any); len(values) != 4 || values["user_id"] != 42.0 {
				t.Errorf("%v: got %v", args, values)
			}
		}
		time.Sleep(32 * 24 * time.Hour)
		status, stdout, stderr := call(cookie, "show")
		wantFailure(t, status, 1, stdout, stderr, ginsession.ErrExpired.Error(), "--lifetime")
		shown(t, cookie, "--lifetime", "87600h")
	})
}

func TestShow_flaskNumbersBeyondJSON(t *testing.T) {
	m := middleware(t, ginsession.WithFlaskCookie())
	cookie := sessiontest.New(t, m, func(s *ginsession.Session) { s.Set("list", []any{1.5, map[string]any{"n": "x"}}) })
	wantSame(t, shown(t, cookie.Value)["values"], map[string]any{"list": []any{1.5, map[string]any{"n": "x"}}})
	got := printable([]any{math.NaN(), map[string]any{"up": math.Inf(1), "down": math.Inf(-1), "one": 1.0}})
	wantSame(t, got, []any{"NaN", map[string]any{"up": "+Inf", "down": "-Inf", "one": 1.0}})
}

func TestShow_id(t *testing.T) {
	cookie := value(t, ginsession.WithStore(memstore.New()))
	got := shown(t, cookie)
	if got["kind"] != "id of a session on a server" || got["size"] != float64(len(cookie)) ||
		!strings.Contains(got["note"].(string), "store") || got["values"] != nil || got["created"] != nil {
		t.Errorf("got %v", got)
	}
}

func TestShow_forms(t *testing.T) {
	host, shop := value(t), value(t, ginsession.WithName("shop"))
	plain := value(t, ginsession.WithName("session"))
	other := "_ga=GA1.1.1234567890.1234567890"
	tests := []struct{ name, text, want string }{
		{"bare", host, "__Host-session"},
		{"bare, of an insecure cookie", plain + "\n", "session"},
		{"in quotes", `"` + host + `"`, "__Host-session"},
		{"name and value", "__Host-session=" + host, "__Host-session"},
		{"another name", "shop=" + shop, "shop"},
		{"Cookie", "Cookie: " + other + "; shop=" + shop + "; theme=dark", "shop"},
		{"Cookie in lower case", "cookie: __Host-session=" + host, "__Host-session"},
		{"without its header", other + "; __Host-session=" + host, "__Host-session"},
		{"Set-Cookie", "Set-Cookie: __Host-session=" + host + "; Path=/; HttpOnly; Secure; SameSite=Lax", "__Host-session"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := shown(t, tt.text); got["name"] != tt.want {
				t.Errorf("from standard input: got %v, want %s", got["name"], tt.want)
			}
			if got := shown(t, "", tt.text); got["name"] != tt.want {
				t.Errorf("from the argument: got %v, want %s", got["name"], tt.want)
			}
			if got := shown(t, "", strings.Fields(tt.text)...); got["name"] != tt.want {
				t.Errorf("from several arguments: got %v, want %s", got["name"], tt.want)
			}
		})
	}
}

// A value of base64url can begin as a flag does.
func TestShow_hyphen(t *testing.T) {
	cookie := "a"
	for cookie[0] != '-' {
		cookie = value(t)
	}
	shown(t, "", cookie)
	shown(t, "", "--name", "__Host-session", cookie)
	shown(t, "", cookie, "--name=__Host-session")
}

func TestShow_several(t *testing.T) {
	host, shop := value(t), value(t, ginsession.WithName("shop"))
	line := "Cookie: __Host-session=" + host + "; shop=" + shop
	status, stdout, _ := call(line, "show")
	if n := strings.Count(stdout, `"kind": "encrypted cookie"`); status != 0 || n != 2 {
		t.Errorf("got status %d and %d sessions, want 0 and 2", status, n)
	}
	if got := shown(t, line, "--name", "shop"); got["name"] != "shop" {
		t.Errorf("got %v, want shop", got["name"])
	}
	if got := shown(t, shop, "--name", "shop"); got["name"] != "shop" {
		t.Errorf("got %v, want shop", got["name"])
	}
}

func TestShow_invalid(t *testing.T) {
	cookie, invalid := value(t), ginsession.ErrInvalid.Error()
	tests := []struct {
		name, secret, text string
		want               []string
	}{
		{"damaged", secret, cookie[:50] + "!" + cookie[51:], []string{invalid, `"__Host-session"`, `"session"`}},
		{"cut", secret, cookie[:len(cookie)-1], []string{invalid, "complete"}},
		{"another secret", "another secret of 32 bytes or more", cookie, []string{invalid, "SESSION_SECRET"}},
		{"another name", secret, "shop=" + cookie, []string{invalid, `"shop"`, "--name"}},
		{"not base64url", secret, strings.Repeat("ä", 40), []string{invalid}},
		{"damaged Flask", secret, cookie + ".abcdef." + cookie, []string{invalid}},
		{"none", secret, "hello", []string{"no cookie"}},
		{"nothing", secret, "", []string{"no cookie"}},
		{"too long", secret, strings.Repeat("x", 4097), []string{invalid, "longer than a browser takes"}},
		{"two lines", secret, "Vary: Cookie\nSet-Cookie: shop=" + cookie, []string{"no cookie", "one whole"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			status, stdout, stderr := callWith(tt.secret, tt.text, "show")
			wantFailure(t, status, 1, stdout, stderr, tt.want...)
			if strings.Contains(stderr, tt.secret) || strings.Contains(stderr, cookie[1:20]) {
				t.Errorf("the secret or the cookie is in %q", stderr)
			}
		})
	}
}

func TestShow_invalidAmongOthers(t *testing.T) {
	line := "Cookie: _ga=GA1.1.1234567890.1234567890; __Host-session=" + value(t, ginsession.WithName("x"))
	status, stdout, stderr := call(line, "show")
	wantFailure(t, status, 1, stdout, stderr, `"__Host-session"`)
	if strings.Contains(stderr, "_ga") {
		t.Errorf("got %q, want nothing about other cookies", stderr)
	}
	status, stdout, stderr = call(line, "show", "--name", "shop")
	wantFailure(t, status, 1, stdout, stderr, `no cookie named "shop"`)
}

func TestShow_expired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cookie := value(t, ginsession.WithLifetime(time.Hour))
		time.Sleep(2 * time.Hour)
		status, stdout, stderr := call(cookie, "show")
		wantFailure(t, status, 1, stdout, stderr, ginsession.ErrExpired.Error(), "are right")
	})
}

func TestShow_usage(t *testing.T) {
	cookie := value(t)
	tests := []struct {
		name, secret string
		args         []string
		want         string
	}{
		{"no secret", "", nil, "SESSION_SECRET is empty"},
		{"short secret", "too short", nil, "SESSION_SECRET: it has 9 bytes"},
		{"unknown flag", secret, []string{"--nome", "x"}, "-nome"},
		{"bad name", secret, []string{"--name", "a b"}, "--name: "},
		{"bad lifetime", secret, []string{"--lifetime", "31"}, "lifetime"},
		{"negative lifetime", secret, []string{"--flask", "--lifetime=-1h"}, "--lifetime: "},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			status, stdout, stderr := callWith(tt.secret, cookie, append([]string{"show"}, tt.args...)...)
			wantFailure(t, status, 2, stdout, stderr, tt.want)
		})
	}
}

func TestShow_readAndWriteErrors(t *testing.T) {
	var errs bytes.Buffer
	getenv := func(string) string { return secret }
	if status := run([]string{"show"}, iotest.ErrReader(errors.New("gone")), &errs, &errs, getenv); status != 1 {
		t.Errorf("reading: got status %d, want 1", status)
	}
	if status := run([]string{"show", value(t)}, nil, broken{}, &errs, getenv); status != 1 {
		t.Errorf("writing: got status %d, want 1", status)
	}
}

func wantSame(t *testing.T, got, want any) {
	t.Helper()
	a, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := json.Marshal(want); err != nil || !bytes.Equal(a, b) {
		t.Errorf("got\n%s, want\n%s, %v", a, b, err)
	}
}

// broken is a pipe that nobody reads.
type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errors.New("gone") }

// A Flask app's secret may be too short for ours, and another cookie come first.
func TestShow_flaskSecretAmongOthers(t *testing.T) {
	const short = "a Flask SECRET_KEY, 24 b"
	h, err := ginsession.New(short, ginsession.WithFlaskCookie())
	if err != nil {
		t.Fatal(err)
	}
	line := "Cookie: csrftoken=abcdefghijklmnopqrstuvwx; session=" + sessiontest.New(t, h, fill).Value
	if status, out, errs := callWith(short, line, "show"); status != 0 || !strings.Contains(out, "user_id") {
		t.Errorf("got status %d, %q, %q, want the session", status, out, errs)
	}
}

// A value neither commands the terminal nor hides or reorders what it shows.
func TestShow_invisibleCharacters(t *testing.T) {
	rows := []struct{ name, text, want string }{
		{"control characters", "\u009b31mred\u007f", `\u009b31mred\u007f`},
		{"escape and newline", "\x1b[2J\n", `\u001b[2J\n`},
		{"bidirectional overrides", "a\u202eb\u2066c\u2069\u200f\u061c", `a\u202eb\u2066c\u2069\u200f\u061c`},
		{"zero-width", "a\u200bb\u200c\u200d\u2060\ufeff\u00ad", `a\u200bb\u200c\u200d\u2060\ufeff\u00ad`},
		{"line separators", "a\u2028b\u2029\u0085", `a\u2028b\u2029\u0085`},
		{"other spaces", "a\u00a0\u3000\u2003", `a\u00a0\u3000\u2003`},
		{"fillers and selectors", "\u034f\u115f\u3164\uffa0\ufe0f", `\u034f\u115f\u3164\uffa0\ufe0f`},
		{"tags", "a\U000e0041\U000e0001\U000e0100", `a\udb40\udc41\udb40\udc01\udb40\udd00`},
		{"private and unassigned", "\ue000\U0010ffff\u0378", `\ue000\udbff\udfff\u0378`},
		{"behind a backslash", "\\\u200b\"\u200b", `\\\u200b\"\u200b`},
		{"none", "Zoë 漢字 שלום 👍 é <&>", "Zoë 漢字 שלום 👍 é <&>"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			fill := func(s *ginsession.Session) {
				s.Set("key "+row.text, []any{row.text})
				s.AddFlash(row.text, row.text)
			}
			k := sessiontest.New(t, middleware(t), fill)
			_, out, _ := call(k.Value, "show")
			if n := strings.Count(out, row.want); n != 4 || strings.Count(out, `"key `+row.want) != 1 {
				t.Errorf("got it escaped %d times, want in a key, its value, a message and its category:\n%s", n, out)
			}
			got := shown(t, k.Value)
			wantSame(t, got["values"], map[string]any{"key " + row.text: []any{row.text}})
			wantSame(t, got["flashes"], []any{map[string]any{"category": row.text, "message": row.text}})
		})
	}
}

// Every character that Unicode calls one of format or direction, or a separator
// of lines, is escaped.
func TestEscapeInvisible_allOfUnicode(t *testing.T) {
	hidden := []*unicode.RangeTable{unicode.Cf, unicode.Cc, unicode.Zl, unicode.Zp, unicode.Co, unicode.Bidi_Control, unicode.Join_Control}
	var all strings.Builder
	for r := range rune(unicode.MaxRune + 1) {
		if unicode.In(r, hidden...) && r != '\n' {
			all.WriteRune(r)
		}
	}
	for _, r := range escapeInvisible(all.String()) {
		if unicode.In(r, hidden...) {
			t.Errorf("%U is not escaped", r)
		}
	}
}

// A megabyte of cookies, of whatever form, takes no time to speak of, and the
// session among them is found.
func TestShow_largeInput(t *testing.T) {
	host := value(t)
	many := func(format string) string {
		var b strings.Builder
		for i := 0; b.Len() < 1<<20-5000; i++ {
			fmt.Fprintf(&b, format, i)
		}
		return b.String()
	}
	rows := []struct{ name, text string }{
		{"cookies of one name", "Cookie: " + many("a=0123456789abcdef%d; ")},
		{"cookies of many names", "Cookie: " + many("a%d=0123456789abcdef; ")},
		{"cookies of the session's name", "Cookie: " + strings.ReplaceAll(many("session=%d; "), "=", "="+host[:len(host)-10])},
		{"Flask's cookies", "Cookie: " + many("session=e30.aaaaaa.0123456789abcdef%d; ")},
		{"no session's cookies", "Cookie: " + many("a%d=0123456789%%20abcdef; ")},
		{"one long cookie", "Cookie: a=" + strings.Repeat("x", 1<<20-5000) + "; "},
		{"nothing but semicolons", "Cookie: " + strings.Repeat(";", 1<<20-5000)},
		{"one long name", "Cookie: " + strings.Repeat("x", 1<<20-5000) + "; "},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			for _, text := range []string{row.text, row.text + "__Host-session=" + host} {
				text = text[max(0, len(text)-1<<20):]
				start := time.Now()
				status, stdout, stderr := call(text, "show")
				if took := time.Since(start); took > 5*time.Second { // slow machines and the race detector included
					t.Errorf("took %v, want less than a second", took)
				} else {
					t.Log(took)
				}
				if opened := strings.Contains(stdout, `"user_id": 42`); opened != strings.HasSuffix(text, host) || opened != (status == 0) {
					t.Errorf("got status %d, opened %t", status, opened)
				}
				if len(stderr) > 4000 {
					t.Errorf("got %d bytes on standard error, want few", len(stderr))
				}
			}
		})
	}
}
