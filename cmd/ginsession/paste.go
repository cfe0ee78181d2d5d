package main

import (
	"regexp"
	"slices"
	"strings"
)

// cookie is one that the user gave. The name is "" for a bare value.
type cookie struct{ name, value string }

const (
	// minValue is less than any session's cookie has, in bytes, and more than
	// the word HttpOnly.
	minValue = 16

	// maxValue is what browsers take, in bytes, with name and attributes (RFC
	// 6265bis, section 5.6).
	maxValue = 4096

	maxName = 256 // bytes
)

// field begins a line of a request or response.
var field = regexp.MustCompile(`(?i)^(?:set-)?cookie:`)

const (
	alphanumeric = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	token        = alphanumeric + "!#$%&'*+-.^_`|~" // RFC 9110, section 5.6.2
	sessionValue = alphanumeric + "-_."             // base64url, and the dots of Flask's
)

// consistsOf reports whether s has no other characters than those.
func consistsOf(s, characters string) bool { return strings.Trim(s, characters) == "" }

// cookiesIn returns the cookies of a bare value, name=value, or a Cookie or
// Set-Cookie line, each once.
func cookiesIn(text string) (found []cookie) {
	text = field.ReplaceAllString(strings.TrimSpace(text), "")
	seen := map[cookie]bool{}
	for pair := range strings.SplitSeq(text, ";") {
		name, value, named := strings.Cut(trim(pair), "=")
		if !named {
			name, value = "", name
		} else if name == "" || len(name) > maxName || !consistsOf(name, token) || isAttribute(name) {
			continue
		}
		k := cookie{name, trim(value)}
		if len(k.value) >= minValue && !seen[k] {
			seen[k] = true
			found = append(found, k)
		}
	}
	return found
}

// trim removes what no cookie has in it, but what may be around one.
func trim(s string) string { return strings.Trim(s, " \t'\"") }

func isAttribute(name string) bool {
	return slices.ContainsFunc([]string{"Path", "Domain", "Max-Age", "Expires", "SameSite"},
		func(a string) bool { return strings.EqualFold(a, name) })
}

// malformed returns why a value cannot be a session's cookie, and "" if it can.
func malformed(value string) string {
	switch {
	case len(value) > maxValue:
		return "it is longer than a browser takes"
	case !consistsOf(value, sessionValue):
		return "it is not base64url"
	}
	return ""
}
