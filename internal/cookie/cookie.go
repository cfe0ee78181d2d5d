// Package cookie reads Cookie lines and writes Set-Cookie lines (RFC 6265bis),
// with the attributes that a middleware was made with. What a cookie's value means
// is the storages' business.
package cookie

import (
	"fmt"
	"iter"
	"net/http"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ginsession/ginsession/internal/sessionerr"
)

// MaxLine is the length in bytes of a whole Set-Cookie line that every browser
// takes. No value that a browser sends back is longer.
const MaxLine = 4096

// Attributes of a cookie but Max-Age, which each line has of its own.
type Attributes struct {
	Name, Path, Domain            string
	Secure, HTTPOnly, Partitioned bool
	SameSite                      http.SameSite
}

// Cookie is the name and the attributes of a cookie. It does not change.
type Cookie struct {
	Name       string
	attributes string
	variants   []string // Set-Cookie lines, see [Cookie.Variants]
}

// New returns the cookie with these attributes, which the options have checked.
func New(a Attributes) Cookie {
	k := Cookie{Name: a.Name, attributes: a.String()}
	for _, path := range []string{a.Path, "/"} {
		for _, domain := range []string{a.Domain, ""} {
			other := a
			other.Path, other.Domain = path, domain
			variant := Cookie{Name: a.Name, attributes: other.String()}
			if line := variant.Expire(); other != a && !slices.Contains(k.variants, line) {
				k.variants = append(k.variants, line)
			}
		}
	}
	return k
}

// String returns the attributes as they stand in a Set-Cookie line.
func (a Attributes) String() string {
	var b strings.Builder
	b.WriteString("; Path=" + a.Path)
	if a.Domain != "" {
		b.WriteString("; Domain=" + a.Domain)
	}
	if a.HTTPOnly {
		b.WriteString("; HttpOnly")
	}
	if a.Secure {
		b.WriteString("; Secure")
	}
	switch a.SameSite {
	case http.SameSiteLaxMode:
		b.WriteString("; SameSite=Lax")
	case http.SameSiteStrictMode:
		b.WriteString("; SameSite=Strict")
	case http.SameSiteNoneMode:
		b.WriteString("; SameSite=None")
	}
	if a.Partitioned {
		b.WriteString("; Partitioned")
	}
	return b.String()
}

// Values yields the value of every cookie of this name, in the order in which
// they came. A browser can send several: of other paths or domains, or planted
// by a neighbouring subdomain.
func (k *Cookie) Values(h http.Header) iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, line := range h["Cookie"] {
			for value, rest, ok := k.cut(line); ok; value, rest, ok = k.cut(rest) {
				if !yield(value) {
					return
				}
			}
		}
	}
}

// First returns the value of the first cookie of this name, and how many there
// are.
func (k *Cookie) First(h http.Header) (first string, n int) {
	for _, line := range h["Cookie"] {
		for value, rest, ok := k.cut(line); ok; value, rest, ok = k.cut(rest) {
			if n++; n == 1 {
				first = value
			}
		}
	}
	return first, n
}

// cut returns the value of the first cookie of this name in a Cookie line, and
// the rest of the line.
func (k *Cookie) cut(line string) (value, rest string, ok bool) {
	for line != "" {
		pair := line
		if i := strings.IndexByte(line, ';'); i < 0 {
			line = ""
		} else {
			pair, line = line[:i], line[i+1:]
		}
		pair = textproto.TrimString(pair)
		if value, ok := strings.CutPrefix(pair, k.Name); ok && (value == "" || value[0] == '=') {
			return strings.TrimPrefix(value, "="), line, true
		}
	}
	return "", "", false
}

// Came reports whether the request has a cookie of this name.
func (k *Cookie) Came(h http.Header) bool {
	_, n := k.First(h)
	return n > 0
}

// IsSet reports whether the response has a Set-Cookie line of this name.
func (k *Cookie) IsSet(h http.Header) bool {
	return slices.ContainsFunc(h["Set-Cookie"], func(line string) bool { return strings.HasPrefix(line, k.Name+"=") })
}

// Set returns the Set-Cookie line for a value. The cookie goes with the browser
// window if maxAge is 0. A line over [MaxLine] is [sessionerr.ErrTooLarge].
func (k *Cookie) Set(value []byte, maxAge time.Duration) (string, error) {
	line := k.Name + "=" + string(value) + k.tail(maxAge)
	return line, checkLen(len(line))
}

// AppendSet is [Cookie.Set], appended to dst.
func (k *Cookie) AppendSet(dst, value []byte, maxAge time.Duration) ([]byte, error) {
	start := len(dst)
	dst = append(append(append(dst, k.Name...), '='), value...)
	dst = append(dst, k.tail(maxAge)...)
	return dst, checkLen(len(dst) - start)
}

func (k *Cookie) tail(maxAge time.Duration) string {
	if maxAge <= 0 {
		return k.attributes
	}
	seconds := 1 + int64((maxAge-1)/time.Second) // rounded up
	return k.attributes + "; Max-Age=" + strconv.FormatInt(seconds, 10)
}

func checkLen(n int) error {
	if n <= MaxLine {
		return nil
	}
	return fmt.Errorf("%w: its Set-Cookie line has %d bytes, and browsers need take no more than %d; keep less in it",
		sessionerr.ErrTooLarge, n, MaxLine)
}

// Value returns the value that a Set-Cookie line sets, or "" if it is none.
func Value(line string) string {
	_, value, _ := strings.Cut(line, "=")
	value, _, _ = strings.Cut(value, ";")
	return value
}

// Expire returns the Set-Cookie line that makes the browser drop the cookie.
func (k *Cookie) Expire() string {
	return k.Name + "=" + k.attributes + "; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT"
}

// Variants returns the Set-Cookie lines that make the browser drop cookies of
// this name that the app set before it had a domain or a path. A browser keeps
// them beside the new one and sends both.
func (k *Cookie) Variants() []string { return k.variants }
