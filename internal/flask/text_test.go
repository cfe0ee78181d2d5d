package flask

import "testing"

// quotedRows are JSON strings as Python writes them, with their texts.
var quotedRows = []struct{ quoted, text string }{
	{`""`, ""},
	{`"a b~"`, "a b~"},
	{`"\"\\\b\f\n\r\t"`, "\"\\\b\f\n\r\t"},
	{`"\u0000\u001f\u007f"`, "\x00\x1f\x7f"},
	{`"\u00eb\u20ac\uffff"`, "ë€\uffff"},
	{`"\ud83d\ude00"`, "😀"},
	{`"\ud800"`, "\xed\xa0\x80"},
	{`"\udfffx"`, "\xed\xbf\xbfx"},
	{`"\udc00\ud800"`, "\xed\xb0\x80\xed\xa0\x80"},
	{`"\ud83d\ud83d\ude00"`, "\xed\xa0\xbd😀"},
	{`"\\ud800"`, `\ud800`},
	{`"\\\ud800"`, "\\\xed\xa0\x80"},
}

func TestUnquote(t *testing.T) {
	for _, row := range quotedRows {
		if got := unquote(row.quoted); got != row.text {
			t.Errorf("%s: got %q, want %q", row.quoted, got, row.text)
		}
	}
	for quoted, want := range map[string]string{`"\/\u0061\uD83D\uDE00é"`: "/a😀é"} { // as others write them
		if got := unquote(quoted); got != want {
			t.Errorf("%s: got %q, want %q", quoted, got, want)
		}
	}
}

func TestAppendQuoted(t *testing.T) {
	for _, row := range quotedRows {
		if got, err := appendQuoted(nil, row.text); err != nil || string(got) != row.quoted {
			t.Errorf("%q: got %s, %v, want %s", row.text, got, err, row.quoted)
		}
	}
	for _, bad := range []string{"\xff", "a\xc3", "\xed\xa0", "\xed\x20\x80", "\xed\xa0\x20"} {
		if _, err := appendQuoted(nil, bad); err == nil {
			t.Errorf("%q: got no error", bad)
		}
	}
}
