package bayes

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"slices"
)

// A stored model is a header, the tokens in order with their weights, and a checksum (CRC-32C) of
// all before it; numbers are little-endian:
//
//	"gpbayes2"  seed:8  generation:8  spam:4  ham:4  bias:4  slope:4  offset:4  familiar:4  size:4  twins:4  { token:4 weight:4 }  { spam:2 sketch:2*64 }  sum:4
const (
	magic      = "gpbayes2"
	headerSize = 8 + 8 + 8 + 4*8
	twinSize   = 2 + 2*bins
	// MaxModelFile is the most bytes of a stored model.
	MaxModelFile = headerSize + 8*maxSize + twinSize*maxTwins + 4
)

// ErrModel is returned for a stored model that is damaged or of another version.
var ErrModel = errors.New("damaged model")

// Write stores the model with the generation of the lessons that it was made of.
func (m *Model) Write(w io.Writer, generation uint64) error {
	b := make([]byte, 0, headerSize+8*m.size+twinSize*len(m.twins)+4)
	b = append(b, magic...)
	b = binary.LittleEndian.AppendUint64(b, uint64(m.seed))
	b = binary.LittleEndian.AppendUint64(b, generation)
	for _, v := range [...]uint32{uint32(m.spam), uint32(m.ham), math.Float32bits(m.bias), math.Float32bits(m.slope), math.Float32bits(m.offset), math.Float32bits(m.familiar)} {
		b = binary.LittleEndian.AppendUint32(b, v)
	}
	size := len(b)
	b = binary.LittleEndian.AppendUint32(b, 0)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(m.twins)))
	n := uint32(0)
	add := func(v uint32, w float32) {
		b = binary.LittleEndian.AppendUint32(b, v)
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(w))
		n++
	}
	if m.zero != 0 {
		add(0, m.zero)
	}
	for _, v := range m.tokens() {
		add(v, m.weight(v))
	}
	binary.LittleEndian.PutUint32(b[size:], n)
	for _, t := range m.twins {
		b = binary.LittleEndian.AppendUint16(b, uint16(index(t.spam)))
		for _, v := range t.sketch {
			b = binary.LittleEndian.AppendUint16(b, v)
		}
	}
	b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli()))
	if _, err := w.Write(b); err != nil {
		return fmt.Errorf("write model: %w", err)
	}
	return nil
}

// tokens are those of the table in the order of their numbers: where they stand in it depends on when they came.
func (m *Model) tokens() []uint32 {
	list := make([]uint32, 0, m.size)
	for _, v := range m.keys {
		if v != 0 {
			list = append(list, v)
		}
	}
	slices.Sort(list)
	return list
}

// castagnoli makes a new reference to the one table that package hash/crc32 keeps.
func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) }

// ReadModel reads what Write stored. Whatever the bytes are, it takes no more memory than a model of its size does.
func ReadModel(b []byte) (m *Model, generation uint64, err error) {
	if len(b) < headerSize+4 || len(b) > MaxModelFile || !bytes.HasPrefix(b, []byte(magic)) {
		return nil, 0, fmt.Errorf("%w: no model of this version", ErrModel)
	}
	body, sum := b[:len(b)-4], binary.LittleEndian.Uint32(b[len(b)-4:])
	if crc32.Checksum(body, castagnoli()) != sum {
		return nil, 0, fmt.Errorf("%w: wrong checksum", ErrModel)
	}
	u32 := func(at int) uint32 { return binary.LittleEndian.Uint32(b[at:]) }
	f32 := func(at int) float32 { return math.Float32frombits(u32(at)) }
	m = &Model{
		seed: Seed(binary.LittleEndian.Uint64(b[8:])), spam: int(u32(24)), ham: int(u32(28)),
		bias: f32(32), slope: f32(36), offset: f32(40), familiar: f32(44),
	}
	generation = binary.LittleEndian.Uint64(b[16:])
	n, twins, entries := int(u32(48)), int(u32(52)), body[headerSize:]
	if len(entries) != 8*n+twinSize*twins || !sane(m.bias, 1e6) || !sane(m.slope, 100) || !sane(m.offset, 100) || m.familiar <= 0 || m.familiar > 1 {
		return nil, 0, fmt.Errorf("%w: wrong numbers", ErrModel)
	}
	m.keys, m.weights = make([]uint32, slots(n)), make([]float32, slots(n))
	m.size = n
	for ; n > 0; n, entries = n-1, entries[8:] {
		w := math.Float32frombits(binary.LittleEndian.Uint32(entries[4:]))
		if !sane(w, heavy) {
			return nil, 0, fmt.Errorf("%w: wrong weight", ErrModel)
		}
		m.put(binary.LittleEndian.Uint32(entries), w)
	}
	m.twins = make([]twin, twins)
	for i := range m.twins {
		m.twins[i].spam = binary.LittleEndian.Uint16(entries) != 0
		for k := range m.twins[i].sketch {
			m.twins[i].sketch[k] = binary.LittleEndian.Uint16(entries[2+2*k:])
		}
		entries = entries[twinSize:]
	}
	return m, generation, nil
}

// sane reports whether v is a number of at most that magnitude.
func sane(v float32, most float64) bool { return math.Abs(float64(v)) <= most }
