package gincontrib

import (
	"bytes"
	"encoding/gob"
	"errors"
	"fmt"
	"html/template"
	"math"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/ginsession/ginsession"
)

const (
	typePrefix = "gincontrib:"     // and a name: the note of its value's type
	keyPrefix  = "gincontrib:key:" // and a type and a key: the name of a key that is no plain string
	gobType    = "gob"             // the note of a value that is encoded by encoding/gob
)

// noted are the types that are stored natively with a note.
var noted = map[string]func(s *ginsession.Session, name string) (any, bool){
	"int8": as[int8], "int16": as[int16], "int32": as[int32], "int64": as[int64],
	"uint": as[uint], "uint8": as[uint8], "uint16": as[uint16], "uint32": as[uint32], "uint64": as[uint64],
	"[]int": as[[]int], "[]int64": as[[]int64], "[]uint": as[[]uint], "[]bool": as[[]bool],
}

func as[T any](s *ginsession.Session, name string) (any, bool) {
	v, ok := ginsession.Get[T](s, name)
	return v, ok
}

// nameOf returns the name of gin-contrib's key in our session. It is the same in
// every process.
func nameOf(key any) (string, error) {
	text, isString := key.(string)
	reserved := text == "_flashes" || text == "_permanent" || strings.HasPrefix(text, typePrefix)
	if isString && utf8.ValidString(text) && !reserved {
		return text, nil
	}
	if key == nil {
		return "", errors.New("a key is not nil")
	}
	t := reflect.TypeOf(key)
	if !printable(t) {
		return "", fmt.Errorf("a key is a string, a number, a boolean, or a struct or array of them, not a %v", t)
	}
	return fmt.Sprintf("%s%s:%T:%#v", keyPrefix, t.PkgPath(), key, key), nil
}

// printable reports whether equal values of t, and no others, print the same.
func printable(t reflect.Type) bool {
	switch k := t.Kind(); k {
	case reflect.String, reflect.Float32, reflect.Float64:
		return true
	case reflect.Array:
		return printable(t.Elem())
	case reflect.Struct:
		for i := range t.NumField() {
			if !printable(t.Field(i).Type) {
				return false
			}
		}
		return true
	default:
		return k >= reflect.Bool && k <= reflect.Uint64
	}
}

// store puts a value into s, and a note of its type if it needs one.
func store(s *ginsession.Session, name string, v any) error {
	v, note, err := pack(v)
	if err != nil {
		return err
	}
	if note == "" {
		s.Delete(typePrefix + name)
	} else {
		s.Set(typePrefix+name, note)
	}
	s.Set(name, v)
	return nil
}

// load returns the value under name in the type in which it was stored. A note
// that does not suit the value is out of date: our side has changed the value.
func load(s *ginsession.Session, name string) (any, error) {
	note := s.GetString(typePrefix + name)
	if note == gobType {
		if data, ok := ginsession.Get[[]byte](s, name); ok {
			return fromGob(data)
		}
	}
	if get, ok := noted[note]; ok {
		if v, ok := get(s, name); ok {
			return v, nil
		}
	}
	return plain(s.Get(name)), nil
}

// pack returns what to store in place of v, and the note of its type.
func pack(v any) (packed any, note string, err error) {
	if isPlain(v) {
		return v, "", nil
	}
	if v == nil {
		return nil, "", errors.New("nil cannot be stored; use Delete")
	}
	switch v := v.(type) { // nil would come back as nil
	case []byte:
		return []byte{}, "", nil
	case []string:
		if v == nil {
			return []string{}, "", nil
		}
	}
	if name := reflect.TypeOf(v).String(); noted[name] != nil {
		return v, name, nil
	}
	data, err := toGob(v)
	return data, gobType, err
}

// isPlain reports whether v has a type that needs no note.
func isPlain(v any) bool {
	switch v := v.(type) {
	case bool, int, time.Time:
		return true
	case float64:
		return !math.IsNaN(v) && !math.IsInf(v, 0)
	case string:
		return utf8.ValidString(v)
	case template.HTML:
		return utf8.ValidString(string(v))
	case []byte:
		return v != nil
	case []string:
		return v != nil && !slices.ContainsFunc(v, func(s string) bool { return !utf8.ValidString(s) })
	}
	return false
}

// plain returns a value without a note in the type that it probably had.
func plain(v any) any {
	switch v := v.(type) {
	case int64:
		if int64(int(v)) == v {
			return int(v)
		}
	case []any:
		list := make([]string, len(v))
		for i := range v {
			text, ok := v[i].(string)
			if !ok {
				return v
			}
			list[i] = text
		}
		return list
	}
	return v
}

func toGob(v any) (data []byte, err error) {
	defer func() {
		if recover() != nil { // in a method of the value
			data, err = nil, fmt.Errorf("encoding/gob panics at a %T", v)
		}
	}()
	var b bytes.Buffer
	if err := gob.NewEncoder(&b).Encode(&v); err != nil {
		return nil, explain(err, v)
	}
	return b.Bytes(), nil
}

// explain shows what encoding/gob says. What a method of the value says may show
// the value.
func explain(err error, v any) error {
	text := err.Error()
	switch {
	case strings.HasPrefix(text, "gob: type not registered"):
		return fmt.Errorf("%w: call gob.Register with a %[2]T when the app starts, or set it through ginsession.Session", err, v)
	case strings.HasPrefix(text, "gob: "):
		return err
	}
	return fmt.Errorf("a method of %T refuses to encode it", v)
}

func fromGob(data []byte) (v any, err error) {
	defer func() {
		if recover() != nil {
			v, err = nil, errors.New("encoding/gob panics")
		}
	}()
	if err := gob.NewDecoder(bytes.NewReader(data)).Decode(&v); err != nil {
		return nil, err
	}
	return v, nil
}

// packFlash returns what to store in place of a flash message, for whose type
// there is no place but in itself.
func packFlash(v any) (any, error) {
	message, note, err := pack(v)
	if err != nil || note == "" {
		return message, err
	}
	data, err := toGob(v)
	return map[string]any{typePrefix + gobType: data}, err
}

func unpackFlash(message any) (any, error) {
	if dict, ok := message.(map[string]any); ok && len(dict) == 1 {
		if data, ok := dict[typePrefix+gobType].([]byte); ok {
			return fromGob(data)
		}
	}
	return plain(message), nil
}

// valueError is a value that cannot be stored or read.
type valueError struct {
	key    any
	reason error
}

func (e *valueError) Error() string {
	return fmt.Sprintf("%v: gincontrib: key %#v: %v", ginsession.ErrValue, e.key, e.reason)
}

func (e *valueError) Unwrap() []error { return []error{ginsession.ErrValue, e.reason} }

// refused is a value that no session takes.
type refused struct{ reason error }

// MarshalJSON implements [json.Marshaler].
func (r refused) MarshalJSON() ([]byte, error) { return nil, r.reason }
