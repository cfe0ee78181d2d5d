package flask

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

var errUTF8 = errors.New("flask: a key or category that is not valid UTF-8")

// unquote returns the text of a valid JSON string. Unlike encoding/json it keeps
// lone surrogates, so that different keys stay different.
func unquote(quoted string) string {
	inner := quoted[1 : len(quoted)-1]
	if !strings.Contains(inner, `\`) {
		return inner
	}
	var b strings.Builder
	for {
		start, code := surrogate(inner)
		b.WriteString(unescape(inner[:start]))
		if start == len(inner) {
			return b.String()
		}
		b.Write([]byte{0xe0 | byte(code>>12), 0x80 | byte(code>>6)&0x3f, 0x80 | byte(code)&0x3f})
		inner = inner[start+len(`\ud800`):]
	}
}

// unescape returns the text of a string without lone surrogates.
func unescape(inner string) string {
	var text string
	_ = json.Unmarshal([]byte(`"`+inner+`"`), &text)
	return text
}

// surrogate returns the first lone surrogate among the escapes of a string, and
// its start, which is the length of the string if there is none.
func surrogate(inner string) (start int, code uint64) {
	for i := 0; i < len(inner); i++ {
		if inner[i] != '\\' {
			continue
		}
		code, ok := escaped(inner[i:])
		if !ok || !utf16.IsSurrogate(rune(code)) {
			i++
			continue
		}
		next, _ := escaped(inner[i+len(`\ud800`):])
		if utf16.DecodeRune(rune(code), rune(next)) == utf8.RuneError {
			return i, code
		}
		i += 2*len(`\ud800`) - 1
	}
	return len(inner), 0
}

// escaped returns the code of an escape such as \u00eb at the start of s.
func escaped(s string) (code uint64, ok bool) {
	digits, ok := strings.CutPrefix(s, `\u`)
	if !ok || len(digits) < 4 {
		return 0, false
	}
	code, err := strconv.ParseUint(digits[:4], 16, 16)
	return code, err == nil
}

// escapesASCII reports whether a text may have an escape for a letter or "_".
func escapesASCII(text []byte) bool {
	for {
		i := bytes.Index(text, []byte(`\u00`))
		if i < 0 {
			return false
		}
		text = text[i+len(`\u00`):]
		if len(text) > 0 && text[0] >= '5' && text[0] <= '7' {
			return true
		}
	}
}

// appendQuoted appends a key or category as a JSON string, as Python does.
func appendQuoted(dst []byte, text string) ([]byte, error) {
	dst = append(dst, '"')
	if isASCII(text) && !strings.ContainsAny(text, `"\`) {
		dst, text = append(dst, text...), ""
	}
	for text != "" {
		r, size := utf8.DecodeRuneInString(text)
		if r == utf8.RuneError && size == 1 {
			code, ok := encodedSurrogate(text)
			if !ok {
				return nil, errUTF8
			}
			r, size = code, 3
		}
		text = text[size:]
		if i := strings.IndexRune("\"\\\n\r\t\b\f", r); i >= 0 {
			dst = append(dst, '\\', `"\nrtbf`[i])
		} else {
			dst = appendASCII(dst, r)
		}
	}
	return append(dst, '"'), nil
}

// encodedSurrogate returns the lone surrogate at the start of s, as [unquote]
// encodes it.
func encodedSurrogate(s string) (rune, bool) {
	if len(s) < 3 || s[0] != 0xed || s[1]&0xe0 != 0xa0 || s[2]&0xc0 != 0x80 {
		return 0, false
	}
	return 0xd000 | rune(s[1]&0x3f)<<6 | rune(s[2]&0x3f), true
}

// isASCII reports whether Python writes the text as it is: it has printable
// ASCII only.
func isASCII(text string) bool {
	for i := range len(text) {
		if text[i] < ' ' || text[i] > '~' {
			return false
		}
	}
	return true
}

func copyString(dst []byte, quoted string) []byte { return append(dst, quoted...) }

// escapeASCII appends a JSON string as Python does: printable ASCII, and escapes
// for everything else.
func escapeASCII(dst []byte, quoted string) []byte {
	for _, r := range quoted {
		dst = appendASCII(dst, r)
	}
	return dst
}

func appendASCII(dst []byte, r rune) []byte {
	if r >= ' ' && r <= '~' {
		return append(dst, byte(r))
	}
	if r > 0xffff {
		high, low := utf16.EncodeRune(r)
		return appendASCII(appendASCII(dst, high), low)
	}
	const digits = "0123456789abcdef"
	return append(dst, '\\', 'u', digits[r>>12], digits[r>>8&15], digits[r>>4&15], digits[r&15])
}
