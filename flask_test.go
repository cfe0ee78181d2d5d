package ginsession_test

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"io"
	"maps"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/ginsession/ginsession"
)

// judge is Flask itself, in a process that ends with the test.
type judge struct {
	t   *testing.T
	in  io.WriteCloser
	out *bufio.Reader
}

// pythonWithFlask finds a Python that has Flask: a distribution's package comes
// with that distribution's Python, which may not be the first on PATH.
func pythonWithFlask(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"python3", "/usr/bin/python3", "python"} {
		if exec.Command(name, "-c", "import flask").Run() == nil {
			return name
		}
	}
	if os.Getenv("CI") == "true" {
		t.Fatal("Flask is missing: make test installs it")
	}
	t.Skip("Flask is missing: install it with make test, apt-get install python3-flask or pip install flask")
	return ""
}

func newJudge(t *testing.T) *judge {
	t.Helper()
	cmd := exec.Command(pythonWithFlask(t), "testdata/flask_judge.py")
	cmd.Env = append(os.Environ(), "PYTHONIOENCODING=utf-8") // which Windows does not take for granted
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close() // which ends it
		_ = cmd.Wait()
	})
	return &judge{t, in, bufio.NewReader(out)}
}

// question is what the judge is asked; see testdata/flask_judge.py.
type question struct {
	Do        string            `json:"do"`
	Secret    string            `json:"secret"`
	Fallbacks []string          `json:"fallbacks,omitempty"`
	Seed      int               `json:"seed"`
	Count     int               `json:"count,omitempty"`
	Cookies   []string          `json:"cookies"`
	Set       map[string]string `json:"set,omitempty"`
	Permanent *bool             `json:"permanent,omitempty"`
	Flashes   [][2]string       `json:"flashes,omitempty"`
}

func ask[T any](j *judge, q question) (answer T) {
	j.t.Helper()
	if q.Secret == "" {
		q.Secret = secret
	}
	text, err := json.Marshal(q)
	if err != nil {
		j.t.Fatal(err)
	}
	if _, err := j.in.Write(append(text, '\n')); err != nil {
		j.t.Fatal(err)
	}
	line, err := j.out.ReadBytes('\n')
	if err != nil {
		j.t.Fatalf("the judge gave up on %.300s: %v", text, err)
	}
	if err := json.Unmarshal(line, &answer); err != nil {
		j.t.Fatalf("%v: %.300s", err, line)
	}
	return answer
}

// described is a session as Flask reads it: texts that tell all types apart.
type described map[string]string

func (j *judge) read(cookies ...string) []described {
	j.t.Helper()
	sessions := ask[[]described](j, question{Do: "read", Cookies: cookies})
	if len(sessions) != len(cookies) {
		j.t.Fatalf("%d answers to %d cookies", len(sessions), len(cookies))
	}
	return sessions
}

// describe says what Flask has to find of a value that Go sets.
func describe(v any) string {
	switch v := v.(type) {
	case nil:
		return "NoneType(None)"
	case bool:
		return "bool(" + map[bool]string{true: "True", false: "False"}[v] + ")"
	case string:
		return "str(" + hex.EncodeToString([]byte(v)) + ")"
	case template.HTML:
		return "Markup(" + hex.EncodeToString([]byte(v)) + ")"
	case []byte:
		return "bytes(" + hex.EncodeToString(v) + ")"
	case float64:
		return "float(" + hex.EncodeToString(binary.BigEndian.AppendUint64(nil, math.Float64bits(v))) + ")"
	case time.Time:
		return "datetime(" + v.UTC().Format("2006-01-02 15:04:05+00:00") + ")"
	case []any:
		parts := make([]string, len(v))
		for i := range v {
			parts[i] = describe(v[i])
		}
		return "list(" + strings.Join(parts, ",") + ")"
	case map[string]any:
		var parts []string
		for key, value := range v {
			parts = append(parts, describe(key)+":"+describe(value))
		}
		slices.Sort(parts)
		return "{" + strings.Join(parts, ",") + "}"
	}
	return fmt.Sprintf("int(%d)", v)
}

func describeFlash(message any, category string) string {
	return "tuple(" + describe(category) + "," + describe(message) + ")"
}

// flaskVisitor sends the cookies that a test gives it.
type flaskVisitor struct{ *visitor }

func newFlaskVisitor(t testing.TB, opts ...ginsession.Option) flaskVisitor {
	return flaskVisitor{newVisitor(t, append([]ginsession.Option{ginsession.WithFlaskCookie()}, opts...)...)}
}

// with runs fn on the session in a cookie. It returns the cookie that the
// browser has then, "" for none.
func (v flaskVisitor) with(cookie string, fn func(*ginsession.Session)) string {
	clear(v.cookies)
	if cookie != "" {
		v.cookies["session"] = &http.Cookie{Name: "session", Value: cookie}
	}
	v.visit(fn)
	if k := v.cookies["session"]; k != nil {
		return k.Value
	}
	return ""
}

func readEverything(s *ginsession.Session) {
	for _, key := range s.Keys() {
		s.Get(key)
		s.GetString(key)
		s.GetInt(key)
		s.GetStringMap(key)
	}
	s.Permanent()
}

const goKey = "Go was here"

// fromFlask lets Go touch sessions of Flask, in many ways, and Flask look at
// them again.
func fromFlask(t *testing.T, total int) {
	j, v := newJudge(t), newFlaskVisitor(t)
	rnd := rand.New(rand.NewPCG(1, 2))
	touches := []struct {
		name  string
		touch func(*ginsession.Session)
		want  func(described)
	}{
		{"read", readEverything, func(described) {}},
		{"set", func(s *ginsession.Session) { s.Set(goKey, 1.0) },
			func(d described) { d[describe(goKey)] = describe(1.0) }},
		{"set and delete", func(s *ginsession.Session) { s.Set(goKey, 1); s.Delete(goKey) }, func(described) {}},
		{"read and set", func(s *ginsession.Session) { readEverything(s); s.Set(goKey, []any{nil, "é"}) },
			func(d described) { d[describe(goKey)] = describe([]any{nil, "é"}) }},
		{"flash", func(s *ginsession.Session) { s.AddFlash("Hé", "info") }, func(d described) {
			key, flash := describe("_flashes"), describeFlash("Hé", "info")
			if old := d[key]; old != "" {
				d[key] = strings.TrimSuffix(old, ")") + "," + flash + ")"
			} else {
				d[key] = "list(" + flash + ")"
			}
		}},
		{"permanent", func(s *ginsession.Session) { s.SetPermanent(true) },
			func(d described) { d[describe("_permanent")] = "bool(True)" }},
	}

	done := map[string]int{}
	for seed := 0; seed < total; seed += 500 {
		made := ask[[]struct {
			Cookie string
			Is     described
		}](j, question{Do: "make", Seed: seed * 1000, Count: min(500, total-seed)})
		touched, untouched := make([]string, len(made)), make([]string, len(made))
		names := make([]string, len(made))
		for i, m := range made {
			how := touches[rnd.IntN(len(touches))]
			names[i] = how.name
			done[how.name]++
			touched[i] = v.with(m.Cookie, how.touch)
			untouched[i] = v.with(v.with(m.Cookie, func(s *ginsession.Session) { s.Set(goKey, 1) }),
				func(s *ginsession.Session) { s.Delete(goKey) })
			how.want(m.Is)
		}
		for i, got := range j.read(touched...) {
			if !maps.Equal(got, made[i].Is) {
				t.Fatalf("%s of %s:\ngot  %s\nwant %s", names[i], made[i].Cookie, got, made[i].Is)
			}
		}
		for i, got := range j.read(untouched...) {
			if names[i] != "flash" && names[i] != "permanent" { // whose wish is no longer what it was
				delete(made[i].Is, describe(goKey))
				if !maps.Equal(got, made[i].Is) {
					t.Fatalf("set, then delete, of %s:\ngot  %s\nwant %s", made[i].Cookie, got, made[i].Is)
				}
			}
		}
	}
	t.Logf("%d sessions by Flask: %v", total, done)
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

// toFlask lets Flask look at what Go has set.
func toFlask(t *testing.T, total int) {
	j, v := newJudge(t), newFlaskVisitor(t)
	m := maker{rand.New(rand.NewPCG(3, 4))}
	for done := 0; done < total; {
		var cookies []string
		var want []described
		for ; len(cookies) < 500 && done < total; done++ {
			d := described{}
			cookie := v.with("", func(s *ginsession.Session) {
				for range 1 + m.IntN(4) {
					key, value := m.text(), m.value(0)
					s.Set(key, value)
					d[describe(key)] = describe(value)
				}
				if m.IntN(3) == 0 {
					s.SetPermanent(true)
					d[describe("_permanent")] = "bool(True)"
				}
				var flashes []string
				for range m.IntN(3) {
					message, category := any(m.text()), "c"+m.text()
					if m.IntN(2) == 0 {
						message = template.HTML(m.text())
					}
					s.AddFlash(message, category)
					flashes = append(flashes, describeFlash(message, category))
				}
				if flashes != nil {
					d[describe("_flashes")] = "list(" + strings.Join(flashes, ",") + ")"
				}
			})
			if cookie == "" {
				t.Fatalf("no cookie for %s: %v", d, v.errors)
			}
			cookies, want = append(cookies, cookie), append(want, d)
		}
		for i, got := range j.read(cookies...) {
			if !maps.Equal(got, want[i]) {
				t.Fatalf("%s:\ngot  %s\nwant %s", cookies[i], got, want[i])
			}
		}
	}
	t.Logf("%d sessions by Go", total)
}

// tampered changes cookies at every position and lets both sides decide. Flask
// takes all spellings of the signature's last character, Go the canonical one.
func tampered(t *testing.T, perPosition int) {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=!~"
	j, v := newJudge(t), newFlaskVisitor(t)
	rnd := rand.New(rand.NewPCG(5, 6))
	tried, spellings := 0, 0
	for _, set := range []map[string]string{
		{"user_id": "42"},
		{"user_id": "42", "text": "'abcdefghij' * 60"}, // compressed
	} {
		good := ask[string](j, question{Do: "dump", Set: set})
		last := strings.LastIndexByte(good, '.')
		bad := []string{
			good[:last], good[:last+1], good[last:], good + ".", "." + good, good + good[last:], good[1:], good[:len(good)-1],
			"a" + good, good + "A", strings.ToUpper(good), strings.Replace(good, ".", "..", 1), "e30." + good,
		}
		for i := range good {
			replacements := []byte(alphabet)
			rnd.Shuffle(len(replacements), reflect.Swapper(replacements))
			n := perPosition
			if i == len(good)-1 {
				n = len(replacements)
			}
			for _, c := range replacements[:n] {
				if c != good[i] {
					bad = append(bad, good[:i]+string(c)+good[i+1:])
				}
			}
			bad = append(bad, good[:i]+good[i+1:]) // one lost
		}
		for _, cookie := range bad {
			v.with(cookie, func(s *ginsession.Session) {
				if s.Len() > 0 || !errors.Is(s.Rejected(), ginsession.ErrInvalid) {
					t.Errorf("Go takes %s (%v) for %s", cookie, s.Rejected(), good)
				}
			})
		}
		for _, cookie := range ask[[]string](j, question{Do: "takes", Cookies: bad}) {
			if len(cookie) != len(good) || cookie[:len(good)-1] != good[:len(good)-1] {
				t.Errorf("Flask takes %s for %s", cookie, good)
			}
			spellings++
		}
		if len(ask[[]string](j, question{Do: "takes", Cookies: []string{good}})) != 1 {
			t.Error("Flask refuses its own cookie")
		}
		tried += len(bad)
	}
	if spellings != 2*3 {
		t.Errorf("Flask takes %d other spellings of two last characters, want 6", spellings)
	}
	t.Logf("%d tampered cookies", tried)
}

func TestFlask_sessionsOfFlaskSurviveGo(t *testing.T) { fromFlask(t, 2000) }

func TestFlask_valuesOfGoArriveInPython(t *testing.T) { toFlask(t, 500) }

func TestFlask_tampered(t *testing.T) { tampered(t, 12) }

func TestFlask_naturalTypes(t *testing.T) {
	j, v := newJudge(t), newFlaskVisitor(t)
	type named struct {
		Name string `json:"name"`
		N    int
	}
	when := time.Date(2024, 2, 29, 12, 34, 56, 789, time.FixedZone("", -3600))
	cookie := v.with("", func(s *ginsession.Session) {
		s.Set("int", int8(-1))
		s.Set("big", uint64(math.MaxUint64))
		s.Set("float", 1.0)
		s.Set("float32", float32(0.1))
		s.Set("strings", []string{"a"})
		s.Set("times", []time.Time{when})
		s.Set("struct", named{"x", 1})
		s.Set("duration", time.Second)
		s.Set("nothing", []any(nil))
		s.Set("time", when)
		if got := s.GetTime("time"); !got.Equal(when.Truncate(time.Second)) {
			t.Errorf("in the same request: got %v", got)
		}
	})
	want := described{
		describe("int"): "int(-1)", describe("big"): "int(18446744073709551615)",
		describe("float"): describe(1.0), describe("float32"): describe(0.1),
		describe("strings"): describe([]any{"a"}), describe("times"): describe([]any{when}),
		describe("struct"):   describe(map[string]any{"name": "x", "N": 1}),
		describe("duration"): "int(1000000000)", describe("nothing"): "NoneType(None)", describe("time"): describe(when),
	}
	if got := j.read(cookie)[0]; !maps.Equal(got, want) {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	clear(v.cookies)
	v.cookies["session"] = &http.Cookie{Name: "session", Value: cookie}
	unwritten(t, "the same time once more", v.set("time", when))
}

func TestFlask_valuesOfPythonArriveInGo(t *testing.T) {
	j, v := newJudge(t), newFlaskVisitor(t)
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
		{"-inf", math.Inf(-1)},
		{"'Zo\\u00eb \\U0001f600'", "Zoë 😀"},
		{"b'\\x00\\xff\\x10'", []byte{0, 255, 16}},
		{"(1, ('two',))", []any{int64(1), []any{"two"}}},
		{"Markup('<b>')", template.HTML("<b>")},
		{"UUID('12345678123456781234567812345678')", "12345678-1234-5678-1234-567812345678"},
		{"{' t': (1,)}", map[string]any{" t": []any{int64(1)}}},
		{"datetime(2024, 2, 29, 12, 34, 56)", time.Date(2024, 2, 29, 12, 34, 56, 0, time.UTC)},
	} {
		cookie := ask[string](j, question{Do: "dump", Set: map[string]string{"x": tt.python}})
		v.with(cookie, func(s *ginsession.Session) {
			got := s.Get("x")
			if when, ok := got.(time.Time); ok {
				got = when.UTC()
			}
			if !reflect.DeepEqual(got, tt.want) || !s.Has("x") {
				t.Errorf("%s: got %#v, want %#v", tt.python, got, tt.want)
			}
		})
	}
}

func TestFlask_testClient(t *testing.T) {
	j, v := newJudge(t), newFlaskVisitor(t)
	cookie := v.with("", func(s *ginsession.Session) { s.Set("go", "was here") })
	got := ask[struct {
		Before described
		Cookie string
	}](j, question{Do: "client", Cookies: []string{cookie}})
	if !maps.Equal(got.Before, described{describe("go"): describe("was here")}) {
		t.Errorf("session_transaction finds %s", got.Before)
	}
	v.with(got.Cookie, func(s *ginsession.Session) {
		if s.GetString("go") != "was here" || s.GetString("python") != "was here" || s.Len() != 2 {
			t.Errorf("got %v", s.Keys())
		}
	})
}

func TestFlask_flashesCrossOver(t *testing.T) {
	j, v := newJudge(t), newFlaskVisitor(t)

	// From Go to Flask, which takes them out.
	cookie := v.with("", func(s *ginsession.Session) {
		s.AddFlash("Hellö", "")
		s.AddFlash(template.HTML("<b>no</b>"), "error")
		s.Set("kept", 1)
	})
	answer := ask[struct {
		Flashes [][2]string
		Lines   []string
	}](j, question{Do: "flashes", Cookies: []string{cookie}})
	want := [][2]string{{"message", describe("Hellö")}, {"error", describe(template.HTML("<b>no</b>"))}}
	if !slices.Equal(answer.Flashes, want) || len(answer.Lines) != 1 {
		t.Fatalf("got %q, want %q", answer, want)
	}
	v.with(valueOf(t, answer.Lines[0]), func(s *ginsession.Session) {
		if got := s.Flashes(); got != nil || s.GetInt("kept") != 1 {
			t.Errorf("after Flask has shown them: %v", got)
		}
	})

	// From Flask to Go.
	cookie = ask[string](j, question{Do: "dump", Set: map[string]string{"kept": "(1,)"}, Flashes: [][2]string{
		{"message", "'Hell\\u00f6'"}, {"error", "Markup('<b>no</b>')"}, {"odd", "{' t': 1}"}, {"error", "'two'"},
	}})
	rest := v.with(cookie, func(s *ginsession.Session) {
		got := s.Flashes("error")
		if want := []ginsession.Flash{{Message: template.HTML("<b>no</b>"), Category: "error"}, {Message: "two", Category: "error"}}; !reflect.DeepEqual(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	})
	wantRest := described{
		describe("kept"): "tuple(int(1))",
		describe("_flashes"): "list(" + describeFlash("Hellö", "message") + "," +
			describeFlash(map[string]any{" t": 1}, "odd") + ")",
	}
	if got := j.read(rest)[0]; !maps.Equal(got, wantRest) {
		t.Errorf("the other categories: got %s, want %s", got, wantRest)
	}
	none := v.with(cookie, func(s *ginsession.Session) {
		if got := s.Flashes(); len(got) != 4 {
			t.Errorf("got %v", got)
		}
	})
	if got := j.read(none)[0]; !maps.Equal(got, described{describe("kept"): "tuple(int(1))"}) {
		t.Errorf("all read: got %s", got)
	}
}

func TestFlask_oddFlashesAreShownAndKept(t *testing.T) {
	j, v := newJudge(t), newFlaskVisitor(t)
	for _, tt := range []struct {
		python string
		want   []ginsession.Flash
	}{
		{"[(None, 1)]", []ginsession.Flash{{Message: int64(1), Category: "null"}}},
		{"[(5, 'x'), ['a', 'b']]", []ginsession.Flash{{Message: "x", Category: "5"}, {Message: "b", Category: "a"}}},
		{"['x', ('a',)]", []ginsession.Flash{{Message: "x", Category: "message"}, {Message: []any{"a"}, Category: "message"}}},
		{"'x'", nil},
		{"None", nil},
		{"[]", nil},
		{"{'a': (1,)}", nil},
	} {
		cookie := ask[string](j, question{Do: "dump", Set: map[string]string{"_flashes": tt.python}})
		touched := v.with(cookie, func(s *ginsession.Session) { s.Set("go", 1) })
		want := j.read(cookie)[0]
		want[describe("go")] = "int(1)"
		if got := j.read(touched)[0]; !maps.Equal(got, want) {
			t.Errorf("%s: got %s, want %s", tt.python, got, want)
		}
		v.with(touched, func(s *ginsession.Session) {
			if got := s.Flashes(); !reflect.DeepEqual(got, tt.want) {
				t.Errorf("%s: got %v, want %v", tt.python, got, tt.want)
			}
		})
	}
}

// valueOf gives the value in a Set-Cookie line.
func valueOf(t *testing.T, line string) string {
	t.Helper()
	k, err := http.ParseSetCookie(line)
	if err != nil {
		t.Fatal(err)
	}
	return k.Value
}

func TestFlask_fallbackSecrets(t *testing.T) {
	const old, older = "an old secret of Flask", "an even older one of theirs"
	j := newJudge(t)
	mounted := func(secret string, previous ...string) flaskVisitor {
		r := gin.New()
		v := flaskVisitor{&visitor{}}
		r.Use(mustNew(t, secret, ginsession.WithFlaskCookie(), ginsession.WithPreviousSecrets(previous...)))
		r.GET("/", func(c *gin.Context) { v.fn(ginsession.From(c)) })
		v.browser = newBrowser(r)
		return v
	}
	rotated := mounted(secret, old, older)
	set := func(s *ginsession.Session) { s.Set("go", 1) }

	for _, previous := range []string{old, older} {
		// What Flask signed under a previous secret, Go signs anew.
		made := ask[string](j, question{Do: "dump", Secret: previous, Set: map[string]string{"a": "1"}})
		if got := j.read(rotated.with(made, set))[0]; len(got) != 2 {
			t.Errorf("Flask with the new secret only: got %s", got)
		}
		mounted(secret).with(made, func(s *ginsession.Session) {
			if !errors.Is(s.Rejected(), ginsession.ErrInvalid) {
				t.Errorf("without previous secrets: got %v", s.Rejected())
			}
		})

		// What Go signed under a previous secret, Flask still takes.
		cookie := mounted(previous).with("", set)
		if cookie == "" {
			t.Fatal("no cookie")
		}
		q := question{Do: "takes", Cookies: []string{cookie}}
		if got := ask[[]string](j, q); len(got) != 0 {
			t.Error("Flask takes a secret that it does not know")
		}
		q.Fallbacks = []string{old, older}
		if got := ask[[]string](j, q); len(got) != 1 {
			t.Error("Flask refuses a fallback secret")
		}
	}
}

func TestFlask_emptiedSessionDeletesTheCookie(t *testing.T) {
	j, v := newJudge(t), newFlaskVisitor(t, ginsession.WithInsecureCookie())
	for name, empty := range map[string]func(*ginsession.Session){
		"pop":     func(s *ginsession.Session) { s.Pop("a") },
		"clear":   func(s *ginsession.Session) { s.Clear() },
		"destroy": func(s *ginsession.Session) { s.Destroy() },
	} {
		cookie := ask[string](j, question{Do: "dump", Set: map[string]string{"a": "1"}})
		clear(v.cookies)
		v.cookies["session"] = &http.Cookie{Name: "session", Value: cookie}
		got := v.visit(empty).Header()["Set-Cookie"]
		want := "session=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT"
		if len(got) != 1 || got[0] != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}

	// Reading the last flash empties it too, on both sides.
	cookie := v.with("", func(s *ginsession.Session) { s.AddFlash("Bye", "") })
	lines := ask[struct{ Lines []string }](j, question{Do: "flashes", Cookies: []string{cookie}}).Lines
	if len(lines) != 1 || !strings.HasPrefix(lines[0], "session=; Expires=Thu, 01 Jan 1970") {
		t.Errorf("Flask: got %q", lines)
	}
	if got := v.with(cookie, func(s *ginsession.Session) { s.Flashes() }); got != "" {
		t.Errorf("Go: got %q", got)
	}
}

func TestFlask_permanentIsSentAgain(t *testing.T) {
	j, v := newJudge(t), newFlaskVisitor(t)
	yes, no := true, false
	for _, tt := range []struct {
		name      string
		permanent *bool
		visit     func(*ginsession.Session)
		sent      bool
		vary      string
	}{
		{"permanent, not looked at", &yes, func(*ginsession.Session) {}, true, "Cookie"},
		{"permanent, read", &yes, readEverything, true, "Cookie"},
		{"false, not looked at", &no, func(*ginsession.Session) {}, false, ""},
		{"false, read", &no, readEverything, false, "Cookie"},
		{"absent, not looked at", nil, func(*ginsession.Session) {}, false, ""},
		{"absent, read", nil, readEverything, false, "Cookie"},
	} {
		set := map[string]string{"a": "(1, 2.0)"}
		cookie := ask[string](j, question{Do: "dump", Permanent: tt.permanent, Set: set})
		clear(v.cookies)
		v.cookies["session"] = &http.Cookie{Name: "session", Value: cookie}
		w := v.visit(tt.visit)
		lines := w.Header()["Set-Cookie"]
		if got := len(lines) == 1; got != tt.sent || len(lines) > 1 || w.Header().Get("Vary") != tt.vary {
			t.Errorf("%s: got %v", tt.name, w.Header())
		}
		if !tt.sent {
			continue
		}
		if !strings.HasSuffix(lines[0], "; Max-Age=2678400") {
			t.Errorf("%s: got %q", tt.name, lines)
		}
		if got, want := j.read(valueOf(t, lines[0]))[0], j.read(cookie)[0]; !maps.Equal(got, want) {
			t.Errorf("%s: got %s, want %s", tt.name, got, want)
		}
	}
}

// A response of Flask that a proxy passes on carries the newer session.
func TestFlask_permanentBehindAProxy(t *testing.T) {
	r := newEngine(t, ginsession.WithFlaskCookie())
	r.NoRoute(func(c *gin.Context) {
		c.Writer.Header().Add("Set-Cookie", "other=1; Path=/")
		if c.Request.URL.Path == "/changed" {
			c.Writer.Header().Add("Set-Cookie", "session=of Flask; Path=/")
		}
		c.String(http.StatusOK, "x")
	})
	old := &http.Cookie{Name: "session", Value: ginsession.SignFlask(secret, `{"_permanent":true,"a":1}`, time.Now())}
	want := []string{"other=1; Path=/", "session=of Flask; Path=/"}
	if w := do(t, r, http.MethodGet, "/changed", old); !slices.Equal(w.Header()["Set-Cookie"], want) {
		t.Errorf("got %q, want %q", w.Header()["Set-Cookie"], want)
	}
	if got := do(t, r, http.MethodGet, "/", old).Header()["Set-Cookie"]; len(got) != 2 || !strings.HasPrefix(got[1], "session=") {
		t.Errorf("without a change: got %q", got)
	}
}

func TestFlask_permanentAsItCame(t *testing.T) {
	j, v := newJudge(t), newFlaskVisitor(t)
	for _, tt := range []struct {
		python             string
		permanent          bool
		kept, ifSet, ifNot string
	}{
		{"True", true, "bool(True)", "bool(True)", "bool(False)"},
		{"False", false, "bool(False)", "bool(True)", "bool(False)"},
		{"1", true, "int(1)", "int(1)", "bool(False)"},
		{"'yes'", true, describe("yes"), describe("yes"), "bool(False)"},
		{"None", false, "NoneType(None)", "bool(True)", "NoneType(None)"},
		{"()", false, "tuple()", "bool(True)", "tuple()"},
	} {
		cookie := ask[string](j, question{Do: "dump", Set: map[string]string{"_permanent": tt.python, "a": "1"}})
		after := func(fn func(*ginsession.Session)) described {
			return j.read(v.with(cookie, func(s *ginsession.Session) { fn(s); s.Set("a", 2) }))[0]
		}
		is := func(fn func(*ginsession.Session), want string) {
			t.Helper()
			if got := after(fn)[describe("_permanent")]; got != want {
				t.Errorf("%s: got %s, want %s", tt.python, got, want)
			}
		}
		is(func(s *ginsession.Session) {
			if s.Permanent() != tt.permanent {
				t.Errorf("%s: Permanent is %t", tt.python, s.Permanent())
			}
		}, tt.kept)
		is(func(s *ginsession.Session) { s.SetPermanent(true) }, tt.ifSet)
		is(func(s *ginsession.Session) { s.SetPermanent(false) }, tt.ifNot)
		is(func(s *ginsession.Session) { s.Clear() }, "")
		is(func(s *ginsession.Session) { s.Destroy() }, "")
	}
}

func TestFlask_loneSurrogates(t *testing.T) {
	j, v := newJudge(t), newFlaskVisitor(t)
	cookie := ask[string](j, question{Do: "dump", Set: map[string]string{
		"x": `{'\ud800': '\udfff', '\ud801': '\ufffd'}`, "y": `'\ud800'`, "go": "1",
	}})
	want := j.read(cookie)[0]
	want[describe("go")] = "int(2)"
	touched := v.with(cookie, func(s *ginsession.Session) {
		if got := s.GetString("y"); got != "\ufffd" {
			t.Errorf("got %q", got)
		}
		s.Set("go", 2)
	})
	if got := j.read(touched)[0]; !maps.Equal(got, want) {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestFlask_badPayloads(t *testing.T) {
	v := newFlaskVisitor(t)
	for _, payload := range []string{
		`[]`, `null`, `"x"`, `{`, ``, `{"a":{" b":1}}`, `{"a":{" d":"x"}}`, `{" t":[1]}`, `{"a":"` + "\xff" + `"}`,
		`{"a":"` + strings.Repeat("x", 1<<20) + `"}`,
	} {
		cookie := ginsession.SignFlask(secret, payload, time.Now())
		v.with(cookie, func(s *ginsession.Session) {
			if !errors.Is(s.Rejected(), ginsession.ErrInvalid) || s.Len() != 0 || !s.IsNew() || s.Err() != nil {
				t.Errorf("%.40s: got %v, %v", payload, s.Rejected(), s.Keys())
			}
		})
		if got := v.with(cookie, func(s *ginsession.Session) { s.Set("a", 1) }); got == "" || got == cookie {
			t.Errorf("%.40s: a fresh session is not saved", payload)
		}
	}
	for name, at := range map[string]time.Duration{"too old": -2678402 * time.Second, "ahead": time.Minute} {
		v.with(ginsession.SignFlask(secret, `{"a":1}`, time.Now().Add(at)), func(s *ginsession.Session) {
			if !errors.Is(s.Rejected(), ginsession.ErrExpired) || s.Len() != 0 {
				t.Errorf("%s: got %v, %v", name, s.Rejected(), s.Keys())
			}
		})
	}
}

func TestFlask_lifetimeIsFlasksMaxAge(t *testing.T) {
	v := newFlaskVisitor(t, ginsession.WithLifetime(time.Hour))
	for age, want := range map[time.Duration]error{59 * time.Minute: nil, 61 * time.Minute: ginsession.ErrExpired} {
		v.with(ginsession.SignFlask(secret, `{"a":1}`, time.Now().Add(-age)), func(s *ginsession.Session) {
			if !errors.Is(s.Rejected(), want) {
				t.Errorf("%v: got %v, want %v", age, s.Rejected(), want)
			}
		})
	}
}

// As in Flask, every write begins it anew.
func TestFlask_lifetimeRunsFromTheLastWrite(t *testing.T) {
	v := newFlaskVisitor(t)
	tenDaysAgo := time.Now().Add(-10 * 24 * time.Hour)
	v.cookies["session"] = &http.Cookie{Name: "session", Value: ginsession.SignFlask(secret, `{"_permanent":true}`, tenDaysAgo)}
	line := v.visit(func(s *ginsession.Session) {
		if got := time.Until(s.ExpiresAt()).Round(time.Hour); got != 21*24*time.Hour {
			t.Errorf("before: %v to go", got)
		}
		s.Set("a", 1)
		if err := s.Save(); err != nil {
			t.Fatal(err)
		}
		if got := time.Until(s.ExpiresAt()).Round(time.Hour); got != 31*24*time.Hour {
			t.Errorf("after: %v to go", got)
		}
	}).Header().Get("Set-Cookie")
	if !strings.HasSuffix(line, "; Max-Age=2678400") {
		t.Errorf("got %q", line)
	}
}

// The first cookie that is good counts, wherever it stands.
func TestFlask_severalCookies(t *testing.T) {
	r := newEngine(t, ginsession.WithFlaskCookie())
	r.GET("/", func(c *gin.Context) { c.String(200, strconv.Itoa(ginsession.From(c).GetInt("a"))) })
	good := ginsession.SignFlask(secret, `{"a":7}`, time.Now())
	forged := ginsession.SignFlask("somebody else's secret, forged", `{"a":8}`, time.Now())
	req := httptest.NewRequest(http.MethodGet, "/", nil)
	req.Header.Set("Cookie", "session="+forged+"; session="+good+"; session=x")
	w := httptest.NewRecorder()
	r.ServeHTTP(w, req)
	if w.Body.String() != "7" {
		t.Errorf("got %s", w.Body)
	}
}

func TestFlask_errors(t *testing.T) {
	v := newFlaskVisitor(t)
	for _, tt := range []struct {
		name string
		fn   func(*ginsession.Session)
		want error
	}{
		{"NaN", func(s *ginsession.Session) { s.Set("a", math.NaN()) }, ginsession.ErrValue},
		{"key", func(s *ginsession.Session) { s.Set("\xed\xa0\x80", 1) }, ginsession.ErrValue},
		{"reserved key", func(s *ginsession.Session) { s.Set("_flashes", 1) }, ginsession.ErrValue},
		{"category", func(s *ginsession.Session) { s.AddFlash("a", "\xff") }, ginsession.ErrValue},
		{"large", func(s *ginsession.Session) { s.Set("a", noise(4000)) }, ginsession.ErrTooLarge},
		{"large, and compresses well", func(s *ginsession.Session) { s.Set("a", strings.Repeat("a", 64<<10)) }, ginsession.ErrTooLarge},
	} {
		clear(v.cookies)
		if w := v.visit(tt.fn); w.Code != http.StatusInternalServerError || len(v.cookies) != 0 {
			t.Errorf("%s: got %d, %v", tt.name, w.Code, v.cookies)
		}
		wantOneError(t, tt.name, v.errors, tt.want)
	}
	if got := v.with("", func(s *ginsession.Session) { s.Set("a", strings.Repeat("x", 60_000)) }); len(got) > 1000 {
		t.Errorf("what compresses well: got %d bytes", len(got))
	}
}

// noise does not compress.
func noise(n int) []byte {
	b := make([]byte, n)
	rnd := rand.New(rand.NewPCG(7, 8))
	for i := range b {
		b[i] = byte(rnd.IntN(256))
	}
	return b
}

// Reading many flashes takes as long as parsing them, and no longer.
func TestFlask_manyFlashes(t *testing.T) {
	r := newEngine(t, ginsession.WithFlaskCookie())
	n := 0
	r.GET("/read", func(c *gin.Context) { n = len(ginsession.From(c).Flashes()) })
	r.GET("/parse", func(c *gin.Context) { ginsession.From(c).Len() })
	const count = 2_500 // all that fits
	text := `{"_flashes":[` + strings.TrimSuffix(strings.Repeat(`{" t":["message","x"]},`, count), ",") + `]}`
	k := &http.Cookie{Name: "session", Value: ginsession.SignFlask(secret, text, time.Now())}
	took := func(path string) time.Duration {
		begin := time.Now()
		do(t, r, http.MethodGet, path, k)
		return time.Since(begin)
	}
	if parse, read := took("/parse"), took("/read"); n != count || read > 6*parse {
		t.Errorf("%d flashes took %v, parsing them %v", n, read, parse)
	}
}
