package flask

import (
	"bytes"
	"compress/zlib"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"math/rand/v2"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ginsession/ginsession/internal/flasktest"
)

const secret = "0123456789abcdef0123456789abcdef"

// signedAt is when the vectors were signed.
var signedAt = time.Unix(1700000000, 0)

const maxAge = 31 * 24 * time.Hour

// vectors were made by Flask. What is compressed is so by Python's zlib, whose
// bytes are not Go's.
var vectors = []struct {
	name, json, cookie string
	compressed         bool
}{
	{
		name:   "plain",
		json:   `{"_permanent":true,"name":"Zo\u00eb <&> \"q\"","user_id":42}`,
		cookie: "eyJfcGVybWFuZW50Ijp0cnVlLCJuYW1lIjoiWm9cdTAwZWIgPCY-IFwicVwiIiwidXNlcl9pZCI6NDJ9.ZVPxAA.QlOkDVZBVpSuxQpxuzkSTaYxr2s",
	},
	{
		name: "every tag",
		json: `{"_flashes":[{" t":["message","Hello"]},{" t":["error",{" m":"<b>no</b>"}]}],"b":{" b":"AP8Q"},` +
			`"di":{" di":{" t__":"x"}},"e":{},"f":1.5,"n":null,"t":{" t":[1,"two",{" t":[3]}]},` +
			`"u":{" u":"12345678123456781234567812345678"},"when":{" d":"Thu, 29 Feb 2024 12:34:56 GMT"}}`,
		cookie: ".eJx1jksLgkAUhf_KcNZD5fjIBhHaVJugwF2IKI0ZjAo-MJD57101l23u4dzvHs4dkeQ6bQvVQj5GsI4EpWrb9KXAcVFa14gNX5FqmrrBZEtIBFlY1cE2C2FiE3NkkERo4njz7zAcz_e8-kmXJMQ-MEQUbUhySGvjclSQVa81R7dcUplFZqixdttUQYF-5jRhCdtxvb3_T6f-oVDV8gEFoqLnTBzYSWVM7ITDLCFtR7oeO18jeuoLm-pI9g" +
			".ZVPxAA.xv0XY3r18X3bL9VxS-14dLe4PIo",
		compressed: true,
	},
	{
		name: "compressed well",
		json: `{"blob":"` + strings.Repeat("abcdefghij", 60) + `","n":[0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19]}`,
		cookie: ".eJztyE0OQDAURtG9vPEd-FqUbkUM1L8ICxB7ZxGGZifnsrSfyaJ1qR_GaV7W7dev72TYYbHJEA5PTkFJoKJGbwo55FGOClSigCpUt_cDiHj8Vg" +
			".ZVPxAA.tTjzOnr3kgeiaAuCc_KIQx-nDxg",
		compressed: true,
	},
}

func mustSign(t testing.TB, s *Signer, json string) string {
	t.Helper()
	cookie, err := s.Sign(nil, []byte(json), signedAt)
	if err != nil {
		t.Fatalf("Sign %d bytes: %v", len(json), err)
	}
	return string(cookie)
}

func TestSigner_vectors(t *testing.T) {
	s := NewSigner(secret)
	for _, v := range vectors {
		t.Run(v.name, func(t *testing.T) {
			text, signed, err := s.Open(v.cookie, signedAt, maxAge)
			if err != nil || text != v.json || !signed.Equal(signedAt) {
				t.Fatalf("Open: got %s, %v, %v", text, signed, err)
			}
			if got := mustDump(t, text); got != v.json {
				t.Errorf("Parse and Dump: got %s", got)
			}
			cookie := mustSign(t, s, text)
			if cookie == v.cookie == v.compressed {
				t.Errorf("Sign: got %s", cookie)
			}
			if strings.HasPrefix(cookie, ".") != v.compressed {
				t.Errorf("Sign: compressed or not, got %s", cookie)
			}
			if again, _, err := s.Open(cookie, signedAt, maxAge); err != nil || again != v.json {
				t.Errorf("Sign and Open: got %s, %v", again, err)
			}
		})
	}
}

func TestNewSigner_derivation(t *testing.T) {
	key, err := hex.DecodeString("dd71faa2e7fc2740710b5ce7363b5a678ee98227")
	if err != nil {
		t.Fatal(err)
	}
	h := hmac.New(sha1.New, key)
	h.Write([]byte("text"))
	if got, want := new(memory).mac(NewSigner(secret).keys[0], []byte("text")), h.Sum(nil); !bytes.Equal(got, want) {
		t.Errorf("got %x, want %x", got, want)
	}
}

// TestSign_compressesIfShorter: Flask compresses if that saves two bytes or
// more, the dot included.
func TestSign_compressesIfShorter(t *testing.T) {
	for n := range 200 {
		json := []byte(`{"a":"` + strings.Repeat("x", n) + `"}`)
		saves := len(compressed(t, string(json), zlib.BestSpeed)) < len(json)-1
		if got := strings.HasPrefix(mustSign(t, NewSigner(secret), string(json)), "."); got != saves {
			t.Errorf("%d bytes: compressed is %t, want %t", len(json), got, saves)
		}
	}
}

// TestSign_level: long sessions have to fit into the cookie, and the time that
// short ones take counts more.
func TestSign_level(t *testing.T) {
	for _, tt := range []struct {
		size, level int
		header      string
	}{{fewBytes, zlib.BestSpeed, notPermanent}, {fewBytes + 1, zlib.DefaultCompression, "\x78\x9c"}} {
		json := strings.Repeat(vectors[1].json, 10)[:tt.size]
		packed := compressed(t, json, tt.level)
		want := "." + encoding.EncodeToString(append([]byte(tt.header), packed[2:]...)) + ".ZVPxAA."
		if got := mustSign(t, NewSigner(secret), json); !strings.HasPrefix(got, want) {
			t.Errorf("%d bytes: got %s, want %s", tt.size, got, want)
		}
	}
}

func TestOpen_age(t *testing.T) {
	s := NewSigner(secret)
	for _, tt := range []struct {
		name    string
		seconds int64 // since it was signed
		nanos   int64
		maxAge  time.Duration
		want    error
	}{
		{"at once", 0, 0, maxAge, nil},
		{"31 days", 2678400, 0, maxAge, nil},
		{"31 days and a part of a second", 2678400, 999_999_999, maxAge, nil},
		{"31 days and a second", 2678401, 0, maxAge, ErrExpired},
		{"years", 1e9, 0, maxAge, ErrExpired},
		{"a part of a second", 0, 1, 0, nil},
		{"a second", 1, 0, 0, ErrExpired},
		{"a limit that is no whole second", 2, 0, 1999 * time.Millisecond, ErrExpired},
		{"a second ahead", -1, 0, maxAge, ErrExpired},
		{"less than a second ahead", -1, 999_999_999, maxAge, ErrExpired},
	} {
		now := time.Unix(signedAt.Unix()+tt.seconds, tt.nanos)
		if _, _, err := s.Open(vectors[0].cookie, now, tt.maxAge); !errors.Is(err, tt.want) {
			t.Errorf("%s: got %v, want %v", tt.name, err, tt.want)
		}
	}
}

// signRaw signs whatever stands before the signature.
func signRaw(text string) string {
	return text + "." + encoding.EncodeToString(new(memory).mac(NewSigner(secret).keys[0], []byte(text)))
}

func TestOpen_time(t *testing.T) {
	payload := encoding.EncodeToString([]byte(`{}`))
	for _, tt := range []struct {
		name, seconds string
		want          error
	}{
		{"as signed", "ZVPxAA", nil},
		{"leading zero bytes", "AABlU_EA", nil},
		{"none", "", ErrExpired}, // 1970
		{"no base64", "ZVPx!A", ErrInvalid},
		{"spare bits", "ZVPxAB", ErrInvalid},
		{"a line feed", "ZVPx\nAA", ErrInvalid},
		{"padding", "ZVPxAA==", ErrInvalid},
		{"6 bytes", "________", ErrExpired}, // ahead by millions of years
		{"8 bytes", "f_________8", ErrInvalid},
		{"9 bytes", "AAAAAAAAZVPx", ErrInvalid},
	} {
		if _, _, err := NewSigner(secret).Open(signRaw(payload+"."+tt.seconds), signedAt, maxAge); !errors.Is(err, tt.want) {
			t.Errorf("%s: got %v, want %v", tt.name, err, tt.want)
		}
	}
}

func TestSign_time(t *testing.T) {
	for _, tt := range []struct {
		seconds int64
		want    string
	}{{1700000000, "ZVPxAA"}, {1, "AQ"}, {255, "_w"}, {256, "AQA"}, {0, ""}, {1 << 32, "AQAAAAA"}} {
		cookie, err := NewSigner(secret).Sign(nil, []byte("{}"), time.Unix(tt.seconds, 0))
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Split(string(cookie), ".")[1]; got != tt.want {
			t.Errorf("%d: got %q, want %q", tt.seconds, got, tt.want)
		}
	}
}

func TestOpen_unsigned(t *testing.T) {
	good := vectors[0].cookie
	for _, bad := range []string{
		"", ".", "..", "...", "a", "a.b", "a.b.c", "e30.ZVPxAA", good + ".", good + "=", "." + good,
		good[:len(good)-1], good + "A", good + "\n", strings.Replace(good, ".", "..", 1),
		good[:strings.LastIndexByte(good, '.')], "\x00", "ü.ü.ü",
	} {
		if json, _, err := NewSigner(secret).Open(bad, signedAt, maxAge); !errors.Is(err, ErrInvalid) || json != "" {
			t.Errorf("%q: got %s, %v", bad, json, err)
		}
	}
}

func TestOpen_changedByte(t *testing.T) {
	s := NewSigner(secret)
	for n, v := range vectors {
		for i := range v.cookie {
			for mask := 1; mask < 256; mask++ {
				if n > 0 && mask&(mask-1) != 0 {
					continue // of the longer ones, one bit at a time
				}
				bad := []byte(v.cookie)
				bad[i] ^= byte(mask)
				if _, _, err := s.Open(string(bad), signedAt, maxAge); !errors.Is(err, ErrInvalid) {
					t.Fatalf("%s: %q at %d: got %v", v.name, bad[i], i, err)
				}
			}
		}
	}
}

func TestOpen_signatureEncoding(t *testing.T) {
	good := vectors[0].cookie
	text, signature, _ := cutLast(good)
	want, err := base64.RawURLEncoding.DecodeString(signature)
	if err != nil {
		t.Fatal(err)
	}
	opened := 0
	for _, last := range "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_" {
		encoded := signature[:len(signature)-1] + string(last)
		if got, _ := base64.RawURLEncoding.DecodeString(encoded); !bytes.Equal(got, want) {
			continue
		}
		if _, _, err := NewSigner(secret).Open(text+"."+encoded, signedAt, maxAge); err == nil {
			opened++
		}
	}
	if opened != 1 {
		t.Errorf("%d encodings of one signature open", opened)
	}
	for _, spaced := range []string{signature + "\r", "\n" + signature, signature[:5] + "\r\n" + signature[5:]} {
		if _, _, err := NewSigner(secret).Open(text+"."+spaced, signedAt, maxAge); err == nil {
			t.Errorf("%q opens", spaced)
		}
	}
}

func TestOpen_previousSecrets(t *testing.T) {
	const other, third = "another secret of 29 bytes...", "a third one"
	cookie := vectors[0].cookie
	for _, tt := range []struct {
		name    string
		secrets []string
		want    error
	}{
		{"current", []string{secret, other}, nil},
		{"previous", []string{other, secret}, nil},
		{"the oldest", []string{other, third, secret}, nil},
		{"gone", []string{other, third}, ErrInvalid},
		{"a prefix", []string{secret[:31]}, ErrInvalid},
	} {
		if _, _, err := NewSigner(tt.secrets...).Open(cookie, signedAt, maxAge); !errors.Is(err, tt.want) {
			t.Errorf("%s: got %v, want %v", tt.name, err, tt.want)
		}
	}
	rotated := mustSign(t, NewSigner(other, secret), "{}")
	if _, _, err := NewSigner(other).Open(rotated, signedAt, maxAge); err != nil {
		t.Errorf("the first secret does not sign: %v", err)
	}
	if _, _, err := NewSigner(secret).Open(rotated, signedAt, maxAge); err == nil {
		t.Error("a previous secret signs")
	}
}

func TestOpen_badPayloads(t *testing.T) {
	zipped := encoding.EncodeToString(compressed(t, `{"a":1}`, zlib.BestSpeed))
	for name, payload := range map[string]string{
		"no base64":             "{}",
		"spare bits":            "e31",
		"a line feed":           "e3\n0",
		"padded":                "e30=",
		"not compressed":        "." + encoding.EncodeToString([]byte(`{"a":1}`)),
		"cut off":               "." + zipped[:len(zipped)-4],
		"only a header":         "." + encoding.EncodeToString([]byte{0x78, 0x9c}),
		"nothing, compressed":   ".",
		"checksum":              "." + encoding.EncodeToString(append(compressed(t, `{"a":1}`, zlib.BestSpeed)[:10], 0, 0, 0, 0)),
		"two dots":              ".." + zipped,
		"compressed base64, no": "." + "????",
	} {
		if _, _, err := NewSigner(secret).Open(signRaw(payload+".ZVPxAA"), signedAt, maxAge); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// wellFormedRows are cookies of every form. No secret has signed them.
var wellFormedRows = []struct {
	name, cookie string
	want         bool
}{
	{"plain", "e30.ZVPxAA." + noSignature, true},
	{"compressed", ".eJyrrgUAAXUA-Q.ZVPxAA." + noSignature, true},
	{"no time", "e30.." + noSignature, true}, // 1970
	{"payload and time that do not decode", "!.!." + noSignature, true},
	{"nothing", "", false},
	{"a dot", ".", false},
	{"two dots", "..", false},
	{"three dots", "...", false},
	{"signature only", noSignature, false},
	{"no payload and no time", "." + noSignature, false},
	{"no time, and no dot for it", "e30." + noSignature, false},
	{"no payload", ".ZVPxAA." + noSignature, false},
	{"no payload, compressed", "..ZVPxAA." + noSignature, false},
	{"two dots before the payload", "..e30.ZVPxAA." + noSignature, false},
	{"four parts", "e30.e30.ZVPxAA." + noSignature, false},
	{"no signature", "e30.ZVPxAA.", false},
	{"no signature, and no dot for it", "e30.ZVPxAA", false},
	{"signature too short", "e30.ZVPxAA." + noSignature[1:], false},
	{"signature too long", "e30.ZVPxAA.A" + noSignature, false},
	{"signature padded", "e30.ZVPxAA." + noSignature + "=", false},
	{"signature with spare bits", "e30.ZVPxAA." + noSignature[1:] + "B", false},
	{"signature outside of the alphabet", "e30.ZVPxAA.!" + noSignature[1:], false},
	{"signature in the other alphabet", "e30.ZVPxAA.+" + noSignature[1:], false},
	{"signature with a line feed", "e30.ZVPxAA.\n" + noSignature[1:], false},
	{"a line feed and more", "e30.ZVPxAA.\n" + noSignature, false},
}

const noSignature = "AAAAAAAAAAAAAAAAAAAAAAAAAAA"

func TestSplit(t *testing.T) {
	for _, tt := range wellFormedRows {
		p, ok := split(tt.cookie)
		if ok != tt.want {
			t.Errorf("%s: got %t, want %t", tt.name, ok, tt.want)
		}
		if ok && (p.text+"."+noSignature != tt.cookie || !strings.HasPrefix(p.text, p.payload+".")) {
			t.Errorf("%s: got %q and %q", tt.name, p.payload, p.text)
		}
	}
}

// countingSigner counts the HMACs that it makes.
func countingSigner() (s *Signer, made *int) {
	made = new(int)
	return &Signer{[]*sync.Pool{{New: func() any { *made++; return hmac.New(sha1.New, nil) }}}}, made
}

// TestVerify_form: what is not well-formed is refused before an HMAC is computed.
func TestVerify_form(t *testing.T) {
	for _, tt := range wellFormedRows {
		s, made := countingSigner()
		want := errSignature
		if !tt.want {
			want = ErrForm
		}
		if _, err := s.Verify(tt.cookie, signedAt, maxAge); !errors.Is(err, want) || (*made == 0) != (want == ErrForm) {
			t.Errorf("%s: got %v and %d HMACs, want %v", tt.name, err, *made, want)
		}
	}
}

// TestVerify_likeOpen: Verify and Open differ in the payload only.
func TestVerify_likeOpen(t *testing.T) {
	good := vectors[1].cookie
	for _, tt := range []struct {
		name, cookie string
		now          time.Time
		want, open   error
	}{
		{"good", good, signedAt, nil, nil},
		{"too old", good, signedAt.Add(maxAge + time.Second), ErrExpired, ErrExpired},
		{"ahead", good, signedAt.Add(-time.Second), ErrExpired, ErrExpired},
		{"forged", "A" + good[1:], signedAt, errSignature, errSignature},
		{"malformed", good + ".", signedAt, ErrForm, ErrForm},
		{"no time", signRaw("e30.!"), signedAt, errTime, errTime},
		{"no payload", signRaw(".e30.ZVPxAA"), signedAt, nil, errPayload},
	} {
		s := NewSigner("another secret", secret)
		signed, err := s.Verify(tt.cookie, tt.now, maxAge)
		_, opened, openErr := s.Open(tt.cookie, tt.now, maxAge)
		if !errors.Is(err, tt.want) || !errors.Is(openErr, tt.open) || !signed.Equal(opened) {
			t.Errorf("%s: got %v, %v and %v, %v, want %v and %v", tt.name, signed, err, opened, openErr, tt.want, tt.open)
		}
		if known := tt.want == nil || errors.Is(tt.want, ErrExpired); known != signed.Equal(signedAt) || known == signed.IsZero() {
			t.Errorf("%s: got %v, want it to be known: %t", tt.name, signed, known)
		}
	}
}

// TestVerify_payloadUntouched: Verify decodes no payload, however short it is.
func TestVerify_payloadUntouched(t *testing.T) {
	m := new(memory)
	if _, _, err := NewSigner(secret).verify(m, vectors[1].cookie, signedAt, maxAge); err != nil || m.packed != nil || m.json != nil {
		t.Errorf("got %v, %d bytes decoded and %d inflated", err, len(m.packed), len(m.json))
	}
}

// TestSign_opens: what is signed is opened again, however well it compresses,
// and what would not be opened is not signed.
func TestSign_opens(t *testing.T) {
	noise := make([]byte, MaxJSON+1)
	_, _ = rand.NewChaCha8([32]byte{}).Read(noise)
	s := NewSigner(secret)
	for name, text := range map[string]string{"one letter": strings.Repeat("x", MaxJSON+1), "noise": string(noise)} {
		cookie := mustSign(t, s, text[:MaxJSON])
		if got, _, err := s.Open(cookie, signedAt, maxAge); err != nil || got != text[:MaxJSON] {
			t.Errorf("%s, MaxJSON: got %d bytes, %v", name, len(got), err)
		}
		if cookie, err := s.Sign(nil, []byte(text), signedAt); !errors.Is(err, ErrTooLarge) || cookie != nil {
			t.Errorf("%s, one byte more: got %d bytes, %v, want ErrTooLarge", name, len(cookie), err)
		}
		for compressed, payload := range map[bool]string{false: encoding.EncodeToString([]byte(text)), true: "." + encoding.EncodeToString(compressed(t, text, zlib.BestSpeed))} {
			if got, _, err := s.Open(signRaw(payload+".ZVPxAA"), signedAt, maxAge); !errors.Is(err, errPayload) || got != "" {
				t.Errorf("%s, one byte more, compressed %t: got %d bytes, %v", name, compressed, len(got), err)
			}
		}
	}
}

func TestOpen_zipBomb(t *testing.T) {
	var b bytes.Buffer
	w, err := zlib.NewWriterLevel(&b, zlib.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		_, _ = w.Write(make([]byte, 1e6))
	}
	_ = w.Close()
	cookie := signRaw("." + encoding.EncodeToString(b.Bytes()) + ".ZVPxAA")

	s := NewSigner(secret)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, _, err = s.Open(cookie, signedAt, maxAge)
	runtime.ReadMemStats(&after)
	if used := after.TotalAlloc - before.TotalAlloc; !errors.Is(err, errPayload) || used > 1<<20 {
		t.Errorf("%d bytes that inflate to 20 MB: got %v and %d bytes allocated, want at most 1 MiB", b.Len(), err, used)
	}
}

// TestOpen_longPayload: a payload that is too long, compressed or not, is
// refused before memory is allocated for it.
func TestOpen_longPayload(t *testing.T) {
	for _, dot := range []string{"", "."} {
		m := new(memory)
		if _, err := m.open([]byte(dot+strings.Repeat("A", encoding.EncodedLen(MaxJSON)+1)), MaxJSON); err == nil || m.packed != nil {
			t.Errorf("compressed %q: got %v and %d bytes decoded", dot, err, len(m.packed))
		}
	}
}

func TestOpen_signatureFirst(t *testing.T) {
	forged := "." + encoding.EncodeToString(compressed(t, strings.Repeat("x", 1e6), zlib.BestSpeed)) + ".ZVPxAA.AAAAAAAAAAAAAAAAAAAAAAAAAAA"
	old := time.Unix(2e9, 0)
	if _, signed, err := NewSigner(secret).Open(forged, old, maxAge); !errors.Is(err, ErrInvalid) || !signed.IsZero() {
		t.Errorf("got %v, %v", signed, err)
	}
}

// TestOpen_tampered changes cookies at every position and has both sides decide.
// Flask takes all encodings of the signature's last character, Go the canonical
// one.
func TestOpen_tampered(t *testing.T) { tampered(t, 12) }

func tampered(t *testing.T, perPosition int) {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=!~"
	o := flasktest.New(t, secret)
	rnd := rand.New(rand.NewPCG(5, 6))
	encodings := 0
	for _, set := range []map[string]string{
		{"user_id": "42"},
		{"user_id": "42", "text": "'abcdefghij' * 60"}, // compressed
	} {
		good := o.Make(set)
		last := strings.LastIndexByte(good, '.')
		bad := []string{
			good[:last], good[:last+1], good[last:], good + ".", "." + good, good + good[last:], good[1:], good[:len(good)-1],
			"a" + good, good + "A", strings.ToUpper(good), strings.Replace(good, ".", "..", 1), "e30." + good,
		}
		for i := range good {
			replacements := []byte(alphabet)
			rnd.Shuffle(len(replacements), reflect.Swapper(replacements))
			n := perPosition
			if i == len(good)-1 {
				n = len(replacements)
			}
			for _, c := range replacements[:n] {
				if c != good[i] {
					bad = append(bad, good[:i]+string(c)+good[i+1:])
				}
			}
			bad = append(bad, good[:i]+good[i+1:]) // one lost
		}
		for _, cookie := range bad {
			if _, _, err := NewSigner(secret).Open(cookie, time.Now(), maxAge); !errors.Is(err, ErrInvalid) {
				t.Errorf("Go takes %s (%v) for %s", cookie, err, good)
			}
		}
		for _, cookie := range o.Takes(bad...) {
			if len(cookie) != len(good) || cookie[:len(good)-1] != good[:len(good)-1] {
				t.Errorf("Flask takes %s for %s", cookie, good)
			}
			encodings++
		}
		if len(o.Takes(good)) != 1 {
			t.Error("Flask refuses its own cookie")
		}
	}
	if encodings != 2*3 {
		t.Errorf("Flask takes %d other encodings of two last characters, want 6", encodings)
	}
}

// TestSigner_fallbacks: what one side signed under an earlier secret, the other
// takes if it knows that secret.
func TestSigner_fallbacks(t *testing.T) {
	const old, older = "an old secret of Flask", "an even older one of theirs"
	o := flasktest.New(t, secret)
	for _, previous := range []string{old, older} {
		made := flasktest.Ask[string](o, &flasktest.Question{Do: "dump", Secret: previous, Set: map[string]string{"a": "1"}})
		if _, _, err := NewSigner(secret, old, older).Open(made, time.Now(), maxAge); err != nil {
			t.Errorf("Go, with previous secrets: got %v", err)
		}
		if _, _, err := NewSigner(secret).Open(made, time.Now(), maxAge); !errors.Is(err, ErrInvalid) {
			t.Errorf("Go, without previous secrets: got %v", err)
		}
		cookie, err := NewSigner(previous, secret).Sign(nil, []byte(`{"a":1}`), time.Now())
		if err != nil {
			t.Fatal(err)
		}
		q := &flasktest.Question{Do: "takes", Cookies: []string{string(cookie)}}
		if got := flasktest.Ask[[]string](o, q); len(got) != 0 {
			t.Error("Flask takes a secret that it does not know")
		}
		q.Fallbacks = []string{old, older}
		if got := flasktest.Ask[[]string](o, q); len(got) != 1 {
			t.Error("Flask refuses a fallback secret")
		}
	}
}

// TestMayBePermanent: whatever is permanent may be so, and what most sessions
// look like may not.
func TestMayBePermanent(t *testing.T) {
	long := `{"a":"` + strings.Repeat("a", maxPeek) + `"}`
	for _, tt := range []struct {
		name, json string
		want       bool
	}{
		{"permanent", `{"_permanent":true,"a":1}`, true},
		{"alone", `{"_permanent":true}`, true},
		{"behind a long text", `{"a":"` + strings.Repeat("ab", 200) + `","_permanent":true}`, true},
		{"too long to look into", long, true},
		{"as long as is looked into", long[:6] + long[6+len(long)-maxPeek:], false},
		{"escaped", `{"\u005fpermanent":true}`, true},
		{"a letter escaped", `{"a":"\u00eb","_\u0070ermanent":true}`, true},
		{"another letter escaped", `{"_per\u006danent":true}`, true},
		{"not permanent", vectors[1].json, false},
		{"not compressed", `{"a":1}`, false},
		{"other escapes", `{"name":"Zo\u00eb \n \u0444 \\u\u0000"}`, false},
		{"ends in an escape", `{"a":"\u00`, false},
	} {
		flasks := signRaw("." + encoding.EncodeToString(compressed(t, tt.json, zlib.DefaultCompression)) + ".ZVPxAA")
		plain := signRaw(encoding.EncodeToString([]byte(tt.json)) + ".ZVPxAA")
		for _, cookie := range []string{mustSign(t, NewSigner(secret), tt.json), flasks, plain} {
			if got := MayBePermanent(cookie); got != tt.want {
				t.Errorf("%s, %.20s: got %t, want %t", tt.name, cookie, got, tt.want)
			}
		}
	}
	for cookie, want := range map[string]bool{"": false, "e30": false, "e30.ZVPxAA.A": false, signRaw(".e30.ZVPxAA"): true, vectors[0].cookie: true} {
		if got := MayBePermanent(cookie); got != want {
			t.Errorf("%q: got %t, want %t", cookie, got, want)
		}
	}
}

// TestMayBePermanent_inflatesNothing that Sign has compressed, unless it is
// permanent: a stream that is damaged behind its header is believed.
func TestMayBePermanent_inflatesNothing(t *testing.T) {
	for _, tt := range []struct {
		json string
		want bool
	}{
		{`{"roles":["reader","editor","admin"],"token":{" b":"0Q96M55YxAGybe5HkByl"},"name":"Jane Example, Jane Example"}`, false},
		{`{"_permanent":true,"cart":[{"id":1234,"n":2},{"id":881,"n":1},{"id":91827,"n":3}],"lang":"en","user_id":42}`, true},
		{`{"a":"` + strings.Repeat("a", smallWindow-8) + `"}`, false},
		{`{"a":"` + strings.Repeat("a", smallWindow-7) + `"}`, true},
	} {
		cookie := mustSign(t, NewSigner(secret), tt.json)
		if got := MayBePermanent(cookie[:12] + cookie[20:]); got != tt.want {
			t.Errorf("%.20s, %d bytes: got %t, want %t", tt.json, len(tt.json), got, tt.want)
		}
	}
}
