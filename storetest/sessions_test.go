package storetest_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/ginsession/ginsession"
	"github.com/ginsession/ginsession/storetest"
)

func TestRunSessions_flaws(t *testing.T) {
	for _, check := range []string{"logout races", "login races", "emptying races"} { // whose order is fixed
		t.Run(check, func(t *testing.T) {
			t.Parallel()
			wantFailed(t, "ignores versions", "RunSessions", check, true)
		})
	}
}

// hurried is a store that fails unless it is given time.
type hurried struct{ flawed }

func (s *hurried) Save(ctx context.Context, id string, r ginsession.Record) error {
	if deadline, limited := ctx.Deadline(); limited && time.Until(deadline) < 30*time.Second {
		return errors.New("too little time")
	}
	return s.flawed.Save(ctx, id, r)
}

// TestRunSessions_patient: the limit of [ginsession.WithStoreTimeout] does not fail
// a store on a slow machine.
func TestRunSessions_patient(t *testing.T) {
	store := &hurried{flawed{records: map[string]ginsession.Record{}}}
	storetest.RunSessions(t, store, storetest.Sizes{Increments: 10, Sets: 10, Flashes: 10, Races: 3})
}
