package flask

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"hash/adler32"
	"math/bits"
	"sync"
)

// Deflating is most of the work of writing a compressed cookie. compress/zlib
// sorts the symbols of a block by frequency and then by value, and searches for
// the best lengths of their codes; for a session of some 200 bytes, lengths that
// are found without sorting are as good, give or take two bytes.

// maxShort is the length of the longest text that a [packer] takes, in bytes.
// Most sessions are shorter. A longer one has to fit into the cookie, so that
// zlib's default level is worth its time.
const maxShort = 1 << 10

// deflate appends the zlib stream of a text to dst.
func deflate(dst, text []byte) []byte {
	if len(text) <= maxShort {
		p := packers.Get().(*packer)
		defer packers.Put(p)
		return p.pack(dst, text)
	}
	d := deflaters.Get().(*deflater)
	defer deflaters.Put(d)
	return append(dst, d.deflate(text)...)
}

var (
	packers   = sync.Pool{New: func() any { return new(packer) }}
	deflaters = sync.Pool{New: func() any { return newDeflater() }} // a new one takes up to 1 MB
)

// deflater compresses at the default level of zlib.
type deflater struct {
	packed bytes.Buffer
	writer *zlib.Writer
}

func newDeflater() *deflater {
	d := new(deflater)
	d.writer = zlib.NewWriter(&d.packed)
	return d
}

// deflate compresses a text. The result is good until the next call.
func (d *deflater) deflate(text []byte) []byte {
	d.packed.Reset()
	d.writer.Reset(&d.packed)
	_, _ = d.writer.Write(text) // a buffer takes everything
	_ = d.writer.Close()
	return d.packed.Bytes()
}

const (
	minMatch = 4   // bytes; a shorter one saves next to nothing
	maxMatch = 257 // one byte less than the format allows, which has a rule of its own
	hashBits = 9
)

// packer compresses texts of up to [maxShort] bytes into zlib streams (RFC 1950
// and 1951) of one block with codes of its own. It can be used again, but not
// concurrently.
type packer struct {
	out  []byte
	held uint64 // bits that are not in out yet, the first one lowest
	n    int    // how many, fewer than 32 between two calls of put

	last                [1 << hashBits]uint16 // where four bytes began last, plus 1
	tokens              [maxShort]token
	literals, distances coder
}

// token is a literal or, if it has a distance, a match. Lengths count from 3,
// distances from 1.
type token struct{ value, distance uint16 }

// pack appends the stream of a text to dst.
func (p *packer) pack(dst, text []byte) []byte {
	const lastBlock, dynamicCodes = 1, 2 << 1
	dst = append(dst, 0x78, 0x9c) // a window of 32 KiB, the default level
	p.out, p.held, p.n = dst, 0, 0
	tokens := p.parse(text)
	p.literals.prepare(numLiterals)
	p.distances.prepare(numDistances)

	// 1. The code for the lengths of codes, and with it the lengths.
	p.put(lastBlock|dynamicCodes, 3)
	p.put(max(0, p.literals.size()-numRawLiterals), 5)
	p.put(max(0, p.distances.size()-1), 5)
	p.put(len(lengthOrder)-1-4, 4)
	for _, symbol := range lengthOrder[:len(lengthOrder)-1] {
		p.put(lengthCodes[symbol].bits(), 3)
	}
	p.describe(&p.literals, numRawLiterals)
	p.describe(&p.distances, 1)

	// 2. The text.
	for _, t := range tokens {
		if t.distance == 0 {
			p.code(p.literals.codes[t.value], 0, 0)
			continue
		}
		symbol, extra := bucket(int(t.value), lengthDigits)
		p.code(p.literals.codes[numRawLiterals+symbol], int(t.value), extra)
		symbol, extra = bucket(int(t.distance)-1, distanceDigits)
		p.code(p.distances.codes[symbol], int(t.distance)-1, extra)
	}
	p.code(p.literals.codes[endOfBlock], 0, 0)
	for ; p.n > 0; p.n -= 8 {
		p.out = append(p.out, byte(p.held))
		p.held >>= 8
	}
	dst, p.out = p.out, nil
	return binary.BigEndian.AppendUint32(dst, adler32.Checksum(text))
}

// parse finds the matches in a text, and counts the symbols.
func (p *packer) parse(text []byte) []token {
	clear(p.last[:])
	clear(p.literals.counts[:])
	clear(p.distances.counts[:])
	tokens, i := p.tokens[:0], 0
	for i+minMatch <= len(text) {
		four := binary.LittleEndian.Uint32(text[i:])
		last := &p.last[four*0x9e3779b1>>(32-hashBits)]
		start := int(*last) - 1
		*last = uint16(i + 1)
		if start < 0 || binary.LittleEndian.Uint32(text[start:]) != four {
			p.literals.counts[text[i]]++
			tokens = append(tokens, token{value: uint16(text[i])})
			i++
			continue
		}
		n := minMatch
		for n < maxMatch && i+n < len(text) && text[start+n] == text[i+n] {
			n++
		}
		length, _ := bucket(n-3, lengthDigits)
		distance, _ := bucket(i-start-1, distanceDigits)
		p.literals.counts[numRawLiterals+length]++
		p.distances.counts[distance]++
		tokens = append(tokens, token{uint16(n - 3), uint16(i - start)})
		i += n
	}
	for _, c := range text[i:] {
		p.literals.counts[c]++
		tokens = append(tokens, token{value: uint16(c)})
	}
	p.literals.counts[endOfBlock]++
	return tokens
}

const (
	numRawLiterals = endOfBlock + 1 // symbols that are no lengths

	lengthDigits, distanceDigits = 2, 1 // for [bucket]
)

// bucket returns the symbol for a length or distance: how many bits it has and,
// after the first, so many of its digits. The others are extra bits, which follow
// the symbol's code.
func bucket(v, digits int) (symbol, extra int) {
	if v < 2<<digits {
		return v, 0
	}
	extra = bits.Len(uint(v)) - 1 - digits
	return extra<<digits + v>>extra, extra
}

// put appends n bits of v, at most 32.
func (p *packer) put(v, n int) {
	p.held |= uint64(v) << p.n
	if p.n += n; p.n >= 32 {
		p.out = binary.LittleEndian.AppendUint32(p.out, uint32(p.held))
		p.held >>= 32
		p.n -= 32
	}
}

// code appends a code and so many bits of v.
func (p *packer) code(c code, v, extra int) {
	p.put(c.symbol()|v&(1<<extra-1)<<c.bits(), c.bits()+extra)
}

// describe appends the lengths of codes, for this number of symbols at least.
func (p *packer) describe(c *coder, least int) {
	next, before := 0, 0 // the symbol that follows, and the last length
	for rest := c.used; len(rest) > 0; {
		symbol, n, run := rest[0].symbol(), rest[0].bits(), 1
		for run < len(rest) && rest[run] == newCode(symbol+run, n) {
			run++
		}
		if symbol > next {
			p.zeros(symbol - next)
			before = 0
		}
		rest, next = rest[run:], symbol+run
		if n != before {
			p.code(lengthCodes[n], 0, 0)
			before, run = n, run-1
		}
		for ; run >= 3; run -= min(run, 6) {
			p.code(lengthCodes[16], min(run, 6)-3, 2)
		}
		for ; run > 0; run-- {
			p.code(lengthCodes[n], 0, 0)
		}
	}
	p.zeros(least - next)
}

// zeros appends the lengths of symbols that do not come.
func (p *packer) zeros(n int) {
	for ; n >= 11; n -= min(n, 138) {
		p.code(lengthCodes[18], min(n, 138)-11, 7)
	}
	if n >= 3 {
		p.code(lengthCodes[17], n-3, 3)
		return
	}
	for ; n > 0; n-- {
		p.code(lengthCodes[0], 0, 0)
	}
}

// lengthCodes are codes for the lengths of codes that suit most sessions. A text
// of [maxShort] bytes needs no code of more than 11 bits.
var lengthCodes = func() (codes [len(lengthOrder)]code) {
	var c coder
	for symbol, n := range [...]int{0: 3, 1: 6, 2: 6, 3: 5, 4: 4, 5: 3, 6: 3, 7: 3, 8: 3, 9: 4, 10: 6, 11: 6, 16: 4, 17: 4, 18: 5} {
		if n > 0 {
			c.used = append(c.used, newCode(symbol, n))
		}
	}
	c.assign()
	copy(codes[:], c.codes[:])
	return codes
}()

// coder finds codes for symbols by how often they come.
type coder struct {
	counts [numLiterals]uint16
	used   []code            // the symbols that come, in their order, with their codes' lengths
	codes  [numLiterals]code // the codes themselves in place of the symbols, the first bit lowest
}

// size returns the number of symbols up to the last one that comes.
func (c *coder) size() int {
	if len(c.used) == 0 {
		return 0
	}
	return c.used[len(c.used)-1].symbol() + 1
}

// prepare finds the codes of so many symbols. Their lengths are Shannon's, which are
// rounded up. This leaves room, which goes to the symbols that lost most by it:
// the code that results is complete.
func (c *coder) prepare(symbols int) {
	total := 0
	c.used = c.used[:0]
	for symbol, count := range c.counts[:symbols] {
		if count > 0 {
			c.used = append(c.used, newCode(symbol, 0))
			total += int(count)
		}
	}
	room := 1 << maxBits
	for i, u := range c.used {
		n := max(1, bits.Len32(uint32(total-1)/uint32(c.counts[u.symbol()])))
		c.used[i] += newCode(0, n)
		room -= 1 << (maxBits - n)
	}
	for least := 7 * total / 4; room > 0 && len(c.used) > 1; least -= total/4 + 1 {
		for i, u := range c.used {
			gain := 1 << (maxBits - u.bits())
			if gain <= room && u.bits() > 1 && int(c.counts[u.symbol()])<<u.bits() >= least {
				c.used[i]--
				room -= gain
			}
		}
	}
	c.assign()
}

// assign finds the codes that follow from the lengths.
func (c *coder) assign() {
	var next [maxBits + 2]int
	for _, u := range c.used {
		next[u.bits()+1]++
	}
	for n := 1; n <= maxBits; n++ {
		next[n+1] = (next[n] + next[n+1]) << 1
	}
	for _, u := range c.used {
		n := u.bits()
		c.codes[u.symbol()] = newCode(int(bits.Reverse16(uint16(next[n]))>>(16-n)), n)
		next[n]++
	}
}
