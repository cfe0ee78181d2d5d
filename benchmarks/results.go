package main

// A cell is what one shape costs with one variant.
type cell struct {
	v      *variant
	s      *shape
	us     float64 // microseconds
	allocs float64
}

// table holds the cells of all variants that could run.
type table struct {
	rows  []*variant
	cells map[*variant]map[*shape]cell
}

// at returns a cell, and false where it was not measured.
func (t *table) at(v *variant, s *shape) (cell, bool) {
	c, ok := t.cells[v][s]
	return c, ok
}

// ratio is how many times as long the peer takes.
func (t *table) ratio(v *variant, s *shape) (times float64, ok bool) {
	peer, err := findVariant(v.peer)
	if err != nil {
		return 0, false
	}
	mine, ok := t.at(v, s)
	if !ok {
		return 0, false
	}
	theirs, ok := t.at(peer, s)
	return theirs.us / mine.us, ok
}

// measureShapes is the main table: all variants, all shapes, all in one run.
func measureShapes(m method, running servers) (*table, error) {
	t := &table{rows: running.available(), cells: map[*variant]map[*shape]cell{}}
	type place struct {
		v *variant
		s *shape
	}
	where := map[*job]place{}
	var inside, outside []*job // without and with a server
	for _, v := range t.rows {
		a, err := running.open(v)
		if err != nil {
			return nil, err
		}
		t.cells[v] = map[*shape]cell{}
		for i := range shapes {
			if s := &shapes[i]; v.has(s) {
				w, err := v.walk(a, s)
				if err != nil {
					return nil, err
				}
				j := &job{run: w.run, check: w.err}
				if where[j] = (place{v, s}); v.server == "" {
					inside = append(inside, j)
				} else {
					outside = append(outside, j)
				}
			}
		}
	}
	err := onOneCore(func() error { return m.measure(inside) })
	if err == nil {
		err = m.measure(outside)
	}
	for j, p := range where {
		t.cells[p.v][p.s] = cell{p.v, p.s, j.ns() / 1000, j.allocs}
	}
	return t, err
}
