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

// faster are the other libraries that need less time for a shape than one of
// our variants, with the same server or likewise without one.
func (t *table) faster(v *variant, s *shape) (others []cell) {
	mine, ok := t.at(v, s)
	if !ok || v.library != ours {
		return nil
	}
	for _, other := range t.rows {
		if other.library == ours || other.storage == "" || other.server != v.server {
			continue
		}
		if c, ok := t.at(other, s); ok && c.us < mine.us {
			others = append(others, c)
		}
	}
	return others
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
		t.cells[v] = map[*shape]cell{}
		for i := range shapes {
			if s := &shapes[i]; v.has(s) {
				j, err := shapeJob(running, v, s)
				if err != nil {
					return nil, err
				}
				if where[j] = (place{v, s}); v.server == "" {
					inside = append(inside, j)
				} else {
					outside = append(outside, j)
				}
			}
		}
	}
	err := m.measureAlone(inside)
	if err == nil {
		err = m.measureWith(running, outside)
	}
	for j, p := range where {
		t.cells[p.v][p.s] = cell{p.v, p.s, j.ns() / 1000, j.allocs}
	}
	return t, err
}

// shapeJob prepares a cell, with an app of its own.
func shapeJob(running servers, v *variant, s *shape) (*job, error) {
	a, err := running.open(v)
	if err != nil {
		return nil, err
	}
	w, err := v.walk(a, s)
	if err != nil {
		return nil, err
	}
	j := &job{run: w.run, check: w.err}
	if f, ok := a.(forgetful); ok && s.paths[0] == pathLogin {
		j.before = f.forget // a heap full of sessions would spare all others the garbage collection
	}
	return j, nil
}

// forgetful is an app that keeps its sessions in memory, and can drop them.
type forgetful interface{ forget() }
