package flask

import (
	"bytes"
	"encoding/json"
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

// Parse parses the JSON of a cookie. The error is [ErrInvalid].
func Parse(text []byte) (*Session, error) {
	object, err := fromPython(text)
	if err != nil || object[0] != '{' {
		return nil, ErrInvalid
	}
	entries, err := untagRoot(members(object))
	if err != nil {
		return nil, err
	}
	s := new(Session)
	for _, e := range entries {
		if strings.Contains(e.Raw, "{") {
			if _, err := codec.Decode(e.Raw); err != nil { // an invalid tag
				return nil, ErrInvalid
			}
		}
		s.add(e)
	}
	return s, nil
}

func (s *Session) add(e codec.Entry) {
	switch e.Key {
	case keyPermanent:
		s.Permanent = e.Raw
	case keyFlashes:
		if s.Flashes = parseFlashes(e.Raw); s.Flashes == nil {
			s.Entries = append(s.Entries, e) // not a list of flashes: an ordinary value
		}
	default:
		s.Entries = append(s.Entries, e)
	}
}

// members returns the keys of a compact object with their values, sorted by key.
// Of equal keys it returns the last one.
func members(object string) []codec.Entry {
	var entries []codec.Entry
	for i := 1; object[i] != '}'; {
		end := stringEnd(object, i)
		key := unquote(object[i:end])
		i = end + 1 // the colon
		end = valueEnd(object, i)
		entries = append(entries, codec.Entry{Key: key, Raw: object[i:end]})
		if i = end; object[i] == ',' {
			i++
		}
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
	var list []json.RawMessage
	if json.Unmarshal([]byte(raw), &list) != nil {
		return nil
	}
	flashes := make([]codec.Flash, 0, len(list))
	for i, element := range list {
		f := parseFlash(string(element))
		f.ID, f.Element = uint64(i), string(element)
		flashes = append(flashes, f)
	}
	if len(flashes) == 0 {
		return nil
	}
	return flashes
}

// parseFlash parses {" t":[category, message]}, or the list without the tag.
// Anything else becomes a message, so that no session is refused for it.
func parseFlash(element string) codec.Flash {
	var pair []json.RawMessage
	var tuple map[string][]json.RawMessage
	if json.Unmarshal([]byte(element), &tuple) == nil {
		pair = tuple[codec.TagTuple]
	} else {
		_ = json.Unmarshal([]byte(element), &pair)
	}
	if len(pair) != 2 {
		return codec.Flash{Category: "message", Raw: element}
	}
	category := string(pair[0])
	if category[0] == '"' {
		category = unquote(category)
	} else if html, ok := codec.String(category); ok {
		category = html
	} else {
		category = string(toPython(category))
	}
	return codec.Flash{Category: category, Raw: string(pair[1])}
}

// Dump returns the JSON as Python writes it: keys sorted, ASCII only. It returns
// an error if a key or category is not valid UTF-8.
func (s *Session) Dump() ([]byte, error) {
	var entries codec.Container
	entries.Fill(slices.Clone(s.Entries), nil)
	if s.Permanent != "" {
		entries.Set(keyPermanent, s.Permanent)
	}
	if len(s.Flashes) > 0 {
		list, err := dumpFlashes(s.Flashes)
		if err != nil {
			return nil, err
		}
		entries.Set(keyFlashes, list)
	}
	var b bytes.Buffer
	if err := dumpObject(&b, entries.Entries()); err != nil {
		return nil, err
	}
	return toPython(b.String()), nil
}

// dumpObject writes the entries as an object, with a tag if the only key looks
// like one.
func dumpObject(b *bytes.Buffer, entries []codec.Entry) error {
	escape := len(entries) == 1 && codec.IsTag(entries[0].Key)
	if escape {
		entries = []codec.Entry{{Key: entries[0].Key + "__", Raw: entries[0].Raw}}
		b.WriteString(`{"` + codec.TagDict + `":`)
	}
	b.WriteByte('{')
	for i, e := range entries {
		if i > 0 {
			b.WriteByte(',')
		}
		if err := quote(b, e.Key); err != nil {
			return err
		}
		b.WriteString(":" + e.Raw)
	}
	b.WriteByte('}')
	if escape {
		b.WriteByte('}')
	}
	return nil
}

func dumpFlashes(flashes []codec.Flash) (string, error) {
	var b bytes.Buffer
	b.WriteByte('[')
	for i, f := range flashes {
		if i > 0 {
			b.WriteByte(',')
		}
		if f.Element != "" {
			b.WriteString(f.Element)
			continue
		}
		b.WriteString(`{"` + codec.TagTuple + `":[`)
		if err := quote(&b, f.Category); err != nil {
			return "", err
		}
		b.WriteString("," + f.Raw + "]}")
	}
	b.WriteByte(']')
	return b.String(), nil
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
func fromPython(text []byte) (string, error) {
	if !utf8.Valid(text) {
		return "", ErrInvalid
	}
	names := map[string]string{
		"NaN": codec.NaN, "Infinity": codec.Infinity, "-Infinity": codec.MinusInfinity,
		codec.NaN: "-0.0", // its value as a JSON number
	}
	var b bytes.Buffer
	rewrite(&b, string(text), names, copyString)
	var compact bytes.Buffer
	if err := json.Compact(&compact, b.Bytes()); err != nil {
		return "", ErrInvalid
	}
	return compact.String(), nil
}

// toPython reverses fromPython, and escapes characters outside of ASCII.
func toPython(object string) []byte {
	names := map[string]string{
		codec.NaN: "NaN", codec.Infinity: "Infinity", codec.MinusInfinity: "-Infinity",
	}
	var b bytes.Buffer
	rewrite(&b, object, names, escapeASCII)
	return b.Bytes()
}

// rewrite writes JSON with some numbers and names replaced. It calls inside to
// write each string, quotes included.
func rewrite(b *bytes.Buffer, text string, names map[string]string, inside func(*bytes.Buffer, string)) {
	for i := 0; i < len(text); {
		if text[i] == '"' {
			end := stringEnd(text, i)
			inside(b, text[i:end])
			i = end
			continue
		}
		end := i + 1
		if isWord(text[i]) {
			for end < len(text) && isWord(text[end]) {
				end++
			}
		}
		word := text[i:end]
		if other, ok := names[word]; ok {
			word = other
		}
		b.WriteString(word)
		i = end
	}
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
