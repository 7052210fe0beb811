package attach

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"

	"gatepost/filters"
)

// longText is the second file of the samples: the EICAR file, text that compresses well, the EICAR file.
func longText() []byte {
	var b bytes.Buffer
	b.Write(eicar)
	b.WriteString("\r\n")
	for i := range 200 {
		fmt.Fprintf(&b, "line %d of a text that repeats itself\r\n", i)
	}
	b.Write(eicar)
	return b.Bytes()
}

// samples are the archives of testdata/samples.txt by name.
func samples(t testing.TB) map[string][]byte {
	t.Helper()
	text, err := os.ReadFile("testdata/samples.txt")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]byte{}
	for line := range strings.Lines(string(text)) {
		name, content, ok := strings.Cut(strings.TrimSpace(line), " ")
		if !ok || name == "#" {
			continue
		}
		packed, err := base64.StdEncoding.DecodeString(content)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		r, err := gzip.NewReader(bytes.NewReader(packed))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if all[name], err = io.ReadAll(r); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	return all
}

// holds reports whether an item with this content was examined inside another.
func holds(f filters.Facts, content []byte) bool {
	sum := sha256.Sum256(content)
	return slices.ContainsFunc(f.Attachments, func(a filters.Attachment) bool {
		return len(a.Path) > 1 && a.SHA256 == hex.EncodeToString(sum[:])
	})
}

// unread are the samples of what is not opened, and says so.
func unread() []string { return []string{"ppmd.zip", "m4.arj", "image.wim"} }

func TestEveryFileOfARealArchiveIsExaminedAsItWas(t *testing.T) {
	for name, data := range samples(t) {
		facts := check(t, name, "application/octet-stream", data)
		got := codes(facts)
		switch {
		case strings.HasPrefix(name, "locked"):
			if !slices.Contains(got, "attach.encrypted") || !slices.Contains(got, "attach.unscannable.encrypted") {
				t.Errorf("%s: not said to be encrypted: %v", name, got)
			}
		case slices.Contains(unread(), name):
			if !slices.Contains(got, "attach.unscannable.format") {
				t.Errorf("%s: taken for clean: %v", name, got)
			}
		case name == "text.bz2", name == "deflate64.zip":
			if !holds(facts, longText()) {
				t.Errorf("%s: %v", name, got)
			}
		case !holds(facts, eicar) || !holds(facts, longText()) || !slices.Contains(got, "attach.eicar"):
			t.Errorf("%s: %v, %d attachments", name, got, len(facts.Attachments))
		case slices.ContainsFunc(got, func(s string) bool { return strings.Contains(s, "unscannable") || strings.Contains(s, "archive-") }):
			t.Errorf("%s: a good archive: %v", name, got)
		}
	}
}

// bitWriter writes bits, the highest of an octet first.
type bitWriter struct {
	b []byte
	n int
}

func (w *bitWriter) put(v, bits int) {
	for i := bits - 1; i >= 0; i-- {
		if w.n%8 == 0 {
			w.b = append(w.b, 0)
		}
		w.b[len(w.b)-1] |= byte(v>>i&1) << (7 - w.n%8)
		w.n++
	}
}

// lhaPack compresses by lh5: in codes of nine bits, every repetition that is exactly 64 octets back as a match.
func lhaPack(data []byte) []byte {
	const back, class = 64, 6 // a distance of 64 is 63, class 6 with 5 bits
	var codes []int
	for i := 0; i < len(data); {
		n := 0
		for i >= back && n < 250 && i+n < len(data) && data[i+n] == data[i+n-back] {
			n++
		}
		if n >= lzMinLen {
			codes = append(codes, 256+n-lzMinLen)
			i += n
		} else {
			codes = append(codes, int(data[i]))
			i++
		}
	}
	w := &bitWriter{}
	for codes := range slices.Chunk(codes, 60_000) {
		w.put(len(codes), 16)
		w.put(12, 5) // the code of lengths: two of one bit, 10 (for 8 bits) and 11 (for 9)
		w.put(0, 9)
		w.put(3, 2)
		w.put(0, 4*3)
		w.put(1, 3)
		w.put(1, 3)
		w.put(lzChars, 9)
		for i := range lzChars {
			w.put(1-i/508, 1) // the last two have 8 bits, so that the code is complete
		}
		w.put(0, 4)
		w.put(class, 4) // every distance is of one class
		for _, c := range codes {
			w.put(4+c, 9)
			if c >= 256 {
				w.put(back-1-1<<(class-1), class-1)
			}
		}
	}
	return w.b
}

// lha is an LZH archive with one file, with a header of the level.
func lha(level byte, method, name string, packed, data []byte) []byte {
	sum := binary.LittleEndian.AppendUint16(nil, crc16(data))
	var h []byte
	head := func() {
		h = append(h, method...)
		h = binary.LittleEndian.AppendUint32(h, uint32(len(packed)))
		h = binary.LittleEndian.AppendUint32(h, uint32(len(data)))
		h = append(h, 0, 0, 0, 0, 0x20, level)
	}
	named := append([]byte{1}, name...)
	switch level {
	case 0:
		h = []byte{0, 0}
		head()
		h = append(append(append(h, byte(len(name))), name...), sum...)
		h[0], h[1] = byte(len(h)-2), octetSum(h[2:])
	case 1:
		packed = append(append(append([]byte{}, named...), 0, 0), packed...)
		h = []byte{0, 0}
		head()
		h = append(append(append(h, 0), sum...), 'M')
		h = binary.LittleEndian.AppendUint16(h, uint16(len(named)+2))
		h[0], h[1] = byte(len(h)-2), octetSum(h[2:])
	case 2:
		h = []byte{0, 0}
		head()
		h = append(append(h, sum...), 'M')
		h = binary.LittleEndian.AppendUint16(h, uint16(len(named)+2))
		h = append(append(h, named...), 0, 0)
		binary.LittleEndian.PutUint16(h, uint16(len(h)))
	}
	return append(append(h, packed...), 0)
}

// octetSum is the checksum of an LZH header.
func octetSum(b []byte) (sum byte) {
	for _, c := range b {
		sum += c
	}
	return sum
}

// zipMethod is a ZIP file with one entry packed by the given method.
func zipMethod(method uint16, name string, data, packed []byte) []byte {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	w, _ := z.CreateRaw(&zip.FileHeader{Name: name, Method: method, CRC32: crc32.ChecksumIEEE(data), CompressedSize64: uint64(len(packed)), UncompressedSize64: uint64(len(data))})
	w.Write(packed)
	z.Close()
	return b.Bytes()
}

func xzipped(data []byte) []byte {
	return through(func(w io.Writer) io.WriteCloser { z, _ := xz.NewWriter(w); return z }, data)
}

func zstdd(data []byte) []byte {
	return through(func(w io.Writer) io.WriteCloser { z, _ := zstd.NewWriter(w); return z }, data)
}

// tnef is a winmail.dat with one attachment ([MS-OXTNEF] section 2.1).
func tnef(name string, data []byte) []byte {
	out := binary.LittleEndian.AppendUint32(nil, 0x223e9f78)
	out = append(out, 1, 0)
	attribute := func(id uint32, value []byte) {
		out = append(out, 2)
		out = binary.LittleEndian.AppendUint32(out, id)
		out = binary.LittleEndian.AppendUint32(out, uint32(len(value)))
		out = append(out, value...)
		sum := uint16(0)
		for _, c := range value {
			sum += uint16(c)
		}
		out = binary.LittleEndian.AppendUint16(out, sum)
	}
	attribute(0x00069002, make([]byte, 14))
	attribute(0x00018010, append([]byte(name), 0))
	attribute(0x0006800f, data)
	return out
}

// pdfWith is a PDF that holds a file behind filters.
func pdfWith(filter string, packed []byte) []byte {
	return fmt.Appendf(nil, "%%PDF-1.7\n1 0 obj <</Type /Catalog /Names <</EmbeddedFiles 2 0 R>>>> endobj\n"+
		"3 0 obj <</Type /Filespec /F (a.com) /EF <</F 4 0 R>>>> endobj\n4 0 obj <</Length %d %s>>\nstream\r\n%s\nendstream endobj\n%%%%EOF\n", len(packed), filter, packed)
}

func deflated(data []byte) []byte {
	return through(func(w io.Writer) io.WriteCloser { return zlib.NewWriter(w) }, data)
}

// rtfWith is an RTF document with an OLE 1.0 package, as [MS-OLEDS] and Word have it.
func rtfWith(name string, data []byte) []byte {
	var b []byte
	text := func(s string) {
		b = binary.LittleEndian.AppendUint32(b, uint32(len(s)+1))
		b = append(append(b, s...), 0)
	}
	b = append(b, 1, 5, 0, 0, 2, 0, 0, 0)
	text("Package")
	b = append(b, 0, 0, 0, 0, 0, 0, 0, 0)
	p := append([]byte{2, 0}, name+"\x00C:\\"+name+"\x00"...)
	p = append(p, 0, 0, 3, 0)
	p = binary.LittleEndian.AppendUint32(p, uint32(len(name)+1))
	p = append(append(p, name...), 0)
	p = binary.LittleEndian.AppendUint32(p, uint32(len(data)))
	p = append(p, data...)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(p)))
	b = append(b, p...)
	digits := hex.EncodeToString(b)
	return []byte("{\\rtf1{\\object\\objemb{\\*\\objdata " + digits[:9] + "\r\n{\\*\\junk abc}" + digits[9:] + "}}}")
}

// oneNoteWith is a OneNote section with a file.
func oneNoteWith(data []byte) []byte {
	b := append([]byte(oneNoteHead), make([]byte, 100)...)
	b = append(b, oneNoteFile...)
	b = binary.LittleEndian.AppendUint64(b, uint64(len(data)))
	return append(append(b, make([]byte, 12)...), data...)
}

// letterWith is a stored message with a file.
func letterWith(data []byte) []byte {
	return []byte("From: a@a.example\r\nTo: b@b.example\r\nMIME-Version: 1.0\r\nContent-Type: application/octet-stream; name=a.com\r\nContent-Transfer-Encoding: base64\r\n\r\n" +
		base64.StdEncoding.EncodeToString(data) + "\r\n")
}

// mostIn is how much the tests can put into a format.
func mostIn(name string) int {
	if name == "OLE package" { // with one sector of its FAT
		return 50_000
	}
	return 1 << 30
}

// wrappers put a file into each container that the tests can write.
func wrappers() map[string]func([]byte) []byte {
	return map[string]func([]byte) []byte{
		"zip": func(b []byte) []byte { return zipped("a", b) }, "zip stored": func(b []byte) []byte { return zipMethod(0, "a", b, b) },
		"zip by Deflate64": func(b []byte) []byte { return zipMethod(9, "a", b, deflate64(b, 64)) },
		"zip by zstd":      func(b []byte) []byte { return zipMethod(93, "a", b, zstdd(b)) }, "zip by xz": func(b []byte) []byte { return zipMethod(95, "a", b, xzipped(b)) },
		"tar": func(b []byte) []byte { return tarred("a", b) }, "gzip": gzipped, "xz": xzipped, "zstd": zstdd,
		"7z":    func(b []byte) []byte { return sevenWith("a", b) },
		"rar 4": func(b []byte) []byte { return rar4("a", b, 0) }, "rar 5": func(b []byte) []byte { return rar5("a", b) },
		"rar 4 packed":       func(b []byte) []byte { return rar4By("a", rar3Pack(b), b, 0x33, 0) },
		"rar 5 packed":       func(b []byte) []byte { return rar5By("a", rar5Pack(b), len(b), crc32.ChecksumIEEE(b), 3<<7) },
		"lzh level 0 stored": func(b []byte) []byte { return lha(0, "-lh0-", "a", b, b) },
		"lzh level 0":        func(b []byte) []byte { return lha(0, "-lh5-", "a", lhaPack(b), b) },
		"lzh level 1":        func(b []byte) []byte { return lha(1, "-lh5-", "a", lhaPack(b), b) },
		"lzh level 2":        func(b []byte) []byte { return lha(2, "-lh5-", "a", lhaPack(b), b) },
		"TNEF":               func(b []byte) []byte { return tnef("a", b) },
		"PDF":                func(b []byte) []byte { return pdfWith("", b) },
		"PDF deflated":       func(b []byte) []byte { return pdfWith("/Filter /FlateDecode", deflated(b)) },
		"PDF twice": func(b []byte) []byte {
			return pdfWith("/Filter [/A#53CIIHexDecode /Fl]", []byte(hex.EncodeToString(deflated(b))+">"))
		},
		"RTF":         func(b []byte) []byte { return rtfWith("a.com", b) },
		"OneNote":     oneNoteWith,
		"OLE package": func(b []byte) []byte { return compound("\x01Ole10Native", nativeOf("a.com", b)) },
		"message":     letterWith,
	}
}

func TestAFileIsFoundInEachFormatAndInEachWithinEach(t *testing.T) {
	text := longText()
	all := wrappers()
	for name, wrap := range all {
		facts := check(t, "a.bin", "application/octet-stream", wrap(text))
		if !holds(facts, text) && !(name == "TNEF" && slices.ContainsFunc(facts.Attachments, func(a filters.Attachment) bool { return a.Size == int64(len(text)) })) {
			t.Errorf("%s: %v, %v", name, codes(facts), facts.Attachments)
		}
		for outer, around := range all {
			if name == "TNEF" { // the parse of the message opens it, and only where it is a part
				continue
			}
			if facts := check(t, "a.bin", "application/octet-stream", around(wrap(text))); !holds(facts, text) {
				t.Errorf("%s in %s: %v", name, outer, codes(facts))
			}
		}
	}
}
