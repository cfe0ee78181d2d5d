package gincontrib_test

import (
	"encoding/gob"
	"html/template"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/gin-contrib/sessions"
	"github.com/gin-contrib/sessions/cookie"

	"github.com/ginsession/ginsession"
)

type line struct {
	Article string
	Count   int
}

type account struct {
	ID     uint
	Secret string `json:"-"`
	Data   any
}

type role string

type level int

type key int

type point struct{ X, Y int }

func init() {
	for _, v := range []any{line{}, []line{}, &account{}, role(""), level(0), key(0), point{}, time.Time{}, template.HTML(""),
		map[string]any{}, []any{}, map[string]int{}} {
		gob.Register(v)
	}
}

var noon = time.Date(2026, 11, 21, 12, 0, 0, 5, time.UTC)

// values are stored by gin-contrib/sessions and by the bridge. ours is what
// ginsession.Session.Get sees; nil: not what was stored.
var values = []struct {
	name  string
	value any
	ours  any
}{
	{"string", "Ada", "Ada"},
	{"empty string", "", ""},
	{"string that is no UTF-8", "\xff", nil},
	{"bool", true, true},
	{"int", 42, int64(42)},
	{"negative int", -42, int64(-42)},
	{"int8", int8(-8), int64(-8)},
	{"int16", int16(16), int64(16)},
	{"int32", int32(32), int64(32)},
	{"int64", int64(math.MaxInt64), int64(math.MaxInt64)},
	{"uint", uint(7), int64(7)},
	{"uint8", uint8(8), int64(8)},
	{"uint16", uint16(16), int64(16)},
	{"uint32", uint32(32), int64(32)},
	{"uint64", uint64(math.MaxUint64), uint64(math.MaxUint64)},
	{"float64", 1.5, 1.5},
	{"whole float64", 2.0, 2.0},
	{"infinite float64", math.Inf(1), nil},
	{"float32", float32(1.5), nil},
	{"complex", complex(1, 2), nil},
	{"[]byte", []byte{1, 0, 255}, []byte{1, 0, 255}},
	{"[]string", []string{"a", "b"}, []any{"a", "b"}},
	{"[]string that is no UTF-8", []string{"\xff"}, nil},
	{"[]int", []int{1, 2}, []any{int64(1), int64(2)}},
	{"[]int64", []int64{1, 2}, []any{int64(1), int64(2)}},
	{"[]uint", []uint{1, 2}, []any{int64(1), int64(2)}},
	{"[]bool", []bool{true}, []any{true}},
	{"[]float64", []float64{1.5}, nil},
	{"time.Time", noon, noon},
	{"template.HTML", template.HTML("<b>"), template.HTML("<b>")},
	{"struct", line{"tea", 1}, nil},
	{"list of structs", []line{{"tea", 1}, {"milk", 2}}, nil},
	{"pointer, hidden from JSON, and any", &account{7, "hidden", line{"tea", 1}}, nil},
	{"named string", role("admin"), nil},
	{"named int", level(3), nil},
	{"map[string]any", map[string]any{"n": 1, "u": uint(2)}, nil},
	{"map[string]int", map[string]int{"n": 1}, nil},
	{"[]any", []any{1, "a", uint(2)}, nil},
}

// TestSession_Get_types wants what was stored, in the type in which it was
// stored; and from gin-contrib/sessions the same.
func TestSession_Get_types(t *testing.T) {
	bridge := bridged(t)
	contrib := newScene(t, sessions.Sessions("mysession", cookie.NewStore([]byte(secret))))
	for _, tt := range values {
		for name, s := range map[string]*scene{"bridge": bridge, "gin-contrib/sessions": contrib} {
			s.theirs(func(session sessions.Session) {
				session.Clear()
				session.Set("key", tt.value)
				if got := session.Get("key"); !reflect.DeepEqual(got, tt.value) {
					t.Errorf("%s: %s, at once: got %T %#v", name, tt.name, got, got)
				}
			})
			s.theirs(func(session sessions.Session) {
				if got := session.Get("key"); !reflect.DeepEqual(got, tt.value) {
					t.Errorf("%s: %s: got %T %#v", name, tt.name, got, got)
				}
			})
		}
		bridge.ours(func(session *ginsession.Session) {
			if got := session.Get("key"); tt.ours != nil && !reflect.DeepEqual(got, tt.ours) {
				t.Errorf("our side: %s: got %T %#v, want %T %#v", tt.name, got, got, tt.ours, tt.ours)
			}
			if !session.Has("key") {
				t.Errorf("our side: %s: there is no key", tt.name)
			}
		})
	}
}

// TestSession_Get_nilSlices wants a value of the type: handlers assert it.
func TestSession_Get_nilSlices(t *testing.T) {
	s := bridged(t)
	for _, value := range []any{[]byte(nil), []string(nil), []int(nil), []string{}} {
		s.theirs(func(session sessions.Session) { session.Set("key", value) })
		s.theirs(func(session sessions.Session) {
			if got := session.Get("key"); reflect.TypeOf(got) != reflect.TypeOf(value) || reflect.ValueOf(got).Len() != 0 {
				t.Errorf("%T: got %#v", value, got)
			}
		})
	}
}

// TestSession_Get_otherSide reads what a handler that has moved has set.
func TestSession_Get_otherSide(t *testing.T) {
	tests := []struct {
		name   string
		theirs any // set first, by a handler that has not moved; nil: nothing
		ours   any
		want   any
	}{
		{"string", nil, "Ada", "Ada"},
		{"int", nil, 42, 42},
		{"int64", nil, int64(42), 42},
		{"uint over a uint", uint(1), 42, uint(42)},
		{"int64 over an int64", int64(1), 42, int64(42)},
		{"too large for the note", uint8(1), 256, 256},
		{"string over a uint", uint(1), "Ada", "Ada"},
		{"string over a struct", line{"tea", 1}, "Ada", "Ada"},
		{"float", nil, 1.5, 1.5},
		{"strings", nil, []string{"a"}, []string{"a"}},
		{"mixed list", nil, []any{"a", 1}, []any{"a", int64(1)}},
		{"struct", nil, line{"tea", 1}, map[string]any{"Article": "tea", "Count": int64(1)}},
		{"nil", nil, nil, nil},
	}
	for _, tt := range tests {
		s := bridged(t)
		if tt.theirs != nil {
			s.theirs(func(session sessions.Session) { session.Set("key", tt.theirs) })
		}
		s.ours(func(session *ginsession.Session) { session.Set("key", tt.ours) })
		s.theirs(func(session sessions.Session) {
			if got := session.Get("key"); !reflect.DeepEqual(got, tt.want) {
				t.Errorf("%s: got %T %#v, want %T %#v", tt.name, got, got, tt.want, tt.want)
			}
		})
	}
}

// TestSession_Set_typeChanges wants the note of the old type gone.
func TestSession_Set_typeChanges(t *testing.T) {
	s := bridged(t)
	for _, value := range []any{uint(1), 2, line{"tea", 3}, []byte("4"), "5", role("6"), int64(7)} {
		s.theirs(func(session sessions.Session) { session.Set("key", value) })
		s.theirs(func(session sessions.Session) {
			if got := session.Get("key"); !reflect.DeepEqual(got, value) {
				t.Errorf("got %T %#v, want %T %#v", got, got, value, value)
			}
		})
	}
}

// TestSession_Get_keys wants each key by itself: they differ in type or value.
func TestSession_Get_keys(t *testing.T) {
	keys := []any{"1", 1, int64(1), uint(1), key(1), level(1), true, 1.5, role("1"), point{1, 2}, [2]int{1, 2}, struct{}{},
		"_flashes", "_permanent", "_flash", "gincontrib", "gincontrib:1", "gincontrib:key:1", "\xff", "\xfe", ""}
	s := bridged(t)
	s.theirs(func(session sessions.Session) {
		for i, key := range keys {
			session.Set(key, uint(i))
		}
	})
	s.theirs(func(session sessions.Session) {
		for i, key := range keys {
			if got := session.Get(key); got != uint(i) {
				t.Errorf("%T %#v: got %v, want %d", key, key, got, i)
			}
		}
		for _, key := range []any{nil, []int{1}, map[string]int{}, 2} {
			if got := session.Get(key); got != nil {
				t.Errorf("%v: got %v, want nil", key, got)
			}
		}
	})
	s.ours(func(session *ginsession.Session) {
		if got := session.GetInt("1"); got != 0 {
			t.Errorf("got %d, want what is under the string", got)
		}
		for _, key := range session.Keys() {
			if !strings.HasPrefix(key, "gincontrib:") && key != "1" && key != "_flash" && key != "gincontrib" && key != "" {
				t.Errorf("got the key %q", key)
			}
		}
	})
}
