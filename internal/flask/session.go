package flask

import (
	"bytes"
	"encoding/json"
	"iter"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/ginsession/ginsession/internal/codec"
)

// Flask's own keys in a session.
const (
	keyFlashes   = "_flashes"
	keyPermanent = "_permanent"
)

// Session is the content of a cookie's JSON. Values that are not changed are
// written back byte for byte.
//
// Keys and categories hold a lone surrogate, which Python allows in a string and
// UTF-8 does not, as the three bytes that UTF-8's scheme gives for it.
type Session struct {
	Entries   []codec.Entry // sorted by key, each key once
	Flashes   []codec.Flash
	Permanent string // JSON, normally true or false; "" if absent
}

// Parse parses the JSON of a cookie. Keys and values share the memory of text if
// that is as Python writes it. The error is [ErrInvalid].
func Parse(text string) (Session, error) {
	object, err := fromPython(text)
	if err != nil || object[0] != '{' {
		return Session{}, ErrInvalid
	}
	entries, err := untagRoot(members(object))
	if err != nil {
		return Session{}, err
	}
	var s Session
	kept := entries[:0]
	for _, e := range entries {
		if !goodTags(e.Raw) {
			return Session{}, ErrInvalid
		}
		if !s.takes(e) {
			kept = append(kept, e)
		}
	}
	s.Entries = kept
	return s, nil
}

// takes keeps an entry that is one of Flask's own, and reports whether it was.
func (s *Session) takes(e codec.Entry) bool {
	switch e.Key {
	case keyPermanent:
		s.Permanent = e.Raw
		return true
	case keyFlashes:
		s.Flashes = parseFlashes(e.Raw)
		return s.Flashes != nil // else it is no list of flashes: an ordinary value
	}
	return false
}

// members returns the keys of a compact object with their values, sorted by key.
// Of equal keys it returns the last one.
func members(object string) []codec.Entry {
	entries := make([]codec.Entry, 0, fewMembers)
	sorted := true
	for i := 1; object[i] != '}'; {
		end := stringEnd(object, i)
		key := unquote(object[i:end])
		i = end + 1 // the colon
		end = valueEnd(object, i)
		sorted = sorted && (len(entries) == 0 || entries[len(entries)-1].Key < key)
		entries = append(entries, codec.Entry{Key: key, Raw: object[i:end]})
		if i = end; object[i] == ',' {
			i++
		}
	}
	if sorted {
		return entries
	}
	slices.SortStableFunc(entries, func(a, b codec.Entry) int { return strings.Compare(a.Key, b.Key) })
	kept := entries[:0]
	for i, e := range entries {
		if i+1 == len(entries) || entries[i+1].Key != e.Key {
			kept = append(kept, e)
		}
	}
	return kept
}

// fewMembers is the room for the keys of most sessions.
const fewMembers = 8

// untagRoot returns the entries of a session that Flask wrote with a tag because
// its only key looks like one.
func untagRoot(root []codec.Entry) ([]codec.Entry, error) {
	if len(root) != 1 || !codec.IsTag(root[0].Key) {
		return root, nil
	}
	if root[0].Key != codec.TagDict || root[0].Raw[0] != '{' {
		return nil, ErrInvalid // such as a tuple
	}
	inner := members(root[0].Raw)
	if len(inner) != 1 || !strings.HasSuffix(inner[0].Key, "__") {
		return nil, ErrInvalid
	}
	inner[0].Key = strings.TrimSuffix(inner[0].Key, "__")
	return inner, nil
}

// parseFlashes parses a list of flashes. It returns nil if raw is not a list, or
// is empty.
func parseFlashes(raw string) []codec.Flash {
	if raw[0] != '[' || raw == "[]" {
		return nil
	}
	flashes := make([]codec.Flash, 0, 1)
	for element := range elements(raw) {
		f := parseFlash(element)
		f.ID, f.Element = uint64(len(flashes)), element
		flashes = append(flashes, f)
	}
	return flashes
}

// elements yields those of a compact list.
func elements(list string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for i := 1; i < len(list)-1; i++ { // a comma follows each
			end := valueEnd(list, i)
			if !yield(list[i:end]) {
				return
			}
			i = end
		}
	}
}

// parseFlash parses {" t":[category, message]}, or the list without the tag.
// Anything else becomes a message, so that no session is refused for it.
func parseFlash(element string) codec.Flash {
	const before, after = `{"` + codec.TagTuple + `":`, `}`
	pair, n := element, 0
	if strings.HasPrefix(element, before) && valueEnd(element, len(before)) == len(element)-len(after) {
		pair = element[len(before) : len(element)-len(after)]
	}
	var category, message string
	if pair[0] == '[' {
		for value := range elements(pair) {
			n++
			category, message = message, value
		}
	}
	if n != 2 {
		return codec.Flash{Category: "message", Raw: element}
	}
	if category[0] == '"' {
		category = unquote(category)
	} else if html, ok := codec.String(category); ok {
		category = html
	} else {
		category = string(appendPython(nil, category))
	}
	return codec.Flash{Category: category, Raw: message}
}

// Append appends the JSON to dst as Python writes it: keys sorted, ASCII only. It
// returns an error if a key or category is not valid UTF-8.
func (s *Session) Append(dst []byte) ([]byte, error) {
	w := writer{text: dst}
	if len(s.Entries) == 1 && codec.IsTag(s.Entries[0].Key) && len(s.Flashes) == 0 && s.Permanent == "" {
		w.write(`{"` + codec.TagDict + `":{`) // or it would be read as a tag
		w.key(s.Entries[0].Key + "__")
		w.value(s.Entries[0].Raw)
		w.write("}}")
		return w.text, w.err
	}
	w.write("{")
	rest := s.Entries
	if len(s.Flashes) > 0 {
		rest = w.until(rest, keyFlashes)
		w.key(keyFlashes)
		w.flashes(s.Flashes)
	}
	if s.Permanent != "" {
		rest = w.until(rest, keyPermanent)
		w.key(keyPermanent)
		w.value(s.Permanent)
	}
	for _, e := range rest {
		w.key(e.Key)
		w.value(e.Raw)
	}
	w.write("}")
	return w.text, w.err
}

// writer appends JSON to text.
type writer struct {
	text []byte
	err  error
}

func (w *writer) write(json string) { w.text = append(w.text, json...) }
func (w *writer) value(raw string)  { w.text = appendPython(w.text, raw) }

// until writes the entries whose keys come before key, and returns those that
// come after it.
func (w *writer) until(entries []codec.Entry, key string) (rest []codec.Entry) {
	for len(entries) > 0 && entries[0].Key < key {
		w.key(entries[0].Key)
		w.value(entries[0].Raw)
		entries = entries[1:]
	}
	if len(entries) > 0 && entries[0].Key == key {
		entries = entries[1:]
	}
	return entries
}

// key writes a key, and a comma before it unless it is an object's first.
func (w *writer) key(key string) {
	if w.text[len(w.text)-1] != '{' {
		w.write(",")
	}
	w.quote(key)
	w.write(":")
}

func (w *writer) quote(text string) {
	quoted, err := appendQuoted(w.text, text)
	if err != nil {
		w.err = err
		return
	}
	w.text = quoted
}

func (w *writer) flashes(flashes []codec.Flash) {
	w.write("[")
	for i, f := range flashes {
		if i > 0 {
			w.write(",")
		}
		if f.Element != "" {
			w.value(f.Element)
			continue
		}
		w.write(`{"` + codec.TagTuple + `":[`)
		w.quote(f.Category)
		w.write(",")
		w.value(f.Raw)
		w.write("]}")
	}
	w.write("]")
}

// True reports whether Python considers a value true.
func True(raw string) bool {
	switch raw {
	case "", "null", "false", "0", "-0", "0.0", "-0.0", `""`, "[]", "{}",
		`{" t":[]}`, `{" b":""}`, `{" m":""}`:
		return false
	}
	return true
}

// encodedTime matches a time as [codec.Encode] writes it. It matches nothing in a
// string, where quotes are escaped, and no map, whose key is escaped.
var encodedTime = regexp.MustCompile(`\{" d":"[^"\\]*"\}`)

// Times rewrites the times in the output of [codec.Encode] as Flask writes them:
// in GMT, with whole seconds.
func Times(raw string) string {
	const before, after = `{" d":"`, `"}`
	if !strings.Contains(raw, before) {
		return raw
	}
	return encodedTime.ReplaceAllStringFunc(raw, func(tag string) string {
		t, err := time.Parse(time.RFC3339Nano, tag[len(before):len(tag)-len(after)])
		if err != nil {
			return tag
		}
		return before + t.UTC().Format(http.TimeFormat) + after
	})
}

// fromPython returns compact JSON. The three numbers that Python writes and JSON
// lacks become [codec.NaN], [codec.Infinity] and [codec.MinusInfinity].
func fromPython(text string) (string, error) {
	if plain(text) {
		return text, nil
	}
	return normalize(text)
}

// normalize is fromPython for any text.
func normalize(text string) (string, error) {
	if !utf8.ValidString(text) {
		return "", ErrInvalid
	}
	replaced := rewrite(nil, text, copyString, func(word string) string {
		switch word {
		case "NaN":
			return codec.NaN
		case "Infinity":
			return codec.Infinity
		case "-Infinity":
			return codec.MinusInfinity
		case codec.NaN:
			return "-0.0" // its value as a JSON number
		}
		return word
	})
	var compact bytes.Buffer
	if err := json.Compact(&compact, replaced); err != nil {
		return "", ErrInvalid
	}
	return compact.String(), nil
}

// appendPython reverses fromPython, and escapes characters outside of ASCII.
func appendPython(dst []byte, raw string) []byte {
	if isASCII(raw) && !strings.Contains(raw, "e999999") { // none of the three numbers
		return append(dst, raw...)
	}
	return rewrite(dst, raw, escapeASCII, func(word string) string {
		switch word {
		case codec.NaN:
			return "NaN"
		case codec.Infinity:
			return "Infinity"
		case codec.MinusInfinity:
			return "-Infinity"
		}
		return word
	})
}

// rewrite appends JSON with some numbers and names replaced. It calls inside to
// append each string, quotes included.
func rewrite(dst []byte, text string, inside func([]byte, string) []byte, replace func(word string) string) []byte {
	for i := 0; i < len(text); {
		if text[i] == '"' {
			end := stringEnd(text, i)
			dst = inside(dst, text[i:end])
			i = end
			continue
		}
		end := i + 1
		if isWord(text[i]) {
			for end < len(text) && isWord(text[end]) {
				end++
			}
		}
		dst = append(dst, replace(text[i:end])...)
		i = end
	}
	return dst
}

// isWord reports whether numbers and names may contain c.
func isWord(c byte) bool { return !strings.ContainsRune("\"{}[],: \t\r\n", rune(c)) }

// valueEnd returns the end of the compact value that begins at start.
func valueEnd(s string, start int) int {
	depth := 0
	for i := start; i < len(s); i++ {
		switch s[i] {
		case '"':
			i = stringEnd(s, i) - 1
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return i
			}
			depth--
		case ',':
			if depth == 0 {
				return i
			}
		}
	}
	return len(s)
}

// stringEnd returns the end of the JSON string that begins at start.
func stringEnd(s string, start int) int {
	if n := strings.IndexByte(s[start+1:], '"'); n >= 0 && strings.IndexByte(s[start+1:start+1+n], '\\') < 0 {
		return start + 1 + n + 1
	}
	for i := start + 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(s)
}
