package attach

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"fmt"
	"hash/crc32"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
	"github.com/ulikunitz/xz/lzma"

	"gatepost/filters"
	"gatepost/filters/mail"
)

var eicar = []byte(`X5O!P%@AP[4\PZX54(P^)7CC)7}$` + `EICAR-STANDARD-ANTIVIRUS-` + `TEST-FILE!$H+H*`)

// check examines a message with one attachment.
func check(t testing.TB, name, kind string, data []byte) filters.Facts {
	t.Helper()
	facts, err := New(Config{}).Check(context.Background(), letter(name, kind, data))
	if err != nil {
		t.Fatal(err)
	}
	return facts
}

func letter(name, kind string, data []byte) *mail.Mail {
	var b strings.Builder
	b.WriteString("From: a@a.example\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nhello\r\n--b\r\n")
	fmt.Fprintf(&b, "Content-Type: %s\r\nContent-Disposition: attachment; filename=\"%s\"\r\nContent-Transfer-Encoding: base64\r\n\r\n", kind, name)
	text := base64.StdEncoding.EncodeToString(data)
	for len(text) > 76 {
		b.WriteString(text[:76] + "\r\n")
		text = text[76:]
	}
	b.WriteString(text + "\r\n--b--\r\n")
	return &mail.Mail{Message: mail.Parse(mail.Memory(b.String()))}
}

func codes(f filters.Facts) []string {
	var list []string
	for _, x := range f.Findings {
		list = append(list, x.Code)
	}
	slices.Sort(list)
	return slices.Compact(list)
}

func zipped(name string, data []byte) []byte {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	w, _ := z.Create(name)
	w.Write(data)
	z.Close()
	return b.Bytes()
}

func through(make func(io.Writer) io.WriteCloser, data []byte) []byte {
	var b bytes.Buffer
	w := make(&b)
	w.Write(data)
	w.Close()
	return b.Bytes()
}

func gzipped(data []byte) []byte {
	return through(func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) }, data)
}

func tarred(name string, data []byte) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	w.WriteHeader(&tar.Header{Name: name, Size: int64(len(data)), Mode: 0o600})
	w.Write(data)
	w.Close()
	return b.Bytes()
}

func formats() map[string][]byte {
	return map[string][]byte{
		"plain": eicar, "zip": zipped("a.com", eicar), "gzip": gzipped(eicar), "tar": tarred("a", eicar), "tar.gz": gzipped(tarred("a", eicar)),
		"zip in zip": zipped("a.zip", zipped("b", eicar)), "gzip in zip in tar": tarred("x", zipped("y", gzipped(eicar))),
		"xz":   through(func(w io.Writer) io.WriteCloser { z, _ := xz.NewWriter(w); return z }, eicar),
		"zstd": through(func(w io.Writer) io.WriteCloser { z, _ := zstd.NewWriter(w); return z }, eicar),
	}
}

func TestEICARIsFoundInEachFormat(t *testing.T) {
	for name, data := range formats() {
		if got := codes(check(t, "a.bin", "application/octet-stream", data)); !slices.Contains(got, "attach.eicar") {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// F-04, F-05, F-06
func TestNamesThatDeceive(t *testing.T) {
	for name, want := range map[string]string{
		"invoice.pdf.exe": "attach.double-extension", "x.exe.": "attach.executable-name", "x.exe%00.pdf": "attach.hidden-extension",
		"x.EXE ": "attach.executable-name", "x.exe:stream": "attach.hidden-extension", "x.pif;.jpg": "attach.hidden-extension",
		"x.pdf" + strings.Repeat(" ", 40) + ".exe": "attach.double-extension", "a.iso": "attach.disk-image", "a.lnk": "attach.shortcut", "a.hta": "attach.script",
		"invoice\u202egpj.exe": "attach.bidi-name", "../../etc/cron.d/x": "attach.path-name",
	} {
		got := codes(check(t, name, "application/octet-stream", []byte("some text")))
		if !slices.Contains(got, want) {
			t.Errorf("%q: %v, want %s", name, got, want)
		}
	}
	if got := codes(check(t, "report.v2.pdf", "application/pdf", []byte("%PDF-1.4\n%%EOF\n"))); len(got) > 0 {
		t.Errorf("a plain PDF: %v", got)
	}
}

// G-01
func TestOverlappingEntriesAreNotInflated(t *testing.T) {
	b := zipped("a", bytes.Repeat([]byte("a"), 1000))
	at, _ := zipDirectoryEnd(b)
	dir := int(le.Uint32(b[at+16:]))
	entry := slices.Clone(b[dir:at])
	second := slices.Clone(entry)
	second[46] = 'b'
	out := slices.Concat(b[:dir], entry, second, b[at:])
	end := out[len(out)-22:]
	le.PutUint16(end[8:], 2)
	le.PutUint16(end[10:], 2)
	le.PutUint32(end[12:], uint32(2*len(entry)))
	facts := check(t, "a.zip", "application/zip", out)
	if got := codes(facts); !slices.Contains(got, "attach.archive-overlap") || len(facts.Attachments) != 1 {
		t.Errorf("%v, %d attachments", got, len(facts.Attachments))
	}
}

// G-02
func TestABombStopsAtTheRatio(t *testing.T) {
	bomb := gzipped(make([]byte, 64<<20))
	allocated := testing.Benchmark(func(b *testing.B) {
		b.ReportAllocs()
		for range b.N {
			check(b, "a.gz", "application/gzip", bomb)
		}
	}).AllocedBytesPerOp()
	if allocated > 64<<20 {
		t.Errorf("%d octets allocated", allocated)
	}
	if got := codes(check(t, "a.gz", "application/gzip", bomb)); !slices.Contains(got, "attach.unscannable.limit") {
		t.Errorf("%v", got)
	}
}

// G-03
func TestDepthIsLimited(t *testing.T) {
	b := eicar
	for range 8 {
		b = zipped("a.zip", b)
	}
	if got := codes(check(t, "a.zip", "application/zip", b)); !slices.Contains(got, "attach.unscannable.limit") {
		t.Errorf("%v", got)
	}
}

// G-04, G-05
func TestAnInconsistentArchiveIsNeverClean(t *testing.T) {
	good := zipped("a.txt", []byte("hello hello hello"))
	if got := codes(check(t, "a.zip", "application/zip", good)); len(got) > 0 {
		t.Fatalf("a good archive: %v", got)
	}
	renamed := slices.Clone(good)
	renamed[30] = 'b'
	cut := slices.Clone(good)
	cut[bytes.Index(cut, []byte("PK\x01\x02"))+2] = 9
	for name, b := range map[string][]byte{
		"prefix": append([]byte("PK\x03\x04 junk"), good...), "suffix": append(slices.Clone(good), "junk"...), "two": append(slices.Clone(good), good...), "renamed": renamed, "cut": cut,
		"no end": good[:len(good)-22],
	} {
		if got := codes(check(t, "a.zip", "application/zip", b)); !slices.Contains(got, "attach.archive-ambiguous") && !slices.Contains(got, "attach.archive-corrupt") {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// G-18
func TestABrokenContainerIsUnscannable(t *testing.T) {
	for _, head := range []string{"ISc(", "conectix", "Rar!\x1a\x07\x01\x00", "7z\xbc\xaf\x27\x1c", "\xfd7zXZ\x00", "\x1f\x8b\x08", "BZh9", "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "MSCF\x00\x00\x00\x00"} {
		got := codes(check(t, "a.bin", "application/octet-stream", []byte(head+strings.Repeat("\xff", 600))))
		if !slices.ContainsFunc(got, func(s string) bool { return strings.HasPrefix(s, "attach.unscannable.") }) {
			t.Errorf("%q: %v", head, got)
		}
	}
}

func TestFactsHoldBeyondTheMostFindings(t *testing.T) {
	locked := zipped("a", eicar)
	locked[6] |= 1
	locked[bytes.Index(locked, []byte("PK\x01\x02"))+8] |= 1
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for i := range 2 * maxPerCode {
		w, _ := z.Create(fmt.Sprintf("%d.zip", i))
		w.Write(locked)
	}
	z.Close()
	facts := check(t, "a.zip", "application/zip", b.Bytes())
	encrypted := 0
	for _, a := range facts.Attachments {
		if a.Encrypted {
			encrypted++
		}
	}
	if encrypted != 2*maxPerCode+1 {
		t.Errorf("%d of %d attachments are encrypted", encrypted, len(facts.Attachments))
	}
}

func TestTheREADMENamesEveryFinding(t *testing.T) {
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range Codes() {
		if !bytes.Contains(text, []byte("`"+c.Name+"`")) {
			t.Errorf("README.md says nothing of %s", c.Name)
		}
	}
}

func FuzzZip(f *testing.F) {
	f.Add(zipped("a", []byte("hello")))
	f.Add(zipped("a", zipped("b", eicar)))
	f.Fuzz(func(t *testing.T, b []byte) {
		if z, err := readZip(b); err == nil && len(z.entries) > maxEntries+1 {
			t.Error("too many entries")
		}
	})
}

func FuzzInflateVBA(f *testing.F) {
	f.Add([]byte("\x01\x19\xb0\x00abcdefgh\x00ijklmnop\x00qrstuv."))
	f.Fuzz(func(t *testing.T, b []byte) {
		if n := len(inflateVBA(b)); n > maxVBA+8192*8 {
			t.Errorf("%d octets", n)
		}
	})
}

// sevenWith is a 7z archive with one file, packed by LZMA2.
func sevenWith(name string, data []byte) []byte {
	var packed bytes.Buffer
	w, _ := lzma.Writer2Config{DictCap: 1 << 20}.NewWriter2(&packed)
	w.Write(data)
	w.Close()
	number := func(v int) []byte { return append([]byte{0xf0}, le.AppendUint32(nil, uint32(v))...) }
	u := append(utf16.Encode([]rune(name)), 0)
	names := []byte{0}
	for _, c := range u {
		names = le.AppendUint16(names, c)
	}
	header := slices.Concat([]byte{1, 4, 6, 0, 1, 9}, number(packed.Len()), []byte{0, 7, 0x0b, 1, 0, 1, 0x21, 0x21, 1, 16, 0x0c}, number(len(data)),
		[]byte{0x0a, 1}, le.AppendUint32(nil, crc32.ChecksumIEEE(data)), []byte{0, 0, 5, 1, 0x11, byte(len(names))}, names, []byte{0, 0})
	start := le.AppendUint64(nil, uint64(packed.Len()))
	start = le.AppendUint64(start, uint64(len(header)))
	start = le.AppendUint32(start, crc32.ChecksumIEEE(header))
	out := append([]byte("7z\xbc\xaf\x27\x1c\x00\x04"), le.AppendUint32(nil, crc32.ChecksumIEEE(start))...)
	return slices.Concat(out, start, packed.Bytes(), header)
}

// BenchmarkFormats is how fast what comes out of each format is examined: of those that the tests write, with a text of 1 MiB, and
// of every archive in testdata/samples.txt.
func BenchmarkFormats(b *testing.B) {
	var text bytes.Buffer
	for i := 0; text.Len() < 1<<20; i++ {
		fmt.Fprintf(&text, "line %d, whose square is %d and whose cube is %d\n", i, i*i, i*i*i)
	}
	data := text.Bytes()
	all := map[string][]byte{"plain": data, "OOXML": ooxml("word/embeddings/a.bin", text.String())}
	for name, wrap := range wrappers() {
		all[name] = wrap(data[:min(len(data), mostIn(name))])
	}
	for name, packed := range samples(b) {
		if !strings.HasPrefix(name, "locked") && !slices.Contains(unread(), name) {
			all[name+" (8 KB)"] = packed
		}
	}
	all["bzip2"] = bytes.Repeat(samples(b)["text.bz2"], 128)
	f := New(Config{})
	for _, name := range slices.Sorted(maps.Keys(all)) {
		packed := all[name]
		b.Run(name, func(b *testing.B) {
			m := letter("a.dat", "application/octet-stream", packed)
			facts, err := f.Check(context.Background(), m)
			if err != nil {
				b.Fatal(err)
			}
			size := int64(0)
			for _, a := range facts.Attachments {
				if len(a.Path) > 1 || name == "plain" {
					size += a.Size
				}
			}
			if name == "OOXML" || name == "TNEF" { // whose parts are listed otherwise
				size = int64(len(data))
			}
			b.SetBytes(size)
			for b.Loop() {
				if _, err := f.Check(context.Background(), m); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkPlainText(b *testing.B) {
	m := &mail.Mail{Message: mail.Parse(mail.Memory("From: a@a.example\r\n\r\n" + strings.Repeat("hello world\r\n", 1000)))}
	f := New(Config{})
	b.ReportAllocs()
	for b.Loop() {
		f.Check(context.Background(), m)
	}
}

// reads runs one of our own readers over bytes, within the budget of one message.
func reads(t *testing.T, b []byte, read func(*walk, *item) error) {
	part := letter("a.bin", "application/octet-stream", nil)
	w := &walk{table: New(Config{}).table, budget: budget{ctx: context.Background(), until: time.Now().Add(time.Minute)}}
	for p := range part.Parts() {
		read(w, &item{part: p, names: []string{"a"}, path: []string{"a"}, data: b})
	}
	if w.budget.inflated > maxInflated+1<<20 || w.budget.entries > maxEntries+1 {
		t.Errorf("%d octets, %d entries", w.budget.inflated, w.budget.entries)
	}
}

func seed(f *testing.F, names ...string) {
	all := samples(f)
	for _, n := range names {
		if len(all[n]) < 100_000 {
			f.Add(all[n])
		}
	}
}

func FuzzCab(f *testing.F) {
	seed(f, "mszip.cab", "stored.cab")
	f.Fuzz(func(t *testing.T, b []byte) { reads(t, b, (*walk).cab) })
}

func FuzzISO(f *testing.F) {
	for _, n := range []string{"plain.iso", "joliet.iso", "udf.iso"} { // the descriptors and directories without the empty areas
		b := samples(f)[n]
		f.Add(b[16*sector : min(len(b), 40*sector)])
	}
	f.Fuzz(func(t *testing.T, b []byte) { reads(t, append(make([]byte, 16*sector), b...), (*walk).iso) })
}

func FuzzUDF(f *testing.F) {
	b := samples(f)["udf.iso"]
	f.Add(b[250*sector : 275*sector])
	f.Fuzz(func(t *testing.T, b []byte) {
		image := append(make([]byte, 250*sector), b...)
		copy(image[16*sector:], "\x00NSR02")
		reads(t, image, (*walk).iso)
	})
}

func FuzzLZH(f *testing.F) {
	for level := range byte(3) {
		f.Add(lha(level, "-lh5-", "a", lhaPack(longText()), longText()))
	}
	f.Fuzz(func(t *testing.T, b []byte) { reads(t, b, (*walk).lzh) })
}

func FuzzARJ(f *testing.F) {
	seed(f, "m0.arj", "m1.arj", "m4.arj", "locked.arj")
	f.Fuzz(func(t *testing.T, b []byte) { reads(t, b, (*walk).arj) })
}

func FuzzSevenGuard(f *testing.F) {
	seed(f, "lzma2.7z", "lzma.7z", "copy.7z", "ppmd.7z", "locked.7z", "locked-header.7z")
	f.Fuzz(func(t *testing.T, b []byte) { guardSeven(b) })
}

func FuzzXZGuard(f *testing.F) {
	f.Add(xzipped(longText()))
	f.Add(append(xzipped(eicar), hugeXZ()...))
	f.Fuzz(func(t *testing.T, b []byte) { guardXZ(b) })
}

func FuzzPDF(f *testing.F) {
	f.Add(pdfWith("", eicar))
	f.Add(pdfWith("/Filter [/A#53CIIHexDecode /Fl]", []byte("789c")))
	f.Fuzz(func(t *testing.T, b []byte) {
		reads(t, b, func(w *walk, it *item) error { w.pdf(it); return nil })
	})
}

func FuzzRTF(f *testing.F) {
	f.Add(rtfWith("a.exe", eicar))
	f.Fuzz(func(t *testing.T, b []byte) {
		reads(t, b, func(w *walk, it *item) error { w.rtf(it); return nil })
	})
}

func FuzzObjects(f *testing.F) {
	f.Add([]byte("L\x00\x00\x00\x01\x14\x02\x00"))
	f.Add(oneNoteWith(eicar))
	f.Add(letterWith(eicar))
	f.Fuzz(func(t *testing.T, b []byte) {
		shortcut(b)
		readNative(b)
		diskImage(b)
		reads(t, b, (*walk).oneNote)
		if isLetter(b) {
			reads(t, b, (*walk).letter)
		}
	})
}

func TestAFindingInAMessageWithoutPartsIsInItsBody(t *testing.T) {
	text := "From: a@b.example\r\nSubject: x\r\n\r\n" + string(eicar) + "\r\n"
	f, err := New(Config{}).Check(t.Context(), &mail.Mail{Message: mail.Parse(mail.Memory(text))})
	if err != nil || len(f.Findings) == 0 || f.Findings[0].Proof[0].Where != "body" || !strings.HasPrefix(f.Findings[0].Proof[0].What, "body: ") {
		t.Errorf("%v %+v", err, f.Findings)
	}
}
