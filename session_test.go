package ginsession_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"maps"
	"math"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/ginsession/ginsession"
	"github.com/ginsession/ginsession/internal/apptest"
	"github.com/ginsession/ginsession/internal/memstore"
)

// visitor is a browser whose every request runs a function on its session.
type visitor struct {
	*browser
	fn     func(*ginsession.Session)
	errors []error // c.Errors of the last request
}

func newVisitor(t testing.TB, opts ...ginsession.Option) *visitor {
	v := &visitor{}
	v.mount(t, opts...)
	return v
}

// mount puts the browser in front of an app with other options.
func (v *visitor) mount(t testing.TB, opts ...ginsession.Option) {
	r := gin.New()
	r.Use(func(c *gin.Context) {
		c.Next()
		v.errors = nil
		for _, err := range c.Errors {
			v.errors = append(v.errors, err.Err)
		}
	}, mustNew(t, secret, opts...))
	r.GET("/", func(c *gin.Context) { v.fn(ginsession.From(c)) })
	if v.browser == nil {
		v.browser = newBrowser(r)
	}
	v.h = r
}

func (v *visitor) visit(fn func(*ginsession.Session)) *httptest.ResponseRecorder {
	v.fn = fn
	return v.get("/")
}

// set visits once and sets keys and values.
func (v *visitor) set(pairs ...any) *httptest.ResponseRecorder {
	return v.visit(func(s *ginsession.Session) {
		for pair := range slices.Chunk(pairs, 2) {
			s.Set(pair[0].(string), pair[1])
		}
	})
}

// content visits once and looks at everything.
func (v *visitor) content() map[string]any {
	all := map[string]any{}
	v.visit(func(s *ginsession.Session) {
		for _, key := range s.Keys() {
			all[key] = s.Get(key)
		}
	})
	return all
}

// unwritten fails the test where a response sets a cookie or is no 200.
func unwritten(t *testing.T, what string, w *httptest.ResponseRecorder) {
	t.Helper()
	if lines := setCookies(w); w.Code != http.StatusOK || len(lines) != 0 {
		t.Errorf("%s: got %d and %q, want 200 and no cookie", what, w.Code, lines)
	}
}

// wantLine tells whether a response sets one cookie, and whether it expires it.
func wantLine(t *testing.T, what string, w *httptest.ResponseRecorder, expired bool) {
	t.Helper()
	lines := setCookies(w)
	if w.Code != http.StatusOK || len(lines) != 1 || strings.Contains(lines[0], "Max-Age=0;") != expired {
		t.Errorf("%s: got %d and %q, want 200 and a cookie, expired: %v", what, w.Code, lines, expired)
	}
}

var (
	noon    = time.Date(2024, 2, 29, 12, 0, 0, 123456789, time.FixedZone("", 2*3600))
	samples = map[string]any{
		"nil": nil, "true": true, "int": 42, "negative": -7, "uint64": uint64(math.MaxUint64), "float": 1.5, "whole": 3.0, "string": "text", "number": "42",
		"bytes": []byte{0, 255}, "time": noon, "html": template.HTML("<b>"), "duration": time.Minute, "strings": []string{"a", "b"}, "mixed": []any{"a", 1}, "map": map[string]any{"n": 1, "b": []byte{1}}, "struct": point{1, "two"},
	}
)

type point struct {
	X int
	Y string
}

// TestSession_getters: each getter, on each sample, after a round trip. What is
// not in the table is the zero value.
func TestSession_getters(t *testing.T) {
	getters := map[string]struct {
		get  func(*ginsession.Session, string) any
		zero any
		want map[string]any
	}{
		"Get": {func(s *ginsession.Session, k string) any { return s.Get(k) }, nil, map[string]any{
			"true": true, "int": int64(42), "negative": int64(-7), "uint64": uint64(math.MaxUint64), "float": 1.5, "whole": 3.0, "string": "text", "number": "42", "bytes": []byte{0, 255}, "time": noon, "html": template.HTML("<b>"), "duration": int64(time.Minute),
			"strings": []any{"a", "b"}, "mixed": []any{"a", int64(1)}, "map": map[string]any{"n": int64(1), "b": []byte{1}}, "struct": map[string]any{"X": int64(1), "Y": "two"}}},
		"GetString":      {func(s *ginsession.Session, k string) any { return s.GetString(k) }, "", map[string]any{"string": "text", "number": "42", "html": "<b>"}},
		"GetBool":        {func(s *ginsession.Session, k string) any { return s.GetBool(k) }, false, map[string]any{"true": true}},
		"GetInt":         {func(s *ginsession.Session, k string) any { return s.GetInt(k) }, 0, map[string]any{"int": 42, "negative": -7, "whole": 3, "duration": int(time.Minute)}},
		"GetInt64":       {func(s *ginsession.Session, k string) any { return s.GetInt64(k) }, int64(0), map[string]any{"int": int64(42), "negative": int64(-7), "whole": int64(3), "duration": int64(time.Minute)}},
		"GetUint64":      {func(s *ginsession.Session, k string) any { return s.GetUint64(k) }, uint64(0), map[string]any{"int": uint64(42), "uint64": uint64(math.MaxUint64), "whole": uint64(3), "duration": uint64(time.Minute)}},
		"GetFloat64":     {func(s *ginsession.Session, k string) any { return s.GetFloat64(k) }, 0.0, map[string]any{"int": 42.0, "negative": -7.0, "uint64": float64(math.MaxUint64), "float": 1.5, "whole": 3.0, "duration": 6e10}},
		"GetTime":        {func(s *ginsession.Session, k string) any { return s.GetTime(k) }, time.Time{}, map[string]any{"time": noon}},
		"GetDuration":    {func(s *ginsession.Session, k string) any { return s.GetDuration(k) }, time.Duration(0), map[string]any{"int": 42 * time.Nanosecond, "negative": -7 * time.Nanosecond, "whole": 3 * time.Nanosecond, "duration": time.Minute}},
		"GetBytes":       {func(s *ginsession.Session, k string) any { return s.GetBytes(k) }, []byte(nil), map[string]any{"bytes": []byte{0, 255}}},
		"GetStringSlice": {func(s *ginsession.Session, k string) any { return s.GetStringSlice(k) }, []string(nil), map[string]any{"strings": []string{"a", "b"}}},
		"GetStringMap":   {func(s *ginsession.Session, k string) any { return s.GetStringMap(k) }, map[string]any(nil), map[string]any{"map": map[string]any{"n": int64(1), "b": []byte{1}}, "struct": map[string]any{"X": int64(1), "Y": "two"}}},
	}
	v := newVisitor(t)
	v.visit(func(s *ginsession.Session) {
		for key, value := range samples {
			s.Set(key, value)
		}
	})
	v.visit(func(s *ginsession.Session) {
		for name, getter := range getters {
			for _, key := range append(slices.Collect(maps.Keys(samples)), "missing") {
				want, ok := getter.want[key]
				if !ok {
					want = getter.zero
				}
				if got := getter.get(s, key); !alike(got, want) {
					t.Errorf("%s(%q): got %#v, want %#v", name, key, got, want)
				}
			}
		}
	})
}

func alike(got, want any) bool {
	g, ok := got.(time.Time)
	w, ok2 := want.(time.Time)
	if ok && ok2 {
		_, x := g.Zone()
		_, y := w.Zone()
		return g.Equal(w) && x == y
	}
	return reflect.DeepEqual(got, want)
}

func TestGet_types(t *testing.T) {
	v := newVisitor(t)
	v.set("point", point{1, "two"}, "points", []point{{1, "a"}}, "int", 300, "float", 1.5, "string", "x", "nil", nil, "bytes", []byte{1})
	v.visit(func(s *ginsession.Session) {
		wantGet(t, s, "point", point{1, "two"}, true)
		wantGet(t, s, "point", map[string]any{"X": int64(1), "Y": "two"}, true)
		wantGet(t, s, "points", []point{{1, "a"}}, true)
		wantGet(t, s, "points", point{}, false)
		wantGet(t, s, "int", 300, true)
		wantGet(t, s, "int", uint16(300), true)
		wantGet(t, s, "int", uint8(0), false)
		wantGet(t, s, "int", "", false)
		wantGet(t, s, "int", point{}, false)
		wantGet(t, s, "float", 1.5, true)
		wantGet(t, s, "float", 0, false)
		wantGet(t, s, "string", []byte(nil), false)
		wantGet(t, s, "string", template.HTML(""), false)
		wantGet(t, s, "bytes", []byte{1}, true)
		wantGet(t, s, "bytes", "", false)
		wantGet[any](t, s, "nil", nil, true)
		wantGet(t, s, "nil", "", false)
		wantGet(t, s, "nil", (*point)(nil), true)
		wantGet(t, s, "missing", point{}, false)
		wantGet[any](t, s, "missing", nil, false)
	})
}

func wantGet[T any](t *testing.T, s *ginsession.Session, key string, want T, wantOK bool) {
	t.Helper()
	if got, ok := ginsession.Get[T](s, key); ok != wantOK || !reflect.DeepEqual(got, want) {
		t.Errorf("Get[%T](%q): got %#v, %v, want %#v, %v", want, key, got, ok, want, wantOK)
	}
}

// TestGet_wrongType_isZero: a value that is half a T gives nothing of it.
func TestGet_wrongType_isZero(t *testing.T) {
	v := newVisitor(t)
	v.set("p", map[string]any{"X": 1, "Y": 2})
	v.visit(func(s *ginsession.Session) { wantGet(t, s, "p", point{}, false) })
}

func TestSession_keys(t *testing.T) {
	v := newVisitor(t)
	v.set("b", 1, "a", nil, "", "empty key", "ü", 2, "a\x00", 3)
	v.visit(func(s *ginsession.Session) { s.AddFlash("hello", "") })
	v.visit(func(s *ginsession.Session) {
		if got, want := s.Keys(), []string{"", "a", "a\x00", "b", "ü"}; !slices.Equal(got, want) || s.Len() != len(want) {
			t.Errorf("got %q, Len %d, want %q", got, s.Len(), want)
		}
		for key, want := range map[string]bool{"a": true, "": true, "c": false, "_flashes": false, "_permanent": false} {
			if got := s.Has(key); got != want {
				t.Errorf("Has(%q): got %v, want %v", key, got, want)
			}
		}
	})
}

func TestSession_empty(t *testing.T) {
	v := newVisitor(t)
	w := v.visit(func(s *ginsession.Session) {
		if s.Len() != 0 || len(s.Keys()) != 0 || s.Get("x") != nil || s.Pop("x") != nil || s.Has("x") || len(s.Flashes()) != 0 {
			t.Error("a new session is not empty")
		}
		if !s.IsNew() || s.Modified() || s.Err() != nil || s.Rejected() != nil || s.Permanent() || s.ID() != "" {
			t.Errorf("IsNew %v, Modified %v, Err %v, Rejected %v, Permanent %v, ID %q", s.IsNew(), s.Modified(), s.Err(), s.Rejected(), s.Permanent(), s.ID())
		}
	})
	unwritten(t, "reading", w)
}

func TestSession_isNewAndModified(t *testing.T) {
	v := newVisitor(t)
	v.visit(func(s *ginsession.Session) {
		s.Set("a", 1)
		if !s.IsNew() || !s.Modified() {
			t.Errorf("after Set: IsNew %v, Modified %v, want true, true", s.IsNew(), s.Modified())
		}
		if err := s.Save(); err != nil || !s.IsNew() || !s.Modified() || s.ID() != "" {
			t.Errorf("after Save: %v, IsNew %v, Modified %v, ID %q", err, s.IsNew(), s.Modified(), s.ID())
		}
	})
	v.visit(func(s *ginsession.Session) {
		if s.IsNew() || s.Modified() {
			t.Errorf("next request: IsNew %v, Modified %v, want false, false", s.IsNew(), s.Modified())
		}
	})
}

func TestSession_modifiedByEachChange(t *testing.T) {
	changes := map[string]func(*ginsession.Session){
		"Set":          func(s *ginsession.Session) { s.Set("a", 2) },
		"Set new":      func(s *ginsession.Session) { s.Set("b", nil) },
		"Delete":       func(s *ginsession.Session) { s.Delete("x", "a") },
		"Pop":          func(s *ginsession.Session) { s.Pop("a") },
		"Pop[T]":       func(s *ginsession.Session) { ginsession.Pop[int](s, "a") },
		"Pop[wrong]":   func(s *ginsession.Session) { ginsession.Pop[string](s, "a") },
		"Clear":        func(s *ginsession.Session) { s.Clear() },
		"Update":       func(s *ginsession.Session) { ginsession.Update(s, "a", func(n int) int { return n + 1 }) },
		"AddFlash":     func(s *ginsession.Session) { s.AddFlash("x", "") },
		"Flashes":      func(s *ginsession.Session) { s.Flashes() },
		"Renew":        func(s *ginsession.Session) { s.Renew() },
		"Destroy":      func(s *ginsession.Session) { s.Destroy() },
		"SetPermanent": func(s *ginsession.Session) { s.SetPermanent(true) },
	}
	nothing := map[string]func(*ginsession.Session){
		"Set equal":          func(s *ginsession.Session) { s.Set("a", 1) },
		"Set equal int64":    func(s *ginsession.Session) { s.Set("a", int64(1)) },
		"Delete missing":     func(s *ginsession.Session) { s.Delete("x", "y"); s.Delete() },
		"Pop missing":        func(s *ginsession.Session) { s.Pop("x") },
		"Pop[T] missing":     func(s *ginsession.Session) { ginsession.Pop[int](s, "x") },
		"Update to the same": func(s *ginsession.Session) { ginsession.Update(s, "a", func(n int) int { return n }) },
		"Flashes of none":    func(s *ginsession.Session) { s.Flashes("none") },
		"SetPermanent same":  func(s *ginsession.Session) { s.SetPermanent(false) },
		"reading":            func(s *ginsession.Session) { s.Get("a"); s.Keys(); s.Permanent(); s.CreatedAt(); s.ExpiresAt() },
		"Save":               func(s *ginsession.Session) { _ = s.Save() },
	}
	run := func(name string, fn func(*ginsession.Session), want bool) {
		v := newVisitor(t)
		v.visit(func(s *ginsession.Session) { s.Set("a", 1); s.AddFlash("hello", "") })
		w := v.visit(func(s *ginsession.Session) {
			fn(s)
			if s.Modified() != want {
				t.Errorf("%s: Modified: got %v, want %v", name, s.Modified(), want)
			}
		})
		if got := len(setCookies(w)) == 1; got != want || w.Code != http.StatusOK {
			t.Errorf("%s: got %d and %q, want a cookie: %v", name, w.Code, setCookies(w), want)
		}
	}
	for name, fn := range changes {
		run(name, fn, true)
	}
	for name, fn := range nothing {
		run(name, fn, false)
	}
}

// TestSet_isASnapshot: neither what was set nor what was got shares memory
// with the session.
func TestSet_isASnapshot(t *testing.T) {
	v := newVisitor(t)
	list, dict, p := []string{"a"}, map[string]any{"k": []byte{1}}, &point{X: 1}
	v.visit(func(s *ginsession.Session) {
		s.Set("list", list)
		s.Set("dict", dict)
		s.Set("point", p)
		list[0], dict["k"].([]byte)[0], p.X = "changed", 9, 9
		s.GetStringSlice("list")[0] = "changed"
		s.GetStringMap("dict")["k"] = nil
		s.Get("list").([]any)[0] = "changed"
	})
	want := map[string]any{"list": []any{"a"}, "dict": map[string]any{"k": []byte{1}}, "point": map[string]any{"X": int64(1), "Y": ""}}
	if got := v.content(); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestPop(t *testing.T) {
	v := newVisitor(t)
	v.set("a", 1, "b", point{1, "x"}, "c", "text", "d", true)
	v.visit(func(s *ginsession.Session) {
		if got := s.Pop("a"); got != int64(1) {
			t.Errorf("Pop: got %#v, want 1", got)
		}
		if got, ok := ginsession.Pop[point](s, "b"); !ok || got != (point{1, "x"}) {
			t.Errorf("Pop[point]: got %v, %v", got, ok)
		}
		if got, ok := ginsession.Pop[int](s, "c"); ok || got != 0 || s.Has("c") {
			t.Errorf("Pop of another type: got %v, %v, Has %v, want it gone", got, ok, s.Has("c"))
		}
		if got, ok := ginsession.Pop[point](s, "b"); ok || got != (point{}) {
			t.Errorf("second Pop: got %v, %v", got, ok)
		}
	})
	if got, want := v.content(), (map[string]any{"d": true}); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestUpdate(t *testing.T) {
	v := newVisitor(t)
	double := func(n int) int { return 2*n + 1 }
	v.visit(func(s *ginsession.Session) {
		ginsession.Update(s, "n", double) // missing: from 0
		ginsession.Update(s, "n", double)
		s.Set("text", "x")
		ginsession.Update(s, "text", double) // no int: from 0
		s.Set("gone", 5)
		s.Delete("gone")
		ginsession.Update(s, "gone", double)
		ginsession.Update(s, "p", func(p point) point { p.X++; p.Y += "y"; return p })
		ginsession.Update(s, "list", func(l []string) []string { return append(l, "a") })
	})
	v.visit(func(s *ginsession.Session) {
		ginsession.Update(s, "n", double)
		ginsession.Update(s, "n", double)
		ginsession.Update(s, "p", func(p point) point { p.X++; p.Y += "y"; return p })
		ginsession.Update(s, "list", func(l []string) []string { return append(l, "b") })
	})
	want := map[string]any{"n": int64(15), "text": int64(1), "gone": int64(1), "p": map[string]any{"X": int64(2), "Y": "yy"}, "list": []any{"a", "b"}}
	if got := v.content(); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestUpdate_refused(t *testing.T) {
	v := newVisitor(t)
	v.set("f", 1.0)
	w := v.visit(func(s *ginsession.Session) {
		ginsession.Update(s, "f", func(float64) float64 { return math.NaN() })
		if !errors.Is(s.Err(), ginsession.ErrValue) || s.GetFloat64("f") != 1 {
			t.Errorf("got %v and %v, want ErrValue and 1", s.Err(), s.GetFloat64("f"))
		}
	})
	if w.Code != http.StatusInternalServerError {
		t.Errorf("got %d, want 500", w.Code)
	}
}

func TestSession_emptied(t *testing.T) {
	for name, empty := range map[string]func(*ginsession.Session){
		"Delete":        func(s *ginsession.Session) { s.Delete("a", "b") },
		"Pop":           func(s *ginsession.Session) { s.Pop("a"); s.Pop("b") },
		"Clear":         func(s *ginsession.Session) { s.Clear() },
		"Destroy":       func(s *ginsession.Session) { s.Destroy() },
		"but permanent": func(s *ginsession.Session) { s.Delete("a", "b"); s.SetPermanent(true) },
	} {
		v := newVisitor(t)
		v.set("a", 1, "b", 2)
		wantLine(t, name, v.visit(empty), true)
		if len(v.cookies) != 0 {
			t.Errorf("%s: the browser keeps %v", name, v.cookies)
		}
		v.visit(func(s *ginsession.Session) {
			if !s.IsNew() || s.Len() != 0 {
				t.Errorf("%s: IsNew %v, Len %d, want a new session", name, s.IsNew(), s.Len())
			}
		})
	}
}

func TestSession_notEmptiedByFlash(t *testing.T) {
	v := newVisitor(t)
	v.visit(func(s *ginsession.Session) { s.Set("a", 1); s.AddFlash("hello", "") })
	wantLine(t, "Delete", v.visit(func(s *ginsession.Session) { s.Delete("a") }), false)
	wantLine(t, "Flashes", v.visit(func(s *ginsession.Session) { s.Flashes() }), true)
}

func TestSession_emptyIsNotStored(t *testing.T) {
	for name, fn := range map[string]func(*ginsession.Session){
		"SetPermanent":         func(s *ginsession.Session) { s.SetPermanent(true) },
		"Set and Delete":       func(s *ginsession.Session) { s.Set("a", 1); s.Delete("a") },
		"Set and Clear":        func(s *ginsession.Session) { s.Set("a", 1); s.Clear() },
		"Clear":                func(s *ginsession.Session) { s.Clear() },
		"Renew":                func(s *ginsession.Session) { s.Renew() },
		"Destroy":              func(s *ginsession.Session) { s.Destroy() },
		"Set and Destroy":      func(s *ginsession.Session) { s.Set("a", 1); s.Destroy() },
		"flash, shown":         func(s *ginsession.Session) { s.AddFlash("x", ""); s.Flashes() },
		"Save of SetPermanent": func(s *ginsession.Session) { s.SetPermanent(true); _ = s.Save() },
	} {
		unwritten(t, name, newVisitor(t).visit(fn))
	}
}

func TestSession_savedAndEmptiedInOneRequest(t *testing.T) {
	v := newVisitor(t)
	w := v.visit(func(s *ginsession.Session) {
		s.Set("a", 1)
		_ = s.Save()
		s.Delete("a")
	})
	wantLine(t, "Save, Delete", w, true)
}

func TestClear_thenSet(t *testing.T) {
	v := newVisitor(t)
	v.visit(func(s *ginsession.Session) { s.Set("a", 1); s.AddFlash("x", ""); s.SetPermanent(true) })
	w := v.visit(func(s *ginsession.Session) {
		s.Clear()
		if s.Len() != 0 || s.Permanent() || len(s.Flashes()) != 0 {
			t.Errorf("after Clear: Len %d, Permanent %v", s.Len(), s.Permanent())
		}
		s.Set("b", 2)
	})
	wantLine(t, "Clear, Set", w, false)
	if strings.Contains(setCookies(w)[0], "Max-Age") {
		t.Errorf("got %q, want no Max-Age", setCookies(w))
	}
	if got, want := v.content(), (map[string]any{"b": int64(2)}); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestClear_withPermanent(t *testing.T) {
	v := newVisitor(t, ginsession.WithPermanent())
	v.visit(func(s *ginsession.Session) { s.Set("a", 1); s.SetPermanent(false) })
	v.visit(func(s *ginsession.Session) {
		if s.Permanent() {
			t.Error("SetPermanent(false) is lost")
		}
		s.Clear()
		if !s.Permanent() {
			t.Error("Clear: got not permanent, want the default of WithPermanent")
		}
	})
}

func TestSetPermanent_maxAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVisitor(t, ginsession.WithLifetime(time.Hour))
		const maxAge = "; Max-Age=3600"
		if line := setCookies(v.set("a", 1))[0]; strings.Contains(line, "Max-Age") {
			t.Errorf("got %q, want no Max-Age", line)
		}
		line := setCookies(v.visit(func(s *ginsession.Session) { s.SetPermanent(true) }))[0]
		if !strings.HasSuffix(line, maxAge) {
			t.Errorf("got %q, want %q", line, maxAge)
		}
		time.Sleep(20 * time.Minute)
		if line := setCookies(v.set("a", 2))[0]; !strings.HasSuffix(line, "; Max-Age=2400") { // a write does not extend it
			t.Errorf("20 minutes later: got %q, want 2400", line)
		}
		line = setCookies(v.visit(func(s *ginsession.Session) { s.SetPermanent(false) }))[0]
		if strings.Contains(line, "Max-Age") {
			t.Errorf("got %q, want no Max-Age", line)
		}
	})
}

func TestSession_lifetime(t *testing.T) {
	rows := []struct {
		name  string
		after time.Duration
		alive bool
	}{
		{"at once", 0, true}, {"a moment before", time.Hour - 1, true}, {"on the dot", time.Hour, false}, {"later", 2 * time.Hour, false},
	}
	for _, row := range rows {
		synctest.Test(t, func(t *testing.T) {
			v := newVisitor(t, ginsession.WithLifetime(time.Hour))
			v.set("a", 1)
			time.Sleep(row.after)
			v.visit(func(s *ginsession.Session) {
				if alive := s.Has("a"); alive != row.alive || errors.Is(s.Rejected(), ginsession.ErrExpired) == row.alive || s.IsNew() == row.alive {
					t.Errorf("%s: alive %v, IsNew %v, Rejected %v", row.name, alive, s.IsNew(), s.Rejected())
				}
				if s.Err() != nil {
					t.Errorf("%s: Err: %v, want nil", row.name, s.Err())
				}
			})
		})
	}
}

func TestSession_lifetime_isNotExtendedByWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVisitor(t, ginsession.WithLifetime(time.Hour))
		for n := range 6 {
			v.set("n", n)
			time.Sleep(10 * time.Minute)
		}
		v.visit(func(s *ginsession.Session) {
			if !errors.Is(s.Rejected(), ginsession.ErrExpired) {
				t.Errorf("got %v, want ErrExpired", s.Rejected())
			}
		})
	})
}

func TestSession_lifetime_shortenedHoldsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVisitor(t)
		v.set("a", 1)
		time.Sleep(time.Hour)
		v.mount(t, ginsession.WithLifetime(time.Hour+1))
		if len(v.content()) != 1 {
			t.Error("a lifetime that is not over ends the session")
		}
		v.mount(t, ginsession.WithLifetime(time.Hour))
		v.visit(func(s *ginsession.Session) {
			if !errors.Is(s.Rejected(), ginsession.ErrExpired) {
				t.Errorf("got %v, want ErrExpired", s.Rejected())
			}
		})
	})
}

// TestSession_lifetime_lengthened: what was sealed as the end stays the end,
// until the next write.
func TestSession_lifetime_lengthened(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVisitor(t, ginsession.WithLifetime(time.Hour))
		v.set("a", 1)
		v.mount(t, ginsession.WithLifetime(2*time.Hour))
		time.Sleep(30 * time.Minute)
		v.set("a", 2)
		time.Sleep(60 * time.Minute)
		if len(v.content()) != 1 {
			t.Error("gone after 90 minutes, want 2 hours")
		}
		time.Sleep(30 * time.Minute)
		if len(v.content()) != 0 {
			t.Error("alive after 2 hours")
		}
	})
}

func TestRenew_restartsTheLifetime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVisitor(t, ginsession.WithLifetime(time.Hour))
		v.set("a", 1)
		time.Sleep(50 * time.Minute)
		v.visit(func(s *ginsession.Session) {
			s.Renew()
			if age := time.Since(s.CreatedAt()); age != 0 || s.GetInt("a") != 1 {
				t.Errorf("age %v, a %d, want 0 and 1", age, s.GetInt("a"))
			}
		})
		time.Sleep(time.Hour - 1)
		if len(v.content()) != 1 {
			t.Error("gone before the new lifetime is over")
		}
		time.Sleep(time.Nanosecond)
		if len(v.content()) != 0 {
			t.Error("alive after the new lifetime")
		}
	})
}

func TestSession_createdAndExpiresAt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVisitor(t, ginsession.WithLifetime(3*time.Hour), ginsession.WithIdleTimeout(time.Hour))
		began := time.Now()
		want := func(created, expires time.Duration) func(*ginsession.Session) {
			return func(s *ginsession.Session) {
				if got := s.CreatedAt().Sub(began); got != created {
					t.Errorf("CreatedAt: got %v, want %v", got, created)
				}
				if got := s.ExpiresAt().Sub(began); got != expires {
					t.Errorf("ExpiresAt: got %v, want %v", got, expires)
				}
			}
		}
		v.visit(want(0, time.Hour))
		v.set("a", 1)
		time.Sleep(10 * time.Minute)
		v.visit(want(0, time.Hour))
		v.set("a", 2)
		v.visit(want(0, 70*time.Minute))
		v.visit(func(s *ginsession.Session) {
			s.Renew()
			_ = s.Save()
			want(10*time.Minute, 70*time.Minute)(s)
		})
	})
}

func TestSession_idleTimeout(t *testing.T) {
	rows := []struct {
		name  string
		after time.Duration
		alive bool
	}{
		{"a moment before", time.Hour - 1, true}, {"on the dot", time.Hour, false},
	}
	for _, row := range rows {
		synctest.Test(t, func(t *testing.T) {
			v := newVisitor(t, ginsession.WithIdleTimeout(time.Hour))
			v.set("a", 1)
			time.Sleep(row.after)
			v.visit(func(s *ginsession.Session) {
				if s.Has("a") != row.alive || errors.Is(s.Rejected(), ginsession.ErrExpired) == row.alive {
					t.Errorf("%s: alive %v, Rejected %v", row.name, s.Has("a"), s.Rejected())
				}
			})
		})
	}
}

// TestSession_idleTimeout_isNotedEveryQuarter: reading keeps a session alive,
// but does not send a cookie each time.
func TestSession_idleTimeout_isNotedEveryQuarter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		read := func(s *ginsession.Session) { s.Get("a") }
		v := newVisitor(t, ginsession.WithIdleTimeout(time.Hour))
		v.set("a", 1)
		time.Sleep(15*time.Minute - 1)
		unwritten(t, "a moment before a quarter", v.visit(read))
		time.Sleep(time.Nanosecond)
		wantLine(t, "a quarter", v.visit(read), false)
		unwritten(t, "at once again", v.visit(read))
		for range 10 { // far beyond the timeout
			time.Sleep(50 * time.Minute)
			wantLine(t, "50 minutes", v.visit(read), false)
		}
		time.Sleep(50 * time.Minute)
		unwritten(t, "a request that does not use the session", v.visit(func(*ginsession.Session) {}))
		time.Sleep(10 * time.Minute)
		if len(v.content()) != 0 {
			t.Error("alive an hour after its last use")
		}
	})
}

// TestSession_idleTimeout_isNewOrShorter: it holds from the next use on.
func TestSession_idleTimeout_isNewOrShorter(t *testing.T) {
	for _, before := range [][]ginsession.Option{nil, {ginsession.WithIdleTimeout(24 * time.Hour)}} {
		synctest.Test(t, func(t *testing.T) {
			v := newVisitor(t, before...)
			v.set("a", 1)
			v.mount(t, ginsession.WithIdleTimeout(time.Hour))
			read := func(s *ginsession.Session) { s.Get("a") }
			wantLine(t, "first use", v.visit(read), false)
			unwritten(t, "second use", v.visit(read))
			time.Sleep(time.Hour)
			if len(v.content()) != 0 {
				t.Error("alive an hour after its last use")
			}
		})
	}
}

func TestSession_idleTimeout_endsWithTheLifetime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVisitor(t, ginsession.WithIdleTimeout(time.Hour), ginsession.WithLifetime(2*time.Hour), ginsession.WithPermanent())
		v.set("a", 1)
		time.Sleep(50 * time.Minute)
		v.content()
		time.Sleep(50 * time.Minute)
		if line := setCookies(v.set("a", 2))[0]; !strings.HasSuffix(line, "; Max-Age=1200") {
			t.Errorf("got %q, want the 20 minutes that are left", line)
		}
		time.Sleep(20*time.Minute - 1)
		if len(v.content()) != 1 {
			t.Error("gone before the lifetime is over")
		}
		time.Sleep(time.Nanosecond)
		if len(v.content()) != 0 {
			t.Error("alive after its lifetime")
		}
	})
}

func TestDestroy_thenSet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVisitor(t, ginsession.WithLifetime(time.Hour))
		v.visit(func(s *ginsession.Session) { s.Set("user", "ann"); s.SetPermanent(true); s.AddFlash("old", "") })
		time.Sleep(time.Minute)
		w := v.visit(func(s *ginsession.Session) {
			s.Set("lost", 1)
			s.Renew()
			s.Destroy()
			if s.Len() != 0 || s.Permanent() || time.Since(s.CreatedAt()) != 0 {
				t.Errorf("after Destroy: Len %d, Permanent %v, CreatedAt %v", s.Len(), s.Permanent(), s.CreatedAt())
			}
			s.AddFlash("You are logged out", "")
		})
		wantLine(t, "Destroy, AddFlash", w, false)
		v.visit(func(s *ginsession.Session) {
			if got := s.Flashes(); len(got) != 1 || got[0].Message != "You are logged out" || s.Len() != 0 {
				t.Errorf("got %v and %v, want the one flash", got, s.Keys())
			}
		})
	})
}

func TestDestroy_ofARejectedCookie(t *testing.T) {
	v := newVisitor(t)
	v.set("a", 1)
	for _, k := range v.cookies {
		k.Value = "junk"
	}
	wantLine(t, "Destroy", v.visit(func(s *ginsession.Session) { s.Destroy() }), true)
}

func TestSession_rejectedCookieIsReplacedByTheNextWrite(t *testing.T) {
	v := newVisitor(t)
	v.set("a", 1)
	for _, k := range v.cookies {
		k.Value = "junk"
	}
	wantLine(t, "Set", v.set("b", 2), false)
	if got, want := v.content(), (map[string]any{"b": int64(2)}); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestSet_refused(t *testing.T) {
	rows := []struct {
		name    string
		fn      func(*ginsession.Session)
		mention string // what the error must name
	}{
		{"channel", func(s *ginsession.Session) { s.Set("pipe", make(chan int)) }, `"pipe", type chan int`},
		{"function", func(s *ginsession.Session) { s.Set("f", func() {}) }, `"f", type func()`},
		{"NaN", func(s *ginsession.Session) { s.Set("nan", math.NaN()) }, `"nan", type float64`},
		{"invalid UTF-8", func(s *ginsession.Session) { s.Set("text", "\xff") }, `"text", type string`},
		{"key of invalid UTF-8", func(s *ginsession.Session) { s.Set("\xff", 1) }, `"\xff"`},
		{"_flashes", func(s *ginsession.Session) { s.Set("_flashes", 1) }, `"_flashes"`},
		{"_permanent", func(s *ginsession.Session) { s.Set("_permanent", true) }, `"_permanent"`},
		{"Update _flashes", func(s *ginsession.Session) { ginsession.Update(s, "_flashes", func(n int) int { return n }) }, `"_flashes"`},
		{"flash", func(s *ginsession.Session) { s.AddFlash(make(chan int), "") }, `"flash", type chan int`},
	}
	for _, row := range rows {
		v := newVisitor(t)
		v.set("before", 1)
		w := v.visit(func(s *ginsession.Session) {
			s.Set("beside", 2)
			row.fn(s)
			if err := s.Err(); !errors.Is(err, ginsession.ErrValue) || !strings.Contains(err.Error(), row.mention) {
				t.Errorf("%s: Err: got %v, want ErrValue that names %s", row.name, err, row.mention)
			}
			if got, want := s.Keys(), []string{"before", "beside"}; !slices.Equal(got, want) {
				t.Errorf("%s: got %q, want %q", row.name, got, want)
			}
		})
		if w.Code != http.StatusInternalServerError || len(setCookies(w)) != 0 {
			t.Errorf("%s: got %d and %q, want 500 and no cookie", row.name, w.Code, setCookies(w))
		}
		if len(v.errors) != 1 || !errors.Is(v.errors[0], ginsession.ErrValue) {
			t.Errorf("%s: c.Errors: got %v, want one ErrValue", row.name, v.errors)
		}
		if got, want := v.content(), (map[string]any{"before": int64(1)}); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: stored is now %v, want %v", row.name, got, want)
		}
	}
}

func TestErr_isTheFirst(t *testing.T) {
	newVisitor(t).visit(func(s *ginsession.Session) {
		s.Set("one", make(chan int))
		first := s.Err()
		s.Set("two", make(chan int))
		if err := s.Save(); !errors.Is(err, ginsession.ErrValue) || !errors.Is(s.Err(), first) || err.Error() != first.Error() {
			t.Errorf("Save: got %v, Err %v, want %v", err, s.Err(), first)
		}
	})
}

// TestSave_ownsItsError: without further changes the handler's response
// stands; the changes that could be saved still are, by the next Save.
func TestSave_ownsItsError(t *testing.T) {
	v := newVisitor(t)
	w := v.visit(func(s *ginsession.Session) {
		s.Set("good", 1)
		s.Set("bad", make(chan int))
		if err := s.Save(); !errors.Is(err, ginsession.ErrValue) {
			t.Errorf("got %v, want ErrValue", err)
		}
	})
	unwritten(t, "after Save's error", w)
	if len(v.errors) != 0 {
		t.Errorf("c.Errors: got %v, want none", v.errors)
	}
	w = v.visit(func(s *ginsession.Session) {
		s.Set("good", 1)
		s.Set("bad", make(chan int))
		_ = s.Save()
		if err := s.Save(); err != nil {
			t.Errorf("second Save: got %v, want nil", err)
		}
	})
	wantLine(t, "second Save", w, false)
	w = v.visit(func(s *ginsession.Session) {
		s.Set("big", strings.Repeat("x", 5000))
		if err := s.Save(); !errors.Is(err, ginsession.ErrTooLarge) {
			t.Errorf("got %v, want ErrTooLarge", err)
		}
		s.Set("big", "small after all")
	})
	wantLine(t, "changed after Save's error", w, false)
	if got, want := v.content(), (map[string]any{"good": int64(1), "big": "small after all"}); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestSave_twice(t *testing.T) {
	v := newVisitor(t)
	w := v.visit(func(s *ginsession.Session) {
		for n := range 3 {
			s.Set("n", n)
			if err := s.Save(); err != nil {
				t.Errorf("got %v, want nil", err)
			}
		}
	})
	wantLine(t, "three times", w, false)
	if got, want := v.content(), (map[string]any{"n": int64(2)}); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestSave_afterTheRequest(t *testing.T) {
	v := newVisitor(t)
	var s *ginsession.Session
	v.visit(func(of *ginsession.Session) { s = of; s.Set("a", 1) })
	if err := s.Save(); err != nil {
		t.Errorf("without a change: got %v, want nil", err)
	}
	s.Set("b", 2)
	if got := s.GetInt("b"); got != 2 {
		t.Errorf("got %d, want 2", got)
	}
	if err := s.Save(); !errors.Is(err, ginsession.ErrLate) || !errors.Is(s.Err(), ginsession.ErrLate) {
		t.Errorf("got %v and %v, want ErrLate", err, s.Err())
	}
	if got, want := v.content(), (map[string]any{"a": int64(1)}); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// TestSession_firstUseAfterTheRequest: the copy of a context that is used in
// the background can still read what came.
func TestSession_firstUseAfterTheRequest(t *testing.T) {
	v := newVisitor(t)
	v.set("a", 1)
	var s *ginsession.Session
	v.visit(func(of *ginsession.Session) { s = of })
	if got := s.GetInt("a"); got != 1 || s.Err() != nil {
		t.Errorf("got %d, %v, want 1, nil", got, s.Err())
	}
}

func TestSession_manyGoroutines(t *testing.T) {
	v := newVisitor(t)
	v.visit(func(s *ginsession.Session) {
		var wg sync.WaitGroup
		for n := range 8 {
			wg.Go(func() {
				key := fmt.Sprint("k", n)
				for i := range 50 {
					s.Set(key, i)
					ginsession.Update(s, "sum", func(sum int) int { return sum + 1 })
					s.AddFlash(i, "odd")
					s.Flashes("odd")
					s.Keys()
					s.Get(key)
					ginsession.Get[int](s, key)
					s.SetPermanent(i%2 == 0)
					_, _, _, _, _ = s.Permanent(), s.Modified(), s.Err(), s.IsNew(), s.Rejected()
					s.Pop("none")
					s.Delete("none")
				}
			})
		}
		wg.Wait()
		if s.Len() != 9 || s.GetInt("sum") != 400 {
			t.Errorf("got %d keys and a sum of %d, want 9 and 400", s.Len(), s.GetInt("sum"))
		}
		s.Flashes()
	})
}

func TestSession_twoSideBySide(t *testing.T) {
	r := gin.New()
	r.Use(mustNew(t, secret), mustNew(t, secret, ginsession.WithName("cart"), ginsession.WithContextKey("cart")))
	r.GET("/set", func(c *gin.Context) {
		ginsession.From(c).Set("who", "ann")
		c.MustGet("cart").(*ginsession.Session).Set("item", "tea")
	})
	r.GET("/get", func(c *gin.Context) {
		cart := c.MustGet("cart").(*ginsession.Session)
		c.String(http.StatusOK, "%s %s %v %v", ginsession.From(c).GetString("who"), cart.GetString("item"), ginsession.From(c).Keys(), cart.Keys())
	})
	b := newBrowser(r)
	if lines := setCookies(b.get("/set")); len(lines) != 2 {
		t.Errorf("got %q, want two cookies", lines)
	}
	if got, want := b.get("/get").Body.String(), "ann tea [who] [item]"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestErr_reads: whoever asks Err first learns that the store does not answer,
// and a request that is over reads nothing more.
func TestErr_reads(t *testing.T) {
	store := &counted{Store: memstore.New()}
	r := gin.New()
	var after *ginsession.Session
	r.Use(func(c *gin.Context) { // outside
		if c.Next(); after != nil && after.Err() != nil {
			t.Errorf("after the request: %v", after.Err())
		}
	}, newSessions(t, ginsession.WithStore(store)))
	r.GET("/set", set)
	r.GET("/err", func(c *gin.Context) { c.String(http.StatusOK, "%v", ginsession.From(c).Err() != nil) })
	r.GET("/nothing", func(c *gin.Context) { after = ginsession.From(c) })
	b := newBrowser(r)
	b.get("/set")
	store.down = errors.New("no route to host")
	if b.get("/nothing"); store.loads != 0 {
		t.Errorf("got %d loads, want none", store.loads)
	}
	after = nil
	if w := b.get("/err"); w.Code != http.StatusServiceUnavailable || store.loads != 1 {
		t.Errorf("got %d and %d loads, want 503 and one", w.Code, store.loads)
	}
}

// counted is a store that may be down.
type counted struct {
	*memstore.Store
	loads int
	down  error
}

func (s *counted) Load(ctx context.Context, id string) (ginsession.Record, error) {
	if s.loads++; s.down != nil {
		return ginsession.Record{}, s.down
	}
	return s.Store.Load(ctx, id)
}

// TestExpiresAt_shortenedAndRenewed: it is the end that holds today.
func TestExpiresAt_shortenedAndRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		left := func(s *ginsession.Session) time.Duration { return time.Until(s.ExpiresAt()) }
		long, short := newEngine(t, ginsession.WithLifetime(24*time.Hour)), newEngine(t, ginsession.WithLifetime(time.Hour))
		long.GET("/", set)
		short.GET("/", func(c *gin.Context) {
			s := ginsession.From(c)
			if got := left(s); got != 50*time.Minute {
				t.Errorf("got %v, want 50 minutes", got)
			}
			if s.Renew(); left(s) != time.Hour {
				t.Errorf("renewed: got %v, want an hour", left(s))
			}
		})
		b := newBrowser(long)
		b.get("/")
		time.Sleep(10 * time.Minute)
		b.h = short
		b.get("/")
		time.Sleep(10 * time.Minute)
		b.get("/") // renewed, and written with this lifetime
	})
}

// TestAddFlash_category: what cannot be stored is an error at once, wherever
// sessions are kept.
func TestAddFlash_category(t *testing.T) {
	for name, opts := range map[string][]ginsession.Option{"cookie": nil, "Flask": {ginsession.WithFlaskCookie()}} {
		r := newEngine(t, opts...)
		r.GET("/", func(c *gin.Context) {
			s := ginsession.From(c)
			if s.AddFlash("x", "\xff"); !errors.Is(s.Err(), ginsession.ErrValue) {
				t.Errorf("%s: got %v, want ErrValue", name, s.Err())
			}
		})
		if w := do(t, r, http.MethodGet, "/"); w.Code != http.StatusInternalServerError {
			t.Errorf("%s: got %d, want 500", name, w.Code)
		}
	}
}

// ends fails unless fn returns or panics soon, and returns what it panicked
// with.
func ends(t *testing.T, fn func()) (panicked any) {
	t.Helper()
	done := make(chan any, 1)
	go func() {
		defer func() { done <- recover() }()
		fn()
	}()
	select {
	case panicked = <-done:
		return panicked
	case <-time.After(3 * time.Second):
		t.Fatal("it hangs")
		return nil
	}
}

// TestUpdate_readsTheSession: the function may read the session, also when it
// runs again on what a parallel request has saved.
func TestUpdate_readsTheSession(t *testing.T) {
	read := func(s *ginsession.Session) string {
		return fmt.Sprint(s.Get("user"), s.Has("user"), s.Keys(), s.Len(), s.GetString("user"), s.Permanent(), s.IsNew(), s.Modified(),
			s.CreatedAt().IsZero(), s.ExpiresAt().IsZero(), s.Rejected(), s.Err(), len(s.ID()))
	}
	for _, row := range []struct {
		name     string
		opts     options
		conflict bool
		runs     int
	}{
		{"cookie", nil, false, 1},
		{"flask", options{ginsession.WithFlaskCookie()}, false, 1},
		{"store", options{ginsession.WithStore(apptest.NewStore())}, false, 1},
		{"store, conflict", options{ginsession.WithStore(apptest.NewStore())}, true, 2},
	} {
		t.Run(row.name, func(t *testing.T) {
			a := apptest.New(t, row.opts...)
			b := apptest.NewBrowser(a)
			b.Get("/?do=set:user=ann")
			runs := 0
			a.GET("/update", func(c *gin.Context) {
				s := ginsession.From(c)
				want := read(s)
				ginsession.Update(s, "n", func(n int) int {
					if got := read(s); runs == 0 && got != want || s.GetString("user") != "ann" {
						t.Errorf("got %s, want %s", got, want)
					}
					runs++
					return n + 1
				})
				if row.conflict {
					b.Clone().Get("/?do=incr:n")
				}
			})
			if panicked := ends(t, func() { b.Get("/update") }); panicked != nil || runs != row.runs {
				t.Errorf("got %d runs and the panic %v, want %d and none", runs, panicked, row.runs)
			}
			if got, want := b.Get("/?do=keys").Lines(), []string{fmt.Sprint("n=", row.runs), "user=ann"}; !slices.Equal(got, want) {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}

// TestUpdate_changesTheSession: a function that changes the session panics, and
// the message says what it must not do. The session can be used afterwards.
func TestUpdate_changesTheSession(t *testing.T) {
	for _, row := range []struct {
		name   string
		change func(*ginsession.Session)
		replay bool // only when it runs again
	}{
		{"Set", func(s *ginsession.Session) { s.Set("b", 1) }, false},
		{"Set, replayed", func(s *ginsession.Session) { s.Set("b", 1) }, true},
		{"Delete", func(s *ginsession.Session) { s.Delete("user") }, false},
		{"Pop", func(s *ginsession.Session) { s.Pop("user") }, false},
		{"Clear", func(s *ginsession.Session) { s.Clear() }, false},
		{"AddFlash", func(s *ginsession.Session) { s.AddFlash("x", "") }, false},
		{"Renew", func(s *ginsession.Session) { s.Renew() }, false},
		{"Destroy", func(s *ginsession.Session) { s.Destroy() }, false},
		{"SetPermanent", func(s *ginsession.Session) { s.SetPermanent(true) }, false},
		{"Update", func(s *ginsession.Session) { ginsession.Update(s, "n", func(n int) int { return n }) }, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			a := apptest.New(t, ginsession.WithStore(apptest.NewStore()))
			b := apptest.NewBrowser(a)
			b.Get("/?do=set:user=ann")
			runs := 0
			var used *ginsession.Session
			a.GET("/update", func(c *gin.Context) {
				used = ginsession.From(c)
				ginsession.Update(used, "n", func(n int) int {
					if runs++; runs == 2 || !row.replay {
						row.change(used)
					}
					return n + 1
				})
				b.Clone().Get("/?do=incr:n")
			})
			panicked := ends(t, func() { b.Get("/update") })
			if message := fmt.Sprint(panicked); !strings.HasPrefix(message, "ginsession: ") || !strings.Contains(message, "Update") {
				t.Errorf("got the panic %q, want one that begins with ginsession: and names Update", message)
			}
			if panicked := ends(t, func() { used.Get("user") }); panicked != nil {
				t.Errorf("afterwards: got the panic %v, want none", panicked)
			}
			if got := b.Get("/?do=get:user").Lines(); !slices.Equal(got, []string{"ann"}) {
				t.Errorf("got the user %q, want ann", got)
			}
		})
	}
}

// TestSession_manyKeys sets 10,000 and 80,000 keys in one request. Eight times the
// keys take about eight times as long: no step looks at all that came before.
func TestSession_manyKeys(t *testing.T) {
	log, _ := logTo()
	destroy := func(s *ginsession.Session) { s.Destroy() }
	flashes := func(s *ginsession.Session, i int) { s.AddFlash(strconv.Itoa(i), "") }
	set := func(s *ginsession.Session, i int) { s.Set(fmt.Sprint("k", uint32(i)*2654435761), i) } // in no order
	store := func() ginsession.Option { return ginsession.WithStore(apptest.NewStore()) }
	for _, row := range []struct {
		name string
		opts options
		do   func(s *ginsession.Session, i int)
		end  func(*ginsession.Session)
	}{
		{"cookie", nil, set, destroy},
		{"cookie, logged", options{log}, set, destroy},
		{"store", options{store()}, set, nil},
		{"store, logged", options{store(), log}, set, nil},
		{"store, update", options{store()}, func(s *ginsession.Session, i int) {
			ginsession.Update(s, fmt.Sprint("k", uint32(i)*2654435761), func(n int) int { return n + 1 })
		}, nil},
		{"store, set and deleted", options{store()}, func(s *ginsession.Session, i int) { set(s, i); s.Delete(fmt.Sprint("k", uint32(i)*2654435761)) }, nil},
		{"store, flashes", options{store()}, flashes, nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			v := newVisitor(t, row.opts...)
			request := func(n int) time.Duration {
				v.cookies = map[string]*http.Cookie{}
				start := time.Now()
				v.visit(func(s *ginsession.Session) {
					for i := range n {
						row.do(s, i)
					}
					if row.end != nil {
						row.end(s)
					}
				})
				return time.Since(start)
			}
			few, many := time.Hour, time.Hour // the fastest: what others do on the machine only adds to it
			for start := time.Now(); ; {
				few, many = min(few, request(10_000), request(10_000)), min(many, request(80_000))
				if many <= 24*few {
					return
				}
				if time.Since(start) > 3*time.Second {
					t.Fatalf("got %v for 80,000 and %v for 10,000, want at most 24 times as long", many, few)
				}
			}
		})
	}
}

// TestSession_printed prints a session, and c.Keys, in every way at hand: none
// shows a value.
func TestSession_printed(t *testing.T) {
	for name, opts := range storages() {
		a := apptest.New(t, opts...)
		b := apptest.NewBrowser(a)
		var s *ginsession.Session
		a.GET("/fill", func(c *gin.Context) {
			s = ginsession.From(c)
			s.Set("user", "Recognisable-1")
			s.AddFlash("Recognisable-2", "")
		})
		a.GET("/print", func(c *gin.Context) {
			s = ginsession.From(c)
			s.Set("more", "Recognisable-3")
			ginsession.Update(s, "update", func(string) string { return "Recognisable-4" })
			s.Flashes()
			s.AddFlash("Recognisable-5", "")
			for _, text := range printed(s, c.Keys) {
				if strings.Contains(text, "Recognisable") {
					t.Errorf("%s: a value shows in %s", name, text)
				}
			}
		})
		for _, path := range []string{"/fill", "/print"} {
			b.Get(path)
			for _, text := range printed(s, map[any]any{ginsession.Key: s}) {
				if strings.Contains(text, "Recognisable") {
					t.Errorf("%s, after %s: a value shows in %s", name, path, text)
				}
			}
		}
	}
}

func storages() map[string]options {
	return map[string]options{
		"cookie": nil,
		"flask":  {ginsession.WithFlaskCookie()},
		"store":  {ginsession.WithStore(apptest.NewStore())},
	}
}

// printed prints a session and the keys of a context.
func printed(s *ginsession.Session, keys map[any]any) (texts []string) {
	type holder struct {
		Session *ginsession.Session
		Any     any
	}
	for _, v := range []any{s, keys, &s, holder{s, s}, &holder{s, s}, []*ginsession.Session{s}, map[string]any{"session": s}} {
		for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			texts = append(texts, fmt.Sprintf(format, v))
		}
		encoded, err := json.Marshal(v)
		texts = append(texts, string(encoded), fmt.Sprint(err))
		var b bytes.Buffer
		for _, h := range []slog.Handler{slog.NewTextHandler(&b, nil), slog.NewJSONHandler(&b, nil)} {
			slog.New(h).Info("printed", "session", v)
		}
		texts = append(texts, b.String())
	}
	return texts
}

// TestSession_dumpHoldsNoSecret walks through all that can be reached from
// c.Keys, as a debugging tool does that dumps it: the secrets given to New are
// not there.
func TestSession_dumpHoldsNoSecret(t *testing.T) {
	first, previous, flask := "Recognisable, first: 32 bytes or more", "Recognisable, previous: 32 bytes or more", "Recognisable, of Flask"
	rows := storages()
	rows["migration"] = options{ginsession.WithFlaskMigration(flask, flask+" too")}
	for name, opts := range rows {
		h, err := ginsession.New(first, append(opts, ginsession.WithPreviousSecrets(previous))...)
		if err != nil {
			t.Fatal(err)
		}
		a := apptest.Mount(h)
		check := func(where string, v any) {
			var d dump
			d.walk(reflect.ValueOf(v), "c.Keys")
			if d.values < 100 {
				t.Errorf("%s, %s: walked through %d values: too few to find anything", name, where, d.values)
			}
			if d.found != "" {
				t.Errorf("%s, %s: a secret is at %s", name, where, d.found)
			}
		}
		a.GET("/dump", func(c *gin.Context) {
			check("unused", c.Keys)
			ginsession.From(c).Set("a", 1)
			check("used", c.Keys)
		})
		b := apptest.NewBrowser(a)
		b.Get("/?do=set:user=ann")
		check("afterwards", map[any]any{ginsession.Key: a.Session})
		b.Get("/dump")
	}
}

// dump walks through values as reflection sees them, exported or not.
type dump struct {
	seen   map[address]bool
	values int
	found  string // the path to a secret
}

type address struct {
	at  uintptr
	typ reflect.Type
}

func (d *dump) walk(v reflect.Value, path string) {
	d.values++
	switch v.Kind() {
	case reflect.String:
		d.check(v.String(), path)
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() && d.first(v) {
			d.walk(v.Elem(), path)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			d.walk(v.Field(i), path+"."+v.Type().Field(i).Name)
		}
	case reflect.Map:
		if d.first(v) {
			for i := v.MapRange(); i.Next(); {
				d.walk(i.Key(), path+"[key]")
				d.walk(i.Value(), path+"[]")
			}
		}
	case reflect.Slice:
		if d.first(v) {
			d.elements(v, path)
		}
	case reflect.Array:
		d.elements(v, path)
	}
}

func (d *dump) elements(v reflect.Value, path string) {
	if v.Type().Elem().Kind() == reflect.Uint8 {
		raw := make([]byte, v.Len())
		for i := range raw {
			raw[i] = byte(v.Index(i).Uint())
		}
		d.check(string(raw), path)
		return
	}
	for i := range v.Len() {
		d.walk(v.Index(i), path+"[]")
	}
}

// first reports whether a pointer, map or slice has not been walked through.
func (d *dump) first(v reflect.Value) bool {
	if v.Kind() == reflect.Interface {
		return true
	}
	if d.seen == nil {
		d.seen = map[address]bool{}
	}
	at := address{v.Pointer(), v.Type()}
	if v.Kind() == reflect.Slice && v.Len() == 0 || d.seen[at] {
		return false
	}
	d.seen[at] = true
	return true
}

func (d *dump) check(text, path string) {
	if d.found == "" && strings.Contains(text, "Recognisable") {
		d.found = path
	}
}
