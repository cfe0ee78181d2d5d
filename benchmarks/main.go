// Command benchmarks measures ginsession side by side with other session
// middlewares and writes docs/PERFORMANCE.md. It is a module of its own, so
// that users of ginsession inherit none of them.
//
//	make bench
package main

import (
	"flag"
	"fmt"
	"os"
	"time"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "benchmarks:", err)
		os.Exit(1)
	}
}

func run() error {
	out := flag.String("out", "", "write the report to this `file`, not to standard output")
	chart := flag.String("chart", "", "draw the chart into this `file`")
	readme := flag.String("readme", "", "write the main figures into this `file`, between its two marks")
	quick := flag.Bool("quick", false, "try everything once; the figures mean little")
	id := flag.String("serve", "", "serve a variant; only the program itself uses this")
	listen := flag.String("listen", "", "with -serve, the address to listen on")
	backend := flag.String("backend", "", "with -serve, the address of the variant's server")
	flag.Parse()
	if *id != "" {
		return serve(*id, *listen, *backend)
	}
	r, err := measureAll(planFor(*quick))
	if err != nil {
		return err
	}
	if err := write(r, *out, *chart, *readme); err != nil {
		return err
	}
	checklist{os.Stderr}.print(r)
	return nil
}

// plan is how much to measure.
type plan struct {
	quick    bool
	shapes   method
	growth   method
	loads    method
	sessions int
	requests int
}

func planFor(quick bool) *plan {
	if quick {
		return &plan{true, method{Rounds: 3, Slice: 4 * time.Millisecond}, method{Rounds: 2, Slice: 2 * time.Millisecond}, method{Rounds: 1, Slice: time.Second}, 1000, 4000}
	}
	return &plan{false, method{Rounds: 50, Slice: 20 * time.Millisecond}, method{Rounds: 20, Slice: 10 * time.Millisecond}, method{Rounds: 7, Slice: 2 * time.Second}, 100_000, 1_000_000}
}

// measureAll goes through the report's sections in their order.
func measureAll(p *plan) (r *report, err error) {
	running, missing, err := startServers()
	if err != nil {
		return nil, err
	}
	defer running.stop()
	r = &report{Env: lookAround(), Method: p.shapes, Rounds: p.loads.Rounds, Slice: p.loads.Slice, Missing: missing, Quick: p.quick}
	steps := []struct {
		name string
		do   func() error
	}{
		{"shapes", func() error { r.Table, err = measureShapes(p.shapes, running); return err }},
		{"parts", func() error { r.Parts, err = measureParts(p.shapes); return err }},
		{"client", func() error { r.Client, err = compareClient(p.shapes, running); return err }},
		{"round trips", func() error { r.Trips, err = countRoundTrips(running); return err }},
		{"whole servers", func() error { r.Loads, err = measureLoads(running, p.loads.Rounds, p.loads.Slice); return err }},
		{"sizes", func() error { r.Sizes, err = measureSizes(running); return err }},
		{"signed cookie", func() error { r.Signed, err = signedCookie(); return err }},
		{"memory", func() error { r.Memory, err = measureMemory(running, p.sessions); return err }},
		{"keys", func() error { r.Places, r.Keys, err = measureKeys(p.growth, running); return err }},
		{"bodies", func() error { r.Bodies, err = measureBodies(p.growth); return err }},
		{"parallel", func() error { r.Parallel, err = measureParallel(p.growth.Rounds, 20*p.growth.Slice); return err }},
		{"heap", func() error { r.Heaps, err = measureHeap(running, p.requests); return err }},
	}
	for _, step := range steps {
		begin := time.Now()
		if err := step.do(); err != nil {
			return nil, fmt.Errorf("%s: %w", step.name, err)
		}
		fmt.Fprintf(os.Stderr, "%-14s %5.1f s\n", step.name, time.Since(begin).Seconds())
	}
	return r, nil
}

func write(r *report, out, chart, readme string) error {
	text, err := r.render(reportText)
	if err != nil {
		return err
	}
	if out == "" {
		_, err = fmt.Fprint(os.Stdout, text)
	} else {
		err = writeFile(out, []byte(text))
	}
	if err != nil {
		return err
	}
	if chart != "" {
		svg, err := drawChart(r.Table)
		if err != nil {
			return err
		}
		if err := writeFile(chart, svg); err != nil {
			return err
		}
	}
	if readme == "" {
		return nil
	}
	return writePart(r, readme)
}

func writePart(r *report, file string) error {
	part, err := r.render(readmeText)
	if err != nil {
		return err
	}
	whole, err := os.ReadFile(file) //nolint:gosec // the caller's
	if err != nil {
		return err
	}
	text, err := replacePart(string(whole), part)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return writeFile(file, []byte(text))
}

func writeFile(name string, data []byte) error {
	return os.WriteFile(name, data, 0o644) //nolint:gosec // everybody may read it
}
