package main

import (
	_ "embed"
	"fmt"
	"math"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strings"
	"text/template"
	"time"
)

//go:embed report.md.tmpl
var reportText string

//go:embed readme.md.tmpl
var readmeText string

// report is all that was measured.
type report struct {
	Env      *environment
	Method   method
	Rounds   int // of the loads
	Slice    time.Duration
	Table    *table
	Parts    []*part
	Client   []*comparison
	Trips    []roundTrips
	Loads    []*load
	Sizes    []size
	Signed   int // bytes of gin-contrib's cookie that is not encrypted
	Memory   []memory
	Places   []string
	Keys     []*keysCost
	Bodies   []*bodyCost
	Parallel []*parallelRate
	Heaps    []*heap
	Missing  []string
	Quick    bool
}

// environment is where it was measured.
type environment struct {
	Date, Go, CPU, System string
	Cores                 int
	Programs              []string
}

func lookAround() *environment {
	e := &environment{
		Date: time.Now().UTC().Format(time.DateOnly), Go: runtime.Version(), CPU: cpuModel(),
		System: runtime.GOOS + "/" + runtime.GOARCH, Cores: runtime.NumCPU(),
	}
	for _, program := range [][]string{{memcachedServer, "-V"}, {redisServer, "--version"}, {"wrk", "-v"}} {
		out, _ := exec.Command(program[0], program[1:]...).CombinedOutput() //nolint:gosec,noctx // of our own; wrk ends with status 1
		if line, _, _ := strings.Cut(string(out), "\n"); line != "" {
			e.Programs = append(e.Programs, programVersion(line))
		}
	}
	return e
}

// programVersion shortens what a program says of itself.
func programVersion(line string) string {
	fields := strings.Fields(line)
	switch fields[0] {
	case "Redis": // Redis server v=7.0.15 sha=…
		for _, field := range fields {
			if version, ok := strings.CutPrefix(field, "v="); ok {
				return "Redis " + version
			}
		}
	case "wrk": // wrk debian/4.1.0 [epoll] …
		return "wrk " + strings.TrimPrefix(fields[1], "debian/")
	}
	return line
}

func cpuModel() string {
	text, _ := os.ReadFile("/proc/cpuinfo") // Linux alone has it
	for line := range strings.Lines(string(text)) {
		if name, model, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(model)
		}
	}
	return runtime.GOARCH
}

// libraries are the versions of what is compared, as they were built in.
func (e *environment) Libraries() (names []string) {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return nil
	}
	for _, m := range info.Deps {
		switch m.Path {
		case "github.com/gin-gonic/gin", "github.com/gin-contrib/sessions", "github.com/gorilla/sessions",
			"github.com/alexedwards/scs/v2", "github.com/gofiber/fiber/v3":
			names = append(names, strings.TrimPrefix(m.Path, "github.com/")+" "+m.Version)
		case "github.com/bradfitz/gomemcache":
			names = append(names, "bradfitz/gomemcache of "+pseudoDate(m.Version))
		}
	}
	return names
}

// pseudoDate is the day in v0.0.0-20260422231931-4d751bb6e37c.
func pseudoDate(version string) string {
	parts := strings.Split(version, "-")
	if len(parts) != 3 {
		return version
	}
	day, err := time.Parse("20060102150405", parts[1])
	if err != nil {
		return version
	}
	return day.Format(time.DateOnly)
}

// loadOf finds a load, or nil.
func (r *report) loadOf(id, path string) *load {
	for _, l := range r.Loads {
		if l.Variant.id == id && l.Path == path {
			return l
		}
	}
	return nil
}

// shareOfBare is a load's rate as a share of bare gin's.
func (r *report) shareOfBare(l *load) float64 {
	return l.Rate() / r.loadOf("bare", pathUntouched).Rate()
}

// loadRatio compares a load with that of its peer.
func (r *report) loadRatio(l *load) (times float64, ok bool) {
	peer := r.loadOf(l.Variant.peer, l.Path)
	if peer == nil {
		return 0, false
	}
	return l.Rate() / peer.Rate(), true
}

// The methods below are for the templates.

// Cell is a field of the main table.
func (r *report) Cell(v *variant, s *shape) string {
	c, ok := r.Table.at(v, s)
	if !ok {
		return ""
	}
	text := fmt.Sprintf("%s (%.0f)", micro(c.us), c.allocs)
	if times, ok := r.Table.ratio(v, s); ok {
		text += " **" + factor(times) + "**"
	}
	return text
}

// Slower are the cells where another library is faster, a sentence each.
func (r *report) Slower() (sentences []string) {
	for _, v := range r.Table.rows {
		for i := range shapes {
			s := &shapes[i]
			var others []string
			for _, c := range r.Table.faster(v, s) {
				others = append(others, c.v.library+" "+micro(c.us))
			}
			if others != nil {
				mine, _ := r.Table.at(v, s)
				sentences = append(sentences, fmt.Sprintf("%s, %s: %s µs; %s", v.row(), s.name, micro(mine.us), strings.Join(others, ", ")))
			}
		}
	}
	return sentences
}

// Times is a ratio of the main table, by ids.
func (r *report) Times(id, shape string) string {
	v, err := findVariant(id)
	if err != nil {
		return ""
	}
	times, ok := r.Table.ratio(v, findShape(shape))
	if !ok {
		return "–"
	}
	return factor(times)
}

// Micro is a time of the main table, by ids.
func (r *report) Micro(id, shape string) string {
	v, err := findVariant(id)
	if err != nil {
		return ""
	}
	c, ok := r.Table.at(v, findShape(shape))
	if !ok {
		return "–"
	}
	return micro(c.us)
}

// Share says how a load compares with bare gin.
func (r *report) Share(l *load) string { return fmt.Sprintf("%.0f %%", 100*r.shareOfBare(l)) }

// PeerShare says how a load compares with its peer.
func (r *report) PeerShare(l *load) string {
	if times, ok := r.loadRatio(l); ok {
		return factor(times)
	}
	return ""
}

// Has reports whether a variant was measured.
func (r *report) Has(id string) bool {
	v, err := findVariant(id)
	return err == nil && r.Table.cells[v] != nil
}

// ProcessorTime reports whether processor time was measured, and not the wall's.
func (r *report) ProcessorTime() bool { return hasProcessorTime }

// LoadSessions is how many sessions the loads use.
func (r *report) LoadSessions() int { return loadSessions }

// Name and so on let templates see a variant and a shape.
func (v *variant) Row() string     { return v.row() }
func (v *variant) Storage() string { return v.storage }
func (v *variant) Library() string { return v.library }
func (s *shape) Name() string      { return s.name }
func (s *shape) About() string     { return s.about }

// Does is the shape of a load.
func (l *load) Does() string { return strings.TrimPrefix(l.Path, "/") }

// Shapes are all of them, for the templates.
func (r *report) Shapes() (all []*shape) {
	for i := range shapes {
		all = append(all, &shapes[i])
	}
	return all
}

// micro writes microseconds with two significant digits at least.
func micro(us float64) string {
	switch {
	case us < 10:
		return fmt.Sprintf("%.2f", us)
	case us < 100:
		return fmt.Sprintf("%.1f", us)
	}
	return grouped(us)
}

// factor writes a ratio: 9.2×, or 23×.
func factor(times float64) string {
	if times < 9.95 {
		return fmt.Sprintf("%.1f×", times)
	}
	return fmt.Sprintf("%.0f×", times)
}

// grouped writes a whole number with commas.
func grouped(n float64) string {
	text := fmt.Sprintf("%.0f", math.Abs(n))
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	if n < 0 && text != "0" {
		text = "-" + text
	}
	return text
}

// bytesText writes a size.
func bytesText(n int) string {
	if n >= 1<<20 {
		return fmt.Sprintf("%d MiB", n>>20)
	}
	return fmt.Sprintf("%d KiB", n>>10)
}

var functions = template.FuncMap{
	"micro": micro, "factor": factor, "bytes": bytesText, "join": strings.Join,
	"us":   func(j *job) string { return micro(j.ns() / 1000) },
	"int":  func(n any) string { return grouped(number(n)) },
	"kib":  func(n uint64) string { return grouped(float64(n) / 1024) },
	"plus": func(a, b *job) string { return micro(max(0, a.ns()-b.ns()) / 1000) },
}

func number(n any) float64 {
	switch n := n.(type) {
	case int:
		return float64(n)
	case int64:
		return float64(n)
	case float64:
		return n
	}
	panic(fmt.Sprintf("%T is no number of the report", n))
}

func (r *report) render(text string) (string, error) {
	t, err := template.New("report").Funcs(functions).Parse(text)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	err = t.Execute(&b, r)
	return strings.TrimSpace(strings.ReplaceAll(b.String(), " \n", "\n")) + "\n", err
}

// The README's part stands between these lines.
const (
	readmeBegin = "<!-- make bench writes this part -->\n"
	readmeEnd   = "<!-- up to here -->\n"
)

// replacePart puts text between the two lines.
func replacePart(whole, text string) (string, error) {
	before, rest, found := strings.Cut(whole, readmeBegin)
	if !found {
		return "", fmt.Errorf("there is no line %q", strings.TrimSpace(readmeBegin))
	}
	_, after, found := strings.Cut(rest, readmeEnd)
	if !found {
		return "", fmt.Errorf("there is no line %q", strings.TrimSpace(readmeEnd))
	}
	return before + readmeBegin + text + readmeEnd + after, nil
}

// MainShapes are those of the README.
func (r *report) MainShapes() []string { return []string{"read", "write", "log-in", "flash"} }

// Rows are the table's, for the templates.
func (t *table) Rows() []*variant { return t.rows }

// Cost is a field of the table of keys.
func (k *keysCost) Cost(place int, write bool) string {
	j := k.Reads[place]
	if write {
		j = k.Writes[place]
	}
	return fmt.Sprintf("%s (%.0f)", micro(j.ns()/1000), j.allocs)
}

// Speedup is how much faster two cores are than one.
func (p *parallelRate) Speedup() float64 { return p.Rate(2) / p.Rate(1) }
