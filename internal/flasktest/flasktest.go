// Package flasktest asks Flask itself: it makes session cookies and reads them,
// in a process that ends with the test.
package flasktest

import (
	"bufio"
	_ "embed"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"math"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
)

//go:embed oracle.py
var program string

// Python returns the name of a Python that has Flask. A distribution's package comes
// with that distribution's Python, which may not be the first on PATH.
func Python(tb testing.TB) string {
	tb.Helper()
	for _, name := range []string{"python3", "/usr/bin/python3", "python"} {
		if exec.CommandContext(tb.Context(), name, "-c", "import flask").Run() == nil { //nolint:gosec // one of three names
			return name
		}
	}
	if os.Getenv("CI") == "true" {
		tb.Fatal("Flask is missing: make test installs it")
	}
	tb.Skip("Flask is missing: install it with make test, apt-get install python3-flask or pip install flask")
	return ""
}

// Oracle is a Flask app under Secret. It is for one goroutine.
type Oracle struct {
	Secret string

	tb  testing.TB
	in  io.WriteCloser
	out *bufio.Reader
}

// New starts an oracle.
func New(tb testing.TB, secret string) *Oracle {
	tb.Helper()
	cmd := exec.CommandContext(tb.Context(), Python(tb), "-c", program) //nolint:gosec // of our own
	cmd.Env = append(os.Environ(), "PYTHONIOENCODING=utf-8")            // which Windows does not take for granted
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		tb.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		_ = in.Close() // which ends it
		_ = cmd.Wait()
	})
	return &Oracle{secret, tb, in, bufio.NewReader(out)}
}

// Question is what an oracle is asked. Do is the name of a function of
// oracle.py, which documents what it does with the rest.
type Question struct {
	Do        string            `json:"do"`
	Secret    string            `json:"secret"`
	Fallbacks []string          `json:"fallbacks,omitempty"`
	Seed      int               `json:"seed"`
	Count     int               `json:"count,omitempty"`
	Cookies   []string          `json:"cookies"`
	Set       map[string]string `json:"set,omitempty"`
	Permanent *bool             `json:"permanent,omitempty"`
	Flashes   [][2]string       `json:"flashes,omitempty"`
}

// Ask returns the answer to a question. The secret is the oracle's unless the
// question has one.
func Ask[T any](o *Oracle, q *Question) (answer T) {
	o.tb.Helper()
	if q.Secret == "" {
		q.Secret = o.Secret
	}
	text, err := json.Marshal(q) //nolint:gosec // the secret is a test's
	if err != nil {
		o.tb.Fatal(err)
	}
	if _, err := o.in.Write(append(text, '\n')); err != nil {
		o.tb.Fatal(err)
	}
	line, err := o.out.ReadBytes('\n')
	if err != nil {
		o.tb.Fatalf("the oracle gave up on %.300s: %v", text, err)
	}
	if err := json.Unmarshal(line, &answer); err != nil {
		o.tb.Fatalf("%v: %.300s", err, line)
	}
	return answer
}

// Session is a session as Flask reads it: descriptions of its keys and values,
// which distinguish all types.
type Session map[string]string

// Read returns what Flask reads in cookies; nil if it refuses one.
func (o *Oracle) Read(cookies ...string) []Session {
	o.tb.Helper()
	sessions := Ask[[]Session](o, &Question{Do: "read", Cookies: cookies})
	if len(sessions) != len(cookies) {
		o.tb.Fatalf("%d answers to %d cookies", len(sessions), len(cookies))
	}
	return sessions
}

// Make returns the cookie of a session with the values of Python expressions.
func (o *Oracle) Make(set map[string]string) string {
	o.tb.Helper()
	return Ask[string](o, &Question{Do: "dump", Set: set})
}

// Takes returns those of the cookies that Flask accepts.
func (o *Oracle) Takes(cookies ...string) []string {
	o.tb.Helper()
	return Ask[[]string](o, &Question{Do: "takes", Cookies: cookies})
}

// Describe returns how the oracle describes a value that Go sets.
func Describe(v any) string {
	switch v := v.(type) {
	case nil:
		return "NoneType(None)"
	case bool:
		return "bool(" + map[bool]string{true: "True", false: "False"}[v] + ")"
	case string:
		return "str(" + hex.EncodeToString([]byte(v)) + ")"
	case template.HTML:
		return "Markup(" + hex.EncodeToString([]byte(v)) + ")"
	case []byte:
		return "bytes(" + hex.EncodeToString(v) + ")"
	case float64:
		return "float(" + hex.EncodeToString(binary.BigEndian.AppendUint64(nil, math.Float64bits(v))) + ")"
	case time.Time:
		return "datetime(" + v.UTC().Format("2006-01-02 15:04:05+00:00") + ")"
	case []any:
		parts := make([]string, len(v))
		for i := range v {
			parts[i] = Describe(v[i])
		}
		return "list(" + strings.Join(parts, ",") + ")"
	case map[string]any:
		var parts []string
		for key, value := range v {
			parts = append(parts, Describe(key)+":"+Describe(value))
		}
		slices.Sort(parts)
		return "{" + strings.Join(parts, ",") + "}"
	}
	return fmt.Sprintf("int(%d)", v)
}

// DescribeFlash returns how the oracle describes a flash message.
func DescribeFlash(message any, category string) string {
	return "tuple(" + Describe(category) + "," + Describe(message) + ")"
}
