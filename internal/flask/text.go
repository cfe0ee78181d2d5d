package flask

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
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

// quote writes a key or category as a JSON string, as Python does.
func quote(b *bytes.Buffer, text string) error {
	b.WriteByte('"')
	for rest := text; rest != ""; {
		r, size := utf8.DecodeRuneInString(rest)
		if r == utf8.RuneError && size == 1 {
			code, ok := encodedSurrogate(rest)
			if !ok {
				return errUTF8
			}
			r, size = code, 3
		}
		rest = rest[size:]
		switch r {
		case '"', '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case '\n':
			b.WriteString(`\n`)
		case '\r':
			b.WriteString(`\r`)
		case '\t':
			b.WriteString(`\t`)
		case '\b':
			b.WriteString(`\b`)
		case '\f':
			b.WriteString(`\f`)
		default:
			writeASCII(b, r)
		}
	}
	b.WriteByte('"')
	return nil
}

// encodedSurrogate returns the lone surrogate at the start of s, as [unquote]
// encodes it.
func encodedSurrogate(s string) (rune, bool) {
	if len(s) < 3 || s[0] != 0xed || s[1]&0xe0 != 0xa0 || s[2]&0xc0 != 0x80 {
		return 0, false
	}
	return 0xd000 | rune(s[1]&0x3f)<<6 | rune(s[2]&0x3f), true
}

func copyString(b *bytes.Buffer, quoted string) { b.WriteString(quoted) }

// escapeASCII writes a JSON string as Python does: printable ASCII, and escapes
// for everything else.
func escapeASCII(b *bytes.Buffer, quoted string) {
	for _, r := range quoted {
		writeASCII(b, r)
	}
}

func writeASCII(b *bytes.Buffer, r rune) {
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
