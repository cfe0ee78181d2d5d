package flask

import (
	"strings"

	"github.com/ginsession/ginsession/internal/codec"
)

// Most cookies hold what Flask's encoder writes: compact ASCII, tags with the
// right content. The functions of this file see that in one pass. They may take
// correct JSON for incorrect, but not the reverse: a slower path decides then.

// maxPlain is how deep a plain text is nested at most.
const maxPlain = 64

// plain reports whether a text is compact JSON in ASCII without any of the
// numbers that [fromPython] replaces. If it reports false, it may be all the same.
func plain(text string) bool {
	end, ok := plainValue(text, 0, 0)
	return ok && end == len(text)
}

// plainValue returns the end of the value that begins at i.
func plainValue(s string, i, depth int) (end int, ok bool) {
	if i >= len(s) || depth > maxPlain {
		return 0, false
	}
	switch s[i] {
	case '"':
		return plainString(s, i)
	case '{', '[':
		return plainList(s, i, depth)
	case 't':
		return plainWord(s, i, "true")
	case 'f':
		return plainWord(s, i, "false")
	case 'n':
		return plainWord(s, i, "null")
	}
	return plainNumber(s, i)
}

func plainWord(s string, i int, word string) (end int, ok bool) {
	return i + len(word), strings.HasPrefix(s[i:], word)
}

// plainList reads a list or an object, whose members have keys.
func plainList(s string, i, depth int) (end int, ok bool) {
	keys, closing := s[i] == '{', s[i]+2
	if i+1 < len(s) && s[i+1] == closing {
		return i + 2, true
	}
	for {
		i++ // the opening bracket, or a comma
		if keys {
			if i >= len(s) || s[i] != '"' {
				return 0, false
			}
			if i, ok = plainString(s, i); !ok || i >= len(s) || s[i] != ':' {
				return 0, false
			}
			i++
		}
		if i, ok = plainValue(s, i, depth+1); !ok || i >= len(s) {
			return 0, false
		}
		if s[i] == closing {
			return i + 1, true
		}
		if s[i] != ',' {
			return 0, false
		}
	}
}

func plainString(s string, i int) (end int, ok bool) {
	for i++; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			return i + 1, true
		case c < ' ' || c > '~':
			return 0, false
		case c == '\\':
			if _, ok := escaped(s[i:]); ok {
				i += len(`u00eb`)
			} else if i++; i >= len(s) || strings.IndexByte(`"\/bfnrt`, s[i]) < 0 {
				return 0, false
			}
		}
	}
	return 0, false
}

// plainNumber reads a number without an exponent.
func plainNumber(s string, i int) (end int, ok bool) {
	if s[i] == '-' {
		i++
	}
	whole := digits(s, i)
	if whole == i || s[i] == '0' && whole > i+1 {
		return 0, false
	}
	if whole == len(s) || s[whole] != '.' {
		return whole, true
	}
	end = digits(s, whole+1)
	return end, end > whole+1
}

func digits(s string, i int) (end int) {
	for i < len(s) && s[i] >= '0' && s[i] <= '9' {
		i++
	}
	return i
}

// goodTags reports whether all tags in a value have the right content.
func goodTags(raw string) bool {
	if !strings.Contains(raw, `{" `) && !strings.Contains(raw, `{"\`) {
		return true
	}
	if commonTags(raw) {
		return true
	}
	_, err := codec.Decode(raw)
	return err == nil
}

// commonTags reports whether a value has no other tags than tuples, bytes and
// markup, and these have the right content.
func commonTags(raw string) bool {
	for i := 0; i < len(raw); {
		switch {
		case raw[i] == '"':
			i = stringEnd(raw, i)
		case strings.HasPrefix(raw[i:], `{"\`):
			return false // perhaps a space
		case strings.HasPrefix(raw[i:], `{" `):
			start := stringEnd(raw, i+1) + 1
			if !commonTag(raw[i+1:start-1], raw[start:]) {
				return false
			}
			i = start
		default:
			i++
		}
	}
	return true
}

// commonTag is [commonTags] for the first key of an object and what follows it.
func commonTag(key, rest string) bool {
	value := rest[:valueEnd(rest, 0)]
	if rest[len(value)] == ',' || strings.Contains(key, `\`) {
		return false // equal keys count as one
	}
	switch key {
	case `" t"`:
		return value[0] == '['
	case `" m"`:
		return value[0] == '"'
	case `" b"`:
		return value[0] == '"' && isBase64(value[1:len(value)-1])
	case `" u"`, `" d"`, `" di"`:
		return false
	}
	return true // no tag
}

// isBase64 reports whether a text is padded base64 without line breaks.
func isBase64(text string) bool {
	data := strings.TrimSuffix(strings.TrimSuffix(text, "="), "=")
	for i := range len(data) {
		switch c := data[i]; {
		case c >= 'A' && c <= 'Z', c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '+', c == '/':
		default:
			return false
		}
	}
	return len(text)%4 == 0
}
