package attach

import (
	"archive/tar"
	"bytes"
	"compress/bzip2"
	"compress/flate"
	"compress/gzip"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"strings"

	"github.com/bodgit/sevenzip"
	"github.com/klauspost/compress/zstd"
	"github.com/nwaples/rardecode/v2"
	"github.com/ulikunitz/xz"
	"github.com/ulikunitz/xz/lzma"
)

// open looks into an item that holds others.
func (w *walk) open(it *item) {
	format, walkIn := w.container(it.data)
	if format == "" {
		return
	}
	if len(it.path) > maxDepth {
		w.blind(it, format, limitError("depth"))
		return
	}
	err := w.enter()
	if err == nil {
		err = w.guard(walkIn, it)
	}
	if err != nil {
		w.blind(it, format, err)
	}
}

// guard runs a reader of foreign bytes, whose crash means that the item could not be looked into.
func (w *walk) guard(walkIn func(*item) error, it *item) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("reader crashed: %v", p)
		}
	}()
	return walkIn(it)
}

// container names the format of a container and how to walk through it.
func (w *walk) container(b []byte) (string, func(*item) error) {
	has := func(s string) bool { return bytes.HasPrefix(b, []byte(s)) }
	switch {
	case has("\x1f\x8b"), has("BZh"), has("\xfd7zXZ\x00"), has("\x28\xb5\x2f\xfd"):
		return w.compressed(b)
	case has("7z\xbc\xaf\x27\x1c"):
		return "7z", w.seven
	case has("Rar!\x1a\x07"):
		return "rar", w.rar
	case has("\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"):
		return "ole", w.ole
	case has("MSCF"):
		return "cab", w.cab
	case isLZH(b):
		return "lzh", w.lzh
	case isARJ(b):
		return "arj", w.arj
	case has(oneNoteHead):
		return "onenote", w.oneNote
	case has("ISc("), has("\x60\xea"), len(b) > 14 && string(b[7:14]) == "**ACE**", has("xar!"), has("StuffIt"), has("SIT!"):
		return "unread format", w.unread
	case len(b) > 262 && string(b[257:262]) == "ustar":
		return "tar", w.tar
	}
	if isISO(b) {
		return "disk image", w.iso
	}
	if diskImage(b) != "" {
		return "disk image", w.unread
	}
	if at, _ := zipDirectoryEnd(b); has("PK\x03\x04") || has("PK\x05\x06") || has("PK00PK\x03\x04") || has("PK\x07\x08PK") || at >= 0 && bytes.Contains(b[:at], []byte("PK\x01\x02")) {
		return "zip", w.zip
	}
	if isLetter(b) {
		return "message", w.letter
	}
	return "", nil
}

// compressed names a format that holds one file.
func (w *walk) compressed(b []byte) (string, func(*item) error) {
	switch b[0] {
	case '\x1f':
		return "gzip", func(it *item) error {
			r, err := gzip.NewReader(bytes.NewReader(it.data))
			return w.stream(it, r, err)
		}
	case 'B':
		return "bzip2", func(it *item) error { return w.stream(it, bzip2.NewReader(bytes.NewReader(it.data)), nil) }
	case '\xfd':
		return "xz", func(it *item) error {
			r, err := newXZ(it.data)
			return w.stream(it, r, err)
		}
	}
	return "zstd", func(it *item) error {
		r, err := newZstd(bytes.NewReader(it.data))
		if err != nil {
			return err
		}
		defer r.Close()
		return w.stream(it, r, nil)
	}
}

// unread states that a container is of a kind that is not looked into.
func (w *walk) unread(it *item) error {
	kind := diskImage(it.data)
	if kind == "" {
		kind = typeOf(it.data)
	}
	w.find(it, "attach.unscannable.format", "An attachment is an archive of a kind that the gateway does not open.", kind)
	return nil
}

func newXZ(b []byte) (io.Reader, error) {
	if err := guardXZ(b); err != nil {
		return nil, err
	}
	return xz.NewReader(bytes.NewReader(b))
}

func newZstd(r io.Reader) (*zstd.Decoder, error) {
	return zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderMaxMemory(maxEntry), zstd.WithDecoderLowmem(true))
}

// stream examines the one file inside a compressed stream, also what came out before an error.
func (w *walk) stream(it *item, r io.Reader, err error) error {
	if err != nil {
		return err
	}
	if err := w.budget.entry(); err != nil {
		return err
	}
	data, err := w.budget.read(r, int64(len(it.data)))
	name := it.path[len(it.path)-1]
	if i := strings.LastIndexByte(name, '.'); i > 0 {
		name = name[:i]
	}
	w.member(it, name, data)
	return err
}

// zip examines a ZIP file in both views.
func (w *walk) zip(it *item) error {
	z, err := readZip(it.data)
	for _, s := range z.ambiguous {
		w.find(it, "attach.archive-ambiguous", "Programs see different files in this archive.", s)
	}
	for _, s := range z.corrupt {
		w.find(it, "attach.archive-corrupt", "An archive is broken, so programs may see different files in it.", s)
	}
	if !bytes.HasPrefix(it.data, []byte("PK")) {
		w.find(it, "attach.polyglot", "One attachment is two kinds of file at once.", typeOf(it.data)+" and ZIP")
	}
	if z.overlap {
		w.find(it, "attach.archive-overlap", "Files of an archive overlap, as in a decompression bomb.", "the entries were not inflated")
		return nil
	}
	if errors.Is(err, errNoZip) {
		w.find(it, "attach.archive-corrupt", "An archive is broken, so programs may see different files in it.", err.Error())
	} else if err != nil {
		return err
	}
	inner := *it
	for _, e := range z.entries {
		inner.office = inner.office || e.name == "[Content_Types].xml"
	}
	for _, list := range [][]zipEntry{z.entries, z.hidden} {
		for _, e := range list {
			if err := w.zipEntry(&inner, z, e); err != nil {
				return err
			}
		}
	}
	return nil
}

// zipEntry examines one entry. An error ends the whole archive; what is wrong with the entry alone is a finding.
func (w *walk) zipEntry(it *item, z *zipFile, e zipEntry) error {
	if err := w.budget.entry(); err != nil {
		return err
	}
	if strings.HasSuffix(e.name, "/") && e.size == 0 || e.data == 0 {
		return nil
	}
	if e.data > int64(len(z.raw)) {
		return nil
	}
	packed := z.raw[e.data:]
	if e.packed > 0 && e.packed <= int64(len(packed)) || !e.streamed() {
		packed = packed[:min(max(e.packed, 0), int64(len(packed)))]
	}
	if e.encrypted() {
		return w.zipLocked(it, e, packed)
	}
	r, err := zipReader(e, packed)
	if err != nil {
		w.find(it, "attach.unscannable.format", "An attachment is an archive of a kind that the gateway does not open.", fmt.Sprintf("%q: %v", e.name, err))
		w.nameOnly(it, e.name)
		return nil
	}
	data, err := w.budget.read(r, max(int64(len(packed)), 1))
	var limit limitError
	if errors.As(err, &limit) {
		return err
	}
	if err != nil || crc32.ChecksumIEEE(data) != e.crc && !(e.streamed() && e.crc == 0) {
		w.find(it, "attach.archive-corrupt", "An archive is broken, so programs may see different files in it.", fmt.Sprintf("%q does not inflate to what its header says", e.name))
	}
	if it.office {
		w.officePart(it, e.name, data)
	}
	if target := string(data[:min(len(data), 4096)]); e.link && pathy(target) {
		w.find(it, "attach.path-name", "A file name holds a path.", e.name+" is a link: "+target)
	}
	w.member(it, e.name, data)
	if e.unicode != "" && e.unicode != e.name {
		w.nameOnly(it, e.unicode)
	}
	return nil
}

// zipLocked examines an encrypted entry: its content, if the text gives the password away, else its name.
func (w *walk) zipLocked(it *item, e zipEntry, packed []byte) error {
	if data, ok := w.unlock(e, packed); ok {
		w.opened(it, e.name)
		w.member(it, e.name, data)
		return nil
	}
	w.encrypted(it, e.name)
	w.nameOnly(it, e.name)
	return nil
}

// zipReader inflates by the method of APPNOTE 4.4.5.
func zipReader(e zipEntry, packed []byte) (io.Reader, error) {
	b := bytes.NewReader(packed)
	switch e.method {
	case 0:
		return b, nil
	case 8:
		return flate.NewReader(b), nil
	case 9:
		return newInflate64(b), nil
	case 12:
		return bzip2.NewReader(b), nil
	case 14:
		return newLZMA(packed, e)
	case 93:
		z, err := newZstd(b)
		if err != nil {
			return nil, err
		}
		return z.IOReadCloser(), nil
	case 95:
		return newXZ(packed)
	}
	return nil, fmt.Errorf("compression method %d", e.method)
}

// newLZMA reads LZMA as a ZIP file has it: two octets of version, the size of the properties, the properties (APPNOTE 5.8.8).
func newLZMA(packed []byte, e zipEntry) (io.Reader, error) {
	if len(packed) < 9 || le.Uint16(packed[2:]) != 5 {
		return nil, errors.New("LZMA without its properties")
	}
	head := append(append(make([]byte, 0, 13), packed[4:9]...), bytes.Repeat([]byte{0xff}, 8)...) // its end is marked
	if e.flags&2 == 0 {
		le.PutUint64(head[5:], uint64(e.size))
	}
	return lzma.ReaderConfig{DictCap: maxWindow}.NewReader(io.MultiReader(bytes.NewReader(head), bytes.NewReader(packed[9:])))
}

// encrypted states that a password stands between the gateway and a file.
func (w *walk) encrypted(it *item, name string) {
	w.find(it, "attach.encrypted", "An attachment is encrypted.", name)
	w.find(it, "attach.unscannable.encrypted", "An attachment is encrypted, so nobody looked into it.", name)
}

// nameOnly examines the name of a member whose content cannot be read.
func (w *walk) nameOnly(outer *item, name string) {
	it := &item{part: outer.part, names: []string{name}, path: append(append([]string{}, outer.path...), name)}
	if class := w.examineNames(it); class.Runs() && !outer.office {
		w.named(it, class)
	}
}

// tar examines a tar archive.
func (w *walk) tar(it *item) error {
	r := tar.NewReader(bytes.NewReader(it.data))
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil && !errors.Is(err, tar.ErrInsecurePath) {
			return err
		}
		if err := w.budget.entry(); err != nil {
			return err
		}
		if h.Typeflag == tar.TypeSymlink || h.Typeflag == tar.TypeLink || h.Typeflag == tar.TypeChar || h.Typeflag == tar.TypeBlock {
			w.find(it, "attach.path-name", "A file name holds a path.", h.Name+" is a link or device: "+h.Linkname)
			continue
		}
		if h.Typeflag == tar.TypeDir {
			continue
		}
		data, err := w.budget.read(r, int64(len(it.data)))
		w.member(it, h.Name, data)
		if err != nil {
			return err
		}
	}
}

// seven examines a 7z archive: without a password, and if it has one, with the words of the text.
func (w *walk) seven(it *item) error {
	if err := guardSeven(it.data); err != nil {
		return err
	}
	err := w.sevenBy(it, "")
	if !errors.Is(err, errLocked) {
		return err
	}
	for _, word := range w.slowWords() {
		if !w.try() {
			break
		}
		if r, err := sevenzip.NewReaderWithPassword(bytes.NewReader(it.data), int64(len(it.data)), word); err == nil && w.sevenOpens(r) {
			w.opened(it, "7z")
			return w.sevenBy(it, word)
		}
	}
	w.encrypted(it, "7z")
	return nil
}

// errLocked is the cause when a password is needed.
var errLocked = errors.New("it is encrypted")

// sevenOpens reports whether the password of a reader is right: the first file inflates to its checksum.
func (w *walk) sevenOpens(r *sevenzip.Reader) bool {
	for _, f := range r.File {
		if f.FileInfo().IsDir() || f.UncompressedSize == 0 {
			continue
		}
		rc, err := f.Open()
		if err != nil {
			return false
		}
		defer rc.Close()
		data, err := w.budget.read(rc, int64(f.UncompressedSize))
		return err == nil && crc32.ChecksumIEEE(data) == f.CRC32
	}
	return len(r.File) > 0
}

// sevenBy examines the archive by a password.
func (w *walk) sevenBy(it *item, password string) error {
	r, err := sevenzip.NewReaderWithPassword(bytes.NewReader(it.data), int64(len(it.data)), password)
	if err != nil {
		return sevenError(err)
	}
	locked := false
	for _, f := range r.File {
		if err := w.budget.entry(); err != nil {
			return err
		}
		if f.FileInfo().IsDir() {
			continue
		}
		err := w.sevenFile(it, f)
		if locked = locked || errors.Is(err, errLocked); err != nil && !errors.Is(err, errLocked) {
			return err
		}
	}
	if locked {
		return errLocked
	}
	return nil
}

func (w *walk) sevenFile(it *item, f *sevenzip.File) error {
	rc, err := f.Open()
	if err != nil {
		w.nameOnly(it, f.Name)
		return sevenError(err)
	}
	defer rc.Close()
	data, err := w.budget.read(rc, int64(len(it.data)))
	if err = sevenError(err); errors.Is(err, errLocked) {
		w.nameOnly(it, f.Name)
		return err
	}
	w.member(it, f.Name, data)
	if err == nil && crc32.ChecksumIEEE(data) != f.CRC32 && f.CRC32 != 0 {
		err = errors.New("wrong checksum")
	}
	return err
}

// sevenError tells encryption from damage.
func sevenError(err error) error {
	var re *sevenzip.ReadError
	if errors.As(err, &re) && re.Encrypted {
		return errLocked
	}
	return err
}

// rar examines a RAR 4 or 5 archive: without a password, and if it has one, with the words of the text.
func (w *walk) rar(it *item) error {
	err := w.rarBy(it, "")
	if !errors.Is(err, errLocked) {
		return err
	}
	for _, word := range w.slowWords() {
		if !w.try() {
			break
		}
		if w.rarOpens(it.data, word) {
			w.opened(it, "RAR")
			return w.rarBy(it, word)
		}
	}
	w.encrypted(it, "RAR")
	return nil
}

// rarOpens reports whether a password is right: the first file inflates to its checksum.
func (w *walk) rarOpens(b []byte, password string) bool {
	r, err := rardecode.NewReader(bytes.NewReader(b), rardecode.MaxDictionarySize(maxWindow), rardecode.Password(password))
	if err != nil {
		return false
	}
	for {
		h, err := r.Next()
		if err != nil {
			return false
		}
		if h.IsDir {
			continue
		}
		_, err = w.budget.read(r, int64(len(b)))
		return err == nil
	}
}

// rarBy examines the archive by a password.
func (w *walk) rarBy(it *item, password string) error {
	options := []rardecode.Option{rardecode.MaxDictionarySize(maxWindow)}
	if password != "" {
		options = append(options, rardecode.Password(password))
	}
	r, err := rardecode.NewReader(bytes.NewReader(it.data), options...)
	locked := false
	for err == nil {
		var h *rardecode.FileHeader
		if h, err = r.Next(); err != nil {
			break
		}
		if err := w.budget.entry(); err != nil {
			return err
		}
		if h.IsDir {
			continue
		}
		if (h.Encrypted || h.HeaderEncrypted) && password == "" {
			locked = true
			w.nameOnly(it, h.Name)
			continue
		}
		var data []byte
		data, err = w.budget.read(r, int64(len(it.data)))
		w.member(it, h.Name, data)
	}
	switch {
	case locked, errors.Is(err, rardecode.ErrArchiveEncrypted), errors.Is(err, rardecode.ErrArchivedFileEncrypted), errors.Is(err, rardecode.ErrBadPassword):
		return errLocked
	case errors.Is(err, io.EOF):
		return nil
	}
	return err
}
