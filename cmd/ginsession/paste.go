package main

import (
	"regexp"
	"slices"
	"strings"
)

// cookie is what a user has pasted. The name is "" for a bare value.
type cookie struct{ name, value string }

var (
	// header finds the field's name, also behind curl -v's marks and in the
	// curl commands that browsers copy.
	header = regexp.MustCompile(`(?i)^.*?\b(?:set-)?cookie:\s*`)

	// curlFlag begins the cookies in the curl commands that browsers copy.
	curlFlag = regexp.MustCompile(`^.*\s(?:-b|--cookie)\s+`)

	token = regexp.MustCompile("^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}$") // RFC 9110, section 5.6.2
)

// cookiesIn finds the cookies in a pasted text. Lines of other kinds, such as
// the other headers of a response, may stand among them.
func cookiesIn(text string) []cookie {
	lines := strings.FieldsFunc(text, func(r rune) bool { return r == '\n' || r == '\r' })
	if marked := slices.DeleteFunc(slices.Clone(lines), func(line string) bool { return !header.MatchString(line) }); len(marked) > 0 {
		lines = marked
	}
	var found []cookie
	for _, line := range lines {
		for _, k := range cookiesInLine(line) {
			if !slices.Contains(found, k) {
				found = append(found, k)
			}
		}
	}
	return found
}

func cookiesInLine(line string) (found []cookie) {
	if columns := strings.Split(line, "\t"); len(columns) > 1 {
		return cookieInTable(columns)
	}
	line = curlFlag.ReplaceAllString(header.ReplaceAllString(line, ""), "")
	for pair := range strings.SplitSeq(line, ";") {
		name, value, named := strings.Cut(strings.Trim(pair, quotes), "=")
		if !named {
			name, value = "", name
		} else if !token.MatchString(name) || isAttribute(name) {
			continue
		}
		value = strings.Trim(value, quotes)
		if end := strings.IndexAny(value, quotes); end >= 0 && named {
			value = value[:end] // the rest of a command
		}
		if len(value) >= minValue && !strings.ContainsAny(value, quotes) {
			found = append(found, cookie{name, value})
		}
	}
	return found
}

// quotes are what no cookie has in it, but what may be around one.
const quotes = " \t'\"\\^"

// minValue is less than any session has, in bytes, and more than the word
// HttpOnly.
const minValue = 16

func isAttribute(name string) bool {
	return slices.ContainsFunc([]string{"Path", "Domain", "Max-Age", "Expires", "SameSite"},
		func(a string) bool { return strings.EqualFold(a, name) })
}

// cookieInTable reads a line of curl's cookie jar, where the last two columns
// are it, and one of a browser's developer tools, where the first two are.
func cookieInTable(columns []string) []cookie {
	if len(columns) == 7 && (columns[1] == "TRUE" || columns[1] == "FALSE") {
		columns = columns[5:]
	}
	k := cookie{strings.TrimSpace(columns[0]), strings.Trim(columns[1], " \"")}
	if !token.MatchString(k.name) || len(k.value) < minValue {
		return nil
	}
	return []cookie{k}
}
