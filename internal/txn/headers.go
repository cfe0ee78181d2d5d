package txn

import (
	"net/http"
	"slices"
	"strings"
)

const (
	lineVary = iota
	lineSetCookie
	lineCacheControl
)

// Headers adds to h what the response owes to the session. It may be called
// again: nothing is repeated.
func (t *Txn) Headers(h http.Header) {
	t.addVary(h)
	if t.setCookie == "" && t.sentCookie == "" && t.spent == 0 {
		return
	}
	adds := t.setCookie != ""
	for i := range t.config.Imports {
		from := &t.config.Imports[i].Cookie
		if t.spent&(1<<i) != 0 && (from.Name != t.config.Cookie.Name || t.setCookie == "") {
			adds = addLine(h, from.Expire()) || adds
		}
	}
	if t.setCookie != "" && t.severalCame() {
		for _, line := range t.config.Cookie.Variants() {
			addLine(h, line)
		}
	}
	t.writeCookie(h)
	if adds && len(h["Cache-Control"]) == 0 {
		h["Cache-Control"] = t.withLine(lineCacheControl, nil, "no-store")
	}
}

// SendsCookie reports whether our cookie is among the headers.
func (t *Txn) SendsCookie() bool { return t.sentCookie != "" }

// addLine adds a Set-Cookie line, and reports whether it was not there yet.
func addLine(h http.Header, line string) bool {
	lines := h["Set-Cookie"]
	if slices.Contains(lines, line) {
		return false
	}
	h["Set-Cookie"] = append(slices.Clip(lines), line)
	return true
}

// severalCame reports whether the browser sent several cookies of our name, and
// some may have been set without the domain or the path of today.
func (t *Txn) severalCame() bool {
	if len(t.config.Cookie.Variants()) == 0 {
		return false
	}
	_, n := t.config.Cookie.First(t.request.Header)
	return n > 1
}

// writeCookie puts the line of the last commit in the place of that of an
// earlier one.
func (t *Txn) writeCookie(h http.Header) {
	lines := h["Set-Cookie"]
	if t.setCookie == t.sentCookie && slices.Contains(lines, t.setCookie) {
		return
	}
	if len(lines) > 0 { // the imported cookie may be expired by the same line, and ours is to be the last
		lines = slices.DeleteFunc(slices.Clone(lines), func(line string) bool {
			return line == t.sentCookie || line == t.setCookie || t.setCookie != "" && t.expiresOurs(line)
		})
	}
	if t.setCookie != "" {
		lines = t.withLine(lineSetCookie, lines, t.setCookie)
	}
	if t.sentCookie = t.setCookie; len(lines) > 0 {
		h["Set-Cookie"] = lines
	} else {
		delete(h, "Set-Cookie")
	}
}

// expiresOurs reports whether a Set-Cookie line expires an imported cookie that has
// the name of ours.
func (t *Txn) expiresOurs(line string) bool {
	return slices.ContainsFunc(t.config.Imports, func(from Source) bool {
		return from.Cookie.Name == t.config.Cookie.Name && line == from.Cookie.Expire()
	})
}

// withLine adds a line of ours to those that a header has. The first of its kind
// lives in the Txn if it is the only one, which allocates nothing; others may
// hold on to it.
func (t *Txn) withLine(which int, lines []string, line string) []string {
	if len(lines) > 0 || t.lines[which] != "" {
		return append(slices.Clip(lines), line)
	}
	t.lines[which] = line
	return t.lines[which : which+1 : which+1]
}

// addVary keeps caches from handing one browser's response to another (RFC
// 9110, section 12.5.5).
func (t *Txn) addVary(h http.Header) {
	lines := h["Vary"]
	for _, line := range lines {
		for field := range strings.SplitSeq(line, ",") {
			if field = strings.TrimSpace(field); field == "*" || strings.EqualFold(field, "Cookie") {
				return
			}
		}
	}
	h["Vary"] = t.withLine(lineVary, lines, "Cookie")
}
