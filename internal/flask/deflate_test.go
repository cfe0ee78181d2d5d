package flask

import (
	"bytes"
	"compress/zlib"
	"strings"
	"testing"
)

// sessions are JSON texts as apps have them.
var sessions = []string{
	vectors[1].json,
	`{"_flashes":[{" t":["success","Your settings have been saved"]}],"counter":41,"name":"Jane Example","roles":["reader","editor","admin"],` +
		`"token":{" b":"0Q96M55YxAGybe5HkByl+CF71jpfDoTJZhP6t0gtleA="},"user_id":1234567}`,
	`{"_fresh":true,"_id":"3cd0a1b9f5b2d81f4c1d3ed6c3e4f8b0a2f1e6d7c8b9a0f1e2d3c4b5a6978869f0e1d2c3b4a5968778695a4b3c2d1e0f0f1e2d3c4b5a69788796a5b4c3d2e1f0",` +
		`"_user_id":"1","csrf_token":"5b2f6c1f0e9d8c7b6a594837261504f3e2d1c0bf"}`,
	`{"_permanent":true,"cart":[{"id":1234,"n":2,"price":"19.99"},{"id":881,"n":1,"price":"5.49"},{"id":91827,"n":3,"price":"0.99"}],` +
		`"csrf_token":"IjVlNjA3ZGM1NWU4N2RjNDc3ZWIxZmQ1N2E3OTY4MzM5ZjM4YzQyMzgi.ZVPxAA.xv0XY3r18X3bL9VxS-14dLe4PIo","lang":"en","user_id":42}`,
}

func checkDeflate(t *testing.T, text string) {
	t.Helper()
	stream := deflate([]byte("before"), []byte(text))[len("before"):]
	if got, err := inflateStandard(stream, len(text)); err != nil || string(got) != text {
		t.Errorf("%.60q, %d bytes: compress/zlib reads %.60q, %v", text, len(text), got, err)
	}
	if got, err := new(inflater).inflate(nil, stream, len(text)); err != nil || string(got) != text {
		t.Errorf("%.60q, %d bytes: got %.60q, %v", text, len(text), got, err)
	}
}

func TestDeflate(t *testing.T) {
	for _, text := range inflateRows() {
		checkDeflate(t, text)
		for n := range min(len(text), maxShort+2) {
			if n < 40 || n%61 == 0 || n >= maxShort {
				checkDeflate(t, text[:n])
				checkDeflate(t, text[len(text)-n:])
			}
		}
	}
}

// TestDeflate_size: a short text takes about as many bytes as zlib takes.
func TestDeflate_size(t *testing.T) {
	for _, text := range sessions {
		if got, want := len(deflate(nil, []byte(text))), len(compressed(t, text, zlib.DefaultCompression)); got > want+2 {
			t.Errorf("%.30s: got %d bytes, want %d or two more", text, got, want)
		}
	}
}

// TestDeflate_long: long sessions have to fit into the cookie, and the time that
// short ones take counts more.
func TestDeflate_long(t *testing.T) {
	text := strings.Repeat(vectors[1].json, 10)
	for _, n := range []int{maxShort, maxShort + 1} {
		got, zlibs := deflate(nil, []byte(text[:n])), compressed(t, text[:n], zlib.DefaultCompression)
		if bytes.Equal(got, zlibs) != (n > maxShort) {
			t.Errorf("%d bytes: got %x, and %x from zlib", n, got, zlibs)
		}
	}
}

// FuzzDeflate: compress/zlib reads what was deflated as the same text.
func FuzzDeflate(f *testing.F) {
	for _, text := range inflateRows() {
		f.Add(text[:min(len(text), maxShort)])
	}
	for _, text := range sessions {
		f.Add(text)
	}
	f.Fuzz(checkDeflate)
}

func BenchmarkDeflate(b *testing.B) {
	text, dst := []byte(vectors[1].json), make([]byte, 0, 1<<10)
	for b.Loop() {
		deflate(dst, text)
	}
}
