package codec_test

import (
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ginsession/ginsession/internal/codec"
)

const began codec.Instant = 1_700_000_000_123_456_789

func newContainer(keys, flashes int) codec.Container {
	c := codec.Container{Created: began, Life: 31 * 24 * time.Hour}
	for i := range keys {
		c.Set(fmt.Sprintf("key %d", i), fmt.Sprintf(`"value %d"`, i))
	}
	for i := range flashes {
		c.AddFlashes(codec.Flash{ID: math.MaxUint64 - uint64(i), Category: "info", Raw: `"hello"`})
	}
	return c
}

func sameContainer(a, b codec.Container) bool {
	return a.Created == b.Created && a.Life == b.Life && a.Lifetime == b.Lifetime && a.Permanent == b.Permanent && a.Remembered == b.Remembered &&
		slices.Equal(a.Entries(), b.Entries()) && slices.Equal(a.Flashes(), b.Flashes())
}

func TestContainer_roundTrip(t *testing.T) {
	for _, keys := range []int{0, 1, 2, 127, 128, 1000} {
		for _, flashes := range []int{0, 1, 1000} {
			for _, permanent := range []bool{false, true} {
				want := newContainer(keys, flashes)
				want.Permanent = permanent
				data := want.Append(nil)
				if got, err := codec.Parse(string(data)); err != nil || !sameContainer(got, want) {
					t.Errorf("%d keys, %d flashes: got %v, %v, want %v", keys, flashes, got, err, want)
				}
			}
		}
	}
}

// TestContainer_format: the bytes must not change, since stored ones must parse.
func TestContainer_format(t *testing.T) {
	c := codec.Container{Created: 0x0102030405060708, Permanent: true}
	c.Life = 300*time.Millisecond - 1
	c.Set("k", "1")
	c.Fill(c.Entries(), []codec.Flash{{ID: 0xa1a2a3a4a5a6a7a8, Category: "c", Raw: `""`}})
	want := "\x11" + "\x01\x02\x03\x04\x05\x06\x07\x08" + "\xac\x02" + "\x01" + "\x01k\x011" + "\xa1\xa2\xa3\xa4\xa5\xa6\xa7\xa8\x01c\x02\"\""
	if got := string(c.Append([]byte("before "))); got != "before "+want {
		t.Errorf("got %x, want %x", got, "before "+want)
	}
}

func TestContainer_expiryRounded(t *testing.T) {
	const ms = time.Millisecond
	rows := []struct{ lifetime, want time.Duration }{
		{0, 0}, {1, ms}, {ms - 1, ms}, {ms, ms}, {ms + 1, 2 * ms}, {time.Hour, time.Hour}, {time.Hour + 1, time.Hour + ms},
		{math.MaxInt64, math.MaxInt64 / ms * ms}, {math.MaxInt64 / ms * ms, math.MaxInt64 / ms * ms},
		{-1, 0}, {-time.Hour, 0}, // never alive
	}
	for _, row := range rows {
		c := codec.Container{Created: began, Life: row.lifetime}
		got, err := codec.Parse(string(c.Append(nil)))
		if lifetime := got.Life; err != nil || lifetime != row.want {
			t.Errorf("%v: got %v, %v, want %v", row.lifetime, lifetime, err, row.want)
		}
	}
}

// TestContainer_Set compares a container with a map, below and above the size from which
// changes are kept apart from the entries.
func TestContainer_Set(t *testing.T) {
	r := newRandom(t)
	var c codec.Container
	want := map[string]string{}
	for i := range 30_000 {
		key, raw := fmt.Sprint(r.IntN(200+i%2_000)), fmt.Sprint(i)
		if r.IntN(3) == 0 {
			c.Delete(key)
			delete(want, key)
		} else {
			c.Set(key, raw)
			want[key] = raw
		}
		if raw, ok := c.Find(key); raw != want[key] || ok != (want[key] != "") {
			t.Fatalf("Find(%q): got %q, %v, want %q", key, raw, ok, want[key])
		}
		if c.Len() != len(want) || c.Empty() != (len(want) == 0) {
			t.Fatalf("got Len %d, Empty %v, want %d", c.Len(), c.Empty(), len(want))
		}
		if r.IntN(200) == 0 {
			sameEntries(t, &c, want)
		}
	}
	sameEntries(t, &c, want)
}

// TestContainer_Set_packed compares containers that were just decoded with maps,
// whose keys are before, among and after theirs.
func TestContainer_Set_packed(t *testing.T) {
	r := newRandom(t)
	for range 3_000 {
		var stored codec.Container
		want := map[string]string{}
		for range r.IntN(4) {
			key := fmt.Sprint(r.IntN(8))
			stored.Set(key, "stored")
			want[key] = "stored"
		}
		c, err := codec.Parse(string(stored.Append(nil)))
		if err != nil {
			t.Fatal(err)
		}
		for i := range 1 + r.IntN(3) {
			key, raw := fmt.Sprint(r.IntN(8)), fmt.Sprint(i)
			if r.IntN(4) == 0 {
				c.Delete(key)
				delete(want, key)
			} else {
				c.Set(key, raw)
				want[key] = raw
			}
			if got, ok := c.Find(key); got != want[key] || ok != (want[key] != "") || c.Len() != len(want) || c.Empty() != (len(want) == 0) {
				t.Fatalf("%q: got %q, %v and Len %d, want %q and %d", key, got, ok, c.Len(), want[key], len(want))
			}
			copied := c.Clone()
			sameEntries(t, &copied, want)
		}
		sameEntries(t, &c, want)
	}
}

// sameEntries also asks a clone and the binary form, each before the container
// has merged its changes.
func sameEntries(t *testing.T, c *codec.Container, want map[string]string) {
	t.Helper()
	sorted := make([]codec.Entry, 0, len(want))
	for _, key := range slices.Sorted(maps.Keys(want)) {
		sorted = append(sorted, codec.Entry{Key: key, Raw: want[key]})
	}
	for _, key := range []string{"", "0", "zz"} {
		if raw, ok := c.Find(key); raw != want[key] || ok != (want[key] != "") {
			t.Fatalf("Find(%q): got %q, %v, want %q", key, raw, ok, want[key])
		}
	}
	cloned, written := *c, *c
	clone := cloned.Clone()
	parsed, err := codec.Parse(string(written.Append(nil)))
	if err != nil {
		t.Fatalf("Parse: %v", err)
	}
	for name, got := range map[string][]codec.Entry{"itself": c.Entries(), "the clone": clone.Entries(), "the binary form": parsed.Entries()} {
		if !slices.Equal(got, sorted) {
			t.Fatalf("%s: got %d entries %v, want %d", name, len(got), got, len(sorted))
		}
	}
}

func TestContainer_Clone(t *testing.T) {
	for _, keys := range []int{0, 3, 1000} {
		c := newContainer(keys, 2)
		c.Set("a", "1")
		clone := c.Clone()
		clone.Set("a", "2")
		clone.Set("b", "2")
		clone.AddFlashes(codec.Flash{ID: 1})
		c.Delete("key 0")
		if raw, _ := c.Find("a"); raw != "1" || len(c.Flashes()) != 2 {
			t.Errorf("%d keys: got %s, %v, want it unchanged", keys, raw, c.Flashes())
		}
		if _, ok := clone.Find("key 0"); ok != (keys > 0) || clone.Len() != keys+2 || len(clone.Flashes()) != 3 {
			t.Errorf("%d keys, the clone: got %v, %v", keys, clone.Entries(), clone.Flashes())
		}
	}
}

func TestContainer_Fill(t *testing.T) {
	c := newContainer(1000, 1)
	c.Delete("key 500")
	c.Fill([]codec.Entry{{Key: "a", Raw: "1"}}, nil)
	if want := []codec.Entry{{Key: "a", Raw: "1"}}; c.Len() != 1 || !slices.Equal(c.Entries(), want) || len(c.Flashes()) != 0 {
		t.Errorf("got %v, %v, want %v", c.Entries(), c.Flashes(), want)
	}
}

// TestContainer_growth: with eight times the keys or flashes, nothing takes 24
// times as long. What is quadratic takes 64 times as long.
func TestContainer_growth(t *testing.T) {
	const n, factor, limit = 10_000, 8, 24
	few, many := shuffledKeys(n), shuffledKeys(factor*n)
	rows := []struct {
		name string
		do   func(keys []string)
	}{
		{"set", func(keys []string) { filled(keys).Entries() }},
		{"set and append", func(keys []string) { filled(keys).Append(nil) }},
		{"set, find and delete in turn", setFindDelete},
		{"delete", func(keys []string) { deleteEach(filled(keys), keys) }},
		{"delete from sorted", func(keys []string) { c := filled(keys); c.Entries(); deleteEach(c, keys) }},
		{"list after each of some changes", listAfterEach},
		{"add flashes", func(keys []string) { flashed(len(keys)) }},
		{"delete flashes", func(keys []string) { flashed(len(keys)).DeleteFlashes(func(f codec.Flash) bool { return f.ID%2 == 0 }) }},
		{"drop flashes", func(keys []string) {
			for c := flashed(len(keys)); c.DropFlashes(1) > 0; {
			}
		}},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			var growth float64
			for range 5 { // other programs may disturb a measurement
				if growth = seconds(row.do, many) / seconds(row.do, few); growth < limit {
					return
				}
			}
			t.Errorf("%d times the size: got %.1f times the time, want less than %d", factor, growth, limit)
		})
	}
}

func shuffledKeys(n int) []string {
	keys := make([]string, n)
	for i, number := range rand.New(rand.NewPCG(1, 2)).Perm(n) {
		keys[i] = fmt.Sprintf("key %d", number)
	}
	return keys
}

func seconds(do func([]string), keys []string) float64 {
	start := time.Now()
	do(keys)
	return time.Since(start).Seconds()
}

func filled(keys []string) *codec.Container {
	c := new(codec.Container)
	for _, key := range keys {
		c.Set(key, "1")
	}
	return c
}

func deleteEach(c *codec.Container, keys []string) {
	for _, key := range keys {
		c.Delete(key)
	}
	c.Entries()
}

func setFindDelete(keys []string) {
	c := new(codec.Container)
	for i, key := range keys {
		c.Set(key, "1")
		c.Find(keys[len(keys)-1-i])
		c.Delete(keys[i/2])
	}
	c.Entries()
}

func listAfterEach(keys []string) {
	c := filled(keys)
	for i := range 20 {
		c.Entries()
		c.Set(fmt.Sprintf("another %d", i), "1")
		c.Entries()
		c.Delete(keys[i])
	}
}

func flashed(n int) *codec.Container {
	c := new(codec.Container)
	for i := range n {
		c.AddFlashes(codec.Flash{ID: uint64(i)})
	}
	return c
}

func TestContainer_flashes(t *testing.T) {
	var c codec.Container
	if !c.Empty() {
		t.Error("a new container is not empty")
	}
	c.Fill(c.Entries(), []codec.Flash{{ID: 1, Raw: "1"}, {ID: 2, Raw: "2"}, {ID: 3, Raw: "3"}})
	before := c.Flashes()
	c.DeleteFlashes(func(f codec.Flash) bool { return f.ID == 2 || f.ID == 7 })
	if want := []codec.Flash{{ID: 1, Raw: "1"}, {ID: 3, Raw: "3"}}; !slices.Equal(c.Flashes(), want) {
		t.Errorf("got %v, want %v", c.Flashes(), want)
	}
	if want := []codec.Flash{{ID: 1, Raw: "1"}, {ID: 2, Raw: "2"}, {ID: 3, Raw: "3"}}; !slices.Equal(before, want) {
		t.Errorf("those returned before: got %v, want %v", before, want)
	}
	if c.Empty() {
		t.Error("a container with flashes is empty")
	}
}

func TestContainer_DropFlashes(t *testing.T) {
	full := newContainer(1, 3)
	parsed, err := codec.Parse(string(full.Append(nil)))
	if err != nil {
		t.Fatal(err)
	}
	for name, original := range map[string]codec.Container{"as added": full, "as parsed": parsed} {
		for _, row := range []struct{ n, want int }{{-1, 0}, {0, 0}, {1, 1}, {2, 2}, {3, 3}, {4, 3}, {math.MaxInt, 3}} {
			c := original.Clone()
			before := full.Flashes()
			want := append(slices.Clone(before[row.want:]), codec.Flash{ID: 9})
			got := c.DropFlashes(row.n)
			c.AddFlashes(codec.Flash{ID: 9})
			if got != row.want || !slices.Equal(c.Flashes(), want) {
				t.Errorf("%s, %d: got %d, %v, want %d, %v", name, row.n, got, c.Flashes(), row.want, want)
			}
		}
	}
	before := full.Flashes()
	kept := slices.Clone(before)
	full.DropFlashes(2)
	full.AddFlashes(codec.Flash{ID: 9})
	if !slices.Equal(before, kept) {
		t.Errorf("those returned before: got %v, want %v", before, kept)
	}
	full.DropFlashes(2)
	full.Delete("key 0")
	if !full.Empty() {
		t.Errorf("got %+v, want an empty container", full)
	}
}

// canonical fails the test if data parses to a container that is encoded as
// other bytes.
func canonical(t *testing.T, data string) {
	t.Helper()
	c, err := codec.Parse(data)
	if err != nil {
		return
	}
	for _, unpack := range []func(){func() {}, func() { c.Entries() }, func() { c.Flashes() }} {
		if unpack(); string(c.Append(nil)) != data {
			t.Fatalf("%x parses to %+v, which is written %x", data, c, c.Append(nil))
		}
	}
}

func TestParse_damaged(t *testing.T) {
	c := newContainer(130, 2) // so many that their number takes two bytes
	data := string(c.Append(nil))
	const flash = 8 + 1 + len("info") + 1 + len(`"hello"`) // cut off whole, it leaves a container without it
	for n := range data {
		if _, err := codec.Parse(data[:n]); err == nil && n != len(data)-flash && n != len(data)-2*flash {
			t.Errorf("cut to %d of %d bytes: got no error", n, len(data))
		}
		canonical(t, data[:n])
	}
	small := newContainer(2, 2)
	data = string(small.Append(nil))
	for i := range data {
		for b := range 256 {
			canonical(t, data[:i]+string([]byte{byte(b)})+data[i+1:])
			canonical(t, data[:i]+string([]byte{byte(b)})+data[i:])
		}
		canonical(t, data[:i]+data[i+1:])
	}
}

func TestParse_refused(t *testing.T) {
	const head = "\x10\x00\x00\x00\x00\x00\x00\x00\x00"
	rows := []struct{ name, data string }{
		{"nothing", ""}, {"head only", head}, {"no count", head + "\x00"},
		{"another format", "\x20" + head[1:] + "\x00\x00"}, {"unknown flag", "\x12" + head[1:] + "\x00\x00"}, {"format 0", "\x00" + head[1:] + "\x00\x00"},
		{"keys not sorted", head + "\x00\x02" + "\x01b\x011" + "\x01a\x011"}, {"key twice", head + "\x00\x02" + "\x01a\x011" + "\x01a\x011"},
		{"one key missing", head + "\x00\x02" + "\x01a\x011"}, {"value missing", head + "\x00\x01" + "\x01a"}, {"value cut", head + "\x00\x01" + "\x01a\x02x"},
		{"half a flash", head + "\x00\x00" + "\x01\x02"}, {"flash without message", head + "\x00\x00" + "\x01\x02\x03\x04\x05\x06\x07\x08\x01c"},
		{"lifetime in too many bytes", head + "\x80\x00\x00"}, {"count in too many bytes", head + "\x00\x80\x00"}, {"length in too many bytes", head + "\x00\x01" + "\x81\x00a\x011"},
		{"varint without end", head + strings.Repeat("\xff", 20)}, {"varint over 64 bits", head + "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02\x00"},
		{"lifetime over 64 bits, wraps to 0", head + strings.Repeat("\x80", 9) + "\x02\x00"}, {"count over 64 bits, wraps to 0", head + "\x00" + strings.Repeat("\x80", 9) + "\x02"},
		{"lifetime over 292 years", head + "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x00"}, {"length of 2^64-1", head + "\x00\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01a\x011"}, {"length of 2^63", head + "\x00\x01\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01a\x011"},
	}
	for _, row := range rows {
		if c, err := codec.Parse(row.data); err == nil {
			t.Errorf("%s: got %+v, want an error", row.name, c)
		}
	}
	if _, err := codec.Parse(head + "\x00\x00"); err != nil {
		t.Errorf("an empty container: got %v", err)
	}
}

// TestParse_boundedMemory: a number of entries in a few bytes must not reserve
// memory for them.
func TestParse_boundedMemory(t *testing.T) {
	for _, count := range []uint64{1 << 10, 1 << 20, 1 << 32, 1 << 62, math.MaxUint64} {
		head := binary.AppendUvarint([]byte("\x10\x00\x00\x00\x00\x00\x00\x00\x00\x00"), count)
		data := string(head) + strings.Repeat("\x00", 4000)
		if got := allocated(func() { _, _ = codec.Parse(data) }); got > 64*4096 {
			t.Errorf("%d entries: Parse of %d bytes takes %d", count, len(data), got)
		}
	}
}

func allocated(fn func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	fn()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

func randomContainer(r *rand.Rand) codec.Container {
	c := codec.Container{Created: codec.Instant(r.Uint64() >> 1), Permanent: r.IntN(2) == 0}
	c.Life = time.Duration(r.Uint64()>>r.IntN(60)>>21) * time.Millisecond
	if r.IntN(3) == 0 {
		c.Lifetime, c.Remembered = time.Duration(1+r.IntN(1e9))*time.Millisecond, r.IntN(2) == 0
	}
	for range r.IntN(6) {
		c.Set(randomString(r), randomString(r))
	}
	for range r.IntN(3) {
		c.AddFlashes(codec.Flash{ID: r.Uint64(), Category: randomString(r), Raw: randomString(r)})
	}
	return c
}

func TestParse_random(t *testing.T) {
	r := newRandom(t)
	for range 20_000 {
		want := randomContainer(r)
		data := want.Append(nil)
		if got, err := codec.Parse(string(data)); err != nil || !sameContainer(got, want) {
			t.Fatalf("got %+v, %v, want %+v", got, err, want)
		}
		for range 1 + r.IntN(3) {
			data[r.IntN(len(data))] = byte(r.Uint32())
		}
		canonical(t, string(data[:r.IntN(len(data)+1)]))
		canonical(t, string(data))
	}
}

func FuzzParse(f *testing.F) {
	for _, n := range []int{0, 1, 3} {
		c := newContainer(n, n)
		f.Add(string(c.Append(nil)))
	}
	f.Add("\x10\x00\x00\x00\x00\x00\x00\x00\x00\x80\x00\x00")
	f.Add("\x10\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\xff\xff\x0f")
	f.Fuzz(func(t *testing.T, data string) { canonical(t, data) })
}
