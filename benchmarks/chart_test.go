package main

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
)

// TestDrawChart wants well-formed SVG with a bar's figure and name for every
// row of the chart, and no other row.
func TestDrawChart(t *testing.T) {
	svg, err := drawChart(testTable())
	if err != nil {
		t.Fatal(err)
	}
	text := string(svg)
	for parser := xml.NewDecoder(strings.NewReader(text)); ; {
		if _, err := parser.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []string{">ginsession (cookie)<", ">Fiber (memory)<", ">read<", ">flash (two requests)<", ">10.0<", "fill:#FFFFFF"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s in the chart", want)
		}
	}
	if n := strings.Count(text, ">ginsession ("); n != 4 {
		t.Errorf("ginsession has %d bars, want 4: none for what needs a server", n)
	}
}

// testTable has round figures: 10 µs for ours, 300 for Flask's cookie, 200 for
// all others.
func testTable() *table {
	t := &table{rows: variants, cells: map[*variant]map[*shape]cell{}}
	for _, v := range variants {
		t.cells[v] = map[*shape]cell{}
		for i := range shapes {
			us := 200.0
			switch {
			case v.storage == inFlask:
				us = 300
			case v.library == ours:
				us = 10
			}
			if s := &shapes[i]; v.has(s) {
				t.cells[v][s] = cell{v, s, us, 5}
			}
		}
	}
	return t
}
