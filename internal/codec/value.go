package codec

import (
	"bytes"
	"encoding"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Flask encodes a type that JSON lacks as an object with one key, its tag.
const (
	TagTuple = " t"
	TagDict  = " di" // a real dict whose only key looks like a tag; "__" is added to that key

	tagBytes  = " b"
	tagMarkup = " m"
	tagUUID   = " u"
	tagTime   = " d"
)

// IsTag reports whether an object with this one key would be read as a tag.
func IsTag(key string) bool {
	switch key {
	case TagTuple, tagBytes, tagMarkup, tagUUID, tagTime, TagDict:
		return true
	}
	return false
}

const (
	maxDepth     = 500 // of a value's nesting, which also finds cycles
	maxTypeDepth = 20  // of lists and maps in one type, for recursive types
)

var (
	errDepth  = fmt.Errorf("nested more than %d deep, or a cycle", maxDepth)
	errNumber = errors.New("a json.Number that is not a number")
	errUTF8   = errors.New("a string that is not valid UTF-8; keep it as []byte")
)

// Encode returns v as tagged JSON. Bytes, times, [template.HTML] and lists and
// maps of them keep their types; structs are encoded as by encoding/json.
func Encode(v any) (string, error) {
	switch v := v.(type) {
	case nil:
		return "null", nil
	case string:
		if plainASCII(v) {
			return `"` + v + `"`, nil
		}
	case int:
		return strconv.Itoa(v), nil
	case int64:
		return strconv.FormatInt(v, 10), nil
	case bool:
		return strconv.FormatBool(v), nil
	case []byte:
		if v != nil {
			return `{"` + tagBytes + `":"` + base64.StdEncoding.EncodeToString(v) + `"}`, nil
		}
	case []string: // such as roles, which many sessions hold
		if text, ok := plainStrings(v); ok {
			return text, nil
		}
	}
	tree, err := tag(v, 0)
	if err != nil {
		return "", err
	}
	return marshal(tree)
}

// tag converts v to a tree that encoding/json encodes as tagged JSON.
func tag(v any, depth int) (any, error) {
	if depth > maxDepth {
		return nil, errDepth
	}
	switch v := v.(type) {
	case nil, bool, int, int64:
		return v, nil
	case json.Number: // the error of encoding/json would show the value
		if v != "" && (!isNumber(string(v)) || !json.Valid([]byte(v))) {
			return nil, errNumber
		}
		return v, nil
	case string:
		return v, checkUTF8(v)
	case template.HTML:
		return map[string]any{tagMarkup: string(v)}, checkUTF8(string(v))
	case time.Time:
		if _, offset := v.Zone(); offset%60 != 0 {
			v = v.UTC() // RFC 3339 drops an offset's seconds, which would move the instant
		}
		text, err := v.MarshalText()
		return map[string]any{tagTime: string(text)}, err
	}
	rv := reflect.ValueOf(v)
	if !walkable(rv.Type(), 0) {
		return foreign(rv)
	}
	switch rv.Kind() {
	case reflect.Pointer:
		if rv.IsNil() {
			return nil, nil
		}
		return tag(rv.Elem().Interface(), depth+1)
	case reflect.Slice:
		return tagSlice(rv, depth)
	case reflect.Map:
		return tagMap(rv, depth)
	case reflect.String:
		return v, checkUTF8(rv.String())
	case reflect.Float32, reflect.Float64:
		return number(rv.Float(), rv.Type().Bits())
	default:
		return v, nil // booleans and whole numbers of any named type
	}
}

func tagSlice(rv reflect.Value, depth int) (any, error) {
	if rv.IsNil() {
		return nil, nil
	}
	if rv.Type().Elem().Kind() == reflect.Uint8 {
		return map[string]any{tagBytes: base64.StdEncoding.EncodeToString(rv.Bytes())}, nil
	}
	list := make([]any, rv.Len())
	for i := range list {
		var err error
		if list[i], err = tag(rv.Index(i).Interface(), depth+1); err != nil {
			return nil, err
		}
	}
	return list, nil
}

func tagMap(rv reflect.Value, depth int) (any, error) {
	if rv.IsNil() {
		return nil, nil
	}
	dict := make(map[string]any, rv.Len())
	for iter := rv.MapRange(); iter.Next(); {
		key := iter.Key().String()
		if err := checkUTF8(key); err != nil {
			return nil, err
		}
		value, err := tag(iter.Value().Interface(), depth+1)
		if err != nil {
			return nil, err
		}
		dict[key] = value
	}
	return escape(dict), nil
}

// escape keeps a dict whose only key looks like a tag from being read as one.
func escape(dict map[string]any) map[string]any {
	if key, ok := onlyKey(dict); ok && IsTag(key) {
		return map[string]any{TagDict: map[string]any{key + "__": dict[key]}}
	}
	return dict
}

func onlyKey(dict map[string]any) (string, bool) {
	if len(dict) != 1 {
		return "", false
	}
	for key := range dict {
		return key, true
	}
	return "", false
}

var (
	typeTime            = reflect.TypeFor[time.Time]()
	typeHTML            = reflect.TypeFor[template.HTML]()
	typeNumber          = reflect.TypeFor[json.Number]()
	typeMarshaler       = reflect.TypeFor[json.Marshaler]()
	typeUnmarshaler     = reflect.TypeFor[json.Unmarshaler]()
	typeTextMarshaler   = reflect.TypeFor[encoding.TextMarshaler]()
	typeTextUnmarshaler = reflect.TypeFor[encoding.TextUnmarshaler]()
)

// walkable reports whether [tag] and [assign] convert values of t themselves.
// Types with methods for encoding, structs and recursive types are left to
// encoding/json.
func walkable(t reflect.Type, depth int) bool {
	if depth > maxTypeDepth {
		return false
	}
	if t == typeTime || t == typeHTML {
		return true
	}
	if t.Kind() == reflect.Interface {
		return t.NumMethod() == 0
	}
	if encodesItself(t) {
		return false
	}
	switch t.Kind() {
	case reflect.Bool, reflect.String,
		reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64,
		reflect.Float32, reflect.Float64:
		return true
	case reflect.Slice, reflect.Pointer:
		return walkable(t.Elem(), depth+1)
	case reflect.Map:
		return t.Key().Kind() == reflect.String && !encodesItself(t.Key()) && walkable(t.Elem(), depth+1)
	}
	return false
}

func encodesItself(t reflect.Type) bool {
	p := reflect.PointerTo(t)
	return p.Implements(typeMarshaler) || p.Implements(typeTextMarshaler) ||
		p.Implements(typeUnmarshaler) || p.Implements(typeTextUnmarshaler)
}

// foreign encodes a value with encoding/json, and escapes the objects in it that
// look like tags.
func foreign(rv reflect.Value) (any, error) {
	addressable := reflect.New(rv.Type()) // so that methods of the pointer are found
	addressable.Elem().Set(rv)
	raw, err := marshal(addressable.Interface())
	if err == nil && (!utf8.ValidString(raw) || strings.Contains(raw, `\ufffd`) && holdsInvalid(addressable.Elem(), 0)) {
		err = errUTF8
	}
	if err != nil || !mayHoldTag(raw) {
		return json.RawMessage(raw), err
	}
	tree, err := parse(raw)
	if err != nil {
		return nil, err
	}
	return mapTree(tree, func(dict map[string]any) (any, error) { return escape(dict), nil })
}

// holdsInvalid reports whether a value holds text that is not valid UTF-8, which
// encoding/json silently replaces by the escape of U+FFFD. It is called only if
// the encoded value has that escape, so it may look at more than encoding/json
// does: at a hidden field, or a cycle behind it.
func holdsInvalid(rv reflect.Value, depth int) bool {
	if depth > maxDepth {
		return true
	}
	if _, ok := as[json.Marshaler](rv); ok {
		return false
	}
	if m, ok := as[encoding.TextMarshaler](rv); ok {
		text, err := m.MarshalText()
		return err == nil && !utf8.Valid(text)
	}
	switch rv.Kind() {
	case reflect.String:
		return !utf8.ValidString(rv.String())
	case reflect.Pointer, reflect.Interface:
		return holdsInvalid(rv.Elem(), depth+1)
	case reflect.Slice, reflect.Array:
		for i := range rv.Len() {
			if holdsInvalid(rv.Index(i), depth+1) {
				return true
			}
		}
	case reflect.Map:
		for iter := rv.MapRange(); iter.Next(); {
			if invalidKey(iter.Key()) || holdsInvalid(iter.Value(), depth+1) {
				return true
			}
		}
	case reflect.Struct:
		for i := range rv.NumField() {
			if field := rv.Type().Field(i); (field.IsExported() || field.Anonymous) && field.Tag.Get("json") != "-" && holdsInvalid(rv.Field(i), depth+1) {
				return true
			}
		}
	}
	return false
}

// invalidKey is holdsInvalid for a map's key, of which encoding/json takes a
// string as it is, even if it has methods.
func invalidKey(key reflect.Value) bool {
	if key.Kind() == reflect.String {
		return !utf8.ValidString(key.String())
	}
	return holdsInvalid(key, 0)
}

// as returns the value, or its address, as a T if encoding/json would call its
// methods.
func as[T any](rv reflect.Value) (m T, ok bool) {
	if !rv.IsValid() || !rv.CanInterface() || (rv.Kind() == reflect.Pointer || rv.Kind() == reflect.Interface) && rv.IsNil() {
		return m, false
	}
	if m, ok = reflect.TypeAssert[T](rv); !ok && rv.CanAddr() {
		m, ok = reflect.TypeAssert[T](rv.Addr())
	}
	return m, ok
}

// mayHoldTag reports whether an object in raw may be a tag. It is fast, and
// false only if none is. Only a [json.Marshaler] escapes the space.
func mayHoldTag(raw string) bool {
	return strings.Contains(raw, `{" `) || strings.Contains(raw, `{"\u0020`)
}

// number encodes a float as Python does, so that it stays a float everywhere.
func number(f float64, bits int) (json.Number, error) {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return "", fmt.Errorf("%v, which JSON cannot express", f)
	}
	form := byte('f')
	if abs := math.Abs(f); abs != 0 && (abs < 1e-4 || abs >= 1e16) {
		form = 'e'
	}
	text := strconv.FormatFloat(f, form, -1, bits)
	if !strings.ContainsAny(text, ".e") {
		text += ".0"
	}
	return json.Number(text), nil
}

func checkUTF8(s string) error {
	if !utf8.ValidString(s) {
		return errUTF8
	}
	return nil
}

// plainASCII reports whether s needs no escapes in JSON.
func plainASCII(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

// plainStrings encodes a list of strings, or returns false if one needs escapes.
func plainStrings(list []string) (string, bool) {
	if len(list) == 0 || slices.ContainsFunc(list, func(s string) bool { return !plainASCII(s) }) {
		return "", false
	}
	return `["` + strings.Join(list, `","`) + `"]`, true
}

// discreet hides the text of an error, which may contain the value. [errors.As]
// still finds the error.
func discreet(err error) error {
	switch err.(type) { //nolint:errorlint // one that is wrapped may have any text around it
	case *json.UnsupportedTypeError, *json.UnsupportedValueError: // NaN, a cycle
		return err
	}
	return &hiddenError{err}
}

type hiddenError struct{ err error }

func (*hiddenError) Error() string   { return "encoding/json, or a method of the type, refuses it" }
func (e *hiddenError) Unwrap() error { return e.err }

func marshal(v any) (string, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return "", discreet(err)
	}
	return strings.TrimSuffix(b.String(), "\n"), nil
}

// Decode returns the value of tagged JSON: nil, bool, int64, uint64, float64,
// string, []byte, [time.Time], [template.HTML], []any or map[string]any.
func Decode(raw string) (any, error) {
	if s, ok := plainString(raw); ok {
		return s, nil
	}
	tree, err := parseTagged(raw)
	return numbers(tree), err
}

// parseTagged parses tagged JSON into a tree in which numbers are [json.Number].
func parseTagged(raw string) (any, error) {
	tree, err := parse(raw)
	if err != nil {
		return nil, err
	}
	return mapTree(tree, untag)
}

// parse parses JSON into a tree in which numbers are [json.Number].
func parse(raw string) (any, error) {
	dec := json.NewDecoder(strings.NewReader(raw))
	dec.UseNumber()
	var tree any
	if err := dec.Decode(&tree); err != nil {
		return nil, err
	}
	return tree, nil
}

// mapTree replaces each object by the result of fn, innermost first.
func mapTree(tree any, fn func(map[string]any) (any, error)) (any, error) {
	var err error
	switch t := tree.(type) {
	case []any:
		for i := range t {
			if t[i], err = mapTree(t[i], fn); err != nil {
				return nil, err
			}
		}
	case map[string]any:
		for key := range t {
			if t[key], err = mapTree(t[key], fn); err != nil {
				return nil, err
			}
		}
		return fn(t)
	}
	return tree, nil
}

// numbers replaces each [json.Number] of a tree by an int64, uint64 or float64.
func numbers(tree any) any {
	switch t := tree.(type) {
	case json.Number:
		return parseNumber(string(t))
	case []any:
		for i := range t {
			t[i] = numbers(t[i])
		}
	case map[string]any:
		for key := range t {
			t[key] = numbers(t[key])
		}
	}
	return tree
}

// Three numbers that Python writes and JSON lacks, encoded as numbers that no
// encoder writes. Infinity and MinusInfinity overflow to the right value.
const (
	NaN           = "-0e999999"
	Infinity      = "1e999999"
	MinusInfinity = "-1e999999"
)

func parseNumber(text string) any {
	if text == NaN {
		return math.NaN()
	}
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return n
	}
	if n, err := strconv.ParseUint(text, 10, 64); err == nil {
		return n
	}
	f, _ := strconv.ParseFloat(text, 64) // out of range: an infinity of the right sign
	return f
}

var errTag = errors.New("a type tag with the wrong content")

// untag returns the value of a tag, or the object itself if it is not a tag.
func untag(dict map[string]any) (any, error) {
	key, ok := onlyKey(dict)
	if !ok || !IsTag(key) {
		return dict, nil
	}
	switch v := dict[key].(type) {
	case []any:
		if key == TagTuple {
			return v, nil
		}
	case map[string]any:
		if inner, ok := onlyKey(v); ok && key == TagDict && strings.HasSuffix(inner, "__") {
			return map[string]any{strings.TrimSuffix(inner, "__"): v[inner]}, nil
		}
	case string:
		return untagText(key, v)
	}
	return nil, errTag
}

func untagText(key, text string) (any, error) {
	switch key {
	case tagBytes:
		return base64.StdEncoding.DecodeString(text)
	case tagMarkup:
		return template.HTML(text), nil //nolint:gosec // the app itself stored it as HTML
	case tagUUID:
		if _, err := hex.DecodeString(text); err == nil && len(text) == 32 {
			return text[:8] + "-" + text[8:12] + "-" + text[12:16] + "-" + text[16:20] + "-" + text[20:], nil
		}
	case tagTime:
		return parseTime(text)
	}
	return nil, errTag
}

// parseTime parses RFC 3339, as [Encode] writes it, and Flask's HTTP dates.
func parseTime(text string) (time.Time, error) {
	if t, err := time.Parse(time.RFC3339Nano, text); err == nil {
		return t, nil
	}
	return time.Parse(time.RFC1123, text)
}

// plainString returns the string in raw, or false if it has to be decoded.
func plainString(raw string) (string, bool) {
	if len(raw) < 2 || raw[0] != '"' || strings.IndexByte(raw, '\\') >= 0 {
		return "", false
	}
	return raw[1 : len(raw)-1], true
}

// String decodes a string. [template.HTML] counts as a string.
func String(raw string) (string, bool) {
	if s, ok := plainString(raw); ok {
		return s, true
	}
	switch v, _ := Decode(raw); v := v.(type) {
	case string:
		return v, true
	case template.HTML:
		return string(v), true
	}
	return "", false
}

// Int decodes a whole number of 64 bits. 3.0 is a whole number.
func Int(raw string) (int64, bool) {
	if n, err := strconv.ParseInt(raw, 10, 64); err == nil {
		return n, true
	}
	f, ok := float(raw)
	if n := int64(f); ok && f >= -1<<63 && f < 1<<63 && float64(n) == f {
		return n, true
	}
	return 0, false
}

// Uint decodes a whole number of 64 bits that is not negative.
func Uint(raw string) (uint64, bool) {
	if n, err := strconv.ParseUint(raw, 10, 64); err == nil {
		return n, true
	}
	f, ok := float(raw)
	if n := uint64(f); ok && f >= 0 && f < 1<<64 && float64(n) == f {
		return n, true
	}
	return 0, false
}

// Float decodes any number that does not overflow. A whole number that a float64
// cannot hold exactly is rounded.
func Float(raw string) (float64, bool) {
	if !isNumber(raw) {
		return 0, false
	}
	f, err := strconv.ParseFloat(raw, 64)
	return f, err == nil
}

// float decodes a number with a fraction or an exponent.
func float(raw string) (float64, bool) {
	if !strings.ContainsAny(raw, ".eE") {
		return 0, false
	}
	return Float(raw)
}

// isNumber reports whether raw, which is valid JSON, is a number.
func isNumber(raw string) bool {
	return raw != "" && raw[len(raw)-1] >= '0' && raw[len(raw)-1] <= '9'
}

// Bool decodes a boolean.
func Bool(raw string) (value, ok bool) { return raw == "true", raw == "true" || raw == "false" }

// Into decodes raw into the value that dst points to, and reports whether raw
// is of its type. If it is not, that value is undefined.
func Into(raw string, dst any) (ok bool) {
	switch dst := dst.(type) {
	case *string:
		*dst, ok = String(raw)
	case *bool:
		*dst, ok = Bool(raw)
	case *int64:
		*dst, ok = Int(raw)
	case *uint64:
		*dst, ok = Uint(raw)
	case *float64:
		*dst, ok = Float(raw)
	case *int:
		var n int64
		n, ok = Int(raw)
		*dst = int(n)
		ok = ok && int64(*dst) == n
	default:
		return into(raw, reflect.ValueOf(dst).Elem())
	}
	return ok
}

func into(raw string, dst reflect.Value) bool {
	if raw == "null" {
		switch dst.Kind() {
		case reflect.Pointer, reflect.Map, reflect.Slice, reflect.Interface:
			return true
		}
		return false
	}
	if walkable(dst.Type(), 0) {
		tree, err := parseTagged(raw)
		return err == nil && assign(dst, tree)
	}
	plain, err := untagged(raw)
	return err == nil && json.Unmarshal([]byte(plain), dst.Addr().Interface()) == nil
}

// assign sets a value of a walkable type from a tree, and reports whether the
// tree is of that type. As in encoding/json, null leaves the value unchanged.
func assign(dst reflect.Value, tree any) bool {
	if tree == nil {
		return true
	}
	switch dst.Kind() {
	case reflect.Interface:
		dst.Set(reflect.ValueOf(numbers(tree)))
		return true
	case reflect.Pointer:
		dst.Set(reflect.New(dst.Type().Elem()))
		return assign(dst.Elem(), tree)
	case reflect.Slice:
		return assignSlice(dst, tree)
	case reflect.Map:
		return assignMap(dst, tree)
	}
	switch tree := tree.(type) {
	case json.Number:
		return assignNumber(dst, string(tree))
	case string:
		return dst.Type() != typeHTML && assignString(dst, tree)
	case template.HTML:
		return assignString(dst, string(tree))
	}
	value := reflect.ValueOf(tree)
	if value.Kind() != dst.Kind() || !value.CanConvert(dst.Type()) {
		return false
	}
	dst.Set(value.Convert(dst.Type())) // a boolean or a time
	return true
}

func assignSlice(dst reflect.Value, tree any) bool {
	if dst.Type().Elem().Kind() == reflect.Uint8 {
		b, ok := tree.([]byte)
		dst.SetBytes(b)
		return ok
	}
	list, ok := tree.([]any)
	dst.Set(reflect.MakeSlice(dst.Type(), len(list), len(list)))
	for i := range list {
		ok = ok && assign(dst.Index(i), list[i])
	}
	return ok
}

func assignMap(dst reflect.Value, tree any) bool {
	dict, ok := tree.(map[string]any)
	dst.Set(reflect.MakeMapWithSize(dst.Type(), len(dict)))
	for key, value := range dict {
		elem := reflect.New(dst.Type().Elem()).Elem()
		ok = ok && assign(elem, value)
		dst.SetMapIndex(reflect.ValueOf(key).Convert(dst.Type().Key()), elem)
	}
	return ok
}

func assignString(dst reflect.Value, s string) bool {
	if dst.Kind() != reflect.String || dst.Type() == typeNumber {
		return false
	}
	dst.SetString(s)
	return true
}

func assignNumber(dst reflect.Value, text string) bool {
	switch {
	case dst.CanInt():
		n, ok := Int(text)
		dst.SetInt(n)
		return ok && dst.Int() == n
	case dst.CanUint():
		n, ok := Uint(text)
		dst.SetUint(n)
		return ok && dst.Uint() == n
	case dst.CanFloat():
		f, err := strconv.ParseFloat(text, dst.Type().Bits())
		dst.SetFloat(f)
		return err == nil
	case dst.Type() == typeNumber:
		dst.SetString(text)
		return true
	}
	return false
}

// untagged returns raw in the encoding of encoding/json: bytes as base64, times
// in RFC 3339.
func untagged(raw string) (string, error) {
	if !mayHoldTag(raw) {
		return raw, nil
	}
	tree, err := parseTagged(raw)
	if err != nil {
		return "", err
	}
	return marshal(tree)
}
