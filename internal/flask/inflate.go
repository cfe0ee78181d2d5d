package flask

import (
	"encoding/binary"
	"errors"
	"hash/adler32"
	"math/bits"
)

// Inflating is most of the work of reading a compressed cookie. compress/zlib
// reads a byte at a time from an io.Reader and fills tables for long streams; a
// cookie is in memory and has some 200 bytes.

var errInflate = errors.New("flask: not a zlib stream")

const (
	maxBits      = 15  // bits of a Huffman code
	rootBits     = 9   // of the codes that one look-up decodes
	endOfBlock   = 256 // the symbol
	numLiterals  = 286 // symbols, of which the last 29 are lengths
	numDistances = 30  // symbols
)

var (
	// The order in which a block lists the lengths of the codes for lengths.
	lengthOrder = [...]uint8{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15}

	// How often a length comes, for the symbols 16 to 18 of a code for lengths.
	repeatBase  = [...]int{3, 3, 11}
	repeatExtra = [...]int{2, 3, 7}

	lengthBase    = [...]uint16{3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258}
	lengthExtra   = [...]uint8{0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0}
	distanceBase  = [...]uint16{1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097, 6145, 8193, 12289, 16385, 24577}
	distanceExtra = [...]uint8{0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13}
)

// inflater decompresses zlib streams (RFC 1950 and 1951). It can be used again,
// but not concurrently.
type inflater struct {
	in   []byte
	next int    // of in, the first byte that is not in held
	held uint64 // bits, the first one lowest
	n    int    // how many; below 0 if more were used than there are

	literals, distances huffman
	codes               [numLiterals + numDistances]code
}

// inflate appends the text of a stream to dst, which is empty. It returns an
// error if the text has more than limit bytes.
func (f *inflater) inflate(dst, stream []byte, limit int) ([]byte, error) {
	const deflate, dictionary = 8, 0x20
	if len(stream) < 2 || stream[0]&0x0f != deflate || stream[0]>>4 > 7 ||
		stream[1]&dictionary != 0 || binary.BigEndian.Uint16(stream)%31 != 0 {
		return nil, errInflate
	}
	f.in, f.next, f.held, f.n = stream, 2, 0, 0
	for last := false; !last; {
		var err error
		if dst, last, err = f.block(dst, limit); err != nil {
			return nil, err
		}
	}
	rest := f.bytes()
	if len(rest) < 4 || binary.BigEndian.Uint32(rest) != adler32.Checksum(dst) {
		return nil, errInflate
	}
	return dst, nil
}

// block appends the text of a block to dst.
func (f *inflater) block(dst []byte, limit int) (text []byte, last bool, err error) {
	f.refill()
	last = f.bits(1) == 1
	switch f.bits(2) {
	case 0:
		text, err = f.stored(dst, limit)
		return text, last, err
	case 1:
		err = f.fixedCodes()
	case 2:
		err = f.dynamicCodes()
	default:
		err = errInflate
	}
	if err == nil {
		text, err = f.coded(dst, limit)
	}
	return text, last, err
}

// refill makes at least 56 bits available, or all that there are.
func (f *inflater) refill() {
	if f.n >= 0 && len(f.in)-f.next >= 8 {
		f.held |= binary.LittleEndian.Uint64(f.in[f.next:]) << f.n
		f.next += (63 - f.n) >> 3
		f.n |= 56
		return
	}
	for f.n >= 0 && f.n <= 56 && f.next < len(f.in) {
		f.held |= uint64(f.in[f.next]) << f.n
		f.next++
		f.n += 8
	}
}

// bits returns the next bits, of which there must be enough since the last
// refill. Behind the end of the stream they are 0.
func (f *inflater) bits(n int) int {
	v := f.held & (1<<n - 1)
	f.held >>= n
	f.n -= n
	return int(v)
}

// bytes returns the rest of the stream from the next whole byte.
func (f *inflater) bytes() []byte {
	if f.n < 0 {
		return nil
	}
	return f.in[f.next-f.n/8:]
}

// stored appends a block that is not compressed.
func (f *inflater) stored(dst []byte, limit int) ([]byte, error) {
	rest := f.bytes()
	if len(rest) < 4 {
		return nil, errInflate
	}
	n := int(binary.LittleEndian.Uint16(rest))
	if n != int(^binary.LittleEndian.Uint16(rest[2:])) || len(rest)-4 < n || len(dst)+n > limit {
		return nil, errInflate
	}
	f.next, f.held, f.n = len(f.in)-len(rest)+4+n, 0, 0
	return append(dst, rest[4:4+n]...), nil
}

// coded appends a block of literals and matches. It keeps what it changes for
// each of them in local variables, which the compiler keeps in registers.
func (f *inflater) coded(dst []byte, limit int) ([]byte, error) {
	held, n := f.held, f.n
	table, mask := &f.literals.table, f.literals.mask
	for {
		if n < 48 { // a length and a distance take 15+5+15+13 bits at most
			f.held, f.n = held, n
			f.refill()
			held, n = f.held, f.n
		}
		for n >= rootBits {
			c := table[held&mask&(1<<rootBits-1)]
			if !c.isLiteral() {
				break
			}
			if dst = append(dst, byte(c.symbol())); len(dst) > limit {
				return nil, errInflate
			}
			held >>= c.bits()
			n -= c.bits()
		}
		if n < 48 && f.next < len(f.in) {
			continue
		}
		c := f.literals.find(held)
		held >>= c.bits()
		n -= c.bits()
		f.held, f.n = held, n
		symbol := c.symbol()
		switch {
		case n < 0 || c == 0 || symbol >= numLiterals:
			return nil, errInflate
		case symbol < endOfBlock:
			if dst = append(dst, byte(symbol)); len(dst) > limit {
				return nil, errInflate
			}
			continue
		case symbol == endOfBlock:
			return dst, nil
		}
		length := int(lengthBase[symbol-endOfBlock-1]) + f.bits(int(lengthExtra[symbol-endOfBlock-1]))
		if symbol = f.symbol(&f.distances); symbol >= numDistances {
			return nil, errInflate
		}
		distance := int(distanceBase[symbol]) + f.bits(int(distanceExtra[symbol]))
		if held, n = f.held, f.n; n < 0 || distance > len(dst) || length > limit-len(dst) {
			return nil, errInflate
		}
		for length > 0 { // a match may run into what it appends
			part := min(length, distance)
			start := len(dst) - distance
			dst = append(dst, dst[start:start+part]...)
			length -= part
		}
	}
}

// fixedCodes prepares the codes that the format itself defines.
func (f *inflater) fixedCodes() error {
	var codes [288]code
	for i := range codes {
		bits := 8
		switch {
		case i >= 144 && i < 256:
			bits = 9
		case i >= 256 && i < 280:
			bits = 7
		}
		codes[i] = newCode(i, bits)
	}
	_ = f.literals.init(codes[:])
	for i := range 32 {
		codes[i] = newCode(i, 5)
	}
	return f.distances.init(codes[:32])
}

// dynamicCodes reads the codes that the block defines.
func (f *inflater) dynamicCodes() error {
	literals, distances, count := 257+f.bits(5), 1+f.bits(5), 4+f.bits(4)
	if literals > numLiterals || distances > numDistances {
		return errInflate
	}

	// 1. A code for the lengths of codes, until that for distances is known.
	var order [len(lengthOrder)]int
	for _, symbol := range lengthOrder[:count] {
		if f.n < 3 {
			f.refill()
		}
		order[symbol] = f.bits(3)
	}
	codes := f.codes[:0]
	for symbol, n := range order {
		if n > 0 {
			codes = append(codes, newCode(symbol, n))
		}
	}
	if err := f.distances.init(codes); err != nil {
		return err
	}

	// 2. The lengths of the codes for literals, then for distances.
	total, last := literals+distances, 0
	codes = f.codes[:0]
	held, have := f.held, f.n
	for i := 0; i < total; {
		if have < 16 { // a length and how often it comes take 7+7 bits at most
			f.held, f.n = held, have
			f.refill()
			held, have = f.held, f.n
		}
		c := f.distances.table[held&f.distances.mask&(1<<rootBits-1)]
		held >>= c.bits()
		have -= c.bits()
		n, times := c.symbol(), 1
		if n > maxBits {
			extra := repeatExtra[n-maxBits-1]
			times = repeatBase[n-maxBits-1] + int(held&(1<<extra-1))
			held >>= extra
			have -= extra
			switch {
			case n > 16:
				n = 0
			case i == 0:
				return errInflate
			default:
				n = last
			}
		}
		if c == 0 || times > total-i {
			return errInflate
		}
		last, times = n, i+times
		if n == 0 {
			i = times
			continue
		}
		for ; i < times; i++ {
			codes = append(codes, newCode(i, n))
		}
	}
	f.held, f.n = held, have
	split := len(codes)
	for split > 0 && codes[split-1].symbol() >= literals {
		split--
		codes[split] -= newCode(literals, 0)
	}
	if err := f.literals.init(codes[:split]); err != nil {
		return err
	}
	return f.distances.init(codes[split:])
}

// code is a symbol and the length of its Huffman code in bits, 0 for none.
type code uint16

func newCode(symbol, bits int) code { return code(symbol<<4 | bits) }
func (c code) symbol() int          { return int(c >> 4) }
func (c code) bits() int            { return int(c & 15) }
func (c code) isLiteral() bool      { return c-1 < endOfBlock<<4-1 } // and not 0

// huffman decodes symbols by their codes.
type huffman struct {
	mask   uint64              // of those of the next bits that are the index into table
	table  [1 << rootBits]code // 0 if the code has more bits
	count  [maxBits + 1]int    // of the codes by their bits
	sorted [288]code           // all codes
}

// init prepares the codes of symbols that are sorted. As in compress/flate, they
// are complete, or there is none, or one of one bit.
func (h *huffman) init(codes []code) error {
	// 1. How many codes of each length there are, and the first of them.
	clear(h.count[:])
	for _, c := range codes {
		h.count[c.bits()]++
	}
	var next [maxBits + 2]int
	most, free := 0, 1
	for n := 1; n <= maxBits; n++ {
		next[n+1] = (next[n] + h.count[n]) << 1
		if free = free<<1 - h.count[n]; free < 0 {
			return errInflate
		}
		if h.count[n] > 0 {
			most = n
		}
	}
	if one := most == 1 && h.count[1] == 1; free > 0 && most > 0 && !one {
		return errInflate
	}

	// 2. The table. Codes that differ in later bits only share an entry.
	root := min(most, rootBits)
	table := h.table[:1<<root]
	h.mask = uint64(len(table) - 1)
	if free > 0 {
		clear(table)
	}
	for _, c := range codes {
		n := c.bits()
		reversed := int(bits.Reverse16(uint16(next[n])) >> (16 - n))
		next[n]++
		if n > root {
			table[reversed&(len(table)-1)] = 0
			continue
		}
		for ; reversed < len(table); reversed += 1 << n {
			table[reversed] = c
		}
	}

	// 3. The codes in their order, for those that have no entry.
	if most > root {
		var start [maxBits + 2]int
		for n := 1; n <= maxBits; n++ {
			start[n+1] = start[n] + h.count[n]
		}
		for _, c := range codes {
			h.sorted[start[c.bits()]] = c
			start[c.bits()]++
		}
	}
	return nil
}

// find returns the code that the bits begin with, or 0.
func (h *huffman) find(held uint64) code {
	c := h.table[held&h.mask]
	if c == 0 {
		c = h.findLong(held)
	}
	return c
}

// findLong is find for a code of any length. Of each length, the codes follow one
// another.
//
//go:noinline
func (h *huffman) findLong(held uint64) code {
	next, first, index := 0, 0, 0
	for n := 1; n <= maxBits; n++ {
		next |= int(held & 1)
		if next-first < h.count[n] {
			return h.sorted[index+next-first]
		}
		index += h.count[n]
		first, next, held = (first+h.count[n])<<1, next<<1, held>>1
	}
	return 0
}

// symbol decodes one symbol; it is [noSymbol] if no code matches.
func (f *inflater) symbol(h *huffman) int {
	c := h.find(f.held)
	if c == 0 {
		return noSymbol
	}
	f.held >>= c.bits()
	f.n -= c.bits()
	return c.symbol()
}

const noSymbol = 1 << 12 // is larger than all
