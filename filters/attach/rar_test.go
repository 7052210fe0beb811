package attach

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"hash/crc32"
	"math/bits"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
)

// A codebook is a Huffman code that wastes nothing: of n symbols, the first have one bit less than the others.
type codebook struct {
	lengths []int
	codes   []int
}

func newCodebook(n int) codebook {
	long := bits.Len(uint(n - 1))
	short := 1<<long - n
	var c codebook
	for i := range n {
		if i < short {
			c.lengths, c.codes = append(c.lengths, long-1), append(c.codes, i)
		} else {
			c.lengths, c.codes = append(c.lengths, long), append(c.codes, short<<1+i-short)
		}
	}
	return c
}

func (c codebook) put(w *bitWriter, symbol int) { w.put(c.codes[symbol], c.lengths[symbol]) }

// putTables writes the lengths of codes as both versions of RAR do: first the code of lengths, here of three bits for eight of them.
func putTables(w *bitWriter, tables ...codebook) {
	written := []int{1, 2, 3, 4, 5, 6, 8, 9}
	for i := range 20 {
		w.put(3*btoi(slices.Contains(written, i)), 4)
	}
	for _, t := range tables {
		for _, n := range t.lengths {
			w.put(slices.Index(written, n), 3)
		}
	}
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// A piece is one octet, or a repetition of what stands 64 octets back.
type piece struct {
	octet  byte
	repeat int // octets; 0: the octet
}

// pieces takes data apart.
func pieces(data []byte) (list []piece) {
	const back = 64
	for i := 0; i < len(data); {
		n := 0
		for i >= back && n < 200 && i+n < len(data) && data[i+n] == data[i+n-back] {
			n++
		}
		if n < 4 {
			list = append(list, piece{octet: data[i]})
			i++
			continue
		}
		list = append(list, piece{repeat: n})
		i += n
	}
	return list
}

// rar5Pack compresses as RAR 5 does, which libarchive 3.6 reads as well as our reader: the first repetition names its distance, further ones "the last distance".
func rar5Pack(data []byte) (out []byte) {
	main, distance, low, length := newCodebook(306), newCodebook(64), newCodebook(16), newCodebook(44)
	slot := func(n int) (slot, extra, size int) { // of a length
		if n -= 2; n < 8 {
			return n, 0, 0
		}
		size = bits.Len(uint(n)) - 3
		return (size+1)*4 + n>>size&3, n & (1<<size - 1), size
	}
	list := pieces(data)
	known := false
	blocks := slices.Collect(slices.Chunk(list, 50_000))
	if len(blocks) == 0 {
		blocks = [][]piece{nil}
	}
	for i, block := range blocks {
		w := &bitWriter{}
		if i == 0 {
			putTables(w, main, distance, low, length)
		}
		for _, p := range block {
			s, extra, size := slot(p.repeat)
			switch {
			case p.repeat == 0:
				main.put(w, int(p.octet))
			case known:
				main.put(w, 258)
				length.put(w, s)
				w.put(extra, size)
			default:
				main.put(w, 262+s)
				w.put(extra, size)
				distance.put(w, 11) // 49 to 64
				low.put(w, 15)
				known = true
			}
		}
		flags := byte((w.n-1)%8) | 2<<3 | byte(btoi(i == 0))<<7 | byte(btoi(i == len(blocks)-1))<<6
		n := len(w.b)
		size := []byte{byte(n), byte(n >> 8), byte(n >> 16)}
		out = append(out, flags, 0x5a^flags^size[0]^size[1]^size[2])
		out = append(append(out, size...), w.b...)
	}
	return out
}

// rar3Pack compresses as RAR 2.9 to 4 do; libarchive reads this, too.
func rar3Pack(data []byte) []byte {
	base := []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256}
	main, distance, low, length := newCodebook(299), newCodebook(60), newCodebook(17), newCodebook(28)
	w := &bitWriter{}
	w.put(0, 2) // no PPM, and nothing of an older table
	putTables(w, main, distance, low, length)
	put := func(code codebook, first, n int) {
		s := 0
		for base[s+1] <= n {
			s++
		}
		code.put(w, first+s)
		w.put(n-base[s], bits.Len(uint(base[s+1]-base[s]-1)))
	}
	known := false
	for _, p := range pieces(data) {
		switch {
		case p.repeat == 0:
			main.put(w, int(p.octet))
		case known:
			main.put(w, 259)
			put(length, 0, p.repeat-2)
		default:
			put(main, 271, p.repeat-3)
			distance.put(w, 11) // 49 to 64, in four bits of its own code
			low.put(w, 15)
			known = true
		}
	}
	main.put(w, 256)
	w.put(1, 2) // the end of the block and of the file
	return append(w.b, 0, 0, 0)
}

// volumes are the two volumes of a RAR 5 archive that RAR itself packed: they come with a module for archives, which is looked at
// here and nowhere else.
func volumes(t *testing.T) (list [][]byte) {
	t.Helper()
	cmd := exec.Command("go", "mod", "download", "-json", "github.com/mholt/archives@v0.1.5")
	cmd.Dir = t.TempDir()
	cmd.Env = append(os.Environ(), "GO111MODULE=on", "GOFLAGS=-mod=mod", "GOWORK=off")
	out, err := cmd.Output()
	var module struct{ Dir string }
	if err != nil || json.Unmarshal(out, &module) != nil || module.Dir == "" {
		if os.Getenv("CI") != "" {
			t.Fatalf("fetch the volumes of a RAR archive: %v", err)
		}
		t.Skip("the volumes of a RAR archive cannot be fetched")
	}
	for _, name := range []string{"test.part01.rar", "test.part02.rar"} {
		b, err := os.ReadFile(filepath.Join(module.Dir, "testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, b)
	}
	return list
}

// rar5Blocks are the headers of a RAR 5 archive, without checksum and length, with the data behind each.
func rar5Blocks(b []byte) (heads, data [][]byte) {
	for b = b[8:]; len(b) > 5; {
		n, used := binary.Uvarint(b[4:])
		head := b[4+used:][:n]
		b = b[4+used+int(n):]
		flags, at := binary.Uvarint(head[1:])
		rest := head[1+at:]
		size := uint64(0)
		if flags&1 != 0 {
			_, at = binary.Uvarint(rest)
			rest = rest[at:]
		}
		if flags&2 != 0 {
			size, _ = binary.Uvarint(rest)
		}
		if head[0] == 5 { // the end of the archive; a volume is filled up behind it
			break
		}
		heads, data = append(heads, head), append(data, b[:size])
		b = b[size:]
	}
	return heads, data
}

// rar5File describes the packed file of the volumes: its whole size, checksum, compression and name.
func rar5File(head []byte) (size uint64, sum []byte, compression uint64, name string) {
	number := func() uint64 {
		v, n := binary.Uvarint(head)
		head = head[n:]
		return v
	}
	number() // the kind
	if number()&1 != 0 {
		number() // the extra area's size
	}
	number() // the size in this volume
	flags := number()
	size = number()
	number() // attributes
	if flags&2 != 0 {
		head = head[4:]
	}
	sum, head = head[:4], head[4:]
	compression = number()
	number() // the system
	length := number()
	return size, sum, compression, string(head[:length])
}

// What RAR itself packed is read: a volume alone is not a whole archive, and both put together are one.
func TestWhatRARItselfPackedIsRead(t *testing.T) {
	parts := volumes(t)
	var packed []byte
	var last []byte
	for _, part := range parts {
		if got := codes(check(t, "a.rar", "application/octet-stream", part)); !slices.ContainsFunc(got, func(s string) bool { return s == "attach.unscannable.corrupt" }) {
			t.Errorf("a volume alone is taken for clean: %v", got)
		}
		heads, data := rar5Blocks(part)
		for i, h := range heads {
			if h[0] == 2 { // a file, or a part of it
				packed, last = append(packed, data[i]...), h
			}
		}
	}
	size, sum, compression, name := rar5File(last) // the last part has the checksum of the whole
	facts := check(t, "a.rar", "application/octet-stream", rar5By(name, packed, int(size), binary.LittleEndian.Uint32(sum), compression))
	if got := codes(facts); len(got) > 0 || len(facts.Attachments) != 2 || facts.Attachments[0].Name != "test.txt" || facts.Attachments[0].Size != int64(size) || compression>>7&7 == 0 {
		t.Errorf("%v, %+v, compression %x", got, facts.Attachments, compression)
	}
}

// rar5By is a RAR 5 archive with one packed file.
func rar5By(name string, packed []byte, size int, sum uint32, compression uint64) []byte {
	out := []byte("Rar!\x1a\x07\x01\x00")
	block := func(body, data []byte) {
		head := binary.AppendUvarint(nil, uint64(len(body)))
		head = append(head, body...)
		out = binary.LittleEndian.AppendUint32(out, crc32.ChecksumIEEE(head))
		out = append(append(out, head...), data...)
	}
	block([]byte{1, 0, 0}, nil)
	body := binary.AppendUvarint([]byte{2, 2}, uint64(len(packed)))
	body = binary.AppendUvarint(append(body, 4), uint64(size))
	body = binary.LittleEndian.AppendUint32(append(body, 0), sum)
	body = binary.AppendUvarint(body, compression)
	body = binary.AppendUvarint(append(body, 0), uint64(len(name)))
	block(append(body, name...), packed)
	block([]byte{5, 0, 0}, nil)
	return out
}

// rar5 is a RAR 5 archive with one stored file.
func rar5(name string, data []byte) []byte {
	return rar5By(name, data, len(data), crc32.ChecksumIEEE(data), 0)
}

// rar4By is a RAR 4 archive with one file; flags are of the file, method is 0x30 for stored, to 0x35.
func rar4By(name string, packed, data []byte, method byte, flags uint16) []byte {
	out := []byte("Rar!\x1a\x07\x00")
	block := func(kind byte, flags uint16, body []byte) {
		head := binary.LittleEndian.AppendUint16([]byte{kind}, flags)
		head = binary.LittleEndian.AppendUint16(head, uint16(7+len(body)))
		head = append(head, body...)
		out = binary.LittleEndian.AppendUint16(out, uint16(crc32.ChecksumIEEE(head)))
		out = append(out, head...)
	}
	block(0x73, 0, make([]byte, 6))
	body := binary.LittleEndian.AppendUint32(nil, uint32(len(packed)))
	body = binary.LittleEndian.AppendUint32(body, uint32(len(data)))
	body = append(body, 2)
	body = binary.LittleEndian.AppendUint32(body, crc32.ChecksumIEEE(data))
	body = append(body, 0, 0, 0x21, 0x5b, 29, method)
	body = binary.LittleEndian.AppendUint16(body, uint16(len(name)))
	body = append(append(body, 0x20, 0, 0, 0), name...)
	block(0x74, 0x8000|flags, body)
	out = append(out, packed...)
	block(0x7b, 0x4000, nil)
	return out
}

// rar4 is a RAR 4 archive with one stored file.
func rar4(name string, data []byte, flags uint16) []byte {
	return rar4By(name, data, data, 0x30, flags)
}

// Every length of a repetition come out as they went in.
func TestPackedRAROfEveryLengthIsRead(t *testing.T) {
	var b bytes.Buffer
	for n := range 400 {
		b.Write(bytes.Repeat([]byte{byte(n), byte(n >> 4), 'x', byte(3 * n)}, n))
	}
	for name, data := range map[string][]byte{"empty": {}, "one": {7}, "EICAR": eicar, "text": longText(), "lengths": b.Bytes()} {
		for format, archive := range map[string][]byte{
			"rar 5": rar5By("a", rar5Pack(data), len(data), crc32.ChecksumIEEE(data), 3<<7), "rar 4": rar4By("a", rar3Pack(data), data, 0x33, 0),
		} {
			facts := check(t, "a.rar", "application/octet-stream", archive)
			if !holds(facts, data) || slices.ContainsFunc(codes(facts), func(s string) bool { return s == "attach.unscannable.corrupt" }) {
				t.Errorf("%s of %s: %v, %v", format, name, codes(facts), facts.Attachments)
			}
		}
	}
}
