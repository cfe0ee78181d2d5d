package recordstore_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ginsession/ginsession"
	"github.com/ginsession/ginsession/internal/apptest"
)

// watched is a store that a test sees the contexts of.
type watched struct {
	*apptest.Store
	see func(ctx context.Context, op string) error
}

func (w *watched) Load(ctx context.Context, id string) (ginsession.Record, error) {
	if err := w.see(ctx, "load"); err != nil {
		return ginsession.Record{}, err
	}
	return w.Store.Load(ctx, id)
}

func (w *watched) Save(ctx context.Context, id string, r ginsession.Record) error {
	op := "save"
	if r.Version != nil {
		op = "overwrite"
	}
	if err := w.see(ctx, op); err != nil {
		return err
	}
	return w.Store.Save(ctx, id, r)
}

func (w *watched) Delete(ctx context.Context, id string) error {
	if err := w.see(ctx, "delete"); err != nil {
		return err
	}
	return w.Store.Delete(ctx, id)
}

// selfLimited is a store that limits its calls itself.
type selfLimited struct{ *watched }

func (selfLimited) CallTimeout() time.Duration { return time.Minute }

// newWatched returns a browser that is logged in on a store that see watches from
// then on.
func newWatched(t *testing.T, see func(ctx context.Context, op string) error, opts ...ginsession.Option) *apptest.Browser {
	t.Helper()
	store := &watched{apptest.NewStore(), func(context.Context, string) error { return nil }}
	b := apptest.NewBrowser(apptest.New(t, append(opts, ginsession.WithStore(store))...))
	if w := b.Get("/?do=set:user=ann"); w.Code != http.StatusOK {
		t.Fatalf("log-in: got %d, want 200", w.Code)
	}
	store.see = see
	return b
}

// hang waits until the context is over, or for an hour.
func hang(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(time.Hour):
		return errors.New("the store hung for an hour")
	}
}

// TestStorage_timeLimit has a store that honours its context hang in calls of one
// kind. The limit is for each call: a tombstone is tried three times, with a look
// at the record each time, and a record that nobody can have the id of is dropped.
func TestStorage_timeLimit(t *testing.T) {
	const standard, short = 500 * time.Millisecond, 20 * time.Millisecond
	type row struct {
		name, do, hangs string
		opts            []ginsession.Option
		calls           int // that hang
		limit           time.Duration
		wait            func(context.Context) error
	}
	option := []ginsession.Option{ginsession.WithStoreTimeout(short)}
	poll := func(ctx context.Context) error {
		for range int(time.Hour / time.Millisecond) {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			time.Sleep(time.Millisecond)
		}
		return errors.New("the store polled for an hour")
	}
	rows := []row{
		{"read, by default", "keys", "load", nil, 1, standard, hang},
		{"read", "keys", "load", option, 1, short, hang},
		{"read, no timer", "keys", "load", option, 1, short, poll},
		{"read, then write", "set:a=1", "load", option, 1, short, hang},
		{"write", "set:a=1", "overwrite", option, 1, short, hang},
		{"new session", "destroy,set:a=1", "save", option, 1, short, hang},
		{"renew, new record", "renew", "save", option, 1, short, hang},
		{"renew, tombstone", "renew", "overwrite", option, 3, short, hang},
		{"destroy", "destroy", "overwrite", option, 3, short, hang},
	}
	bubble(t, rows, func(r row) string { return r.name }, func(t *testing.T, row row) {
		b := newWatched(t, func(ctx context.Context, op string) error {
			if op == row.hangs {
				return row.wait(ctx)
			}
			return nil
		}, row.opts...)
		start := time.Now()
		w := b.Get("/?do=" + row.do)
		if took, want := time.Since(start), time.Duration(row.calls)*row.limit; took != want {
			t.Errorf("got the answer after %v, want %v", took, want)
		}
		if w.Code != http.StatusServiceUnavailable || len(w.Errors) != 1 || !errors.Is(w.Errors[0], ginsession.ErrUnavailable) || !errors.Is(w.Errors[0], context.DeadlineExceeded) {
			t.Fatalf("got %d and %v, want 503 and the deadline", w.Code, w.Errors)
		}
		if text := w.Errors[0].Error(); !strings.Contains(text, row.limit.String()+" (WithStoreTimeout)") {
			t.Errorf("got %q, want the limit and the option", text)
		}
	})
}

// TestStorage_timeLimit_eachCall has every call take most of the limit: a renewal
// makes three, and none of them is late.
func TestStorage_timeLimit_eachCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newWatched(t, func(ctx context.Context, _ string) error {
			time.Sleep(400 * time.Millisecond)
			return ctx.Err()
		})
		if w := b.Get("/?do=renew,set:a=1"); w.Code != http.StatusOK || w.Errors != nil {
			t.Errorf("got %d and %v, want 200", w.Code, w.Errors)
		}
	})
}

// TestStorage_timeLimit_lateAnswer: what a store says about a record counts,
// also if it comes late.
func TestStorage_timeLimit_lateAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newWatched(t, func(_ context.Context, op string) error {
			if op == "overwrite" {
				time.Sleep(time.Second)
				return ginsession.ErrTooLarge
			}
			return nil
		})
		if w := b.Get("/?do=set:a=1"); w.Code != http.StatusInternalServerError || len(w.Errors) != 1 || errors.Is(w.Errors[0], ginsession.ErrUnavailable) {
			t.Errorf("got %d and %v, want 500 and ErrTooLarge", w.Code, w.Errors)
		}
	})
}

// TestStorage_context looks at what a store gets: the values of the request, whose
// client has hung up, and a deadline, with a timer or without one.
func TestStorage_context(t *testing.T) {
	type key struct{}
	type row struct {
		name string
		ask  bool // the store asks for Done first
	}
	rows := []row{{"no timer", false}, {"a timer", true}}
	bubble(t, rows, func(r row) string { return r.name }, func(t *testing.T, row row) {
		var kept context.Context
		calls := 0
		b := newWatched(t, func(ctx context.Context, op string) error {
			calls++
			if row.ask {
				select {
				case <-ctx.Done():
					t.Errorf("%s: Done is closed", op)
				default:
				}
			}
			if deadline, ok := ctx.Deadline(); !ok || time.Until(deadline) != 500*time.Millisecond {
				t.Errorf("%s: got the deadline %v, %v, want it in 500ms", op, deadline, ok)
			}
			if ctx.Err() != nil || context.Cause(ctx) != nil || ctx.Value(key{}) != "request" {
				t.Errorf("%s: got %v, %v and the value %v, want the request's and no error", op, ctx.Err(), context.Cause(ctx), ctx.Value(key{}))
			}
			kept = ctx
			return nil
		})
		ctx, cancel := context.WithCancelCause(context.WithValue(t.Context(), key{}, "request"))
		cancel(errors.New("the client has hung up"))
		w := b.Do(httptest.NewRequest(http.MethodGet, "/?do=renew,set:a=1", nil).WithContext(ctx))
		if w.Code != http.StatusOK || calls != 3 {
			t.Errorf("got %d and %d calls, want 200 and 3", w.Code, calls)
		}
		if err, cause := kept.Err(), context.Cause(kept); !errors.Is(err, context.Canceled) || !errors.Is(cause, err) {
			t.Errorf("got %v and %v after the call, want it to be over, and not because of the client", err, cause)
		}
		select {
		case <-kept.Done():
		default:
			t.Error("Done is not closed after the call")
		}
	})
}

// TestStorage_context_derived: contexts that a store derives cost no goroutine.
// Those that it forgets end with the call, and so does what waits for them.
func TestStorage_context_derived(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan time.Time, 10)
		var forgotten []context.CancelFunc
		b := newWatched(t, func(ctx context.Context, _ string) error {
			before := runtime.NumGoroutine()
			derived, cancel := context.WithTimeout(ctx, time.Hour)
			forgotten = append(forgotten, cancel)
			if got := runtime.NumGoroutine(); got != before {
				t.Errorf("got %d goroutines, want %d", got, before)
			}
			go func() { <-derived.Done(); ended <- time.Now() }()
			return nil
		}, ginsession.WithStoreTimeout(time.Minute))
		b.Get("/?do=set:a=1")
		if first, second := <-ended, <-ended; time.Since(first) != 0 || time.Since(second) != 0 {
			t.Errorf("the contexts ended %v and %v ago, want them to end with the calls", time.Since(first), time.Since(second))
		}
		if len(forgotten) != 2 {
			t.Errorf("got %d calls, want 2", len(forgotten))
		}
	})
}

// TestStorage_context_selfLimited hands a store that limits its calls no deadline,
// unless the option asks for one.
func TestStorage_context_selfLimited(t *testing.T) {
	for _, row := range []struct {
		opts []ginsession.Option
		want bool
	}{{nil, false}, {[]ginsession.Option{ginsession.WithStoreTimeout(time.Second)}, true}} {
		calls := 0
		store := selfLimited{&watched{apptest.NewStore(), func(ctx context.Context, op string) error {
			calls++
			if _, limited := ctx.Deadline(); limited != row.want || (ctx.Done() != nil) != row.want || ctx.Err() != nil {
				t.Errorf("%s: got a deadline: %v, Done: %v, %v; want them: %v", op, limited, ctx.Done() != nil, ctx.Err(), row.want)
			}
			return nil
		}}}
		b := apptest.NewBrowser(apptest.New(t, append(row.opts, ginsession.WithStore(store))...))
		b.Get("/?do=set:user=ann")
		if b.Get("/?do=keys"); calls != 2 {
			t.Errorf("got %d calls, want 2", calls)
		}
	}
}
