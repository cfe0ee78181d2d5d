package ginsession_test

import (
	"bytes"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bradfitz/gomemcache/memcache"
	"github.com/gin-gonic/gin"
	"golang.org/x/crypto/chacha20poly1305"

	"github.com/ginsession/ginsession"
	"github.com/ginsession/ginsession/internal/memcachedtest"
	"github.com/ginsession/ginsession/internal/memstore"
)

// Here is what docs/SECURITY-MODEL.md says and no other test shows, also where
// it speaks against us.

// keeping is a way to keep sessions; ends says whether what has ended is over
// for copies of the cookie too.
type keeping struct {
	name string
	ends bool
	h    gin.HandlerFunc
}

func keepings(t *testing.T) []keeping {
	t.Helper()
	return []keeping{
		{"encrypted cookie", true, mustNew(t, secret)},
		{"encrypted cookie without a merge buffer", false, mustNew(t, secret, ginsession.WithMergeBuffer(0))},
		{"Flask's cookie", false, mustNew(t, secret, ginsession.WithFlaskCookie())},
		{"Memcached", true, mustNew(t, secret, ginsession.WithMemcached(memcachedtest.Start(t).Addr))},
	}
}

// wantCopy looks at what a copy of a cookie is good for after the session was
// renewed or ended.
func (k keeping) wantCopy(t *testing.T, stolen *http.Cookie) {
	t.Helper()
	want := seen{who: "ann"}
	if k.ends {
		want = seen{"", true, ginsession.ErrUnknown}
	}
	if got := look(t, k.h, stolen); got != want {
		t.Errorf("%s: a copy of the cookie gives %+v, want %+v", k.name, got, want)
	}
}

func TestASVS_renew(t *testing.T) {
	for _, k := range keepings(t) {
		old := cookieOf(t, k.h, "ann")
		w := with(t, k.h, []*http.Cookie{old}, (*ginsession.Session).Renew)
		if got := look(t, k.h, w.Result().Cookies()...); len(setCookies(w)) != 1 || got != (seen{who: "ann"}) {
			t.Errorf("%s: the new cookie gives %+v, want ann", k.name, got)
		}
		k.wantCopy(t, old)
	}
}

func TestASVS_logOut(t *testing.T) {
	for _, k := range keepings(t) {
		old := cookieOf(t, k.h, "ann")
		wantLine(t, k.name, with(t, k.h, []*http.Cookie{old}, (*ginsession.Session).Destroy), true)
		k.wantCopy(t, old)
	}
}

// A request that is under way at a log-out and answers last logs a cookie's
// browser in again, and no store's. An app that notes the moment refuses it.
func TestASVS_slowRequestAtLogOut(t *testing.T) {
	reads := func(s *ginsession.Session) { s.Keys() }
	writes := func(s *ginsession.Session) { s.Set("n", 1) }
	cookie, store := ginsession.WithPath("/"), ginsession.WithStore(memstore.New())
	idle := ginsession.WithIdleTimeout(time.Hour)
	noted := new(since)
	validator := ginsession.WithValidator(noted.valid)
	alone := ginsession.WithMergeBuffer(0)
	in, out := seen{who: "ann"}, seen{isNew: true}
	rows := []struct {
		name string
		opts []ginsession.Option
		slow func(*ginsession.Session)
		want seen
	}{
		{"cookie, reads", []ginsession.Option{cookie}, reads, out},
		{"cookie, writes", []ginsession.Option{cookie}, writes, out},
		{"cookie with an idle timeout, reads", []ginsession.Option{cookie, idle}, reads, out},
		{"cookie alone, writes", []ginsession.Option{alone}, writes, in},
		{"cookie alone with an idle timeout, reads", []ginsession.Option{alone, idle}, reads, in},
		{"cookie alone and validator, writes", []ginsession.Option{alone, validator}, writes, revoked},
		{"cookie alone with an idle timeout and validator, reads", []ginsession.Option{alone, idle, validator}, reads, revoked},
		{"store, writes", []ginsession.Option{store}, writes, out},
		{"store with an idle timeout, reads", []ginsession.Option{store, idle}, reads, out},
	}
	for _, row := range rows {
		synctest.Test(t, func(t *testing.T) {
			v := newVisitor(t, row.opts...)
			v.set("who", "ann")
			time.Sleep(time.Hour / 2)
			v.visit(func(slow *ginsession.Session) {
				slow.Keys()
				v.visit((*ginsession.Session).Destroy)
				noted.moment = time.Now()
				row.slow(slow)
			})
			var got seen
			v.visit(func(s *ginsession.Session) { got = seen{s.GetString("who"), s.IsNew(), s.Rejected()} })
			if got != row.want {
				t.Errorf("%s: got %+v, want %+v", row.name, got, row.want)
			}
		})
		noted.moment = time.Time{}
	}
}

// A cookie can be kept and sent again; a record only by who writes to the
// store, and then even after a log-out.
func TestASVS_olderState(t *testing.T) {
	h := mustNew(t, secret, ginsession.WithMergeBuffer(0))
	old := cookieOf(t, h, "ann")
	with(t, h, []*http.Cookie{old}, func(s *ginsession.Session) { s.Set("who", "bob") })
	if got := look(t, h, old); got != (seen{who: "ann"}) {
		t.Errorf("the older cookie gives %+v, want ann", got)
	}

	server := memcachedtest.Start(t)
	client := memcache.New(server.Addr)
	h = mustNew(t, secret, ginsession.WithMemcached(server.Addr))
	k := cookieOf(t, h, "ann")
	record, err := client.Get(server.Keys()[0])
	if err != nil {
		t.Fatal(err)
	}
	with(t, h, []*http.Cookie{k}, (*ginsession.Session).Destroy)
	if got := look(t, h, k); got.rejected != ginsession.ErrUnknown {
		t.Errorf("after the log-out: got %+v, want ErrUnknown", got)
	}
	if err := client.Set(record); err != nil {
		t.Fatal(err)
	}
	if got := look(t, h, k); got != (seen{who: "ann"}) {
		t.Errorf("the record put back gives %+v, want ann", got)
	}
}

// The secret alone makes any session in a cookie, and none on a server.
func TestASVS_stolenSecret(t *testing.T) {
	if got := look(t, mustNew(t, secret), cookieOf(t, mustNew(t, secret), "anybody")); got != (seen{who: "anybody"}) {
		t.Errorf("cookie: got %+v, want anybody", got)
	}
	addr := memcachedtest.Start(t).Addr
	thief := mustNew(t, secret, ginsession.WithMemcached(addr), ginsession.WithKeyPrefix("elsewhere:"))
	h := mustNew(t, secret, ginsession.WithMemcached(addr))
	if got := look(t, h, cookieOf(t, thief, "anybody")); got != (seen{"", true, ginsession.ErrUnknown}) {
		t.Errorf("server: got %+v, want ErrUnknown", got)
	}
}

// TestASVS_sealing opens a cookie, an id and a record with nothing but what the
// page says about them.
func TestASVS_sealing(t *testing.T) {
	const name = "__Host-session"
	content := unseal(t, fromCookie(t, cookieOf(t, mustNew(t, secret), "ann")), "ginsession cookie 1", name)
	if !bytes.Contains(content, []byte("who")) || !bytes.Contains(content, []byte("ann")) {
		t.Errorf("the cookie holds %q", content)
	}

	server := memcachedtest.Start(t)
	id := unseal(t, fromCookie(t, cookieOf(t, mustNew(t, secret, ginsession.WithMemcached(server.Addr)), "ann")), "ginsession id 1", name)[:16] // what follows says whether the cookie is permanent
	sum := sha256.Sum256(id)
	key := "session:" + base64.RawURLEncoding.EncodeToString(sum[:])
	item, err := memcache.New(server.Addr).Get(key)
	if err != nil || len(server.Keys()) != 1 {
		t.Fatalf("%d records, and under the hash of the id: %v", len(server.Keys()), err)
	}
	if content := unseal(t, item.Value, "ginsession record 1", name, string(id)); !bytes.Contains(content, []byte("ann")) {
		t.Errorf("the record holds %q", content)
	}
}

// TestASVS_ids: 128 bits, each of them set in half of the ids.
func TestASVS_ids(t *testing.T) {
	const n, from, to = 1000, 400, 600 // 6 standard deviations
	h := mustNew(t, secret, ginsession.WithMemcached(memcachedtest.Start(t).Addr))
	ids, set := map[string]bool{}, [128]int{}
	for range n {
		id := unseal(t, fromCookie(t, cookieOf(t, h, "ann")), "ginsession id 1", "__Host-session")
		if id = id[:len(id)-1]; len(id) != 16 || ids[string(id)] {
			t.Fatalf("an id of %d bytes, seen before: %v", len(id), ids[string(id)])
		}
		ids[string(id)] = true
		for bit := range set {
			set[bit] += int(id[bit/8]>>(bit%8)) & 1
		}
	}
	for bit, times := range set {
		if times < from || times > to {
			t.Errorf("bit %d is set in %d of %d ids", bit, times, n)
		}
	}
}

func fromCookie(t *testing.T, k *http.Cookie) []byte {
	t.Helper()
	box, err := base64.RawURLEncoding.DecodeString(k.Value)
	if err != nil {
		t.Fatal(err)
	}
	return box
}

// unseal opens a box that is bound to the purpose and some more.
func unseal(t *testing.T, box []byte, purpose string, bound ...string) []byte {
	t.Helper()
	key, err := hkdf.Key(sha256.New, []byte(secret), nil, purpose, chacha20poly1305.KeySize)
	if err != nil {
		t.Fatal(err)
	}
	aead, err := chacha20poly1305.NewX(key)
	if err != nil {
		t.Fatal(err)
	}
	nonce, ciphertext := box[:chacha20poly1305.NonceSizeX], box[chacha20poly1305.NonceSizeX:]
	plaintext, err := aead.Open(nil, nonce, ciphertext, []byte(strings.Join(append([]string{purpose}, bound...), "\x00")))
	if err != nil {
		t.Fatalf("%s: %v", purpose, err)
	}
	return plaintext
}

// TestASVS_errors: what an error says, and the page in place of the response,
// may stand in a log.
func TestASVS_errors(t *testing.T) {
	const value = "recognisable"
	for _, k := range keepings(t) {
		for name, bad := range map[string]any{
			"not UTF-8": value + "\xff",
			"channel":   map[string]any{value: make(chan int)},
			"too large": strings.Repeat(value, 1<<20),
		} {
			var err error
			w := with(t, k.h, []*http.Cookie{cookieOf(t, k.h, value)}, func(s *ginsession.Session) {
				s.Set("key", bad)
				err = s.Save()
				s.Set("again", bad)
			})
			if err == nil || w.Code != http.StatusInternalServerError {
				t.Fatalf("%s, %s: got %v and status %d, want an error and 500", k.name, name, err, w.Code)
			}
			for _, private := range []string{value, secret} {
				if strings.Contains(err.Error(), private) || strings.Contains(w.Body.String(), private) {
					t.Errorf("%s, %s: the error or the page shows %q: %.200q", k.name, name, private, err)
				}
			}
		}
	}
}

// What asks for a password again, or ends what began before some moment, goes
// by CreatedAt. In Flask's cookie every write moves it.
func TestASVS_createdAt(t *testing.T) {
	rows := []struct {
		name  string
		opt   ginsession.Option
		moved time.Duration
	}{
		{"encrypted cookie", ginsession.WithPath("/"), 0},
		{"store", ginsession.WithStore(memstore.New()), 0},
		{"Flask's cookie", ginsession.WithFlaskCookie(), time.Hour},
	}
	for _, row := range rows {
		synctest.Test(t, func(t *testing.T) {
			v := newVisitor(t, row.opt)
			began := time.Now()
			want := func(what string, after time.Duration) {
				v.visit(func(s *ginsession.Session) {
					if got := s.CreatedAt().Sub(began); got != after {
						t.Errorf("%s, %s: began after %v, want %v", row.name, what, got, after)
					}
				})
			}
			v.set("a", 1)
			time.Sleep(time.Hour)
			v.set("a", 2)
			want("written", row.moved)
			time.Sleep(time.Hour)
			v.visit((*ginsession.Session).Renew)
			want("renewed", 2*time.Hour)
		})
	}
}

// TestASVS_page wants every requirement of the chapter and the section, once.
func TestASVS_page(t *testing.T) {
	want := strings.Fields("7.1.1 7.1.2 7.1.3 7.2.1 7.2.2 7.2.3 7.2.4 7.3.1 7.3.2 7.4.1 7.4.2 7.4.3 7.4.4 7.4.5 7.5.1 7.5.2 7.5.3 7.6.1 7.6.2 " +
		"3.3.1 3.3.2 3.3.3 3.3.4 3.3.5")
	var got []string
	for _, row := range regexp.MustCompile(`(?m)^\| (\d\.\d\.\d) \|`).FindAllStringSubmatch(readText(t, "docs/SECURITY-MODEL.md"), -1) {
		got = append(got, row[1])
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
