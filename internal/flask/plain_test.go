package flask

import (
	"strings"
	"testing"

	"github.com/ginsession/ginsession/internal/codec"
)

// plainRows are texts that are correct JSON, or nearly.
var plainRows = []struct {
	text string
	want bool
}{
	{`{}`, true}, {`[]`, true}, {`{"a":[{}],"b":{"c":""}}`, true}, {`"x"`, true}, {`true`, true}, {`[false,null]`, true},
	{`0`, true}, {`-0`, true}, {`-10.05`, true}, {`[1180591620717411303423]`, true}, {`"\"\\\/\b\f\n\r\t\u00eB"`, true},
	{``, false}, {`{`, false}, {`[`, false}, {`{"a"`, false}, {`{"a":`, false}, {`{"a":1`, false}, {`[1`, false}, {`"`, false}, {`"\`, false}, {`"\u12`, false},
	{`[1,]`, false}, {`[,1]`, false}, {`{,}`, false}, {`{"a":1,}`, false}, {`{"a",1}`, false}, {`{1:1}`, false}, {`{"a":1]`, false}, {`[1}`, false}, {`[1 2]`, false}, {`{}{}`, false},
	{`01`, false}, {`-`, false}, {`.5`, false}, {`1.`, false}, {`+1`, false}, {`1x`, false}, {`1.5x`, false}, {`tru`, false}, {`nul`, false}, {`"\x"`, false}, {`"\u00g0"`, false},
	{` 1`, false}, {`1 `, false}, {`[1, 2]`, false}, {"\"\n\"", false}, {`"é"`, false}, {"\"\x7f\"", false}, // slow
	{`1e5`, false}, {`1.5E5`, false}, {codec.NaN, false}, {`NaN`, false}, {`-Infinity`, false}, // slow
	{strings.Repeat("[", maxPlain+1) + strings.Repeat("]", maxPlain+1), true}, {strings.Repeat("[", maxPlain+2) + strings.Repeat("]", maxPlain+2), false},
}

func TestPlain(t *testing.T) {
	for _, row := range plainRows {
		if got := plain(row.text); got != row.want {
			t.Errorf("%s: got %t, want %t", row.text, got, row.want)
		}
		checkPlain(t, row.text)
	}
}

// commonTagsRows are values with tags, or nearly.
var commonTagsRows = []struct {
	raw  string
	want bool
}{
	{`1`, true}, {`"{\" t\":1}"`, true}, {`{"a":1}`, true}, {`{" x":1}`, true}, {`[{" t":[{" m":"x"}]}]`, true}, {`{" b":"AP8Q"}`, true}, {`{" b":""}`, true}, {`{" b":"AP8="}`, true}, {`{" b":"AA=="}`, true},
	{`{" t":1}`, false}, {`{" t":{" t":1}}`, false}, {`{" m":1}`, false}, {`{" b":1}`, false}, {`{" b":"A"}`, false}, {`{" b":"A==="}`, false}, {`{" b":"===="}`, false}, {`{" b":"A-_="}`, false}, {`{" b":"AA\n="}`, false},
	{`[{" t":[{" b":1}]}]`, false}, {`{" t":[]," t":1}`, false}, {`{"\u0020t":1}`, false}, {`{" \u0074":1}`, false}, // slow, or no tag
	{`{" u":"12345678123456781234567812345678"}`, false}, {`{" d":"Thu, 29 Feb 2024 12:34:56 GMT"}`, false}, {`{" di":{" t__":1}}`, false}, {`{" x":1,"a":2}`, false}, // slow
}

func TestCommonTags(t *testing.T) {
	for _, row := range commonTagsRows {
		if got := commonTags(row.raw); got != row.want {
			t.Errorf("%s: got %t, want %t", row.raw, got, row.want)
		}
		checkPlain(t, row.raw)
	}
}

// checkPlain fails unless the slow path agrees with what the fast path takes.
func checkPlain(t *testing.T, text string) {
	t.Helper()
	if !plain(text) {
		return
	}
	if got, err := normalize(text); got != text || err != nil {
		t.Errorf("%q is plain: got %q, %v", text, got, err)
	}
	if _, err := codec.Decode(text); err != nil && (commonTags(text) || !strings.Contains(text, `{" `) && !strings.Contains(text, `{"\`)) {
		t.Errorf("%q has good tags: got %v", text, err)
	}
}
