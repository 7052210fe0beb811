package attach

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"sort"
	"strings"
)

// A zipEntry is one file as the central directory or a local header describes it.
type zipEntry struct {
	name          string
	unicode       string // from the Info-ZIP Unicode Path field 0x7075
	flags, method uint16
	crc           uint32
	packed, size  int64
	at            int64  // of the local header
	data          int64  // of the content; 0 if there is no local header
	stamp         uint32 // DOS date and time
	strength      byte   // of AES: 1 to 3 for 128, 192, 256 bits
	inner         uint16 // method behind AES
	link          bool   // Unix unpacks it as a symbolic link to what it holds
}

func (e zipEntry) encrypted() bool { return e.flags&1 != 0 || e.flags&(1<<13) != 0 || e.method == 99 }
func (e zipEntry) streamed() bool  { return e.flags&8 != 0 }

// A zipFile is both views of a ZIP file and in what they differ.
type zipFile struct {
	raw       []byte
	entries   []zipEntry // central directory
	hidden    []zipEntry // local headers that the central directory does not know or describes otherwise
	ambiguous []string
	corrupt   []string
	overlap   bool
	base      int64 // octets before the archive
	eocd      int64
	dirAt     int64
}

var errNoZip = errors.New("no central directory")

var le = binary.LittleEndian

// zipDirectoryEnd finds the last end record (APPNOTE 4.3.16) whose directory may exist, and how many such there are.
func zipDirectoryEnd(b []byte) (at int, count int) {
	at = -1
	for i := max(0, len(b)-1<<20); ; i += 4 {
		n := bytes.Index(b[i:], []byte("PK\x05\x06"))
		if n < 0 {
			return at, count
		}
		i += n
		if i+22 <= len(b) && int64(le.Uint32(b[i+12:])) <= int64(i) || i+22 <= len(b) && le.Uint32(b[i+12:]) == 1<<32-1 {
			at = i
			count++
		}
	}
}

// readZip reads the central directory and compares it with the local headers. It never inflates. It refuses more than
// maxEntries entries before it keeps them.
func readZip(b []byte) (*zipFile, error) {
	z := &zipFile{raw: b}
	at, ends := zipDirectoryEnd(b)
	if at < 0 {
		z.locals(nil)
		return z, errNoZip
	}
	if ends > 1 {
		z.unsure("%d end records", ends)
	}
	z.eocd = int64(at)
	end := b[at:]
	count, size, offset, before := int64(le.Uint16(end[10:])), int64(le.Uint32(end[12:])), int64(le.Uint32(end[16:])), int64(at)
	if le.Uint16(end[4:]) != 0 && le.Uint16(end[4:]) != 0xffff || le.Uint16(end[8:]) != le.Uint16(end[10:]) {
		z.broken("it spans several disks")
	}
	if rest := len(end) - 22 - int(le.Uint16(end[20:])); rest != 0 {
		z.unsure("the comment ends %d octets from the end", rest)
	}
	if at >= 20 && string(b[at-20:at-16]) == "PK\x06\x07" {
		if c, s, o, ok := z.zip64(int64(at)); ok {
			if count != 0xffff && count != c || size != 1<<32-1 && size != s || offset != 1<<32-1 && offset != o {
				z.unsure("ZIP64 and plain end records differ")
			}
			count, size, offset = c, s, o
			before = z.eocd
		}
	}
	z.dirAt = before - size
	z.base = z.dirAt - offset
	if z.dirAt < 0 || z.base < 0 {
		z.unsure("the directory is not where the end record says")
		if z.dirAt = offset; offset > before {
			z.broken("the directory lies behind its end")
			z.locals(nil)
			return z, nil
		}
		z.base = 0
	} else if z.base > 0 {
		z.unsure("%d octets before the archive or its directory", z.base)
		if offset+4 <= int64(len(b)) && string(b[offset:offset+4]) == "PK\x01\x02" {
			z.base = 0
		}
	}
	if count > maxEntries {
		return z, limitError("entries")
	}
	z.directory(count, before)
	z.compare()
	return z, nil
}

// zip64 reads the ZIP64 end record (APPNOTE 4.3.14), and moves the end of the directory before it.
func (z *zipFile) zip64(end int64) (count, size, offset int64, ok bool) {
	at := int64(le.Uint64(z.raw[end-12:]))
	if at < 0 || at+56 > end-20 || string(z.raw[at:at+4]) != "PK\x06\x06" {
		// Octets before the archive move it; then it stands right before its locator.
		if at = end - 76; at < 0 || string(z.raw[at:at+4]) != "PK\x06\x06" {
			z.broken("the ZIP64 end record is missing")
			return 0, 0, 0, false
		}
		z.unsure("the ZIP64 end record is not where its locator says")
	}
	r := z.raw[at:]
	if n := int64(le.Uint64(r[4:])); n+12 != end-20-at {
		z.unsure("the ZIP64 end record lies about its size")
	}
	count, size, offset = int64(le.Uint64(r[32:])), int64(le.Uint64(r[40:])), int64(le.Uint64(r[48:]))
	if count < 0 || size < 0 || offset < 0 || size > at || offset > at {
		z.broken("the ZIP64 end record points outside")
		return 0, 0, 0, false
	}
	z.eocd = at
	return count, size, offset, true
}

// directory reads the central directory (APPNOTE 4.3.12).
func (z *zipFile) directory(count, end int64) {
	p := z.dirAt
	names := map[string]bool{}
	for p+46 <= end && string(z.raw[p:p+4]) == "PK\x01\x02" && len(z.entries) <= maxEntries {
		h := z.raw[p:end]
		n, x, c := int64(le.Uint16(h[28:])), int64(le.Uint16(h[30:])), int64(le.Uint16(h[32:]))
		if 46+n+x+c > int64(len(h)) {
			z.broken("an entry of the directory is cut off")
			break
		}
		e := zipEntry{
			name: string(h[46 : 46+n]), flags: le.Uint16(h[8:]), method: le.Uint16(h[10:]), stamp: le.Uint32(h[12:]), crc: le.Uint32(h[16:]),
			packed: int64(le.Uint32(h[20:])), size: int64(le.Uint32(h[24:])), at: int64(le.Uint32(h[42:])),
		}
		z.extra(&e, h[46+n:46+n+x])
		e.link = h[41]>>4 == 0xa && (h[5] == 3 || h[5] == 19) // the mode of Unix or macOS in the external attributes
		e.at += z.base
		if names[e.name] {
			z.unsure("two entries are called %q", e.name)
		}
		if strings.IndexByte(e.name, 0) >= 0 || e.name == "" {
			z.unsure("a name holds a NUL or nothing")
		}
		names[e.name] = true
		z.entries = append(z.entries, e)
		p += 46 + n + x + c
	}
	if int64(len(z.entries)) != count {
		z.broken("the directory holds %d entries where %d are declared", len(z.entries), count)
	}
	if p != end {
		z.unsure("%d octets between the directory and its end record", end-p)
	}
}

// extra reads the fields that change what an entry is: ZIP64 sizes and the Unicode name (APPNOTE 4.5.3, 4.6.9).
func (z *zipFile) extra(e *zipEntry, x []byte) {
	seen := map[uint16]bool{}
	for len(x) >= 4 {
		id, n := le.Uint16(x), int(le.Uint16(x[2:]))
		if 4+n > len(x) {
			z.unsure("an extra field is cut off")
			return
		}
		f := x[4 : 4+n]
		if (id == 1 || id == 0x7075) && seen[id] {
			z.unsure("an extra field stands twice")
		}
		seen[id] = true
		switch {
		case id == 1:
			for _, v := range []*int64{&e.size, &e.packed, &e.at} {
				if *v == 1<<32-1 && len(f) >= 8 {
					*v = int64(le.Uint64(f))
					f = f[8:]
				}
			}
		case id == 0x9901 && n >= 7: // AE-1, AE-2
			e.strength, e.inner = f[4], le.Uint16(f[5:])
		case id == 0x7075 && n > 5:
			e.unicode = string(f[5:])
			if crc32.ChecksumIEEE([]byte(e.name)) == le.Uint32(f[1:]) && fold(e.unicode) != fold(e.name) && isASCII(e.name) {
				z.unsure("an entry has two names")
			}
		}
		x = x[4+n:]
	}
}

func isASCII(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

// local reads the local header at p (APPNOTE 4.3.7).
func (z *zipFile) local(p int64) (zipEntry, bool) {
	if p < 0 || p > int64(len(z.raw))-30 || string(z.raw[p:p+4]) != "PK\x03\x04" {
		return zipEntry{}, false
	}
	h := z.raw[p:]
	n, x := int64(le.Uint16(h[26:])), int64(le.Uint16(h[28:]))
	if 30+n+x > int64(len(h)) {
		return zipEntry{}, false
	}
	e := zipEntry{
		name: string(h[30 : 30+n]), flags: le.Uint16(h[6:]), method: le.Uint16(h[8:]), stamp: le.Uint32(h[10:]), crc: le.Uint32(h[14:]),
		packed: int64(le.Uint32(h[18:])), size: int64(le.Uint32(h[22:])), at: p, data: p + 30 + n + x,
	}
	z.extra(&e, h[30+n:30+n+x])
	return e, true
}

// compare checks each entry against its local header, and that the entries cover the file once and fully.
func (z *zipFile) compare() {
	known := make(map[int64]bool, len(z.entries))
	type span struct{ from, to int64 }
	var spans []span
	for i := range z.entries {
		e := &z.entries[i]
		l, ok := z.local(e.at)
		if !ok {
			z.broken("%q has no local header", e.name)
			continue
		}
		known[e.at] = true
		e.data = l.data
		if z.differ(*e, l) {
			z.hidden = append(z.hidden, l)
		}
		if e.packed < 0 || e.data+e.packed > z.dirAt || e.data+e.packed < 0 {
			z.broken("%q reaches beyond the directory", e.name)
			e.packed = max(0, z.dirAt-e.data)
		}
		spans = append(spans, span{e.at, e.data + e.packed + z.descriptor(*e)})
	}
	sort.Slice(spans, func(i, j int) bool { return spans[i].from < spans[j].from })
	var end int64
	for _, s := range append(spans, span{from: z.dirAt, to: z.dirAt}) {
		gap := s.from - end
		if gap < 0 {
			z.overlap = true
		} else if gap > 0 && !(end == 0 && gap == z.base) {
			z.unsure("%d octets at %d belong to no entry", gap, end)
		}
		end = max(end, s.to)
	}
	if len(z.ambiguous)+len(z.corrupt) > 0 {
		z.locals(known)
	}
}

// descriptor is the length of the data descriptor behind a streamed entry (APPNOTE 4.3.9), which must say what the directory says.
func (z *zipFile) descriptor(e zipEntry) int64 {
	if !e.streamed() {
		return 0
	}
	b := z.raw[min(e.data+e.packed, int64(len(z.raw))):]
	var n int64
	if len(b) >= 4 && string(b[:4]) == "PK\x07\x08" && le.Uint32(b) != e.crc {
		b, n = b[4:], 4
	}
	if len(b) >= 20 && le.Uint32(b) == e.crc && int64(le.Uint64(b[4:])) == e.packed && int64(le.Uint64(b[12:])) == e.size {
		return n + 20
	}
	if len(b) >= 12 && le.Uint32(b) == e.crc && int64(le.Uint32(b[4:])) == e.packed && int64(le.Uint32(b[8:])) == e.size {
		return n + 12
	}
	z.unsure("the data descriptor of %q is missing or lies", e.name)
	return 0
}

// differ says in what the two headers of an entry disagree.
func (z *zipFile) differ(e, l zipEntry) bool {
	before := len(z.ambiguous)
	if e.name != l.name {
		z.unsure("one entry is called %q and %q", e.name, l.name)
	}
	if e.stamp != l.stamp {
		z.unsure("the headers of %q differ in time", e.name)
	}
	if e.method == 0 && e.packed != e.size && !e.encrypted() {
		z.unsure("%q is stored in another size than its own", e.name)
	}
	if e.method != l.method || (e.flags^l.flags)&(1|8) != 0 {
		z.unsure("the headers of %q differ in method or flags", e.name)
	}
	known := l.packed != 0 || l.size != 0 || l.crc != 0 || !l.streamed()
	masked := e.flags&(1<<13) != 0
	if known && !masked && (e.packed != l.packed || e.size != l.size || e.crc != l.crc) {
		z.unsure("the headers of %q differ in size or checksum", e.name)
	}
	return len(z.ambiguous) > before
}

// locals finds the local headers that a program reading from the front would see, beside the known ones.
func (z *zipFile) locals(known map[int64]bool) {
	for p := 0; len(z.hidden) < 256; p += 4 {
		i := bytes.Index(z.raw[p:], []byte("PK\x03\x04"))
		if i < 0 {
			return
		}
		p += i
		if p+10 > len(z.raw) || le.Uint16(z.raw[p+8:]) >= 100 { // no header: its name need not be kept
			continue
		}
		if l, ok := z.local(int64(p)); ok && !known[int64(p)] {
			z.hidden = append(z.hidden, l)
		}
	}
}

func (z *zipFile) unsure(format string, args ...any) {
	if len(z.ambiguous) < 8 {
		z.ambiguous = append(z.ambiguous, fmt.Sprintf(format, args...))
	}
}

func (z *zipFile) broken(format string, args ...any) {
	if len(z.corrupt) < 8 {
		z.corrupt = append(z.corrupt, fmt.Sprintf(format, args...))
	}
}
