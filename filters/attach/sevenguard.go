package attach

import (
	"bytes"
	"errors"
	"io"

	"github.com/ulikunitz/xz/lzma"
)

// What the header of a 7z archive may ask for before the library that reads it allocates by it (HOSTILE G-02, G-18).
const (
	maxSevenHeader = 16 << 20 // octets of one header, packed or not
	maxSevenCoders = 32       // of one folder
	maxSevenCycles = 22       // rounds of the key derivation, as a power of two
)

var errSeven = errors.New("the header of the archive is broken")

// The ids of 7zFormat.txt.
const (
	sevenEnd       = 0x00
	sevenHeader    = 0x01
	sevenProps     = 0x02
	sevenStreams   = 0x04
	sevenFiles     = 0x05
	sevenPack      = 0x06
	sevenUnpack    = 0x07
	sevenSub       = 0x08
	sevenSize      = 0x09
	sevenCRC       = 0x0a
	sevenFolder    = 0x0b
	sevenSizes     = 0x0c
	sevenEncoded   = 0x17
	sevenExternals = 0x03
)

// A sevenCoder is one step of decompression.
type sevenCoder struct {
	id    string
	props []byte
}

// A sevenFolders is what the headers say about packed streams and how they are unpacked.
type sevenFolders struct {
	packAt   uint64
	packed   []uint64
	coders   [][]sevenCoder // by folder
	unpacked []uint64       // sizes, of every output of every coder
	summed   []bool         // which folders have a checksum
}

// guardSeven reads as much of the headers of a 7z archive as is needed to know what reading it will cost, and refuses what
// costs more than a budget has: windows, rounds of a key derivation, entries, headers within headers.
func guardSeven(b []byte) error {
	if len(b) < 32 {
		return errSeven
	}
	at, size := le.Uint64(b[12:]), le.Uint64(b[20:])
	rest := uint64(len(b) - 32)
	if at > rest || size > rest-at {
		return errSeven
	}
	if size == 0 {
		return nil
	}
	header := b[32+at : 32+at+size]
	for range 4 {
		r := &sevenReader{b: header}
		switch r.octet() {
		case sevenHeader:
			return r.header()
		case sevenEncoded:
		default:
			return errSeven
		}
		f := r.streams()
		if r.bad {
			return errSeven
		}
		if err := f.affordable(); err != nil {
			return err
		}
		next, err := f.header(b[32:])
		if next == nil || err != nil {
			return err
		}
		header = next
	}
	return limitError("headers within headers")
}

// header unpacks a packed header. nil without an error: it is encrypted, which the library says by itself.
func (f *sevenFolders) header(b []byte) ([]byte, error) {
	if len(f.coders) != 1 || len(f.packed) < 1 || len(f.unpacked) < 1 {
		return nil, errSeven
	}
	for _, c := range f.coders[0] {
		if c.id == "\x06\xf1\x07\x01" {
			return nil, nil
		}
	}
	size := f.unpacked[len(f.unpacked)-1]
	if f.packAt > uint64(len(b)) || f.packed[0] > uint64(len(b))-f.packAt || size > maxSevenHeader {
		return nil, limitError("header-size")
	}
	packed := b[f.packAt : f.packAt+f.packed[0]]
	c := f.coders[0][0]
	switch {
	case len(f.coders[0]) != 1:
		return nil, errors.New("the header is packed in several steps")
	case c.id == "\x00":
		return packed[:min(size, uint64(len(packed)))], nil
	case c.id == "\x03\x01\x01" && len(c.props) == 5:
		head := append(append(make([]byte, 0, 13), c.props...), 0, 0, 0, 0, 0, 0, 0, 0)
		le.PutUint64(head[5:], size)
		r, err := lzma.ReaderConfig{DictCap: maxWindow}.NewReader(io.MultiReader(bytes.NewReader(head), bytes.NewReader(packed)))
		if err != nil {
			return nil, err
		}
		return io.ReadAll(io.LimitReader(r, maxSevenHeader))
	}
	return nil, errors.New("the header is packed in a way that is not read")
}

// affordable looks at what the coders will allocate and compute.
func (f *sevenFolders) affordable() error {
	for _, folder := range f.coders {
		for _, c := range folder {
			window := uint64(0)
			switch {
			case (c.id == "\x03\x01\x01" || c.id == "\x03\x04\x01") && len(c.props) >= 5: // LZMA, PPMd
				window = uint64(le.Uint32(c.props[1:]))
			case c.id == "\x21" && len(c.props) == 1: // LZMA2
				if c.props[0] > 40 {
					return errSeven
				}
				window = uint64(2|c.props[0]&1) << (c.props[0]/2 + 11)
			case c.id == "\x06\xf1\x07\x01" && len(c.props) > 0 && c.props[0]&0x3f > maxSevenCycles && c.props[0]&0x3f != 0x3f:
				return limitError("key derivation")
			}
			if window > maxWindow {
				return limitError("window")
			}
		}
	}
	return nil
}

// A sevenReader reads numbers of 7zFormat.txt. Beyond the end, everything is zero and bad.
type sevenReader struct {
	b   []byte
	bad bool
}

func (r *sevenReader) octet() byte {
	if len(r.b) == 0 {
		r.bad = true
		return 0
	}
	c := r.b[0]
	r.b = r.b[1:]
	return c
}

// number reads a number: the leading ones of the first octet say how many octets follow.
func (r *sevenReader) number() (v uint64) {
	first := r.octet()
	mask := byte(0x80)
	for i := 0; i < 8; i++ {
		if first&mask == 0 {
			return v | uint64(first&(mask-1))<<(8*i)
		}
		v |= uint64(r.octet()) << (8 * i)
		mask >>= 1
	}
	return v
}

// count reads a number of things, each of which takes at least a few bits of the header.
func (r *sevenReader) count(most uint64) int {
	n := r.number()
	if n > most {
		r.bad = true
		return 0
	}
	return int(n)
}

func (r *sevenReader) skip(n uint64) []byte {
	if n > uint64(len(r.b)) {
		r.bad = true
		return nil
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}

// header reads a plain header up to the number of files.
func (r *sevenReader) header() error {
	for !r.bad {
		switch r.octet() {
		case sevenProps:
			for r.number() != sevenEnd && !r.bad {
				r.skip(r.number())
			}
		case sevenExternals:
			return errors.New("the archive has additional streams")
		case sevenStreams:
			f := r.streams()
			if r.bad {
				return errSeven
			}
			if err := f.affordable(); err != nil {
				return err
			}
		case sevenFiles:
			if n := r.number(); n > maxEntries {
				return limitError("entries")
			}
			return nil
		case sevenEnd:
			return nil
		default:
			return errSeven
		}
	}
	return errSeven
}

// streams reads a StreamsInfo.
func (r *sevenReader) streams() (f sevenFolders) {
	for !r.bad {
		switch r.octet() {
		case sevenPack:
			r.pack(&f)
		case sevenUnpack:
			r.unpack(&f)
		case sevenSub:
			r.substreams(&f)
		case sevenEnd:
			return f
		default:
			r.bad = true
		}
	}
	return f
}

// pack reads a PackInfo.
func (r *sevenReader) pack(f *sevenFolders) {
	f.packAt = r.number()
	n := r.count(maxEntries)
	for !r.bad {
		switch r.octet() {
		case sevenSize:
			for range n {
				f.packed = append(f.packed, r.number())
			}
		case sevenCRC:
			r.digests(n)
		case sevenEnd:
			return
		default:
			r.bad = true
		}
	}
}

// digests skips checksums of n streams and says which of them have one.
func (r *sevenReader) digests(n int) (defined []bool) {
	all := r.octet() != 0
	var bits []byte
	if !all {
		bits = r.skip(uint64(n+7) / 8)
	}
	defined = make([]bool, n)
	for i := range defined {
		if defined[i] = all || bits != nil && bits[i/8]>>(7-i%8)&1 == 1; defined[i] {
			r.skip(4)
		}
	}
	return defined
}

// unpack reads a CodersInfo.
func (r *sevenReader) unpack(f *sevenFolders) {
	outputs := 0
	for !r.bad {
		switch r.octet() {
		case sevenFolder:
			n := r.count(maxEntries)
			if r.octet() != 0 {
				r.bad = true // in an additional stream
			}
			for i := 0; i < n && !r.bad; i++ {
				coders, out := r.folder()
				f.coders = append(f.coders, coders)
				outputs += out
			}
		case sevenSizes:
			for range outputs {
				f.unpacked = append(f.unpacked, r.number())
			}
		case sevenCRC:
			f.summed = r.digests(len(f.coders))
		case sevenEnd:
			return
		default:
			r.bad = true
		}
	}
}

// folder reads the coders of one folder and how many streams come out of them.
func (r *sevenReader) folder() (coders []sevenCoder, outputs int) {
	n := r.count(maxSevenCoders)
	inputs := 0
	for i := 0; i < n && !r.bad; i++ {
		flags := r.octet()
		c := sevenCoder{id: string(r.skip(uint64(flags & 15)))}
		in, out := 1, 1
		if flags&0x10 != 0 {
			in, out = r.count(maxSevenCoders), r.count(maxSevenCoders)
		}
		if flags&0x20 != 0 {
			c.props = r.skip(r.number())
		}
		if flags&0xc0 != 0 {
			r.bad = true
		}
		inputs, outputs = inputs+in, outputs+out
		coders = append(coders, c)
	}
	bound := outputs - 1
	if bound < 0 || bound > inputs {
		r.bad = true
		return coders, outputs
	}
	for range bound {
		r.number()
		r.number()
	}
	if packed := inputs - bound; packed > 1 {
		for range packed {
			r.number()
		}
	}
	return coders, outputs
}

// substreams reads a SubStreamsInfo far enough to bound the number of its streams.
func (r *sevenReader) substreams(f *sevenFolders) {
	per := make([]int, len(f.coders))
	total := len(per)
	for i := range per {
		per[i] = 1
	}
	for !r.bad {
		switch r.octet() {
		case 0x0d:
			total = 0
			for i := range per {
				per[i] = r.count(maxEntries)
				if total += per[i]; total > maxEntries {
					r.bad = true
					return
				}
			}
		case sevenSize:
			for _, n := range per {
				for range n - 1 {
					r.number()
				}
			}
		case sevenCRC:
			n := total
			for i := range per {
				if per[i] == 1 && i < len(f.summed) && f.summed[i] {
					n-- // the folder's own checksum is the file's
				}
			}
			r.digests(n)
		case sevenEnd:
			return
		default:
			r.bad = true
		}
	}
}
