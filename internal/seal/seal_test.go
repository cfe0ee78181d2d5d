package seal_test

import (
	"bytes"
	"errors"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/ginsession/ginsession/internal/apptest"
	"github.com/ginsession/ginsession/internal/seal"
)

const (
	purpose = "test 1"
	secretA = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	secretB = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
)

var additional = []byte("bound to this")

func newSealer(t testing.TB, purpose string, secrets ...string) *seal.Sealer {
	t.Helper()
	s, err := seal.New(purpose, secrets...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func mustRefuse(t *testing.T, s *seal.Sealer, box, additional []byte) {
	t.Helper()
	if got, current, err := s.Open(nil, box, additional); !errors.Is(err, seal.ErrOpen) || got != nil || current {
		t.Fatalf("Open: got %q, %v, %v, want nil, false, ErrOpen", got, current, err)
	}
}

func TestSeal_roundTrip(t *testing.T) {
	s := newSealer(t, purpose, secretA)
	for _, n := range []int{0, 1, 15, 16, 17, 64, 1000, 4096, 1 << 20} {
		want := bytes.Repeat([]byte{'x'}, n)
		box := s.Seal(nil, want, additional)
		text := string(seal.AppendText(nil, box))
		if len(box) != n+seal.Overhead || len(text) != seal.TextLen(n) {
			t.Errorf("%d bytes: got a box of %d and a text of %d, want %d and %d", n, len(box), len(text), n+seal.Overhead, seal.TextLen(n))
		}
		back, err := seal.AppendBox(nil, text)
		if err != nil || !bytes.Equal(back, box) {
			t.Fatalf("AppendBox: got %x, %v, want %x", back, err, box)
		}
		if got, _, err := s.Open(nil, back, additional); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d bytes: Open: got %.80q, %v, want %.80q, nil", n, got, err, want)
		}
	}
}

// oldBox holds "hello", sealed by another implementation of HKDF-SHA-256 and
// XChaCha20-Poly1305.
const oldBox = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYX8TxC9ImWmIQw8uGK8m81HjIKEEzv"

// TestOpen_oldBox: the format must not change.
func TestOpen_oldBox(t *testing.T) {
	box, _ := seal.AppendBox(nil, oldBox)
	if got, _, err := newSealer(t, purpose, secretA).Open(nil, box, additional); err != nil || string(got) != "hello" {
		t.Errorf("got %q, %v, want hello, nil", got, err)
	}
}

func TestSeal_noncesDiffer(t *testing.T) {
	s, seen := newSealer(t, purpose, secretA), map[string]bool{}
	for n := range 10_000 {
		if seen[string(s.Seal(nil, nil, nil)[:24])] = true; len(seen) != n+1 {
			t.Fatal("got a nonce twice")
		}
	}
}

// TestOpen_damaged flips each bit, cuts at each byte, and adds each byte.
func TestOpen_damaged(t *testing.T) {
	s := newSealer(t, purpose, secretA)
	box := s.Seal(nil, bytes.Repeat([]byte("0123456789"), 7), additional) // over one block of the cipher, which has 64 bytes
	for i := range box {
		mustRefuse(t, s, box[:i], additional)
		mustRefuse(t, s, box[i+1:], additional)
		for bit := range 8 {
			damaged := slices.Clone(box)
			damaged[i] ^= 1 << bit
			mustRefuse(t, s, damaged, additional)
		}
	}
	for b := range 256 {
		mustRefuse(t, s, append(slices.Clone(box), byte(b)), additional)
		mustRefuse(t, s, append([]byte{byte(b)}, box...), additional)
	}
}

func TestOpen_wrongKeyOrContext(t *testing.T) {
	box := newSealer(t, purpose, secretA).Seal(nil, []byte("x"), additional)
	rows := []struct{ name, purpose, secret, additional string }{
		{"purpose", "test 2", secretA, string(additional)},
		{"purpose extended", purpose + "0", secretA, string(additional)},
		{"secret", purpose, secretB, string(additional)},
		{"secret extended", purpose, secretA + "a", string(additional)},
		{"additional data", purpose, secretA, "bound to that"},
		{"additional data extended", purpose, secretA, string(additional) + " "},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) { mustRefuse(t, newSealer(t, row.purpose, row.secret), box, []byte(row.additional)) })
	}
}

// TestOpen_rotation: only what the first key opens is current.
func TestOpen_rotation(t *testing.T) {
	rows := []struct {
		sealed, opened []string // under these secrets
		opens, current bool
	}{
		{[]string{secretA}, []string{secretA, secretB}, true, true},
		{[]string{secretA}, []string{secretB, secretA}, true, false},
		{[]string{secretA}, []string{secretB}, false, false},
		{[]string{secretB, secretA}, []string{secretB}, true, true},
		{[]string{secretB, secretA}, []string{secretA}, false, false},
	}
	for _, row := range rows {
		box := newSealer(t, purpose, row.sealed...).Seal(nil, nil, nil)
		if _, current, err := newSealer(t, purpose, row.opened...).Open(nil, box, nil); (err == nil) != row.opens || current != row.current {
			t.Errorf("sealed by %q, opened by %q: got %v, current %v", row.sealed, row.opened, err, current)
		}
	}
}

func TestAppendBox_onlyCanonical(t *testing.T) {
	refuse := func(text string) {
		if box, err := seal.AppendBox(nil, text); !errors.Is(err, seal.ErrOpen) || box != nil {
			t.Errorf("AppendBox(%q): got %x, %v, want nil, ErrOpen", text, box, err)
		}
	}
	for n := range 3 { // of all three lengths modulo 3
		text := string(seal.AppendText(nil, make([]byte, n+seal.Overhead)))
		for i := range text {
			for _, extra := range []string{"\r", "\n", "\r\n", "=", "==", " ", "\t", "\x00", "+", "/", ".", "%", "é"} {
				refuse(text[:i] + extra + text[i:])
				refuse(text[:i] + extra + text[i+1:])
				refuse(text + extra)
			}
		}
	}
}

// TestNew_fips runs itself again in the mode that forbids the cipher.
func TestNew_fips(t *testing.T) {
	if strings.HasPrefix(runtime.Version(), "go1.25") {
		t.Skip("before Go 1.26 that mode does not reach ciphers outside the standard library")
	}
	const only = "GODEBUG=fips140=only"
	if slices.Contains(os.Environ(), only) {
		if s, err := seal.New(purpose, secretA); err == nil || s != nil {
			t.Errorf("got %v, %v, want an error", s, err)
		}
		return
	}
	if out, err := apptest.Rerun(t, "TestNew_fips", only); err != nil || !strings.Contains(out, "--- PASS: TestNew_fips") {
		t.Errorf("in FIPS 140-only mode: %v\n%s", err, out)
	}
}

func FuzzAppendBox(f *testing.F) {
	for _, text := range []string{"", "A", "AA", "AAA", "AAAA", "AB", "AAB", "AA==", "AA\n", "\r", "+/", oldBox, oldBox[1:], oldBox + "A"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		box, err := seal.AppendBox(nil, text)
		if err != nil {
			return
		}
		if again := string(seal.AppendText(nil, box)); again != text {
			t.Errorf("%q reads as a box whose text is %q", text, again)
		}
	})
}
