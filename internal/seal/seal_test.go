package seal_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"math/rand/v2"
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

func mustOpen(t *testing.T, s *seal.Sealer, box, additional, want []byte) {
	t.Helper()
	got, _, err := s.Open(nil, box, additional)
	if err != nil || !bytes.Equal(got, want) {
		t.Fatalf("Open: got %q, %v, want %q, nil", got, err, want)
	}
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
		if len(box) != n+seal.Overhead {
			t.Errorf("box of %d bytes: got %d, want %d", n, len(box), n+seal.Overhead)
		}
		text := string(seal.AppendText(nil, box))
		if len(text) != seal.TextLen(n) {
			t.Errorf("text of %d bytes: got %d, want TextLen %d", n, len(text), seal.TextLen(n))
		}
		back, err := seal.AppendBox(nil, text)
		if err != nil || !bytes.Equal(back, box) {
			t.Fatalf("AppendBox: got %x, %v, want %x", back, err, box)
		}
		mustOpen(t, s, back, additional, want)
	}
}

// oldBox holds "hello", sealed by another implementation of HKDF-SHA-256 and
// XChaCha20-Poly1305.
const oldBox = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYX8TxC9ImWmIQw8uGK8m81HjIKEEzv"

// TestOpen_oldBox: the format must not change.
func TestOpen_oldBox(t *testing.T) {
	box, err := seal.AppendBox(nil, oldBox)
	if err != nil {
		t.Fatal(err)
	}
	mustOpen(t, newSealer(t, purpose, secretA), box, additional, []byte("hello"))
}

func TestSeal_plaintextHidden(t *testing.T) {
	box := newSealer(t, purpose, secretA).Seal(nil, []byte("a plain password"), additional)
	if bytes.Contains(box, []byte("password")) || bytes.Contains(box, additional) {
		t.Errorf("box holds plaintext: %q", box)
	}
}

func TestSeal_noncesDiffer(t *testing.T) {
	s := newSealer(t, purpose, secretA)
	seen := map[string]bool{}
	for range 10_000 {
		nonce := string(s.Seal(nil, nil, nil)[:24])
		if seen[nonce] {
			t.Fatalf("nonce %x twice", nonce)
		}
		seen[nonce] = true
	}
}

func TestSeal_argumentsUnchanged(t *testing.T) {
	plaintext, bound := []byte("plain"), []byte("bound")
	newSealer(t, purpose, secretA).Seal(nil, plaintext, bound)
	if string(plaintext) != "plain" || string(bound) != "bound" {
		t.Errorf("got %q and %q, want them unchanged", plaintext, bound)
	}
}

func TestOpen_changedBit(t *testing.T) {
	s := newSealer(t, purpose, secretA)
	plaintext := []byte("a plaintext of some length, over one block of the cipher, which has 64 bytes")
	box := s.Seal(nil, plaintext, additional)
	for bit := range len(box) * 8 {
		box[bit/8] ^= 1 << (bit % 8)
		mustRefuse(t, s, box, additional)
		box[bit/8] ^= 1 << (bit % 8)
	}
	mustOpen(t, s, box, additional, plaintext)
}

func TestOpen_changedLength(t *testing.T) {
	s := newSealer(t, purpose, secretA)
	box := s.Seal(nil, []byte("0123456789"), additional)
	for n := range box {
		mustRefuse(t, s, box[:n], additional)
		mustRefuse(t, s, box[n+1:], additional)
	}
	for b := range 256 {
		mustRefuse(t, s, append(slices.Clone(box), byte(b)), additional)
		mustRefuse(t, s, append([]byte{byte(b)}, box...), additional)
	}
	mustRefuse(t, s, nil, additional)
}

func TestOpen_wrongKeyOrContext(t *testing.T) {
	box := newSealer(t, purpose, secretA).Seal(nil, []byte("x"), additional)
	rows := []struct {
		name, purpose, secret, additional string
	}{
		{"purpose", "test 2", secretA, string(additional)},
		{"purpose extended", purpose + "0", secretA, string(additional)},
		{"purpose empty", "", secretA, string(additional)},
		{"secret", purpose, secretB, string(additional)},
		{"secret extended", purpose, secretA + "a", string(additional)},
		{"secret cut", purpose, secretA[1:], string(additional)},
		{"additional data", purpose, secretA, "bound to that"},
		{"additional data extended", purpose, secretA, string(additional) + " "},
		{"no additional data", purpose, secretA, ""},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			mustRefuse(t, newSealer(t, row.purpose, row.secret), box, []byte(row.additional))
		})
	}
}

func TestOpen_rotation(t *testing.T) {
	before := newSealer(t, purpose, secretA)
	during := newSealer(t, purpose, secretB, secretA)
	after := newSealer(t, purpose, secretB)

	old := before.Seal(nil, []byte("old"), additional)
	mustOpen(t, during, old, additional, []byte("old"))
	mustRefuse(t, after, old, additional)

	fresh := during.Seal(nil, []byte("new"), additional)
	mustOpen(t, after, fresh, additional, []byte("new"))
	mustRefuse(t, before, fresh, additional)
}

// TestOpen_current: only what the first key opens is current.
func TestOpen_current(t *testing.T) {
	box := newSealer(t, purpose, secretA).Seal(nil, nil, nil)
	for want, secrets := range map[bool][]string{true: {secretA, secretB}, false: {secretB, secretA}} {
		if _, got, err := newSealer(t, purpose, secrets...).Open(nil, box, nil); err != nil || got != want {
			t.Errorf("got %v, %v, want %v", got, err, want)
		}
	}
}

func TestAppendBox_onlyCanonical(t *testing.T) {
	s := newSealer(t, purpose, secretA)
	for n := range 3 { // of all three lengths modulo 3
		text := string(seal.AppendText(nil, s.Seal(nil, make([]byte, n), nil)))
		for i := range len(text) + 1 {
			for _, extra := range []string{"\r", "\n", "\r\n", "=", " ", "\t", "\x00", "+", "/", ".", "%", "é"} {
				refuseText(t, text[:i]+extra+text[i:])
				if i < len(text) {
					refuseText(t, text[:i]+extra+text[i+1:])
				}
			}
		}
		refuseText(t, text+"==")
		if padded := base64.URLEncoding.EncodeToString(make([]byte, n+seal.Overhead)); strings.HasSuffix(padded, "=") {
			refuseText(t, padded)
		}
	}
}

func refuseText(t *testing.T, text string) {
	t.Helper()
	if box, err := seal.AppendBox(nil, text); !errors.Is(err, seal.ErrOpen) || box != nil {
		t.Fatalf("AppendBox(%q): got %x, %v, want nil, ErrOpen", text, box, err)
	}
}

const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

func TestAppendBox_spareBits(t *testing.T) {
	for n, spare := range map[int]int{1: 16, 2: 4} { // so many encodings decode alike
		text := string(seal.AppendText(nil, make([]byte, n)))
		accepted := 0
		for _, last := range alphabet[:spare] {
			if _, err := seal.AppendBox(nil, text[:len(text)-1]+string(last)); err == nil {
				accepted++
			}
		}
		if accepted != 1 {
			t.Errorf("%d bytes: %d spellings accepted, want 1", n, accepted)
		}
	}
}

func TestAppendText_alphabet(t *testing.T) {
	every := make([]byte, 0, 3*256)
	for b := range 256 {
		every = append(every, byte(b), byte(255-b), byte(b*7))
	}
	if extra := strings.Trim(string(seal.AppendText(nil, every)), alphabet); extra != "" {
		t.Errorf("got %q outside of base64url", extra)
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

func TestOpen_randomText(t *testing.T) {
	s := newSealer(t, purpose, secretA, secretB)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	for range 20_000 {
		text := make([]byte, r.IntN(200))
		for i := range text {
			text[i] = alphabet[r.IntN(len(alphabet))]
		}
		if box, err := seal.AppendBox(nil, string(text)); err == nil {
			mustRefuse(t, s, box, nil)
		}
	}
}

func FuzzAppendBox(f *testing.F) {
	s := newSealer(f, purpose, secretA, secretB)
	for _, text := range []string{"", "A", "AA", "AAA", "AAAA", "AB", "AA==", "AA\n", "\r", "+/", oldBox, oldBox[1:], oldBox + "A"} {
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
		if _, _, err := s.Open(nil, box, additional); err == nil && text != oldBox {
			t.Errorf("forged: %q opens", text)
		}
	})
}
