package flask

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode/utf16"

	"github.com/ginsession/ginsession/internal/codec"
)

// Flask's own keys in a session.
const (
	keyFlashes   = "_flashes"
	keyPermanent = "_permanent"
)

// Session is what the JSON of a cookie holds. Values that nobody touches go
// back as they came, to the letter.
type Session struct {
	Entries   []codec.Entry // sorted by key
	Flashes   []codec.Flash
	Permanent *bool // nil: no word about it
}

// Parse reads the JSON of a cookie.
func Parse(text []byte) (*Session, error) {
	var object map[string]json.RawMessage
	if err := json.Unmarshal(fromPython(text), &object); err != nil || object == nil {
		return nil, ErrInvalid
	}
	s := new(Session)
	for key, raw := range object {
		value := string(raw)
		if strings.Contains(value, `{"`) {
			if _, err := codec.Decode(value); err != nil { // a broken tag
				return nil, ErrInvalid
			}
		}
		if err := s.add(key, value); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(s.Entries, func(a, b codec.Entry) int { return strings.Compare(a.Key, b.Key) })
	return s, nil
}

func (s *Session) add(key, raw string) error {
	switch key {
	case keyPermanent:
		permanent := raw == "true"
		s.Permanent = &permanent
	case keyFlashes:
		return s.addFlashes(raw)
	default:
		s.Entries = append(s.Entries, codec.Entry{Key: key, Raw: raw})
	}
	return nil
}

// addFlashes reads a list of {" t":[category, message]}.
func (s *Session) addFlashes(raw string) error {
	var list []map[string][]json.RawMessage
	if err := json.Unmarshal([]byte(raw), &list); err != nil {
		return ErrInvalid
	}
	for i, tuple := range list {
		pair := tuple[" t"]
		if len(tuple) != 1 || len(pair) != 2 {
			return ErrInvalid
		}
		category, ok := codec.String(string(pair[0]))
		if !ok {
			return ErrInvalid
		}
		s.Flashes = append(s.Flashes, codec.Flash{ID: uint64(i), Category: category, Raw: string(pair[1])})
	}
	return nil
}

// Dump writes the JSON as Python does: keys sorted, ASCII only.
func (s *Session) Dump() ([]byte, error) {
	object := make(map[string]json.RawMessage, len(s.Entries)+2)
	for _, e := range s.Entries {
		object[e.Key] = json.RawMessage(e.Raw)
	}
	if s.Permanent != nil {
		object[keyPermanent] = fmt.Appendf(nil, "%t", *s.Permanent)
	}
	if len(s.Flashes) > 0 {
		flashes, err := dumpFlashes(s.Flashes)
		if err != nil {
			return nil, err
		}
		object[keyFlashes] = flashes
	}
	text, err := marshal(object)
	if err != nil {
		return nil, err
	}
	return toPython(text), nil
}

func dumpFlashes(flashes []codec.Flash) (json.RawMessage, error) {
	list := make([]map[string][]json.RawMessage, len(flashes))
	for i, f := range flashes {
		category, err := codec.Encode(f.Category)
		if err != nil {
			return nil, err
		}
		list[i] = map[string][]json.RawMessage{" t": {json.RawMessage(category), json.RawMessage(f.Raw)}}
	}
	return marshal(list)
}

func marshal(v any) ([]byte, error) {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return []byte(strings.TrimSuffix(b.String(), "\n")), err
}

// Python writes three numbers that JSON lacks. Here they are spelled as numbers
// that Python would never write.
var (
	fromNames = strings.NewReplacer("NaN", codec.NaN, "-Infinity", codec.MinusInfinity, "Infinity", codec.Infinity)
	toNames   = strings.NewReplacer(codec.NaN, "NaN", codec.MinusInfinity, "-Infinity", codec.Infinity, "Infinity")
)

func fromPython(text []byte) []byte {
	return outsideStrings(text, func(b *strings.Builder, s string) { _, _ = fromNames.WriteString(b, s) }, copyString)
}

func toPython(text []byte) []byte {
	return outsideStrings(text, func(b *strings.Builder, s string) { _, _ = toNames.WriteString(b, s) }, escapeASCII)
}

// outsideStrings rewrites JSON: what is between strings, and the strings with
// their quotes.
func outsideStrings(text []byte, between, inside func(*strings.Builder, string)) []byte {
	var b strings.Builder
	for rest := string(text); rest != ""; {
		start := strings.IndexByte(rest, '"')
		if start < 0 {
			between(&b, rest)
			break
		}
		between(&b, rest[:start])
		end := stringEnd(rest, start)
		inside(&b, rest[start:end])
		rest = rest[end:]
	}
	return []byte(b.String())
}

// stringEnd finds the end of the JSON string that begins at start.
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

func copyString(b *strings.Builder, s string) { b.WriteString(s) }

// escapeASCII escapes all but printable ASCII, as Python does.
func escapeASCII(b *strings.Builder, s string) {
	for _, r := range s {
		switch {
		case r >= ' ' && r <= '~':
			b.WriteByte(byte(r))
		case r <= 0xffff:
			fmt.Fprintf(b, `\u%04x`, r)
		default:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(b, `\u%04x\u%04x`, high, low)
		}
	}
}
