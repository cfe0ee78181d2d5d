package apptest_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ginsession/ginsession"
	"github.com/ginsession/ginsession/internal/apptest"
	"github.com/ginsession/ginsession/storetest"
)

func TestStore_contract(t *testing.T) {
	storetest.Run(t, apptest.NewStore())
}

func TestStore_faults(t *testing.T) {
	closed := make(chan struct{})
	close(closed)
	rows := []struct {
		name  string
		fault apptest.Fault
		want  error
		kept  []string // before ApplyLate
		late  []string // after it
	}{
		{"none", apptest.Fault{}, nil, []string{"id"}, []string{"id"}},
		{"wait", apptest.Fault{Wait: closed}, nil, []string{"id"}, []string{"id"}},
		{"before", apptest.Fault{Before: apptest.ErrStore}, apptest.ErrStore, nil, nil},
		{"late", apptest.Fault{Late: apptest.ErrStore}, apptest.ErrStore, nil, []string{"id"}},
		{"after", apptest.Fault{After: apptest.ErrStore}, apptest.ErrStore, []string{"id"}, []string{"id"}},
	}
	for _, row := range rows {
		s := apptest.NewStore()
		s.HookOnce(func(c apptest.Call) bool { return c.Op == "save" }, row.fault)
		err := s.Save(context.Background(), "id", ginsession.Record{Expires: time.Now().Add(time.Hour)})
		if !errors.Is(err, row.want) || !slices.Equal(s.IDs(), row.kept) {
			t.Errorf("%s: got %v and %q, want %v and %q", row.name, err, s.IDs(), row.want, row.kept)
		}
		if s.ApplyLate(); !slices.Equal(s.IDs(), row.late) || s.Calls("save") != 1 {
			t.Errorf("%s: got %q after %d saves, want %q after 1", row.name, s.IDs(), s.Calls("save"), row.late)
		}
	}
}

func TestStore_evictsAndLimits(t *testing.T) {
	s := apptest.NewStore()
	record := ginsession.Record{Data: make([]byte, 10), Expires: time.Now().Add(time.Hour)}
	if err := s.Save(context.Background(), "id", record); err != nil {
		t.Fatal(err)
	}
	s.Hook(func(apptest.Call) apptest.Fault { return apptest.Fault{Evict: true} })
	if _, err := s.Load(context.Background(), "id"); !errors.Is(err, ginsession.ErrNotFound) {
		t.Errorf("evicted: got %v, want ErrNotFound", err)
	}
	s.SetLimit(9)
	if err := s.Save(context.Background(), "id", record); !errors.Is(err, ginsession.ErrTooLarge) {
		t.Errorf("over the limit: got %v, want ErrTooLarge", err)
	}
}

func TestStore_expires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := apptest.NewStore()
		if err := s.Save(t.Context(), "id", ginsession.Record{Expires: time.Now().Add(time.Minute)}); err != nil {
			t.Fatal(err)
		}
		if time.Sleep(time.Minute - 1); len(s.IDs()) != 1 {
			t.Errorf("before its end: got %q, want id", s.IDs())
		}
		if time.Sleep(time.Nanosecond); len(s.IDs()) != 0 {
			t.Errorf("at its end: got %q, want nothing", s.IDs())
		}
	})
}

func TestApp(t *testing.T) {
	a := apptest.New(t, ginsession.WithStore(apptest.NewStore()))
	b := apptest.NewBrowser(a)
	if w := b.Get("/?do=set:a=1,incr:n,flash:hello,permanent:true"); w.Code != http.StatusOK || w.Errors != nil {
		t.Fatalf("got %d and %v, want 200 and no errors", w.Code, w.Errors)
	}
	if b.CloseWindow(); len(b.Cookies()) != 1 {
		t.Errorf("got %v, want one persistent cookie", b.Cookies())
	}
	if got, want := b.Clone().Post("/?do=keys").Code, http.StatusNotFound; got != want {
		t.Errorf("POST: got %d, want %d", got, want)
	}
	if got, want := b.Get("/?do=keys,flashes,get:a").Lines(), []string{"a=1", "n=1", "hello", "1"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if b.Get("/?do=renew,destroy"); len(b.Cookies()) != 0 {
		t.Errorf("after destroy: got %v, want no cookie", b.Cookies())
	}
	a.Meanwhile = func() { b.Get("/?do=set:a=2") }
	if got, want := b.Get("/?do=set:b=1,meanwhile,delete:b,clear,save,err,flush,handle:/then&then=write:x").Body.String(), "<nil>\nx"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestBrowser(t *testing.T) {
	now := time.Unix(1e9, 0)
	b := apptest.NewBrowser(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, line := range r.URL.Query()["set"] {
			w.Header().Add("Set-Cookie", line)
		}
	}))
	b.Now = func() time.Time { return now }
	sent := func(url string) (values []string) {
		for _, k := range b.CookiesFor(httptest.NewRequest(http.MethodGet, url, nil)) {
			values = append(values, k.Value)
		}
		return values
	}
	set := func(lines ...string) { b.Get("/?" + url.Values{"set": lines}.Encode()) }
	set("n=1;Path=/;Max-Age=60", "n=2;Path=/;Domain=example.com", "n=3;Path=/app")
	rows := []struct {
		name, url string
		wait      time.Duration
		set       string
		want      []string
	}{
		{"host and domain", "http://example.com/", 0, "", []string{"1", "2"}},
		{"subdomain", "http://a.example.com/", 0, "", []string{"2"}},
		{"longer path first", "http://example.com/app/x", 0, "", []string{"3", "1", "2"}},
		{"part of a name", "http://example.com/apple", 0, "", []string{"1", "2"}},
		{"replaced in its place", "http://example.com/", 0, "n=4;Path=/;Max-Age=60", []string{"4", "2"}},
		{"expired by the server", "http://example.com/", 0, "n=;Path=/;Domain=example.com;Max-Age=0", []string{"4"}},
		{"nearly Max-Age", "http://example.com/", 60*time.Second - 1, "", []string{"4"}},
		{"Max-Age", "http://example.com/", 1, "", nil},
	}
	for _, row := range rows {
		now = now.Add(row.wait)
		if row.set != "" {
			set(row.set)
		}
		if got := sent(row.url); !slices.Equal(got, row.want) {
			t.Errorf("%s: got %q, want %q", row.name, got, row.want)
		}
	}
}
