package flask

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"maps"
	"math"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/ginsession/ginsession/internal/codec"
	"github.com/ginsession/ginsession/internal/flasktest"
)

func mustDump(t *testing.T, text string) string {
	t.Helper()
	s, err := Parse(text)
	if err != nil {
		t.Fatalf("Parse %s: %v", text, err)
	}
	out, err := s.Append(nil)
	if err != nil {
		t.Fatalf("Dump %s: %v", text, err)
	}
	return string(out)
}

// verbatim are sessions as Python writes them. Dump restores every byte.
var verbatim = []string{
	`{}`,
	`{"a":1}`,
	`{"":""}`,
	`{"_permanent":true,"a":1}`,
	`{"_permanent":false,"a":1}`,
	`{"_permanent":1,"a":1}`,
	`{"_permanent":null}`,
	`{"_permanent":{" t":[]}}`,
	`{"big":1180591620717411303423,"max":18446744073709551615,"min":-9223372036854775808,"neg":-1180591620717411303424}`,
	`{"a":NaN,"b":Infinity,"c":-Infinity,"d":[NaN,{"x":Infinity}],"e":"NaN \"Infinity\" -Infinity"}`,
	`{"NaN":NaN}`,
	`{"\"NaN":[-Infinity,-1],"NaN":1}`,
	`{"a":1.0,"b":1e+16,"c":1e-07,"d":-0.0,"e":0,"f":1.7976931348623157e+308,"g":5e-324,"h":0.1}`,
	`{"a":"\ud83d\ude00 \ud834\udd1e","b":"\u00eb\u2028\u2029\uffff\ufffd"}`,
	`{"a":"\ud800","b":"\udc00\ud800","c":"\ud800\ud800\udc00","d":"\\ud800 \\\\\ud800"}`,
	`{"\ud800":1,"\ud800x":3,"\udbff":2,"\udfff":[4],"\ufffd":5}`,
	`{"\udc00\ud800":1}`,
	`{"\ud83d\ude00\ud83d":1}`,
	`{"\\ud800":1,"x\\\ud800":2}`,
	`{"\"\\\b\f\n\r\t\u0000\u001f/<>&":1,"\u007f":2}`,
	`{"a":"\u007f\u0000\u001f","b":"\b\f\n\r\t\"\\/<>&'"}`,
	`{"f":false,"n":null,"t":true}`,
	`{"A":1,"B":2,"a":3,"b":4,"\u00e9":5,"\u20ac":6,"\ud83d\ude00":7}`,
	// tags, and dicts that look like them, at every depth
	`{" di":{" t__":1}}`,
	`{" di":{" di__":1}}`,
	`{" di":{" di__":{" di":{" di__":{" di":{" m__":{" m":"x"}}}}}}}`,
	`{" t":1,"a":2}`,
	`{" di":1,"a":2}`,
	`{"a":{" di":{" t__":[{" di":{" b__":{" b":"AP8Q"}}}]}}}`,
	`{"a":{" t":1," b":2}}`,
	`{"a":{" t__":1}}`,
	`{"a":{" x":1}}`,
	`{"a":{" t":[{" t":[]},[],{},{" u":"12345678123456781234567812345678"}]}}`,
	`{" m":"","_permanent":true}`,
	`{" t__":1}`,
	// flashes
	`{"_flashes":[{" t":["message","Hello"]}]}`,
	`{"_flashes":[{" t":["error",{" m":"<b>"}]},{" t":["",null]},{" t":["\ud800",[1,{" t":[2.0]}]]}]}`,
	`{"_flashes":[{" t":[null,1]},{" t":[5,NaN]},{" t":[{" m":"x"},1180591620717411303423]},{" t":[{" t":["a"]},{}]}]}`,
	`{"_flashes":[["a","b"],{" t":["a"]},{" t":["a","b","c"]},[],"x",5,null,{},{"a":1},{" u":"12345678123456781234567812345678"}]}`,
	`{"_flashes":[]}`,
	`{"_flashes":null,"a":1}`,
	`{"_flashes":"x"}`,
	`{"_flashes":{" t":[{" t":["a","b"]}]}}`,
	`{"_flashes":{"a":1}}`,
}

func TestParse_roundTrip(t *testing.T) {
	for _, text := range verbatim {
		if got := mustDump(t, text); got != text {
			t.Errorf("got  %s\nwant %s", got, text)
		}
	}
}

func TestParse_otherEncodings(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"space", " { \"b\" : [ 1 , { \" t\" : [ ] } ] ,\n\t\"a\" : NaN } ", `{"a":NaN,"b":[1,{" t":[]}]}`},
		{"not sorted", `{"b":1,"a":2,"_permanent":true,"Z":3,"_flashes":[{" t":["a","b"]}]}`,
			`{"Z":3,"_flashes":[{" t":["a","b"]}],"_permanent":true,"a":2,"b":1}`},
		{"UTF-8", `{"é":"😀é"}`, `{"\u00e9":"\ud83d\ude00\u00e9"}`},
		{"escapes", `{"\u0061":"\u0061\/","\uD800":"\uD83D\uDE00"}`, `{"a":"\u0061\/","\ud800":"\uD83D\uDE00"}`},
		{"the last of equal keys", `{"a":1,"b":2,"\u0061":3,"a":4}`, `{"a":4,"b":2}`},
		{"equal keys, once", `{" t":1," t":2,"a":0,"a":1}`, `{" t":2,"a":1}`},
		{"equal keys like a tag", `{" di":{" t__":1," t__":2}}`, `{" di":{" t__":2}}`},
		{"our NaN", `{"a":-0e999999,"b":1e999999,"c":11e999999}`, `{"a":-0.0,"b":Infinity,"c":11e999999}`},
	} {
		if got := mustDump(t, tt.text); got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.name, got, tt.want)
		}
	}
}

func TestParse_invalid(t *testing.T) {
	for _, text := range []string{
		"", " ", "null", "true", "1", `"a"`, "[]", `[{"a":1}]`, "NaN", "{", "}", `{"a"}`, `{"a":}`, `{"a":1,}`, `{,}`,
		`{a:1}`, `{"a":1}{}`, `{"a":1} x`, `{"a":nan}`, `{"a":-NaN}`, `{"a":1NaN}`, `{"a":1Infinity}`, `{"a":+1}`,
		`{"a":01}`, `{"a":.5}`, `{"a":"` + "\n" + `"}`, `{"a":"\x"}`, `{"a":"\ud8"}`, `{"a":"` + "\xff" + `"}`,
		`{"` + "\xed\xa0\x80" + `":1}`, "\ufeff{}", `{"a":"`, `{"a":"\`,
		// broken tags
		`{" t":[1]}`, `{" b":"AP8Q"}`, `{" di":1}`, `{" di":{}}`, `{" di":{"a":1}}`, `{" di":{"a__":1,"b__":2}}`, `{" di":[]}`,
		`{"a":{" t":1}}`, `{"a":{" t":"x"}}`, `{"a":{" t":{}}}`, `{"a":{ " t" : null }}`, `{"a":{"\u0020t":1}}`,
		`{"a":{" b":"?"}}`, `{"a":{" b":1}}`, `{"a":{" m":1}}`, `{"a":{" u":"12"}}`, `{"a":{" u":"1234567812345678123456781234567g"}}`,
		`{"a":{" d":"yesterday"}}`, `{"a":{" d":1}}`, `{"a":{" di":1}}`, `{"a":{" di":{"x":1}}}`, `{"a":{" di":{"a__":1,"b__":1}}}`,
		`{"a":[[{"x":{" t":1}}]]}`, `{"_flashes":[{" t":["a",{" t":1}]}]}`, `{"_permanent":{" b":1}}`,
		`{"a":` + strings.Repeat("[", 20000) + strings.Repeat("]", 20000) + `}`,
	} {
		if s, err := Parse(text); !errors.Is(err, ErrInvalid) {
			t.Errorf("%.60s: got %+v, %v", text, s, err)
		}
	}
}

func TestParse_keys(t *testing.T) {
	s, err := Parse(`{"\ud800":1,"\ufffd":2,"a\udfffb":3,"\ud83d\ude00":4,"\"":5}`)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range s.Entries {
		got = append(got, e.Key+"="+e.Raw)
	}
	want := []string{`"=5`, "a\xed\xbf\xbfb=3", "\xed\xa0\x80=1", "\ufffd=2", "😀=4"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestParse_values reads what Flask writes for Python's values.
func TestParse_values(t *testing.T) {
	o := flasktest.New(t, secret)
	for _, tt := range []struct {
		python string
		want   any
	}{
		{"None", nil},
		{"True", true},
		{"42", int64(42)},
		{"2**64 - 1", uint64(math.MaxUint64)},
		{"2**70", math.Pow(2, 70)},
		{"1.0", 1.0},
		{"1e16", 1e16},
		{"1e-07", 1e-07},
		{"inf", math.Inf(1)},
		{"-inf", math.Inf(-1)},
		{"'Zo\\u00eb \\U0001f600'", "Zoë 😀"},
		{"'\\ud800'", "\ufffd"},
		{"b'\\x00\\xff\\x10'", []byte{0, 255, 16}},
		{"(1, ('two',))", []any{int64(1), []any{"two"}}},
		{"Markup('<b>')", template.HTML("<b>")},
		{"UUID('12345678123456781234567812345678')", "12345678-1234-5678-1234-567812345678"},
		{"{' t': (1,)}", map[string]any{" t": []any{int64(1)}}},
		{"datetime(2024, 2, 29, 12, 34, 56)", time.Date(2024, 2, 29, 12, 34, 56, 0, time.UTC)},
	} {
		s := open(t, o.Make(map[string]string{"x": tt.python}))
		got, err := codec.Decode(s.Entries[0].Raw)
		if when, ok := got.(time.Time); ok {
			got = when.UTC()
		}
		if err != nil || !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s: got %#v, %v, want %#v", tt.python, got, err, tt.want)
		}
	}
	if v, err := codec.Decode(open(t, o.Make(map[string]string{"x": "nan"})).Entries[0].Raw); err != nil || !math.IsNaN(v.(float64)) {
		t.Errorf("nan: got %v, %v", v, err)
	}
}

func TestParse_flashes(t *testing.T) {
	for _, tt := range []struct{ element, category, message string }{
		{`{" t":["error","Hello"]}`, "error", `"Hello"`},
		{`["error","Hello"]`, "error", `"Hello"`},
		{`{" t":["","x"]}`, "", `"x"`},
		{`{" t":["\u00eb\ud800",null]}`, "ë\xed\xa0\x80", "null"},
		{`{" t":[{" m":"b"},{" m":"x"}]}`, "b", `{" m":"x"}`},
		{`{" t":[5,1.0]}`, "5", "1.0"},
		{`{" t":[null,{}]}`, "null", "{}"},
		{`{" t":["a"]}`, "message", `{" t":["a"]}`},
		{`{" t":["a","b","c"]}`, "message", `{" t":["a","b","c"]}`},
		{`"x"`, "message", `"x"`},
		{`null`, "message", "null"},
	} {
		s, err := Parse(`{"_flashes":[` + tt.element + `]}`)
		if err != nil || len(s.Flashes) != 1 {
			t.Errorf("%s: got %+v, %v", tt.element, s, err)
			continue
		}
		if f := s.Flashes[0]; f.Category != tt.category || f.Raw != tt.message {
			t.Errorf("%s: got %q, %s", tt.element, f.Category, f.Raw)
		}
	}
}

func TestDump_flashes(t *testing.T) {
	s, err := Parse(`{"_flashes":[["a","b"],{" t":[null,1]}],"a":1}`)
	if err != nil {
		t.Fatal(err)
	}
	s.Flashes = append(s.Flashes[1:], codec.Flash{ID: 7, Category: "é\"", Raw: `"x"`})
	if s.Flashes[0].ID == 0 {
		t.Error("two flashes have one id")
	}
	got, err := s.Append(nil)
	const want = `{"_flashes":[{" t":[null,1]},{" t":["\u00e9\"","x"]}],"a":1}`
	if err != nil || string(got) != want {
		t.Errorf("got %s, %v, want %s", got, err, want)
	}

	// New flashes replace a value that is not a list of flashes.
	s, err = Parse(`{"_flashes":null}`)
	if err != nil {
		t.Fatal(err)
	}
	s.Flashes = []codec.Flash{{Category: "a", Raw: "1"}}
	if got, err := s.Append(nil); err != nil || string(got) != `{"_flashes":[{" t":["a",1]}]}` {
		t.Errorf("got %s, %v", got, err)
	}
}

func TestDump_invalidUTF8(t *testing.T) {
	for _, bad := range []string{"\xff", "a\xc3", "\xed\xa0", "\xed\x20\x80", "\xed\xa0\x20"} {
		if got, err := (&Session{Entries: []codec.Entry{{Key: bad, Raw: "1"}}}).Append(nil); err == nil {
			t.Errorf("key %q: got %s", bad, got)
		}
		if got, err := (&Session{Flashes: []codec.Flash{{Category: bad, Raw: "1"}}}).Append(nil); err == nil {
			t.Errorf("category %q: got %s", bad, got)
		}
	}
}

func TestDump_values(t *testing.T) {
	for _, tt := range []struct {
		value any
		want  string
	}{
		{float64(1), `1.0`},
		{1e16, `1e+16`},
		{1e-7, `1e-07`},
		{1e15, `1000000000000000.0`},
		{0.0001, `0.0001`},
		{math.Copysign(0, -1), `-0.0`},
		{1, `1`},
		{"Zoë <&> \"q\"\x7f\u2028😀", `"Zo\u00eb <&> \"q\"\u007f\u2028\ud83d\ude00"`},
		{[]byte{0, 255, 16}, `{" b":"AP8Q"}`},
		{template.HTML("<b>"), `{" m":"<b>"}`},
		{time.Date(2024, 2, 29, 13, 34, 56, 789, time.FixedZone("", 3600)), `{" d":"Thu, 29 Feb 2024 12:34:56 GMT"}`},
		{[]any{time.Unix(0, 1)}, `[{" d":"Thu, 01 Jan 1970 00:00:00 GMT"}]`},
		{map[string]any{" d": "2024-02-29T12:34:56Z"}, `{" di":{" d__":"2024-02-29T12:34:56Z"}}`},
		{map[string]any{" d": "2024-02-29T12:34:56Z", "a": 1}, `{" d":"2024-02-29T12:34:56Z","a":1}`},
		{`{" d":"2024-02-29T12:34:56Z"}`, `"{\" d\":\"2024-02-29T12:34:56Z\"}"`},
		{map[string]any{" t": 1, "é": nil}, `{" t":1,"\u00e9":null}`},
	} {
		raw, err := codec.Encode(tt.value)
		if err != nil {
			t.Fatal(err)
		}
		s := &Session{Entries: []codec.Entry{{Key: "a", Raw: Times(raw)}}}
		got, err := s.Append(nil)
		if want := `{"a":` + tt.want + `}`; err != nil || string(got) != want {
			t.Errorf("%#v: got %s, %v, want %s", tt.value, got, err, want)
		}
	}
}

func TestTimes_otherText(t *testing.T) {
	const raw = `[{" d":"Thu, 29 Feb 2024 12:34:56 GMT"},{" d":"x"}]`
	if got := Times(raw); got != raw {
		t.Errorf("got %s", got)
	}
}

func TestTrue(t *testing.T) {
	for raw, want := range map[string]bool{
		"": false, "true": true, "false": false, "null": false, "1": true, "0": false, "0.0": false, `""`: false,
		`"false"`: true, "[]": false, "[0]": true, "{}": false, `{" t":[]}`: false, `{" t":[0]}`: true, codec.NaN: true,
	} {
		if True(raw) != want {
			t.Errorf("%s: got %t", raw, !want)
		}
	}
}

// open returns the session in a cookie.
func open(t *testing.T, cookie string) Session {
	t.Helper()
	text, _, err := NewSigner(secret).Open(cookie, time.Now(), maxAge)
	if err != nil {
		t.Fatalf("Open %s: %v", cookie, err)
	}
	s, err := Parse(text)
	if err != nil {
		t.Fatalf("Parse %s: %v", text, err)
	}
	return s
}

// sign returns the cookie of a session.
func sign(t *testing.T, s Session) string {
	t.Helper()
	text, err := s.Append(nil)
	if err != nil {
		t.Fatalf("Append %v: %v", s, err)
	}
	cookie, err := NewSigner(secret).Sign(nil, text, time.Now())
	if err != nil {
		t.Fatalf("Sign %s: %v", text, err)
	}
	return string(cookie)
}

// set adds a value under a key, or puts it in the place of the old one.
func set(t *testing.T, s *Session, key string, value any) {
	t.Helper()
	raw, err := codec.Encode(value)
	if err != nil {
		t.Fatal(err)
	}
	var c codec.Container
	c.Fill(s.Entries, nil)
	c.Set(key, Times(raw))
	s.Entries = c.Entries()
}

// TestSession_ofFlask has Flask read what it has made and Go has written again,
// with a change or without.
func TestSession_ofFlask(t *testing.T) { ofFlask(t, 1000) }

func ofFlask(t *testing.T, total int) {
	o := flasktest.New(t, secret)
	const key = "Go was here"
	changes := []struct {
		name   string
		change func(*Session)
		want   func(flasktest.Session)
	}{
		{"nothing", func(*Session) {}, func(flasktest.Session) {}},
		{"set", func(s *Session) { set(t, s, key, 1.0) }, func(d flasktest.Session) { d[flasktest.Describe(key)] = flasktest.Describe(1.0) }},
		{"set all that has a value in Go", setAgain, func(flasktest.Session) {}},
		{"permanent", func(s *Session) { s.Permanent = "true" }, func(d flasktest.Session) { d[flasktest.Describe("_permanent")] = "bool(True)" }},
		{"flash", func(s *Session) { s.Flashes = append(s.Flashes, codec.Flash{Category: "info", Raw: `"H\u00e9"`}) }, func(d flasktest.Session) {
			all, flash := flasktest.Describe("_flashes"), flasktest.DescribeFlash("Hé", "info")
			if old := d[all]; strings.HasPrefix(old, "list(") && old != "list()" {
				d[all] = strings.TrimSuffix(old, ")") + "," + flash + ")"
			} else {
				d[all] = "list(" + flash + ")"
			}
		}},
	}
	for seed := 0; seed < total; seed += 500 {
		made := flasktest.Ask[[]struct {
			Cookie string
			Is     flasktest.Session
		}](o, &flasktest.Question{Do: "make", Seed: seed * 1000, Count: min(500, total-seed)})
		cookies := make([]string, len(made))
		for i, m := range made {
			s, how := open(t, m.Cookie), changes[i%len(changes)]
			how.change(&s)
			how.want(m.Is)
			cookies[i] = sign(t, s)
		}
		for i, got := range o.Read(cookies...) {
			if !maps.Equal(got, made[i].Is) {
				t.Fatalf("%s, %s:\ngot  %s\nwant %s", made[i].Cookie, changes[i%len(changes)].name, got, made[i].Is)
			}
		}
	}
}

// setAgain decodes and encodes the values whose types Go knows as well.
func setAgain(s *Session) {
	for i, e := range s.Entries {
		v, err := codec.Decode(e.Raw)
		switch v.(type) {
		case bool, int64, []byte:
			s.Entries[i].Raw, err = codec.Encode(v)
		}
		if err != nil {
			panic(err)
		}
	}
}

// TestSession_toFlask has Flask read what Go has set.
func TestSession_toFlask(t *testing.T) { toFlask(t, 500) }

func toFlask(t *testing.T, total int) {
	o := flasktest.New(t, secret)
	m := maker{rand.New(rand.NewPCG(3, 4))}
	for done := 0; done < total; done += 500 {
		cookies, want := make([]string, min(500, total-done)), make([]flasktest.Session, min(500, total-done))
		for i := range cookies {
			var s Session
			s, want[i] = m.session(t)
			cookies[i] = sign(t, s)
		}
		for i, got := range o.Read(cookies...) {
			if !maps.Equal(got, want[i]) {
				t.Fatalf("%s:\ngot  %s\nwant %s", cookies[i], got, want[i])
			}
		}
	}
}

// maker makes random values as Go code has them.
type maker struct{ *rand.Rand }

func (m maker) text() string {
	switch m.IntN(4) {
	case 0:
		return []string{"", "a", "NaN", " t", " d", " di", " t__", `{" t":[]}`, `\ud800`, "Zoë", "😀"}[m.IntN(11)]
	case 1:
		runes := make([]rune, m.IntN(6))
		for i := range runes {
			if runes[i] = rune(m.IntN(0x110000)); runes[i]>>11 == 0x1b {
				runes[i] = 0xfffd // no surrogates
			}
		}
		return string(runes)
	}
	text := make([]byte, m.IntN(12))
	for i := range text {
		text[i] = byte(m.IntN(128))
	}
	return string(text)
}

func (m maker) value(depth int) any {
	switch m.IntN([]int{15, 15, 15, 11}[depth]) {
	case 0:
		return nil
	case 1:
		return m.IntN(2) == 0
	case 2:
		return m.Int64() >> m.IntN(63) * int64(1-2*m.IntN(2))
	case 3:
		return m.Uint64() >> m.IntN(64)
	case 4:
		return int16(m.IntN(65536) - 32768)
	case 5:
		return []float64{0, 1, -1, math.Copysign(0, -1), 1e15, 1e16, 1e17, 1e-4, 1e-5, 1e22, 5e-324, math.MaxFloat64}[m.IntN(12)]
	case 6:
		return float64(m.IntN(1e6)) * math.Pow(10, float64(m.IntN(40)-20))
	case 7:
		return m.text()
	case 8:
		b := make([]byte, m.IntN(10))
		for i := range b {
			b[i] = byte(m.IntN(256))
		}
		return b
	case 9:
		zone := time.FixedZone("", (m.IntN(1680)-840)*60)
		return time.Date(1000+m.IntN(8998), time.Month(1+m.IntN(12)), 1+m.IntN(28), m.IntN(24), m.IntN(60), m.IntN(60), m.IntN(1e9), zone)
	case 10:
		return template.HTML(m.text())
	case 11, 12:
		list := make([]any, m.IntN(4))
		for i := range list {
			list[i] = m.value(depth + 1)
		}
		return list
	}
	dict := map[string]any{}
	for range m.IntN(4) {
		dict[m.text()] = m.value(depth + 1)
	}
	return dict
}

func (m maker) session(t *testing.T) (s Session, d flasktest.Session) {
	d = flasktest.Session{}
	for range 1 + m.IntN(4) {
		key, value := m.text(), m.value(0)
		set(t, &s, key, value)
		d[flasktest.Describe(key)] = flasktest.Describe(value)
	}
	if m.IntN(3) == 0 {
		s.Permanent = "true"
		d[flasktest.Describe("_permanent")] = "bool(True)"
	}
	var flashes []string
	for range m.IntN(3) {
		message, category := any(m.text()), "c"+m.text()
		if m.IntN(2) == 0 {
			message = template.HTML(m.text())
		}
		raw, err := codec.Encode(message)
		if err != nil {
			t.Fatal(err)
		}
		s.Flashes = append(s.Flashes, codec.Flash{Category: category, Raw: raw})
		flashes = append(flashes, flasktest.DescribeFlash(message, category))
	}
	if flashes != nil {
		d[flasktest.Describe("_flashes")] = "list(" + strings.Join(flashes, ",") + ")"
	}
	return s, d
}

// FuzzSession: nothing panics; the fast path takes what the slow path takes; the output of Dump is ASCII, parses to the same
// session, and is then dumped as the same bytes.
func FuzzSession(f *testing.F) {
	for _, text := range verbatim {
		f.Add(text)
	}
	for _, v := range vectors {
		f.Add(v.json)
	}
	f.Add(`{"a":-0e999999,"b":[1e999999, NaN ],"c":11e999999,"\uD800\u0061":"\uD83D\uDE00","a":2}`)
	s := NewSigner(secret)
	f.Fuzz(func(t *testing.T, text string) {
		_, _, _ = s.Open(text, signedAt, maxAge)
		cookie, err := s.Sign(nil, []byte(text), signedAt)
		if len(text) > MaxJSON {
			if !errors.Is(err, ErrTooLarge) {
				t.Fatalf("Sign %d bytes: got %v, want ErrTooLarge", len(text), err)
			}
			return
		}
		checkPlain(t, text)
		if text == "" {
			return // an empty payload is not well-formed
		}
		opened, _, err := s.Open(string(cookie), signedAt, maxAge)
		if err != nil || opened != text {
			t.Fatalf("Sign and Open: got %q, %v, want %q", opened, err, text)
		}
		first, err := Parse(opened)
		if err != nil {
			return
		}
		out, err := first.Append(nil)
		if err != nil {
			t.Fatalf("Dump of %q: %v", text, err)
		}
		if i := bytes.IndexFunc(out, func(r rune) bool { return r < ' ' || r > '~' }); i >= 0 {
			t.Fatalf("not ASCII at %d: %q", i, out)
		}
		second, err := Parse(string(out))
		if err != nil {
			t.Fatalf("Parse of %q, which %q was written as: %v", out, text, err)
		}
		if !sameSession(first, second) {
			t.Fatalf("%q: got %+v, want %+v", text, second, first)
		}
		if again, err := second.Append(nil); err != nil || !bytes.Equal(again, out) {
			t.Fatalf("%q, then %q, %v", out, again, err)
		}
		sameAsJSON(t, text, out)
	})
}

// sameSession compares decoded values: a first Dump may change their encoding.
func sameSession(a, b Session) bool {
	if len(a.Entries) != len(b.Entries) || len(a.Flashes) != len(b.Flashes) || True(a.Permanent) != True(b.Permanent) {
		return false
	}
	for i, e := range a.Entries {
		if e.Key != b.Entries[i].Key || !sameValue(e.Raw, b.Entries[i].Raw) {
			return false
		}
	}
	for i, f := range a.Flashes {
		if f.ID != b.Flashes[i].ID || f.Category != b.Flashes[i].Category || !sameValue(f.Raw, b.Flashes[i].Raw) {
			return false
		}
	}
	return true
}

func sameValue(a, b string) bool {
	x, errX := codec.Decode(a)
	y, errY := codec.Decode(b)
	return errX == nil && errY == nil && fmt.Sprintf("%#v", x) == fmt.Sprintf("%#v", y) // NaN equals nothing
}

// sameAsJSON compares with encoding/json, for texts that it takes too.
func sameAsJSON(t *testing.T, text string, out []byte) {
	var want, got any
	if json.Unmarshal([]byte(text), &want) != nil || strings.Contains(text, `\u`) || strings.Contains(text, codec.TagDict) || json.Unmarshal(out, &got) != nil {
		return
	}
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("%q: got %q", text, out)
	}
}
