// Package codec encodes a session's values as tagged JSON, and a whole session
// as the compact binary container that is sealed into a cookie or a record.
package codec

import (
	"encoding/binary"
	"errors"
	"math"
	"slices"
	"strings"
	"time"
)

// Entry is one key of a session with its value as tagged JSON.
type Entry struct {
	Key, Raw string
}

// Flash is one flash message. ID distinguishes equal messages, so that
// replaying a change removes exactly those that were shown and adds none twice.
type Flash struct {
	ID       uint64
	Category string
	Raw      string
	Element  string // category and message as Flask encoded them, or ""; not in the binary form
	Taken    Taken  // not in the binary form
}

// Taken is whether a request that has shown a flash has removed it.
type Taken int8

// What can have become of a flash.
const (
	NotTaken     Taken = iota
	TakenNow           // since the last commit
	TakenForGood       // and that is committed
)

// Instant is a time in nanoseconds since 1970.
type Instant int64

// InstantOf returns the instant of a time between 1678 and 2262.
func InstantOf(t time.Time) Instant { return Instant(t.UnixNano()) }

// Time returns the time of an instant, without a monotonic clock.
func (i Instant) Time() time.Time { return time.Unix(0, int64(i)) }

// Container is the content of a session. Values stay encoded until they are
// asked for, and what was parsed stays in one piece until it changes, which
// allocates less. A Container is not safe for concurrent use, not even for
// reading.
type Container struct {
	Created    Instant
	Life       time.Duration // from its creation until it expires, unless it is used again
	Lifetime   time.Duration // at most, if it has one of its own; 0: that of the app
	Permanent  bool
	Remembered bool // no idle timeout

	packedCount   uint32   // of the packed entries that count
	packedEntries string   // in place of entries, but for one
	packedFlashes string   // in place of flashes
	set           [1]Entry // the first that was set, if entries is it
	entries       []Entry  // sorted by key, each key once; one that was set replaces that of packedEntries
	pending       *pending // changes to entries; nil if there are none
	flashes       []Flash  // oldest first
}

// pending holds keys that were added to a large container, or deleted from it,
// since its entries were last sorted: inserting each of them into the sorted
// entries would take quadratic time.
type pending struct {
	added   map[string]string // values by key; none of the keys is among the entries
	deleted map[int]struct{}  // indexes into the entries
}

// Entries returns the keys with their values, sorted by key. The caller must
// not modify them. They are valid until the next change.
func (c *Container) Entries() []Entry {
	c.unpack()
	c.merge()
	return c.entries
}

func (c *Container) unpack() {
	if c.packedEntries == "" {
		return
	}
	entries := make([]Entry, 0, c.Len())
	add := func(packed string) {
		for p := (parser{rest: packed}); p.rest != ""; {
			entries = append(entries, Entry{Key: p.string(), Raw: p.string()})
		}
	}
	before, after := c.splitPacked()
	add(before)
	entries = append(entries, c.entries...)
	add(after)
	c.packedEntries, c.packedCount, c.entries = "", 0, entries
}

// splitPacked returns the packed entries before and after the one that was set,
// without that which it replaces.
func (c *Container) splitPacked() (before, after string) {
	if len(c.entries) == 0 {
		return c.packedEntries, ""
	}
	after = c.packedEntries
	for after != "" {
		key, rest, _ := cutString(after)
		if key > c.entries[0].Key {
			break
		}
		_, rest, _ = cutString(rest)
		if key == c.entries[0].Key {
			return c.packedEntries[:len(c.packedEntries)-len(after)], rest
		}
		after = rest
	}
	return c.packedEntries[:len(c.packedEntries)-len(after)], after
}

// merge applies what is pending to the entries.
func (c *Container) merge() {
	if c.pending == nil {
		return
	}
	added := make([]Entry, 0, len(c.pending.added))
	for key, raw := range c.pending.added {
		added = append(added, Entry{key, raw})
	}
	slices.SortFunc(added, func(a, b Entry) int { return strings.Compare(a.Key, b.Key) })
	merged := make([]Entry, 0, c.Len())
	for i, e := range c.entries {
		for len(added) > 0 && added[0].Key < e.Key {
			merged, added = append(merged, added[0]), added[1:]
		}
		if _, deleted := c.pending.deleted[i]; !deleted {
			merged = append(merged, e)
		}
	}
	merged = append(merged, added...)
	c.entries, c.pending = merged, nil
}

// Flashes returns the flash messages, oldest first. The caller must not modify
// them.
func (c *Container) Flashes() []Flash {
	if c.packedFlashes != "" {
		p := parser{rest: c.packedFlashes}
		for p.rest != "" {
			c.flashes = append(c.flashes, p.flash())
		}
		c.packedFlashes = ""
	}
	return c.flashes
}

// Clone returns a copy. Changes to one of the two do not show in the other.
func (c *Container) Clone() Container {
	c.merge()
	copied := *c
	copied.entries, copied.flashes = slices.Clone(c.entries), slices.Clone(c.flashes)
	return copied
}

// Fill replaces all entries and flashes. The entries must be sorted by key, and
// each key must occur once. The container takes ownership of both slices.
func (c *Container) Fill(entries []Entry, flashes []Flash) {
	c.packedEntries, c.packedCount, c.entries, c.pending = "", 0, entries, nil
	c.packedFlashes, c.flashes = "", flashes
}

// Len returns the number of entries.
func (c *Container) Len() int {
	n := int(c.packedCount) + len(c.entries)
	if c.pending != nil {
		n += len(c.pending.added) - len(c.pending.deleted)
	}
	return n
}

// Empty reports whether the container has neither entries nor flashes.
func (c *Container) Empty() bool { return c.Len() == 0 && c.packedFlashes == "" && len(c.flashes) == 0 }

// Find returns the value of key, and whether the container has the key.
func (c *Container) Find(key string) (raw string, ok bool) {
	if c.packedEntries != "" {
		if len(c.entries) > 0 && c.entries[0].Key == key {
			return c.entries[0].Raw, true
		}
		return findPacked(c.packedEntries, key)
	}
	i, ok := c.index(key)
	if c.pending != nil {
		return c.findPending(key, i, ok)
	}
	if !ok {
		return "", false
	}
	return c.entries[i].Raw, true
}

func findPacked(entries, key string) (raw string, ok bool) {
	for entries != "" {
		var found string
		found, entries, _ = cutString(entries)
		raw, entries, _ = cutString(entries)
		if found == key {
			return raw, true
		}
	}
	return "", false
}

// findPending is Find for a key that has the index i if it is among the entries.
func (c *Container) findPending(key string, i int, isEntry bool) (raw string, ok bool) {
	if !isEntry {
		raw, ok = c.pending.added[key]
		return raw, ok
	}
	if _, deleted := c.pending.deleted[i]; deleted {
		return "", false
	}
	return c.entries[i].Raw, true
}

// Set sets the value of key, which it adds if need be. Setting n new keys takes
// O(n log n) in all.
func (c *Container) Set(key, raw string) {
	if c.packedEntries != "" && c.setPacked(key, raw) {
		return
	}
	c.unpack()
	i, ok := c.index(key)
	switch {
	case ok:
		c.entries[i].Raw = raw
		if c.pending != nil {
			delete(c.pending.deleted, i)
		}
	case len(c.entries) < minPending:
		if c.entries == nil {
			c.entries = make([]Entry, 0, firstEntries)
		}
		c.entries = slices.Insert(c.entries, i, Entry{key, raw})
	default:
		c.change().added[key] = raw
	}
}

// setPacked reports whether it has set the value of key, without unpacking the
// others: most requests that set a key set no other.
func (c *Container) setPacked(key, raw string) bool {
	if len(c.entries) > 0 {
		return false
	}
	c.set[0] = Entry{key, raw}
	c.entries = c.set[:]
	if _, replaced := findPacked(c.packedEntries, key); replaced {
		c.packedCount--
	}
	return true
}

// Delete removes key. It does nothing if the container has no such key.
// Deleting n keys takes O(n log n) in all.
func (c *Container) Delete(key string) {
	c.unpack()
	i, ok := c.index(key)
	switch {
	case ok && len(c.entries) < minPending:
		c.entries = slices.Delete(c.entries, i, i+1)
	case ok:
		c.change().deleted[i] = struct{}{}
	case c.pending != nil:
		delete(c.pending.added, key)
	}
}

// change returns c.pending, which it creates if need be. From then until they
// are merged, the entries keep their number and places.
func (c *Container) change() *pending {
	if c.pending == nil {
		c.pending = &pending{added: map[string]string{}, deleted: map[int]struct{}{}}
	}
	return c.pending
}

// AddFlashes appends messages to those in the container. All messages come
// through here, also in a replay.
func (c *Container) AddFlashes(f ...Flash) { c.flashes = append(c.Flashes(), f...) }

// DeleteFlashes removes the flashes for which gone returns true; it calls gone
// once for each flash. Slices that [Container.Flashes] returned before stay
// unchanged.
func (c *Container) DeleteFlashes(gone func(Flash) bool) {
	before := c.Flashes()
	c.flashes = nil
	for _, f := range before {
		if !gone(f) {
			c.flashes = append(c.flashes, f)
		}
	}
}

// DropFlashes removes the n oldest flashes, or all if there are fewer, and
// returns how many it removed. It removes none if n is negative. Slices that
// [Container.Flashes] returned before stay unchanged.
func (c *Container) DropFlashes(n int) int {
	n = max(0, min(n, len(c.Flashes())))
	c.flashes = c.flashes[n:]
	return n
}

func (c *Container) index(key string) (int, bool) {
	return slices.BinarySearchFunc(c.entries, key, func(e Entry, key string) int {
		return strings.Compare(e.Key, key)
	})
}

// The container, in bytes:
//
//	format and flags   1
//	created            8, nanoseconds since 1970, big endian
//	life               uvarint, milliseconds, rounded up
//	lifetime           likewise, if the flag is set
//	number of entries  uvarint
//	each entry         key and value, each behind its length as uvarint
//	each flash         id (8, big endian), category and message likewise
const (
	format         = 0x10 // the high half of the first byte
	flagPermanent  = 0x01
	flagLifetime   = 0x02 // it has one of its own
	flagRemembered = 0x04
)

const (
	maxPacked    = 32  // entries; to look up a key among more takes longer than to unpack them
	firstEntries = 4   // the capacity for the first entry
	minPending   = 256 // entries; among fewer, inserting a key in its place is cheap
)

var errDamaged = errors.New("codec: not a session container")

// Append appends the container's binary form to dst.
func (c *Container) Append(dst []byte) []byte {
	head := byte(format)
	if c.Permanent {
		head |= flagPermanent
	}
	if c.Lifetime > 0 {
		head |= flagLifetime
	}
	if c.Remembered {
		head |= flagRemembered
	}
	c.merge()
	dst = append(dst, head)
	dst = binary.BigEndian.AppendUint64(dst, uint64(c.Created))
	dst = binary.AppendUvarint(dst, milliseconds(c.Life))
	if c.Lifetime > 0 {
		dst = binary.AppendUvarint(dst, milliseconds(c.Lifetime))
	}
	dst = binary.AppendUvarint(dst, uint64(c.Len()))
	before, after := c.splitPacked()
	dst = append(dst, before...)
	for _, e := range c.entries {
		dst = appendString(appendString(dst, e.Key), e.Raw)
	}
	dst = append(dst, after...)
	dst = append(dst, c.packedFlashes...)
	for _, f := range c.flashes {
		dst = binary.BigEndian.AppendUint64(dst, f.ID)
		dst = appendString(appendString(dst, f.Category), f.Raw)
	}
	return dst
}

// maxLifetime is the longest [time.Duration], in milliseconds.
const maxLifetime = uint64(math.MaxInt64 / time.Millisecond)

// milliseconds are rounded up.
func milliseconds(d time.Duration) uint64 {
	d = max(d, 0)
	n := uint64(d / time.Millisecond)
	if d%time.Millisecond > 0 && n < maxLifetime {
		n++
	}
	return n
}

// Parse decodes what [Container.Append] encoded. It accepts one encoding of a
// container only: Append encodes the result as the same bytes. Keys and values
// share the memory of data.
func Parse(data string) (Container, error) {
	p := parser{rest: data}
	head := p.bytes(1)
	created := p.bytes(8)
	life, lifetime := p.uvarint(), uint64(0)
	if !p.failed && head[0]&flagLifetime != 0 {
		if lifetime = p.uvarint(); lifetime == 0 {
			p.failed = true
		}
	}
	count := p.uvarint()
	if p.failed || head[0]&^(flagPermanent|flagLifetime|flagRemembered) != format || max(life, lifetime) > maxLifetime || count > min(uint64(len(p.rest)), math.MaxUint32) {
		return Container{}, errDamaged
	}
	flashes, ok := skipEntries(p.rest, count)
	if !ok || !areFlashes(flashes) {
		return Container{}, errDamaged
	}
	c := Container{
		Created:       Instant(bigEndian(created)),
		Life:          time.Duration(life) * time.Millisecond,
		Lifetime:      time.Duration(lifetime) * time.Millisecond,
		Permanent:     head[0]&flagPermanent != 0,
		Remembered:    head[0]&flagRemembered != 0,
		packedCount:   uint32(count),
		packedEntries: p.rest[:len(p.rest)-len(flashes)],
		packedFlashes: flashes,
	}
	if count > maxPacked {
		c.Entries()
	}
	return c, nil
}

// skipEntries returns what follows the entries, or false if they are truncated
// or not sorted.
func skipEntries(data string, count uint64) (rest string, ok bool) {
	last := ""
	for i := range count {
		key, rest, ok1 := cutString(data)
		_, rest, ok2 := cutString(rest)
		if !ok1 || !ok2 || i > 0 && key <= last {
			return "", false
		}
		last, data = key, rest
	}
	return data, true
}

// areFlashes reports whether data consists of whole flashes.
func areFlashes(data string) bool {
	p := parser{rest: data}
	for p.rest != "" {
		p.flash()
	}
	return !p.failed
}

// parser cuts pieces off the front of rest. Once a piece is missing, it has
// failed and returns only empty pieces.
type parser struct {
	rest   string
	failed bool
}

func (p *parser) fail() { p.rest, p.failed = "", true }

func (p *parser) bytes(n int) string {
	if n > len(p.rest) {
		p.fail()
		return ""
	}
	piece := p.rest[:n]
	p.rest = p.rest[n:]
	return piece
}

func (p *parser) flash() Flash {
	return Flash{ID: bigEndian(p.bytes(8)), Category: p.string(), Raw: p.string()}
}

func (p *parser) string() (piece string) {
	var ok bool
	if piece, p.rest, ok = cutString(p.rest); !ok {
		p.failed = true
	}
	return piece
}

func (p *parser) uvarint() (n uint64) {
	var ok bool
	if n, p.rest, ok = cutUvarint(p.rest); !ok {
		p.failed = true
	}
	return n
}

// cutString cuts a string with its length off the front. It is a function, not a
// method, so that its operands stay in registers, and treats a length of one
// byte separately: every read of a session depends on its speed.
func cutString(data string) (piece, rest string, ok bool) {
	if data != "" && int(data[0]) < min(len(data), 0x80) {
		n := 1 + int(data[0])
		return data[1:n], data[n:], true
	}
	n, rest, ok := cutUvarint(data)
	if !ok || n > uint64(len(rest)) {
		return "", "", false
	}
	return rest[:n], rest[n:], true
}

// cutUvarint accepts the shortest encoding only.
func cutUvarint(data string) (v uint64, rest string, ok bool) {
	for i := 0; i < len(data) && i < binary.MaxVarintLen64; i++ {
		b := data[i]
		v |= uint64(b&0x7f) << (7 * i)
		if b < 0x80 {
			if i > 0 && b == 0 || i == binary.MaxVarintLen64-1 && b > 1 {
				break
			}
			return v, data[i+1:], true
		}
	}
	return 0, "", false
}

func bigEndian(s string) uint64 {
	var v uint64
	for i := range len(s) {
		v = v<<8 | uint64(s[i])
	}
	return v
}

func appendString(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}
