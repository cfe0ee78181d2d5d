// Package codec spells a session's values as tagged JSON, and packs a whole
// session into the compact binary container that is sealed into a cookie or a
// record.
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

// Flash is one flash message. ID tells two equal messages apart, so that
// replaying a change takes exactly the ones that were shown and adds none
// twice.
type Flash struct {
	ID       uint64
	Category string
	Raw      string
	Element  string // category and message as Flask spelled them, if it did; not in the binary form
}

// Container is the content of a session. Values stay undecoded JSON until
// somebody asks for them.
type Container struct {
	Created   time.Time
	Expires   time.Time
	Permanent bool
	Entries   []Entry // sorted by key, each key once
	Flashes   []Flash // oldest first
}

// Empty tells whether nothing is in the container that is worth storing.
func (c *Container) Empty() bool { return len(c.Entries) == 0 && len(c.Flashes) == 0 }

// Find returns the value of key.
func (c *Container) Find(key string) (raw string, ok bool) {
	i, ok := c.index(key)
	if !ok {
		return "", false
	}
	return c.Entries[i].Raw, true
}

// Set puts a value under key.
func (c *Container) Set(key, raw string) {
	i, ok := c.index(key)
	if ok {
		c.Entries[i].Raw = raw
		return
	}
	c.Entries = slices.Insert(c.Entries, i, Entry{key, raw})
}

// Delete removes key, if it is there.
func (c *Container) Delete(key string) {
	if i, ok := c.index(key); ok {
		c.Entries = slices.Delete(c.Entries, i, i+1)
	}
}

// HasFlash tells whether the flash with this id is there.
func (c *Container) HasFlash(id uint64) bool {
	return slices.ContainsFunc(c.Flashes, func(f Flash) bool { return f.ID == id })
}

// DeleteFlash removes the flash with this id, if it is there.
func (c *Container) DeleteFlash(id uint64) {
	c.Flashes = slices.DeleteFunc(c.Flashes, func(f Flash) bool { return f.ID == id })
}

func (c *Container) index(key string) (int, bool) {
	return slices.BinarySearchFunc(c.Entries, key, func(e Entry, key string) int {
		return strings.Compare(e.Key, key)
	})
}

// The container, in bytes:
//
//	format and flags   1
//	created            8, nanoseconds since 1970, big endian
//	expires - created  uvarint, milliseconds, rounded up
//	number of entries  uvarint
//	each entry         key and value, each behind its length as uvarint
//	each flash         id (8, big endian), category and message likewise
const (
	format        = 0x10 // the high half of the first byte
	flagPermanent = 0x01
)

var errDamaged = errors.New("codec: not a session container")

// Append adds the container's binary form to dst.
func (c *Container) Append(dst []byte) []byte {
	head := byte(format)
	if c.Permanent {
		head |= flagPermanent
	}
	dst = append(dst, head)
	dst = binary.BigEndian.AppendUint64(dst, uint64(c.Created.UnixNano()))
	dst = binary.AppendUvarint(dst, c.lifetime())
	dst = binary.AppendUvarint(dst, uint64(len(c.Entries)))
	for _, e := range c.Entries {
		dst = appendString(appendString(dst, e.Key), e.Raw)
	}
	for _, f := range c.Flashes {
		dst = binary.BigEndian.AppendUint64(dst, f.ID)
		dst = appendString(appendString(dst, f.Category), f.Raw)
	}
	return dst
}

// maxLifetime is how many milliseconds a [time.Duration] holds.
const maxLifetime = uint64(math.MaxInt64 / time.Millisecond)

// lifetime is the time from creation to expiry in milliseconds, rounded up.
func (c *Container) lifetime() uint64 {
	d := max(c.Expires.Sub(c.Created), 0)
	n := uint64(d / time.Millisecond)
	if d%time.Millisecond > 0 && n < maxLifetime {
		n++
	}
	return n
}

// Size is an upper bound of what [Container.Append] adds, in bytes.
func (c *Container) Size() int {
	n := 1 + 8 + 2*binary.MaxVarintLen64
	for _, e := range c.Entries {
		n += len(e.Key) + len(e.Raw) + 2*binary.MaxVarintLen32
	}
	for _, f := range c.Flashes {
		n += 8 + len(f.Category) + len(f.Raw) + 2*binary.MaxVarintLen32
	}
	return n
}

// Parse reads what [Container.Append] wrote, and nothing else: what parses is
// written as the same bytes again. Keys and values share the memory of data.
func Parse(data string) (Container, error) {
	p := parser{rest: data}
	head := p.bytes(1)
	created := p.bytes(8)
	lifetime := p.uvarint()
	count := p.uvarint()
	if p.failed || head[0]&^flagPermanent != format || lifetime > maxLifetime || count > uint64(len(p.rest)) {
		return Container{}, errDamaged
	}
	c := Container{
		Created:   time.Unix(0, int64(bigEndian(created))),
		Permanent: head[0]&flagPermanent != 0,
		Entries:   make([]Entry, count),
	}
	c.Expires = c.Created.Add(time.Duration(lifetime) * time.Millisecond)
	for i := range c.Entries {
		c.Entries[i] = Entry{Key: p.string(), Raw: p.string()}
		if i > 0 && c.Entries[i-1].Key >= c.Entries[i].Key {
			return Container{}, errDamaged
		}
	}
	for p.rest != "" && !p.failed {
		id := p.bytes(8)
		c.Flashes = append(c.Flashes, Flash{ID: bigEndian(id), Category: p.string(), Raw: p.string()})
	}
	if p.failed {
		return Container{}, errDamaged
	}
	return c, nil
}

// parser cuts pieces off the front of rest; once one is missing it has failed
// and gives only empty pieces.
type parser struct {
	rest   string
	failed bool
}

func (p *parser) bytes(n int) string {
	if n > len(p.rest) {
		p.rest, p.failed = "", true
		return ""
	}
	piece := p.rest[:n]
	p.rest = p.rest[n:]
	return piece
}

// uvarint takes the shortest spelling only.
func (p *parser) uvarint() uint64 {
	var v uint64
	for shift := 0; shift < 64; shift += 7 {
		b := p.bytes(1)
		if p.failed {
			return 0
		}
		v |= uint64(b[0]&0x7f) << shift
		if b[0] >= 0x80 {
			continue
		}
		if shift > 0 && b[0] == 0 || shift == 63 && b[0] > 1 {
			break
		}
		return v
	}
	p.rest, p.failed = "", true
	return 0
}

func (p *parser) string() string {
	n := p.uvarint()
	if n > uint64(len(p.rest)) {
		p.rest, p.failed = "", true
		return ""
	}
	return p.bytes(int(n))
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
