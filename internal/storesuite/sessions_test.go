package storesuite_test

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/ginsession/ginsession"
	"github.com/ginsession/ginsession/internal/apptest"
	"github.com/ginsession/ginsession/internal/storesuite"
	"github.com/ginsession/ginsession/memstore"
)

const flawVariable = "STORESUITE_FLAW"

// lastWins is a store that ignores versions: the last write wins.
type lastWins struct{ *memstore.Store }

func (s lastWins) Save(ctx context.Context, id string, r ginsession.Record) error {
	if now, err := s.Load(ctx, id); err == nil {
		r.Version = now.Version
	}
	return s.Store.Save(ctx, id, r)
}

// TestFlawed fails, unless a check misses the flaw.
func TestFlawed(t *testing.T) {
	if os.Getenv(flawVariable) == "" {
		t.Skip("for the subprocesses of TestRunSessions_flaws")
	}
	storesuite.RunSessions(t, lastWins{memstore.New()}, storesuite.Sizes{Increments: 200, Sets: 100, Flashes: 50, Races: 30})
}

func TestRunSessions_flaws(t *testing.T) {
	for _, check := range []string{"logout races", "login races", "emptying races"} { // whose order is fixed
		t.Run(check, func(t *testing.T) {
			t.Parallel()
			path := "TestFlawed/" + strings.ReplaceAll(check, " ", "_")
			if out, err := apptest.Rerun(t, path, flawVariable+"=1"); err == nil || !strings.Contains(out, "--- FAIL: "+path+" ") {
				t.Errorf("got %v, want a failure of the check:\n%.2000s", err, out)
			}
		})
	}
}

// hurried is a store that fails unless it is given time.
type hurried struct{ *memstore.Store }

func (s hurried) Save(ctx context.Context, id string, r ginsession.Record) error {
	if deadline, limited := ctx.Deadline(); limited && time.Until(deadline) < 30*time.Second {
		return errors.New("too little time")
	}
	return s.Store.Save(ctx, id, r)
}

// TestRunSessions_patient: the limit of [ginsession.WithStoreTimeout] does not fail
// a store on a slow machine.
func TestRunSessions_patient(t *testing.T) {
	storesuite.RunSessions(t, hurried{memstore.New()}, storesuite.Sizes{Increments: 10, Sets: 10, Flashes: 10, Races: 3})
}
