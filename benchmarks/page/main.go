// Command page draws the chart and fills in the tables of Markdown files, from
// results of Go benchmarks.
//
//	page results.txt performance.svg PERFORMANCE.md README.md
//
// A comment before a table says what goes into its columns:
//
//	<!-- bench: cost Request/lib=$1/store=$2/do=$c -->
//
// $1 is the first cell of the row, $2 the second, and $c the title of the column,
// with _ for a space. The entries are separated by ";", and the last one is for
// all columns that are left. A comment in a row's first cell replaces them.
package main

import (
	"fmt"
	"io"
	"math"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/perf/benchfmt"
	"golang.org/x/perf/benchmath"
)

func main() {
	r := read(must(os.Open(os.Args[1]))) //nolint:gosec // the caller's
	files := map[string]string{os.Args[2]: r.chart()}
	for _, name := range os.Args[3:] {
		files[name] = r.fill(string(must(os.ReadFile(name)))) //nolint:gosec // the caller's
	}
	for name, text := range files {
		must(0, os.WriteFile(name, []byte(text), 0o644)) //nolint:gosec // everybody may read it
	}
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

// results are all that was measured.
type results struct {
	config map[string]string
	rounds map[string][]float64 // values, by the benchmark's name and unit: "Request/do=read sec/op"
}

var cores = regexp.MustCompile(`-\d+$`) // at the end of a benchmark's name
var comment = regexp.MustCompile(`<!-- (?:bench: )?(.*) -->`)

func read(from io.Reader) *results {
	r := &results{map[string]string{}, map[string][]float64{}}
	for in := benchfmt.NewReader(from, "results"); in.Scan(); {
		result, ok := in.Result().(*benchfmt.Result)
		if !ok {
			continue // a line that is none
		}
		for _, c := range result.Config {
			r.config[c.Key] = string(c.Value)
		}
		name := cores.ReplaceAllString(result.Name.String(), "")
		for _, v := range result.Values {
			r.rounds[name+" "+v.Unit] = append(r.rounds[name+" "+v.Unit], v.Value)
		}
	}
	return r
}

// fill returns text with its tables filled in.
func (r *results) fill(text string) string {
	lines := strings.Split(text, "\n")
	var entries, titles []string // of the table, once it has begun
	for i, line := range lines {
		cells := strings.Split(strings.Trim(line, "|"), "|")
		for k := range cells {
			cells[k] = strings.TrimSpace(cells[k])
		}
		switch {
		case strings.HasPrefix(line, "<!-- bench: "):
			entries, titles = strings.Split(comment.FindStringSubmatch(line)[1], " ; "), nil
		case !strings.HasPrefix(line, "|"):
			entries = nil
		case entries != nil && titles == nil:
			titles = cells
		case entries != nil && !strings.HasPrefix(line, "|--"):
			r.row(entries, titles, cells)
			lines[i] = "| " + strings.Join(cells, " | ") + " |"
		}
	}
	return strings.Join(lines, "\n")
}

func (r *results) row(entries, titles, cells []string) {
	if own := comment.FindStringSubmatch(cells[0]); own != nil {
		entries = strings.Split(own[1], " ; ")
	}
	labels := 1
	for strings.Contains(strings.Join(entries, ""), "$"+strconv.Itoa(labels+1)) {
		labels++
	}
	for i := labels; i < len(cells); i++ {
		names := []string{" ", " ", "$c", strings.ReplaceAll(titles[i], " ", "_")}
		for k, label := range cells[:labels] {
			names = append(names, "$"+strconv.Itoa(k+1), strings.ReplaceAll(label, " ", "_"))
		}
		if entry := entries[min(i-labels, len(entries)-1)]; entry != "keep" {
			cells[i] = r.cell(strings.Fields(strings.NewReplacer(names...).Replace(entry)))
		}
	}
}

// cell is what an entry stands for: "config" and a key, "cost" (microseconds and
// allocations) or a unit, and a benchmark, "times", a factor, a unit, and a
// benchmark, or "ratio", a unit, and two benchmarks, which are compared in each
// round.
func (r *results) cell(entry []string) string {
	name := entry[1]
	switch entry[0] {
	case "config":
		return r.config[name]
	case "cost":
		text := show(r.rounds[name+" sec/op"], 1e6)
		if allocs := r.rounds[name+" allocs/op"]; allocs != nil {
			text += fmt.Sprintf(" (%.0f)", summary(allocs).Center)
		}
		return text
	case "times":
		return show(r.rounds[entry[3]+" "+entry[2]], must(strconv.ParseFloat(name, 64)))
	case "ratio":
		over, under := r.rounds[entry[2]+" "+name], r.rounds[entry[3]+" "+name]
		ratios := make([]float64, min(len(over), len(under)))
		for i := range ratios {
			ratios[i] = over[i] / under[i]
		}
		return show(ratios, 1)
	}
	return show(r.rounds[name+" "+entry[0]], 1)
}

// summary is the median and its interval of confidence of 95 %, as benchstat
// calculates them.
func summary(values []float64) benchmath.Summary {
	if len(values) == 0 {
		return benchmath.Summary{}
	}
	return benchmath.AssumeNothing.Summary(benchmath.NewSample(slices.Clone(values), &benchmath.DefaultThresholds), 0.95)
}

// show writes the median with two or three significant digits, and its spread.
func show(values []float64, factor float64) string {
	s := summary(values)
	x, digits := s.Center*factor, 0
	switch {
	case len(values) == 0:
		return "–"
	case x < 100 && x != math.Trunc(x):
		digits = map[bool]int{true: 2, false: 1}[x < 10]
	}
	text := strconv.FormatFloat(x, 'f', digits, 64)
	for i := len(text) - 3; i > 0 && digits == 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	if s.Lo == s.Hi || math.IsInf(s.Hi, 0) { // too few rounds
		return text
	}
	return text + " ±" + s.PctRangeString()
}

// chart draws a panel of bars for each kind of request: how long it takes with
// the libraries that need no server.
func (r *results) chart() string {
	const bar = `<text x="%d" y="%d" font-size="12">%s</text><rect x="%d" y="%d" width="%d" height="18" fill="%s"/><text x="%d" y="%d" font-size="12">%.1f</text>` + "\n"
	var b strings.Builder
	_, _ = b.WriteString(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 900 370" font-family="Liberation Sans, Arial, sans-serif" fill="#222">
<rect width="900" height="370" fill="#fff"/><text x="16" y="28" font-size="16">Microseconds a request, less is better: no server beside the app</text>` + "\n")
	for i, do := range []string{"read", "write", "log-in", "flash"} {
		x, y, us, most := 16+i%2*445, 62+i/2*158, map[string]float64{}, 0.0
		_, _ = fmt.Fprintf(&b, `<text x="%d" y="%d" font-size="15">%s</text>`+"\n", x, y, strings.Replace(do, "flash", "flash, two requests", 1))
		rows := []string{"ginsession/store=cookie", "gin-contrib/store=cookie", "gorilla/store=cookie", "scs/store=memory", "Fiber/store=memory"}
		for _, row := range rows {
			us[row] = summary(r.rounds["Request/lib="+row+"/do="+do+" sec/op"]).Center * 1e6
			most = max(most, us[row])
		}
		for k, row := range rows {
			top, length, color := y+12+23*k, int(240*us[row]/most), []string{"#0b6e4f", "#9aa5b1"}[min(k, 1)]
			_, _ = fmt.Fprintf(&b, bar, x, top+13, strings.Replace(row, "/store=", ", ", 1), x+140, top, length, color, x+146+length, top+13, us[row])
		}
	}
	return b.String() + "</svg>\n"
}
