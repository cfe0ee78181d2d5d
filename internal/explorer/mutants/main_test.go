package main

import (
	"os"
	"strings"
	"testing"
)

// TestMutants_apply: the code that a mutant changes is there, once.
func TestMutants_apply(t *testing.T) {
	for _, m := range mutants {
		source, err := os.ReadFile("../../../" + m.file)
		if err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(string(source), m.from); n != 1 {
			t.Errorf("%s: %s has its text %d times, want once", m.name, m.file, n)
		}
	}
}
