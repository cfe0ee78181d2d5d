package flask

import (
	"bytes"
	"compress/zlib"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
)

// inflateStandard is what compress/zlib reads in a stream.
func inflateStandard(stream []byte, limit int) ([]byte, error) {
	r, err := zlib.NewReader(bytes.NewReader(stream))
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(r, int64(limit)+1))
	if len(text) > limit {
		return nil, errInflate
	}
	return text, err
}

func compressed(t testing.TB, text string, level int) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := zlib.NewWriterLevel(&b, level)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(w, text)
	_ = w.Close()
	return b.Bytes()
}

// inflateRows are texts that compress into blocks of every kind.
func inflateRows() map[string]string {
	noise := make([]byte, 3000)
	_, _ = rand.NewChaCha8([32]byte{}).Read(noise)
	skewed := make([]byte, 0, 1<<16) // codes of all lengths
	for i := range 15 {
		skewed = append(skewed, bytes.Repeat([]byte{byte('a' + i)}, 1<<i)...)
	}
	rand.New(rand.NewPCG(1, 2)).Shuffle(len(skewed), func(i, j int) { skewed[i], skewed[j] = skewed[j], skewed[i] })
	return map[string]string{
		"empty": "", "one byte": "x", "short": "hello", "one match": strings.Repeat("x", 300), "session": vectors[1].json,
		"noise": string(noise), "skewed": string(skewed), "long": strings.Repeat(vectors[1].json, 150), "far": string(noise) + strings.Repeat("y", 20_000) + string(noise),
	}
}

func TestInflate(t *testing.T) {
	var f inflater
	for name, text := range inflateRows() {
		for _, level := range []int{zlib.HuffmanOnly, zlib.NoCompression, zlib.BestSpeed, zlib.DefaultCompression} {
			stream := compressed(t, text, level)
			if got, err := f.inflate(nil, stream, len(text)); err != nil || string(got) != text {
				t.Errorf("%s, level %d: got %d bytes, %v, want %d bytes", name, level, len(got), err, len(text))
			}
			if got, err := f.inflate(nil, stream, len(text)-1); err == nil {
				t.Errorf("%s, level %d: got %d bytes over the limit, want an error", name, level, len(got))
			}
		}
	}
}

// streams are those in the cookies of Flask, whose last block is not empty.
func streams(t testing.TB) (streams [][]byte) {
	t.Helper()
	for _, v := range vectors[1:] {
		stream, err := encoding.DecodeString(strings.Split(v.cookie, ".")[1])
		if err != nil {
			t.Fatal(err)
		}
		streams = append(streams, stream)
	}
	return streams
}

func TestInflate_limit(t *testing.T) {
	for i, stream := range streams(t) {
		for short := range 3 {
			got, err := new(inflater).inflate(nil, stream, len(vectors[i+1].json)-short)
			if (err == nil) != (short == 0) {
				t.Errorf("%s, limit %d bytes short: got %d bytes, %v", vectors[i+1].name, short, len(got), err)
			}
		}
	}
}

// TestInflate_damaged flips each bit of a stream, and cuts it off at each byte.
func TestInflate_damaged(t *testing.T) {
	var f inflater
	check := func(stream []byte) {
		t.Helper()
		want, wantErr := inflateStandard(stream, MaxJSON)
		if got, err := f.inflate(nil, stream, MaxJSON); (err == nil) != (wantErr == nil) || err == nil && !bytes.Equal(got, want) {
			t.Errorf("%x: got %q, %v, want %q, %v", stream, got, err, want, wantErr)
		}
	}
	for _, stream := range append(streams(t), compressed(t, "hello hello", zlib.BestSpeed)) {
		for i := range len(stream) * 8 {
			stream[i/8] ^= 1 << (i % 8)
			check(stream)
			stream[i/8] ^= 1 << (i % 8)
		}
		for n := range stream {
			check(stream[:n])
		}
	}
}

// TestHuffman_incomplete: nothing is left of the codes that were there before.
func TestHuffman_incomplete(t *testing.T) {
	for _, codes := range [][]code{nil, {newCode(7, 1)}} {
		var h huffman
		if err := h.init([]code{newCode(1, 1), newCode(2, 1)}); err != nil {
			t.Fatal(err)
		}
		if err := h.init(codes); err != nil || h.find(1) != 0 {
			t.Errorf("%v: got %v and %v for what is no code", codes, err, h.find(1))
		}
	}
}

// FuzzInflate: what compress/zlib reads, and nothing else, is read as the same
// text.
func FuzzInflate(f *testing.F) {
	for _, text := range inflateRows() {
		for _, level := range []int{zlib.HuffmanOnly, zlib.NoCompression, zlib.BestSpeed, zlib.DefaultCompression} {
			f.Add(compressed(f, text, level))
		}
	}
	for _, stream := range streams(f) {
		f.Add(stream)
	}
	var ours inflater
	f.Fuzz(func(t *testing.T, stream []byte) {
		const limit = 1 << 16
		want, wantErr := inflateStandard(stream, limit)
		got, err := ours.inflate(nil, stream, limit)
		if (err == nil) != (wantErr == nil) || err == nil && !bytes.Equal(got, want) {
			t.Fatalf("got %d bytes, %v, want %d bytes, %v", len(got), err, len(want), wantErr)
		}
	})
}

func BenchmarkInflate(b *testing.B) {
	stream := compressed(b, vectors[1].json, zlib.DefaultCompression)
	var f inflater
	dst := make([]byte, 0, 1<<10)
	for b.Loop() {
		if _, err := f.inflate(dst, stream, 1<<16); err != nil {
			b.Fatal(err)
		}
	}
}
