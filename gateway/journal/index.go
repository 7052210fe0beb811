package journal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"net/netip"
	"slices"
	"strings"

	"gatepost/filters/mail"
)

// A key says that a record at an offset of a raw segment is found by some word, of which it keeps a hash.
type key struct {
	hash uint64
	at   int64
}

// hashOf is 64-bit FNV-1a of a folded word: fast, and the same in every process.
func hashOf(word string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(word) {
		h = (h ^ uint64(word[i])) * 1099511628211
	}
	return h
}

// appendKeys appends the keys of a record: id, Message-ID, client, and all addresses with their domains.
func appendKeys(keys []key, r *Record, at int64) []key {
	eachWord(r, func(word string) bool {
		keys = append(keys, key{hashOf(word), at})
		return true
	})
	return keys
}

// eachWord gives fn what r is found by, folded, until fn returns false.
func eachWord(r *Record, fn func(string) bool) bool {
	if !fn(fold(r.ID)) || r.Client.IsValid() && !fn(r.Client.String()) {
		return false
	}
	if id := fold(r.MsgID); id != "" && !fn(id) {
		return false
	}
	for _, a := range []string{r.From, r.Author} {
		if !eachOfAddress(a, fn) {
			return false
		}
	}
	for _, a := range r.Rcpts {
		if !eachOfAddress(a, fn) {
			return false
		}
	}
	for _, f := range r.Fates {
		if !slices.Contains(r.Rcpts, f.Rcpt) && !eachOfAddress(f.Rcpt, fn) {
			return false
		}
	}
	return true
}

// eachOfAddress gives fn an address and "@" with its domain.
func eachOfAddress(a string, fn func(string) bool) bool {
	if a == "" {
		return true
	}
	a = fold(a)
	if !fn(a) {
		return false
	}
	at := strings.LastIndexByte(a, '@')
	return at < 0 || fn(a[at:])
}

// fold is the form in which words are compared: a Message-ID or address without angle brackets, lower case, an IP
// address as netip writes it.
func fold(word string) string {
	word = strings.ToLower(strings.Trim(strings.TrimSpace(word), "<>"))
	if a, err := netip.ParseAddr(word); err == nil {
		return a.Unmap().String()
	}
	if a, err := mail.ParseAddress(word); err == nil {
		return a.Canonical()
	}
	return word
}

// An index says which blocks of a sealed segment hold a word, and from when to when it reaches.
type index struct {
	first, last int64   // milliseconds; the oldest and the newest record
	offsets     []int64 // of the frames in the file, and the end of the last
	entries     []uint64
}

// An entry of an index is the upper 44 bits of a hash and a block.
const entryBlockBits = 20

// entriesOf sorts keys into entries.
func entriesOf(keys []key) []uint64 {
	entries := make([]uint64, len(keys))
	for i, k := range keys {
		entries[i] = k.hash>>entryBlockBits<<entryBlockBits | uint64(k.at>>blockBits)
	}
	slices.Sort(entries)
	return slices.Compact(entries)
}

// The file of an index: the magic, four numbers, the offsets, the entries, and the CRC-32C of all before; all little
// endian and of 64 bits but the last.
const (
	indexMagic = "gpjidx1\n"
	indexHead  = len(indexMagic) + 4*8
)

// encode is the file of x.
func (x *index) encode() []byte {
	b := make([]byte, 0, indexHead+8*(len(x.offsets)+len(x.entries))+4)
	b = append(b, indexMagic...)
	for _, n := range []int64{x.first, x.last, int64(len(x.offsets)), int64(len(x.entries))} {
		b = binary.LittleEndian.AppendUint64(b, uint64(n))
	}
	for _, n := range x.offsets {
		b = binary.LittleEndian.AppendUint64(b, uint64(n))
	}
	for _, n := range x.entries {
		b = binary.LittleEndian.AppendUint64(b, n)
	}
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)))
}

// errIndex means that an index file is not whole; the segment is then read through.
var errIndex = errors.New("damaged index")

// decodeIndex reads the file of an index.
func decodeIndex(b []byte) (*index, error) {
	if len(b) < indexHead+4 || string(b[:len(indexMagic)]) != indexMagic {
		return nil, errIndex
	}
	body := b[:len(b)-4]
	if crc32.Checksum(body, crc32.MakeTable(crc32.Castagnoli)) != binary.LittleEndian.Uint32(b[len(body):]) {
		return nil, fmt.Errorf("%w: wrong checksum", errIndex)
	}
	word := func(i int) uint64 { return binary.LittleEndian.Uint64(body[len(indexMagic)+8*i:]) }
	x := &index{first: int64(word(0)), last: int64(word(1))}
	words := (len(body) - indexHead) / 8
	offsets, entries := word(2), word(3)
	if (len(body)-indexHead)%8 != 0 || offsets > uint64(words) || entries != uint64(words)-offsets || offsets > 1<<entryBlockBits {
		return nil, fmt.Errorf("%w: wrong length", errIndex)
	}
	x.offsets = make([]int64, offsets)
	for i := range x.offsets {
		x.offsets[i] = int64(word(4 + i))
		if x.offsets[i] < 0 || i > 0 && x.offsets[i] < x.offsets[i-1] {
			return nil, fmt.Errorf("%w: wrong order", errIndex)
		}
	}
	x.entries = make([]uint64, entries)
	for i := range x.entries {
		x.entries[i] = word(4 + int(offsets) + i)
	}
	return x, nil
}

// blocks are the blocks that may hold the word, in order; all of them for no word.
func (x *index) blocks(word string) []int {
	var list []int
	if word == "" {
		for n := range len(x.offsets) - 1 {
			list = append(list, n)
		}
		return list
	}
	prefix := hashOf(word) >> entryBlockBits << entryBlockBits
	i, _ := slices.BinarySearch(x.entries, prefix)
	for ; i < len(x.entries) && x.entries[i]>>entryBlockBits<<entryBlockBits == prefix; i++ {
		if n := int(x.entries[i] & (1<<entryBlockBits - 1)); n+1 < len(x.offsets) {
			list = append(list, n)
		}
	}
	return list
}
