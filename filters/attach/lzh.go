package attach

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf16"
)

var errLZH = errors.New("a header of the archive is broken")

// An lzhEntry is one file of an LZH archive.
type lzhEntry struct {
	name, folder string
	method       string
	packed, size int64
	sum          uint16 // CRC-16 of the content
	data         int    // where the packed content begins
}

// isLZH recognises the first header of an LZH archive.
func isLZH(b []byte) bool {
	return len(b) > 21 && b[2] == '-' && b[3] == 'l' && (b[4] == 'h' || b[4] == 'z') && b[6] == '-' && b[20] < 4
}

// lzh examines an LZH archive.
func (w *walk) lzh(it *item) error {
	for at := 0; at < len(it.data) && it.data[at] != 0; {
		if err := w.budget.entry(); err != nil {
			return err
		}
		e, err := readLZH(it.data, at)
		if err != nil {
			return err
		}
		at = e.data + int(e.packed)
		if e.method == "-lhd-" {
			continue
		}
		if err := w.lzhFile(it, e); err != nil {
			return err
		}
	}
	return nil
}

// lzhFile inflates and examines one file.
func (w *walk) lzhFile(it *item, e lzhEntry) error {
	name := e.folder + e.name
	packed := it.data[e.data : e.data+int(e.packed)]
	var r io.Reader
	switch e.method {
	case "-lh0-", "-lz4-":
		r = bytes.NewReader(packed)
	case "-lh4-":
		r = newLZReader(packed, e.size, 1<<12, 14, 4)
	case "-lh5-":
		r = newLZReader(packed, e.size, 1<<13, 14, 4)
	case "-lh6-":
		r = newLZReader(packed, e.size, 1<<15, 16, 5)
	case "-lh7-":
		r = newLZReader(packed, e.size, 1<<16, 17, 5)
	default:
		w.find(it, "attach.unscannable.format", "An attachment is an archive of a kind that the gateway does not open.", fmt.Sprintf("%q: compression %s", name, e.method))
		w.nameOnly(it, name)
		return nil
	}
	data, err := w.budget.read(r, int64(len(packed)))
	w.member(it, name, data)
	if err == nil && crc16(data) != e.sum {
		err = fmt.Errorf("%q does not inflate to what its header says", name)
	}
	return err
}

// crc16Table is the CRC-16 of each octet.
var crc16Table = func() (table [256]uint16) {
	for i := range table {
		sum := uint16(i)
		for range 8 {
			sum = sum>>1 ^ 0xa001*(sum&1)
		}
		table[i] = sum
	}
	return table
}()

// crc16 is the checksum of LHA: x^16 + x^15 + x^2 + 1, the lowest bit first.
func crc16(b []byte) (sum uint16) {
	for _, c := range b {
		sum = sum>>8 ^ crc16Table[byte(sum)^c]
	}
	return sum
}

// readLZH reads the header at an offset, of level 0, 1 or 2.
func readLZH(b []byte, at int) (e lzhEntry, err error) {
	h := b[at:]
	if len(h) < 24 || h[2] != '-' || h[6] != '-' {
		return e, errLZH
	}
	e.method, e.packed, e.size = string(h[2:7]), int64(le.Uint32(h[7:])), int64(le.Uint32(h[11:]))
	next, ext := 0, 0 // where the first extended header begins, and its size
	switch h[20] {
	case 0, 1:
		next = 2 + int(h[0])
		n := int(h[21])
		if next > len(h) || 22+n > next {
			return e, errLZH
		}
		e.name = string(h[22 : 22+n])
		if 24+n > next {
			return e, errLZH
		}
		e.sum = le.Uint16(h[22+n:])
		if h[20] == 1 {
			ext = int(le.Uint16(h[next-2:]))
		}
	case 2:
		if len(h) < 26 {
			return e, errLZH
		}
		next, ext = 26, int(le.Uint16(h[24:]))
		e.sum = le.Uint16(h[21:])
	default:
		return e, fmt.Errorf("header level %d", h[20])
	}
	for ext > 0 {
		if ext < 3 || next+ext > len(h) {
			return e, errLZH
		}
		e.extended(h[next], h[next+1:next+ext-2])
		if h[20] == 1 {
			e.packed -= int64(ext)
		}
		next, ext = next+ext, int(le.Uint16(h[next+ext-2:]))
	}
	if h[20] == 2 {
		next = int(le.Uint16(h))
	}
	e.data = at + next
	if next < 22 || e.packed < 0 || e.data > len(b) || e.packed > int64(len(b)-e.data) {
		return e, errLZH
	}
	return e, nil
}

// extended takes names out of an extended header.
func (e *lzhEntry) extended(kind byte, data []byte) {
	switch kind {
	case 0x01:
		e.name = string(data)
	case 0x02:
		e.folder = strings.ReplaceAll(string(data), "\xff", "/")
	case 0x44, 0x45:
		u := make([]uint16, len(data)/2)
		for i := range u {
			u[i] = le.Uint16(data[2*i:])
		}
		text := string(utf16.Decode(u))
		if kind == 0x44 {
			e.name = text
		} else {
			e.folder = strings.ReplaceAll(text, "\uffff", "/")
		}
	}
}

// isARJ recognises an ARJ archive.
func isARJ(b []byte) bool {
	return len(b) > 40 && b[0] == 0x60 && b[1] == 0xea && le.Uint16(b[2:]) <= 2600 && b[4] >= 30 && b[10] == 2
}

// The flags of an ARJ file header.
const (
	arjGarbled = 1
	arjSplit   = 4
)

// arj examines an ARJ archive.
func (w *walk) arj(it *item) error {
	_, _, at, err := arjHeader(it.data, 0)
	if err != nil {
		return err
	}
	for {
		h, name, next, err := arjHeader(it.data, at)
		if err != nil || h == nil {
			return err
		}
		if err := w.budget.entry(); err != nil {
			return err
		}
		size := int64(le.Uint32(h[12:]))
		if size > int64(len(it.data)-next) {
			return errLZH
		}
		at = next + int(size)
		if kind := h[6]; kind != 0 && kind != 1 { // directories and labels
			continue
		}
		if err := w.arjFile(it, h, name, it.data[next:at]); err != nil {
			return err
		}
	}
}

// arjHeader reads the header at an offset: without its first four octets, up to the name. A header of no size ends the archive.
func arjHeader(b []byte, at int) (h []byte, name string, next int, err error) {
	if at+4 > len(b) || b[at] != 0x60 || b[at+1] != 0xea {
		return nil, "", 0, errLZH
	}
	n := int(le.Uint16(b[at+2:]))
	if n == 0 {
		return nil, "", at, nil
	}
	if n < 30 || at+4+n+6 > len(b) {
		return nil, "", 0, errLZH
	}
	h = b[at+4 : at+4+n]
	first := int(h[0])
	if first < 30 || first > n {
		return nil, "", 0, errLZH
	}
	text, _, _ := bytes.Cut(h[first:], []byte{0})
	for next = at + 4 + n + 4; ; { // extended headers, each with its checksum
		if next+2 > len(b) {
			return nil, "", 0, errLZH
		}
		ext := int(le.Uint16(b[next:]))
		next += 2
		if ext == 0 {
			return h, string(text), next, nil
		}
		next += ext + 4
	}
}

// arjFile inflates and examines one file.
func (w *walk) arjFile(it *item, h []byte, name string, packed []byte) error {
	if h[4]&arjGarbled != 0 {
		w.encrypted(it, name)
		w.nameOnly(it, name)
		return nil
	}
	size := int64(le.Uint32(h[16:]))
	var r io.Reader
	switch h[5] {
	case 0:
		r = bytes.NewReader(packed)
	case 1, 2, 3:
		r = newLZReader(packed, size, 1<<15, 17, 5)
	default:
		w.find(it, "attach.unscannable.format", "An attachment is an archive of a kind that the gateway does not open.", fmt.Sprintf("%q: compression %d", name, h[5]))
		w.nameOnly(it, name)
		return nil
	}
	data, err := w.budget.read(r, int64(len(packed)))
	w.member(it, name, data)
	if err == nil && h[4]&arjSplit != 0 {
		err = errors.New("a file goes on in another volume")
	}
	return err
}
