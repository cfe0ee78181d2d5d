package storetest_test

import "testing"

func TestRunSessions_flaws(t *testing.T) {
	for _, check := range []string{"logout races", "login races", "emptying races"} { // whose order is fixed
		t.Run(check, func(t *testing.T) {
			t.Parallel()
			wantFailed(t, "ignores versions", "RunSessions", check, true)
		})
	}
}
