package codec_test

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html/template"
	"math"
	"math/big"
	"math/rand/v2"
	"net/netip"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/ginsession/ginsession/internal/codec"
)

type (
	role    string
	level   int32
	ratio   float32
	blob    []byte
	names   []string
	weekday uint8
	dict    map[string]any
	inner   struct{ Raw []byte }
	user    struct {
		inner
		ID   uint64            `json:"id"`
		Name string            `json:"name,omitempty"`
		At   time.Time         `json:"at"`
		More map[string]string `json:"more,omitempty"`
		Next *user             `json:"next,omitempty"`
	}
	tagged struct {
		Sly string `json:" b"`
	}
	taggedDict struct {
		Sly map[string]string `json:" di"`
	}
	upper string // has its own encoding, as a type with methods
)

func (u upper) MarshalJSON() ([]byte, error) { return json.Marshal(strings.ToUpper(string(u))) }

// box is a map with its own encoding.
type box map[string]any

func (b box) MarshalJSON() ([]byte, error) { return json.Marshal(len(b)) }

func (b *box) UnmarshalJSON(raw []byte) error {
	var n uint8
	if err := json.Unmarshal(raw, &n); err != nil {
		return err
	}
	*b = box{}
	for i := range n {
		(*b)[fmt.Sprint(i)] = nil
	}
	return nil
}

var (
	leapDay  = time.Date(2024, 2, 29, 12, 34, 56, 0, time.UTC)
	precise  = time.Date(2024, 2, 29, 12, 34, 56, 123456789, time.FixedZone("", 5*3600+45*60))
	aString  = "text"
	aBytes   = []byte{0, 255, 16}
	aMarkup  = template.HTML("<b>no</b>")
	hugeInt  = new(big.Int).Lsh(big.NewInt(1), 100)
	aURL     = url.URL{Scheme: "https", Host: "example.com", Path: "/a"}
	nilBytes []byte
)

func jsonOf(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// values are inputs of Encode, their encodings, and the results of Decode.
var values = []struct {
	name string
	in   any
	raw  string
	out  any
}{
	{"nil", nil, `null`, nil},
	{"true", true, `true`, true},
	{"false", false, `false`, false},
	{"named bool in list", []bool{true, false}, `[true,false]`, []any{true, false}},

	{"int 0", 0, `0`, int64(0)},
	{"int min", math.MinInt64, `-9223372036854775808`, int64(math.MinInt64)},
	{"int max", math.MaxInt64, `9223372036854775807`, int64(math.MaxInt64)},
	{"int64 above 2^53", int64(1<<53 + 1), `9007199254740993`, int64(1<<53 + 1)},
	{"int8", int8(-128), `-128`, int64(-128)},
	{"int16", int16(-32768), `-32768`, int64(-32768)},
	{"int32", int32(math.MinInt32), `-2147483648`, int64(math.MinInt32)},
	{"uint", uint(7), `7`, int64(7)},
	{"uint8", uint8(255), `255`, int64(255)},
	{"uint16", uint16(65535), `65535`, int64(65535)},
	{"uint32", uint32(math.MaxUint32), `4294967295`, int64(math.MaxUint32)},
	{"uint64 small", uint64(1), `1`, int64(1)},
	{"uint64 2^63", uint64(1 << 63), `9223372036854775808`, uint64(1 << 63)},
	{"uint64 max", uint64(math.MaxUint64), `18446744073709551615`, uint64(math.MaxUint64)},
	{"duration", 90 * time.Second, `90000000000`, int64(90_000_000_000)},
	{"named int", level(-3), `-3`, int64(-3)},
	{"big.Int", *hugeInt, `1267650600228229401496703205376`, math.Pow(2, 100)},
	{"*big.Int", hugeInt, `1267650600228229401496703205376`, math.Pow(2, 100)},
	{"json.Number int", json.Number("12"), `12`, int64(12)},
	{"json.Number float", json.Number("1.50"), `1.50`, 1.5},

	{"float 1.0", 1.0, `1.0`, 1.0},
	{"float 0", 0.0, `0.0`, 0.0},
	{"float -0", math.Copysign(0, -1), `-0.0`, math.Copysign(0, -1)},
	{"float 1.5", 1.5, `1.5`, 1.5},
	{"float 0.1", 0.1, `0.1`, 0.1},
	{"float 1e15", 1e15, `1000000000000000.0`, 1e15},
	{"float 1e16", 1e16, `1e+16`, 1e16},
	{"float below 1e16", 9999999999999998.0, `9999999999999998.0`, 9999999999999998.0},
	{"float 1e-4", 1e-4, `0.0001`, 1e-4},
	{"float 1e-5", 1e-5, `1e-05`, 1e-5},
	{"float 1e-7", 1e-7, `1e-07`, 1e-7},
	{"float smallest", 5e-324, `5e-324`, 5e-324},
	{"float largest", math.MaxFloat64, `1.7976931348623157e+308`, math.MaxFloat64},
	{"float negative", -2.5e-10, `-2.5e-10`, -2.5e-10},
	{"float32", float32(0.1), `0.1`, 0.1},
	{"named float32", ratio(2), `2.0`, 2.0},
	{"floats", []float64{1, 2.5}, `[1.0,2.5]`, []any{1.0, 2.5}},
	{"map of floats", map[string]float64{"a": 1}, `{"a":1.0}`, map[string]any{"a": 1.0}},

	{"string", "hello", `"hello"`, "hello"},
	{"string empty", "", `""`, ""},
	{"string quoted", `a "b" \c\`, `"a \"b\" \\c\\"`, `a "b" \c\`},
	{"string html", `<a href='x'>&</a>`, `"<a href='x'>&</a>"`, `<a href='x'>&</a>`},
	{"string controls", "\x00\x01\b\t\n\f\r\x1f\x7f", `"\u0000\u0001\b\t\n\f\r\u001f` + "\x7f" + `"`, "\x00\x01\b\t\n\f\r\x1f\x7f"},
	{"string umlaut", "Zoë", `"Zoë"`, "Zoë"},
	{"string emoji", "😀", `"😀"`, "😀"},
	{"string U+2028", "a\u2028b\u2029c", `"a\u2028b\u2029c"`, "a\u2028b\u2029c"},
	{"string U+FFFD", "\ufffd", `"` + "\ufffd" + `"`, "\ufffd"},
	{"string that looks like JSON", `{" b":"AA=="}`, `"{\" b\":\"AA==\"}"`, `{" b":"AA=="}`},
	{"string that looks like bytes", "AP8Q", `"AP8Q"`, "AP8Q"},
	{"string that looks like a time", "2024-02-29T12:34:56Z", `"2024-02-29T12:34:56Z"`, "2024-02-29T12:34:56Z"},
	{"named string", role("admin"), `"admin"`, "admin"},
	{"strings", []string{"a", "b"}, `["a","b"]`, []any{"a", "b"}},
	{"named strings", names{"a"}, `["a"]`, []any{"a"}},
	{"roles", []role{"a"}, `["a"]`, []any{"a"}},

	{"bytes", aBytes, `{" b":"AP8Q"}`, aBytes},
	{"bytes empty", []byte{}, `{" b":""}`, []byte{}},
	{"bytes nil", nilBytes, `null`, nil},
	{"named bytes", blob{1}, `{" b":"AQ=="}`, []byte{1}},
	{"slice of named byte", []weekday{1}, `{" b":"AQ=="}`, []byte{1}},
	{"list of bytes", [][]byte{aBytes, nil, {}}, `[{" b":"AP8Q"},null,{" b":""}]`, []any{aBytes, nil, []byte{}}},
	{"map of bytes", map[string][]byte{"k": aBytes}, `{"k":{" b":"AP8Q"}}`, map[string]any{"k": aBytes}},
	{"array of bytes", [2]byte{1, 2}, `[1,2]`, []any{int64(1), int64(2)}},

	{"time", leapDay, `{" d":"2024-02-29T12:34:56Z"}`, leapDay},
	{"time precise", precise, `{" d":"2024-02-29T12:34:56.123456789+05:45"}`, precise},
	{"time zero", time.Time{}, `{" d":"0001-01-01T00:00:00Z"}`, time.Time{}},
	{"*time", &leapDay, `{" d":"2024-02-29T12:34:56Z"}`, leapDay},
	{"*time nil", (*time.Time)(nil), `null`, nil},
	{"times", []time.Time{leapDay}, `[{" d":"2024-02-29T12:34:56Z"}]`, []any{leapDay}},
	{"*times", []*time.Time{&leapDay, nil}, `[{" d":"2024-02-29T12:34:56Z"},null]`, []any{leapDay, nil}},

	{"html", aMarkup, `{" m":"<b>no</b>"}`, aMarkup},
	{"html in list", []any{aMarkup, "<b>"}, `[{" m":"<b>no</b>"},"<b>"]`, []any{aMarkup, "<b>"}},
	{"htmls", []template.HTML{aMarkup}, `[{" m":"<b>no</b>"}]`, []any{aMarkup}},
	{"html in map", map[string]template.HTML{"k": aMarkup}, `{"k":{" m":"<b>no</b>"}}`, map[string]any{"k": aMarkup}},

	{"list nil", []any(nil), `null`, nil},
	{"list empty", []any{}, `[]`, []any{}},
	{"list mixed", []any{nil, 1.0, "x", aBytes}, `[null,1.0,"x",{" b":"AP8Q"}]`, []any{nil, 1.0, "x", aBytes}},
	{"map nil", map[string]any(nil), `null`, nil},
	{"map empty", map[string]any{}, `{}`, map[string]any{}},
	{"map mixed", map[string]any{"z": aBytes, "a": 1.5}, `{"a":1.5,"z":{" b":"AP8Q"}}`, map[string]any{"a": 1.5, "z": aBytes}},
	{"named map", dict{"a": "b"}, `{"a":"b"}`, map[string]any{"a": "b"}},
	{"map with named key", map[role][]byte{"a": {0}}, `{"a":{" b":"AA=="}}`, map[string]any{"a": []byte{0}}},
	{"map with int key", map[int]string{7: "x"}, `{"7":"x"}`, map[string]any{"7": "x"}},

	{"like a tuple", map[string]any{" t": "x"}, `{" di":{" t__":"x"}}`, map[string]any{" t": "x"}},
	{"like bytes", map[string]any{" b": "AA=="}, `{" di":{" b__":"AA=="}}`, map[string]any{" b": "AA=="}},
	{"like markup", map[string]string{" m": "<b>"}, `{" di":{" m__":"<b>"}}`, map[string]any{" m": "<b>"}},
	{"like a uuid", map[string]any{" u": nil}, `{" di":{" u__":null}}`, map[string]any{" u": nil}},
	{"like a time", map[string]bool{" d": true}, `{" di":{" d__":true}}`, map[string]any{" d": true}},
	{"like an escape", map[string]any{" di": map[string]any{" t__": "x"}}, `{" di":{" di__":{" t__":"x"}}}`, map[string]any{" di": map[string]any{" t__": "x"}}},
	{"like tags, nested", map[string]any{" b": []any{map[string]any{" m": aBytes}}}, `{" di":{" b__":[{" di":{" m__":{" b":"AP8Q"}}}]}}`, map[string]any{" b": []any{map[string]any{" m": aBytes}}}},
	{"two keys are no tag", map[string]any{" b": "x", " m": "y"}, `{" b":"x"," m":"y"}`, map[string]any{" b": "x", " m": "y"}},
	{"no known tag", map[string]any{" x": "y"}, `{" x":"y"}`, map[string]any{" x": "y"}},
	{"like an escaped key", map[string]any{" b__": "x"}, `{" b__":"x"}`, map[string]any{" b__": "x"}},
	{"struct like bytes", tagged{"AA=="}, `{" di":{" b__":"AA=="}}`, map[string]any{" b": "AA=="}},
	{"struct like an escape", taggedDict{map[string]string{" m": "x"}}, `{" di":{" di__":{" di":{" m__":"x"}}}}`, map[string]any{" di": map[string]any{" m": "x"}}},
	{"structs like bytes", []tagged{{"AA=="}}, `[{" di":{" b__":"AA=="}}]`, []any{map[string]any{" b": "AA=="}}},

	{"*string", &aString, `"text"`, "text"},
	{"*string nil", (*string)(nil), `null`, nil},
	{"*bytes", &aBytes, `{" b":"AP8Q"}`, aBytes},
	{"*html", &aMarkup, `{" m":"<b>no</b>"}`, aMarkup},
	{"struct", user{inner: inner{aBytes}, ID: math.MaxUint64, At: precise}, `{"Raw":"AP8Q","id":18446744073709551615,"at":"2024-02-29T12:34:56.123456789+05:45"}`, map[string]any{"Raw": "AP8Q", "id": uint64(math.MaxUint64), "at": "2024-02-29T12:34:56.123456789+05:45"}},
	{"*struct nested", &user{Name: "a", At: leapDay, More: map[string]string{" u": "x"}, Next: &user{At: leapDay}}, `{"Raw":null,"at":"2024-02-29T12:34:56Z","id":0,"more":{" di":{" u__":"x"}},"name":"a","next":{"Raw":null,"at":"2024-02-29T12:34:56Z","id":0}}`, map[string]any{"Raw": nil, "at": "2024-02-29T12:34:56Z", "id": int64(0), "more": map[string]any{" u": "x"}, "name": "a", "next": map[string]any{"Raw": nil, "at": "2024-02-29T12:34:56Z", "id": int64(0)}}},
	{"*struct nil", (*user)(nil), `null`, nil},
	{"json.Marshaler", upper("ABC"), `"ABC"`, "ABC"},
	{"map with methods", box{"0": nil, "1": nil}, `2`, int64(2)},
	{"json.RawMessage", json.RawMessage(`{"a":[1]}`), `{"a":[1]}`, map[string]any{"a": []any{int64(1)}}},
	{"json.RawMessage like html", json.RawMessage(`[{ "\u0020m" : "<b>"}]`), `[{" di":{" m__":"<b>"}}]`, []any{map[string]any{" m": "<b>"}}},
	{"TextMarshaler", netip.MustParseAddr("10.0.0.1"), `"10.0.0.1"`, "10.0.0.1"},
	{"url.URL", aURL, jsonOf(aURL), nil}, // the order of its fields depends on Go's version
	{"slice of TextMarshaler", []netip.Addr{netip.MustParseAddr("::1")}, `["::1"]`, []any{"::1"}},
}

func TestEncode_values(t *testing.T) {
	for _, row := range values {
		t.Run(row.name, func(t *testing.T) {
			if got, err := codec.Encode(row.in); err != nil || got != row.raw {
				t.Errorf("got  %s, %v\nwant %s", got, err, row.raw)
			}
		})
	}
}

func TestDecode_values(t *testing.T) {
	for _, row := range values {
		if row.out == nil && row.raw != "null" {
			continue
		}
		t.Run(row.name, func(t *testing.T) {
			if got, err := codec.Decode(row.raw); err != nil || !same(got, row.out) {
				t.Errorf("got %#v, %v, want %#v", got, err, row.out)
			}
		})
	}
}

func TestInto_roundTrip(t *testing.T) {
	for _, row := range values {
		if row.in == nil || row.name == "json.RawMessage like html" { // spaces go
			continue
		}
		t.Run(row.name, func(t *testing.T) {
			dst := reflect.New(reflect.TypeOf(row.in))
			if ok := codec.Into(row.raw, dst.Interface()); !ok || !same(dst.Elem().Interface(), row.in) {
				t.Errorf("got %#v, %v, want %#v", dst.Elem(), ok, row.in)
			}
		})
	}
}

// TestInto_any holds Into(any) and Decode together.
func TestInto_any(t *testing.T) {
	for _, row := range values {
		var got any
		want, _ := codec.Decode(row.raw)
		if ok := codec.Into(row.raw, &got); !ok || !same(got, want) {
			t.Errorf("%s: got %#v, %v, want %#v", row.name, got, ok, want)
		}
	}
}

// same is reflect.DeepEqual, but times are equal if instant and offset are,
// and 0 is not -0.
func same(a, b any) bool {
	switch a := a.(type) {
	case time.Time:
		b, ok := b.(time.Time)
		return ok && sameTime(a, b)
	case float64:
		b, ok := b.(float64)
		return ok && math.Float64bits(a) == math.Float64bits(b)
	case []any:
		b, ok := b.([]any)
		if !ok || len(a) != len(b) || (a == nil) != (b == nil) {
			return false
		}
		for i := range a {
			if !same(a[i], b[i]) {
				return false
			}
		}
		return true
	case map[string]any:
		b, ok := b.(map[string]any)
		if !ok || len(a) != len(b) || (a == nil) != (b == nil) {
			return false
		}
		for key := range a {
			if other, ok := b[key]; !ok || !same(a[key], other) {
				return false
			}
		}
		return true
	case user:
		b, ok := b.(user)
		if !ok || !sameTime(a.At, b.At) {
			return false
		}
		a.At = b.At
		return reflect.DeepEqual(a, b)
	}
	return reflect.DeepEqual(a, b)
}

func sameTime(a, b time.Time) bool {
	_, x := a.Zone()
	_, y := b.Zone()
	return a.Equal(b) && x == y
}

// TestDecode_flask reads what Flask writes, as its wire format has it.
func TestDecode_flask(t *testing.T) {
	rows := []struct {
		raw  string
		want any
	}{
		{`{" t":[1,"two",{" t":[3]}]}`, []any{int64(1), "two", []any{int64(3)}}},
		{`{" t":[]}`, []any{}},
		{`{" u":"12345678123456781234567812345678"}`, "12345678-1234-5678-1234-567812345678"},
		{`{" d":"Thu, 29 Feb 2024 12:34:56 GMT"}`, leapDay},
		{`{" b":"AP8Q"}`, aBytes},
		{`{" m":"<b>no</b>"}`, aMarkup},
		{`{" di":{" t__":"x"}}`, map[string]any{" t": "x"}},
		{`{" di":{" di__":{" b":"AP8Q"}}}`, map[string]any{" di": aBytes}},
		{`[{" t":["message","Hello"]},{" t":["error",{" m":"<b>no</b>"}]}]`, []any{[]any{"message", "Hello"}, []any{"error", aMarkup}}},
		{`"Zo\u00eb <&> \"q\""`, `Zoë <&> "q"`},
		{`"\ud83d\ude00"`, "😀"},
		{`1e+16`, 1e16},
		{`1e-07`, 1e-7},
		{`1.0`, 1.0},
		{`123456789012345678901234567890`, 123456789012345678901234567890.0},
		{`-123456789012345678901234567890`, -123456789012345678901234567890.0},
		{`1e999`, math.Inf(1)},
		{`-1e999`, math.Inf(-1)},
		{`{}`, map[string]any{}},
	}
	for _, row := range rows {
		if got, err := codec.Decode(row.raw); err != nil || !same(normal(got), row.want) {
			t.Errorf("%s: got %#v, %v, want %#v", row.raw, got, err, row.want)
		}
	}
}

// normal puts a GMT time into UTC: both have the offset 0.
func normal(v any) any {
	if t, ok := v.(time.Time); ok {
		return t.UTC()
	}
	return v
}

func TestDecode_wrong(t *testing.T) {
	for _, raw := range []string{
		``, ` `, `"`, `{`, `[1`, `nul`, `{"a":}`, `NaN`,
		`{" t":1}`, `{" t":{"a":1}}`, `{" t":null}`, `{" t":"x"}`,
		`{" b":"?"}`, `{" b":"AA"}`, `{" b":[1]}`, `{" b":null}`, `{" b":7}`,
		`{" m":1}`, `{" m":["x"]}`, `{" m":null}`,
		`{" u":"1234"}`, `{" u":""}`, `{" u":1}`, `{" u":"12345678-1234-5678-1234-567812345678"}`,
		`{" d":"yesterday"}`, `{" d":1}`, `{" d":""}`,
		`{" di":"x"}`, `{" di":{"a":1}}`, `{" di":{}}`, `{" di":{" b__":1,"c":2}}`, `{" di":[]}`,
		`[{" b":"?"}]`, `{"k":{" u":""}}`,
	} {
		if got, err := codec.Decode(raw); err == nil {
			t.Errorf("%s: got %#v, want an error", raw, got)
		}
		var v any
		if codec.Into(raw, &v) {
			t.Errorf("Into(%s): got %#v, want false", raw, v)
		}
	}
}

func TestEncode_refused(t *testing.T) {
	type node struct{ Next *node }
	ring := &node{}
	ring.Next = ring
	selfMap := map[string]any{}
	selfMap["again"] = selfMap
	twice := map[string]any{}
	twice["a"], twice["b"] = twice, twice
	selfList := make([]any, 2)
	selfList[0], selfList[1] = selfList, selfList
	type tree []tree
	selfTree := make(tree, 1)
	selfTree[0] = selfTree
	type ptr *ptr
	var selfPtr ptr
	selfPtr = &selfPtr
	var selfAny any
	selfAny = &selfAny
	rows := []struct {
		name string
		in   any
	}{
		{"chan", make(chan int)}, {"func", func() {}}, {"complex", 1i},
		{"chan in struct", struct{ C chan int }{make(chan int)}}, {"func in list", []any{func() {}}},
		{"map with struct key", map[[1]string]int{{"x"}: 1}},
		{"NaN", math.NaN()}, {"Inf", math.Inf(1)}, {"-Inf", math.Inf(-1)}, {"float32 Inf", float32(math.Inf(1))},
		{"NaN in list", []float64{math.NaN()}}, {"NaN in struct", struct{ F float64 }{math.NaN()}},
		{"string", "a\xff"}, {"named string", role("\xff")}, {"string in list", []string{"\xc3"}}, {"html", template.HTML("\xff")},
		{"string in map", map[string]any{"k": "\xff"}}, {"key", map[string]any{"\xff": 1}}, {"key of bytes", map[string][]byte{"\xff": nil}},
		{"surrogate", "\xed\xa0\x80"},
		{"map in itself", selfMap}, {"map twice in itself", twice}, {"list twice in itself", selfList},
		{"tree in itself", selfTree}, {"ring", ring}, {"pointer to itself", selfPtr}, {"pointer to itself as any", selfAny},
		{"year 10000", time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)}, {"year -1", []time.Time{time.Date(-1, 1, 1, 0, 0, 0, 0, time.UTC)}},
		{"json.Number", json.Number("1x")}, {"json.RawMessage", json.RawMessage(`{`)},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			if got, err := codec.Encode(row.in); err == nil {
				t.Errorf("got %.100s, want an error", got)
			}
		})
	}
}

// Strings with one method each.
type (
	writesJSON string
	writesText string
	readsJSON  string
	readsText  string
)

func (writesJSON) MarshalJSON() ([]byte, error) { return []byte(`"by JSON"`), nil }
func (writesText) MarshalText() ([]byte, error) { return []byte("by text"), nil }
func (s *readsJSON) UnmarshalJSON([]byte) error { *s = "by JSON"; return nil }
func (s *readsText) UnmarshalText([]byte) error { *s = "by text"; return nil }

// TestEncode_oneMethod: each of the four is enough to be asked.
func TestEncode_oneMethod(t *testing.T) {
	for in, want := range map[any]string{writesJSON("x"): `"by JSON"`, writesText("x"): `"by text"`, readsJSON("x"): `"x"`, readsText("x"): `"x"`} {
		if got, err := codec.Encode(in); err != nil || got != want {
			t.Errorf("%T: got %s, %v, want %s", in, got, err, want)
		}
	}
	var j []readsJSON
	if ok := codec.Into(`["x"]`, &j); !ok || j[0] != "by JSON" {
		t.Errorf("got %v, %v, want by JSON", j, ok)
	}
	var x map[string]readsText
	if ok := codec.Into(`{"k":"x"}`, &x); !ok || x["k"] != "by text" {
		t.Errorf("got %v, %v, want by text", x, ok)
	}
}

// TestEncode_selfNestingTypes: the types have no end, the values do.
func TestEncode_selfNestingTypes(t *testing.T) {
	type tree []tree
	type forest map[string]forest
	type chain struct{ Next *chain }
	type ptr *ptr
	var end ptr
	for _, in := range []any{
		tree{{}, {{}, {}}}, tree(nil), forest{"a": {"b": {}}, " b": nil}, forest{" b": {}}, &chain{&chain{}}, ptr(nil), ptr(&end),
	} {
		raw, err := codec.Encode(in)
		if err != nil {
			t.Errorf("%T: %v", in, err)
			continue
		}
		dst := reflect.New(reflect.TypeOf(in))
		if ok := codec.Into(raw, dst.Interface()); !ok {
			t.Errorf("%T: Into(%s): got false, want true", in, raw)
		}
		if again, err := codec.Encode(dst.Elem().Interface()); err != nil || again != raw {
			t.Errorf("%T: got %s, %v, want %s", in, again, err, raw)
		}
	}
}

func TestEncode_depth(t *testing.T) {
	wraps := map[string]func(any) any{
		"list":    func(v any) any { return []any{v} },
		"map":     func(v any) any { return map[string]any{"k": v} },
		"pointer": func(v any) any { return &v },
	}
	for name, wrap := range wraps {
		nest := func(n int) any {
			var v any = "bottom"
			for range n {
				v = wrap(v)
			}
			return v
		}
		raw, err := codec.Encode(nest(500))
		if err != nil {
			t.Errorf("%s, 500 deep: %v", name, err)
		} else if v, err := codec.Decode(raw); err != nil || name != "pointer" && !same(v, nest(500)) {
			t.Errorf("%s, 500 deep: does not come back: %v", name, err)
		}
		for _, n := range []int{501, 10_000} {
			if _, err := codec.Encode(nest(n)); err == nil {
				t.Errorf("%s, %d deep: got no error", name, n)
			}
		}
	}
}

// TestEncode_deepStruct: what encoding/json writes without complaint but would
// not read again is refused, not lost.
func TestEncode_deepStruct(t *testing.T) {
	type chain struct {
		Next *chain `json:"n,omitempty"`
	}
	deep := func(n int) *chain {
		var c *chain
		for range n {
			c = &chain{c}
		}
		return c
	}
	for _, n := range []int{1, 999, 9_999, 10_000, 10_001, 20_000} {
		raw, err := codec.Encode(deep(n))
		if err != nil {
			continue
		}
		if _, err := codec.Decode(raw); err != nil {
			t.Errorf("%d deep: encoded, but %v", n, err)
		}
	}
}

// TestEncode_deepTypes: lists in lists keep their bytes up to a point, and the
// rest is encoding/json's.
func TestEncode_deepTypes(t *testing.T) {
	typ := reflect.TypeFor[[]byte]()
	for range 30 {
		typ = reflect.SliceOf(typ)
		in := reflect.MakeSlice(typ, 1, 1)
		raw, err := codec.Encode(in.Interface())
		if err != nil {
			t.Fatal(err)
		}
		if dst := reflect.New(typ); !codec.Into(raw, dst.Interface()) || !reflect.DeepEqual(dst.Elem().Interface(), in.Interface()) {
			t.Errorf("%s: Into(%s) does not give it back", typ, raw)
		}
	}
}

func TestEncode_timeWithOffsetOfSeconds(t *testing.T) {
	want := time.Date(1900, 1, 1, 0, 0, 7, 5, time.FixedZone("LMT", 19*60+32))
	raw, err := codec.Encode(want)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := codec.Decode(raw); err != nil || !got.(time.Time).Equal(want) {
		t.Errorf("got %v, %v, want the instant %v", got, err, want)
	}
}

func TestInto_notOfTheType(t *testing.T) {
	const at, b64 = `"2024-02-29T12:34:56Z"`, `"AP8Q"`
	const tagB, tagD, tagM = `{" b":"AP8Q"}`, `{" d":"2024-02-29T12:34:56Z"}`, `{" m":"<b>"}`
	rows := []struct {
		raw string
		dst any
	}{
		// no plain string becomes bytes, a time or HTML, however deep
		{b64, new([]byte)}, {b64, new(blob)}, {b64, new(*[]byte)}, {"[" + b64 + "]", new([][]byte)}, {`{"k":` + b64 + `}`, new(map[string][]byte)},
		{at, new(time.Time)}, {at, new(*time.Time)}, {"[" + at + "]", new([]time.Time)}, {"[" + at + "]", new([]*time.Time)}, {`{"k":` + at + `}`, new(map[string]time.Time)},
		{`"<b>"`, new(template.HTML)}, {`"<b>"`, new(*template.HTML)}, {`["<b>"]`, new([]template.HTML)}, {`{"k":["<b>"]}`, new(map[string][]template.HTML)},
		// nor the other way round
		{tagB, new(string)}, {tagB, new(role)}, {"[" + tagB + "]", new([]string)}, {`{"k":` + tagB + `}`, new(map[string]string)}, {tagB, new([]int)},
		{tagD, new(string)}, {tagD, new(role)}, {"[" + tagD + "]", new([]string)}, {tagD, new(int64)},
		{tagB, new(time.Time)}, {tagB, new(template.HTML)}, {tagD, new([]byte)}, {tagD, new(template.HTML)}, {tagM, new([]byte)}, {tagM, new(time.Time)},
		{tagB, new(map[string]any)}, {tagB, new([]any)}, {`[1]`, new(blob)}, {`[]`, new(blob)}, {`{}`, new(blob)},
		// numbers are not cut short
		{`1.5`, new(int)}, {`1.5`, new(int64)}, {`1.5`, new(uint64)}, {`1.5`, new(level)}, {`[1.5]`, new([]int)}, {`5e-324`, new(int)},
		{`-1`, new(uint64)}, {`-1`, new(uint)}, {`-1.0`, new(uint64)}, {`256`, new(uint8)}, {`[256]`, new([]int8)},
		{`9223372036854775808`, new(int64)}, {`9223372036854775808`, new(int)}, {`-9223372036854775809`, new(int64)}, {`9223372036854775808.0`, new(int64)}, {`9.3e18`, new(int)},
		{`18446744073709551616`, new(uint64)}, {`18446744073709551616.0`, new(uint64)}, {`2147483648`, new(level)}, {`1e999`, new(float64)}, {`1e39`, new(float32)},
		// other kinds
		{`"1"`, new(int)}, {`"1"`, new(uint64)}, {`"1"`, new(float64)}, {`"1.5"`, new(float64)}, {`"1.5"`, new(int64)}, {`NaN`, new(float64)}, {`Infinity`, new(float64)}, {`true`, new(int)}, {`"true"`, new(bool)}, {`1`, new(bool)}, {`0`, new(bool)},
		{`1`, new(string)}, {`true`, new(string)}, {`[]`, new(string)}, {`{}`, new(string)}, {`1`, new(role)}, {`1`, new([]string)}, {`[1]`, new([]string)}, {`{"a":1}`, new([]any)}, {`[1]`, new(map[string]any)},
		{`[1]`, new(map[string]string)}, {`{"a":[1]}`, new(map[string]map[string]any)}, {`{"a":{}}`, new(map[string][]any)}, {`[[1],2]`, new([][]any)}, {`"x"`, new(user)}, {`"x"`, new(big.Int)},
		{`{}`, new(int)}, {`[]`, new(float64)}, {`{"id":-1}`, new(user)}, {`"x"`, new(json.Number)}, {`"1"`, new(json.Number)}, {`"x"`, new(fmt.Stringer)}, {`"x"`, new(netip.Addr)}, {`1`, new(chan int)},
		// null is a value for what can be nil only
		{`null`, new(string)}, {`null`, new(int)}, {`null`, new(int64)}, {`null`, new(uint64)}, {`null`, new(float64)}, {`null`, new(bool)}, {`null`, new(time.Time)}, {`null`, new(template.HTML)}, {`null`, new(user)}, {`null`, new(role)}, {`null`, new(level)},
		// damage
		{``, new(int)}, {``, new(any)}, {`{" b":"?"}`, new(user)}, {`{" b":"?"}`, new([]byte)}, {`{" b":"?"}`, new([]any)}, {`{" b"`, new([]int)}, {`[`, new([]int)},
	}
	for _, row := range rows {
		if codec.Into(row.raw, row.dst) {
			t.Errorf("%s into %T: got %v, want false", row.raw, row.dst, reflect.ValueOf(row.dst).Elem())
		}
	}
}

func TestInto_alsoOfTheType(t *testing.T) {
	rows := []struct {
		raw  string
		dst  any
		want any
	}{
		{`3.0`, new(int), 3}, {`3.0`, new(int64), int64(3)}, {`3.0`, new(uint64), uint64(3)}, {`1e3`, new(int), 1000}, {`1E3`, new(uint64), uint64(1000)}, {`-0.0`, new(int), 0},
		{`-9223372036854775808.0`, new(int64), int64(math.MinInt64)}, {`18446744073709549568.0`, new(uint64), uint64(18446744073709549568)},
		{`1.9`, new(float64), 1.9}, {`1e9`, new(int), 1_000_000_000}, {`3`, new(float64), 3.0}, {`3`, new(float32), float32(3)}, {`123456789012345678901234567890`, new(float64), 123456789012345678901234567890.0},
		{`1267650600228229401496703205376`, new(big.Int), *hugeInt},
		{`{" m":"<b>"}`, new(string), "<b>"}, {`{" m":"<b>"}`, new(role), role("<b>")}, {`[{" m":"<b>"}]`, new([]string), []string{"<b>"}},
		{`{" u":"12345678123456781234567812345678"}`, new(string), "12345678-1234-5678-1234-567812345678"},
		{`{" t":[1,2]}`, new([]int), []int{1, 2}}, {`{" t":[1,2]}`, new([]any), []any{int64(1), int64(2)}}, {`{" t":[1,2]}`, new([2]int), [2]int{1, 2}},
		{`["a",null]`, new([]string), []string{"a", ""}}, {`{"a":null}`, new(map[string][]any), map[string][]any{"a": nil}}, {`[1,"x"]`, new([]any), []any{int64(1), "x"}},
		{`null`, new(any), nil}, {`null`, new([]byte), nilBytes}, {`null`, new([]string), []string(nil)}, {`null`, new(map[string]int), map[string]int(nil)}, {`null`, new(*int), (*int)(nil)},
		{`{"raw":{" b":"AP8Q"},"at":{" d":"2024-02-29T12:34:56Z"}}`, new(user), user{inner: inner{aBytes}, At: leapDay}},
		{`{"a":[{" d":"2024-02-29T12:34:56Z"}]}`, new(map[role][]time.Time), map[role][]time.Time{"a": {leapDay}}},
		{`{"a":[{" b":"AP8Q"},1]}`, new(map[string][]any), map[string][]any{"a": {aBytes, int64(1)}}},
		{`["a\nb"]`, new(names), names{"a\nb"}}, {`"a\u00ebb"`, new(string), "aëb"}, {`{" m":"a\"b"}`, new(template.HTML), template.HTML(`a"b`)},
	}
	for _, row := range rows {
		ok := codec.Into(row.raw, row.dst)
		if got := reflect.ValueOf(row.dst).Elem().Interface(); !ok || !same(got, row.want) {
			t.Errorf("%s into %T: got %#v, %v, want %#v", row.raw, row.dst, got, ok, row.want)
		}
	}
}

func TestInto_sharesNothing(t *testing.T) {
	raw, _ := codec.Encode(map[string]any{"b": aBytes, "l": []any{1}})
	var first, second map[string]any
	codec.Into(raw, &first)
	first["b"].([]byte)[0], first["l"].([]any)[0] = 9, 9
	if codec.Into(raw, &second); !same(second, map[string]any{"b": aBytes, "l": []any{int64(1)}}) {
		t.Errorf("got %v, want what was encoded", second)
	}
}

// random returns a tree of values that Decode returns unchanged.
func random(r *rand.Rand, depth int) any {
	kinds := 11
	if depth > 4 {
		kinds = 9
	}
	switch r.IntN(kinds) {
	case 0:
		return nil
	case 1:
		return r.IntN(2) == 0
	case 2:
		return int64(r.Uint64() >> r.IntN(64))
	case 3:
		return r.Uint64() | 1<<63
	case 4:
		return randomFloat(r)
	case 5, 6:
		return randomString(r)
	case 7:
		return template.HTML(randomString(r))
	case 8:
		if r.IntN(2) == 0 {
			return time.Unix(r.Int64N(1<<37), r.Int64N(1e9)).In(time.FixedZone("", 60*(r.IntN(1440)-720)))
		}
		return []byte(randomString(r))
	case 9:
		list := make([]any, r.IntN(4))
		for i := range list {
			list[i] = random(r, depth+1)
		}
		return list
	}
	dict := map[string]any{}
	for range r.IntN(4) {
		dict[randomString(r)] = random(r, depth+1)
	}
	return dict
}

func randomFloat(r *rand.Rand) float64 {
	for {
		if f := math.Float64frombits(r.Uint64()); !math.IsNaN(f) && !math.IsInf(f, 0) {
			return f
		}
	}
}

func randomString(r *rand.Rand) string {
	special := []string{" t", " b", " m", " u", " d", " di", " b__", "__", "", `"`, `\`, "\u2028", "\x00", "😀", "ë", "<", `{" b":"AA=="}`, "\u0020"}
	if r.IntN(2) == 0 {
		return special[r.IntN(len(special))]
	}
	var b strings.Builder
	for range r.IntN(12) {
		b.WriteRune(rune(r.IntN(0x3000)))
	}
	return b.String()
}

func newRandom(t testing.TB) *rand.Rand {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

func TestEncode_randomTrees(t *testing.T) {
	r := newRandom(t)
	for range 20_000 {
		want := random(r, 0)
		raw, err := codec.Encode(want)
		if err != nil {
			t.Fatalf("%#v: %v", want, err)
		}
		got, err := codec.Decode(raw)
		if err != nil || !same(got, want) {
			t.Fatalf("got  %#v, %v\nwant %#v\nby   %s", got, err, want, raw)
		}
		if again, err := codec.Encode(got); err != nil || again != raw {
			t.Fatalf("got %s, %v, want %s", again, err, raw)
		}
	}
}

// TestEncode_likeJSON: all but tags and the format of floats is what
// encoding/json has.
func TestEncode_likeJSON(t *testing.T) {
	r := newRandom(t)
	for range 2_000 {
		in := map[string]string{}
		for range r.IntN(5) {
			in["k"+randomString(r)] = randomString(r)
		}
		raw, err := codec.Encode(in)
		if err != nil {
			t.Fatal(err)
		}
		var got map[string]string
		if err := json.Unmarshal([]byte(raw), &got); err != nil || !reflect.DeepEqual(got, in) {
			t.Fatalf("%s: got %v, %v, want %v", raw, got, err, in)
		}
	}
}

// FuzzDecode: no text panics, and the result is stable.
func FuzzDecode(f *testing.F) {
	for _, row := range values {
		f.Add(row.raw)
	}
	f.Add(`{" t":[1,{" u":"12345678123456781234567812345678"}]}`)
	f.Add(`{" d":"Thu, 29 Feb 2024 12:34:56 GMT"}`)
	f.Fuzz(func(t *testing.T, raw string) {
		for _, dst := range []any{
			new(any), new(string), new(bool), new(int), new(int64), new(uint64), new(float64), new([]byte), new(time.Time), new(template.HTML),
			new([]any), new([]string), new([][]byte), new([]time.Time), new([]int), new(map[string]any), new(map[string][]any), new(*time.Time), new(user), new(box), new(big.Int), new(role),
		} {
			codec.Into(raw, dst)
		}
		v, err := codec.Decode(raw)
		if err != nil {
			return
		}
		again, err := codec.Encode(v)
		if err != nil {
			return // an infinity, a string that is not UTF-8, too deep
		}
		if w, err := codec.Decode(again); err != nil || !same(v, w) {
			t.Errorf("%q: got %#v, %v, want %#v", raw, w, err, v)
		}
	})
}

type line struct {
	Article string
	hidden  string
	Not     string `json:"-"`
}

type spelled string

func (s spelled) MarshalJSON() ([]byte, error) { return []byte(`"` + s + `"`), nil }

// page hides its node's Parent, which may lead to itself, from encoding/json.
type page struct {
	node
	Parent, Title string
}

type node struct{ Parent *page }

// byPointer has its own encoding only if it is addressable.
type byPointer struct{ Name string }

func (p *byPointer) MarshalJSON() ([]byte, error) {
	return json.Marshal(hex.EncodeToString([]byte(p.Name)))
}

// key is a string, whose method encoding/json ignores if it is a name.
type key string

func (k key) MarshalText() ([]byte, error) { return []byte("key"), nil }

// inText encodes itself as text that may be invalid.
type inText struct{ text string }

func (t inText) MarshalText() ([]byte, error) { return []byte(t.text), nil }

type hexed string

func (h hexed) MarshalText() ([]byte, error) { return []byte(hex.EncodeToString([]byte(h))), nil }

func circle(title string) *page {
	root := &page{Parent: "/", Title: title}
	root.node.Parent = root
	return root
}

// Text that is not UTF-8 is refused wherever it is, and the character that
// encoding/json would put in its place is not.
func TestEncode_invalidText(t *testing.T) {
	bad := "\xff"
	for name, v := range map[string]any{
		"string": bad, "struct": line{Article: bad}, "list": []line{{Article: "a"}, {Article: bad}}, "array": [1]string{bad},
		"map": map[int]string{1: bad}, "keys": map[string]line{bad: {}}, "pointer": &line{Article: bad}, "interface": struct{ V any }{[]string{bad}},
		"embedded": struct{ line }{line{Article: bad}}, "raw": json.RawMessage(`"` + bad + `"`), "marshaler": spelled(bad),
		"cycle behind it": circle(bad), "not addressable": map[string]byPointer{"a": {bad}}, "in an interface": struct{ V any }{byPointer{bad}},
		"names": map[key]int{key(bad): 1}, "text": struct{ V inText }{inText{bad}}, "names of text": map[inText]int{{bad}: 1},
	} {
		if raw, err := codec.Encode(v); err == nil || !strings.Contains(err.Error(), "UTF-8") {
			t.Errorf("%s: got %q, %v, want an error", name, raw, err)
		}
	}
	for name, v := range map[string]any{
		"character": line{Article: "\ufffd"}, "hidden": line{hidden: bad, Not: bad, Article: `\ufffd`}, "raw": json.RawMessage(`"\ufffd"`),
		"marshaler": struct{ A, B any }{spelled(`\ufffd`), "x"}, "nil": struct{ P *line }{},
		"itself": struct{ A, B any }{hexed(bad), json.RawMessage(`"\ufffd"`)}, "addressable": []byPointer{{bad}},
		"addressable and more": struct {
			A []byPointer
			B json.RawMessage
		}{[]byPointer{{bad}}, json.RawMessage(`"\ufffd"`)},
	} {
		if _, err := codec.Encode(v); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
