package main

import (
	"strings"
	"testing"
)

// TestResults_fill fills in a table of each kind of entry, from two rounds.
func TestResults_fill(t *testing.T) {
	results := "go: 1.25\nBenchmarkA/do=log-in-2 1 1000 ns/op 3 allocs/op\nBenchmarkB/do=log-in-2 1 4000 ns/op 1234 B\n"
	tables := "|c|log-in|\n|--|--|\n<!-- bench: cost A/do=$c ; config $1 ; keep ; B B/do=log-in ; times 0.5 B B/do=log-in ; ratio sec/op B/do=$c A/do=$c ; cost C -->\n" +
		"| | log-in | | | | | log-in | |\n|---|---|---|---|---|---|---|---|\n| go | | | kept | | | | |\n| a <!-- config go --> | |\n\n| b | |\n"
	want := strings.NewReplacer("| go | | | kept | | | | |", "| go | 1.00 (3) | 1.25 | kept | 1,234 | 617 | 4 | – |", "go --> | |", "go --> | 1.25 |").Replace(tables)
	if got := read(strings.NewReader(results + results)).fill(tables); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
