package main

import (
	"fmt"
	"io"
)

// goals are what the project wants of itself. The program prints which are
// met; the report has the figures alone.
type goal struct {
	id        string // of the variant
	shape     string
	times     float64 // at least so much faster than its peer
	maxAllocs float64 // or 0
}

var goals = []goal{
	{"cookie", "untouched", 1, 3},
	{"cookie", "read", 20, 6},
	{"cookie", "write", 16, 8},
	{"cookie", "log-in", 7, 10},
	{"cookie", "flash", 16, 20},
	{"memcached", "untouched", 1, 0},
	{"memcached", "read", 2.6, 0},
	{"memcached", "write", 2.5, 0},
	{"memcached", "log-in", 1.7, 0},
	{"memcached", "flash", 2.4, 0},
	{"redis", "read", 2, 0},
	{"redis", "write", 2, 0},
}

// checklist prints whether goals are met.
type checklist struct{ out io.Writer }

func (c checklist) line(met bool, format string, args ...any) {
	mark := "MISSED"
	if met {
		mark = "met   "
	}
	_, _ = fmt.Fprintf(c.out, "%s  %s\n", mark, fmt.Sprintf(format, args...))
}

func (c checklist) print(r *report) {
	c.shapes(r.Table)
	for _, x := range r.Client {
		c.line(x.Ratio() <= 1.25, "Memcached, %s: %.2f× the bare client, at most 1.25×", x.About, x.Ratio())
	}
	for _, t := range r.Trips {
		if t.Variant.id == "memcached" {
			c.line(t.Asked[0] == 0 && t.Asked[1] == 1 && t.Asked[2] == 2,
				"Memcached: %v round trips untouched, %v for a read, %v for a write; 0, 1 and 2", t.Asked[0], t.Asked[1], t.Asked[2])
		}
	}
	c.loads(r)
	for _, s := range r.Sizes {
		if s.Variant.id == "cookie" {
			c.line(s.Cookie <= 330, "the cookie's value has %d bytes, at most 330", s.Cookie)
		}
		if s.Variant.id == "memcached" {
			c.line(s.Record <= 300, "the record in Memcached has %d bytes, at most 300", s.Record)
		}
	}
}

func (c checklist) shapes(t *table) {
	for _, g := range goals {
		v, err := findVariant(g.id)
		if err != nil {
			continue
		}
		s := findShape(g.shape)
		mine, ok := t.at(v, s)
		times, compared := t.ratio(v, s)
		if !ok || !compared {
			_, _ = fmt.Fprintf(c.out, "not measured: %s, %s\n", v.row(), g.shape)
			continue
		}
		c.line(times >= g.times, "%s, %s: %.1f times as fast, at least %v", v.row(), g.shape, times, g.times)
		if g.maxAllocs > 0 {
			c.line(mine.allocs <= g.maxAllocs, "%s, %s: %.0f allocations, at most %.0f", v.row(), g.shape, mine.allocs, g.maxAllocs)
		}
	}
}

func (c checklist) loads(r *report) {
	for _, l := range r.Loads {
		share := r.shareOfBare(l)
		switch {
		case l.Variant.id == "cookie" && l.Path == pathRead:
			c.line(share >= 0.8, "a whole server reading cookies: %.0f %% of bare gin, at least 80 %%", 100*share)
		case l.Variant.id == "memcached":
			times, ok := r.loadRatio(l)
			c.line(ok && times >= 2.4, "a whole server on Memcached, %s: %.1f times as many requests, at least 2.4", l.Path, times)
		}
	}
}
