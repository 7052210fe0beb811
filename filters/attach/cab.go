package attach

import (
	"bytes"
	"compress/flate"
	"errors"
	"fmt"
	"io"
)

// A cabFolder is one compressed run of files ([MS-CAB] section 2.2).
type cabFolder struct {
	at, blocks int
	method     uint16
	files      []cabFile
}

// A cabFile is one file of a folder.
type cabFile struct {
	name     string
	at, size int64 // in what the folder becomes
}

// The compressions of [MS-CAB] section 2.2 that are read; Quantum (2) and LZX (3) are not.
const (
	cabStored = 0
	cabZip    = 1
)

var errCab = errors.New("the cabinet's header is broken")

// cab examines a Microsoft cabinet.
func (w *walk) cab(it *item) error {
	folders, reserve, err := readCab(it.data)
	if err != nil {
		return err
	}
	for i := range folders {
		if err := w.cabFolder(it, &folders[i], reserve); err != nil {
			return err
		}
	}
	return nil
}

// readCab reads the directory of a cabinet. reserve is how many octets stand before the data of each block.
func readCab(b []byte) (folders []cabFolder, reserve int, err error) {
	if len(b) < 36 {
		return nil, 0, errCab
	}
	files, nFolders, nFiles, flags := int(le.Uint32(b[16:])), int(le.Uint16(b[26:])), int(le.Uint16(b[28:])), le.Uint16(b[30:])
	at, each := 36, 8
	if flags&4 != 0 {
		if len(b) < 40 {
			return nil, 0, errCab
		}
		at += 4 + int(le.Uint16(b[36:]))
		each += int(b[38])
		reserve = int(b[39])
	}
	for range 2 * (int(flags&1) + int(flags>>1&1)) { // names of the cabinets before and behind, and of their disks
		n := bytes.IndexByte(b[min(at, len(b)):], 0)
		if n < 0 {
			return nil, 0, errCab
		}
		at += n + 1
	}
	for range nFolders {
		if at+8 > len(b) {
			return nil, 0, errCab
		}
		folders = append(folders, cabFolder{at: int(le.Uint32(b[at:])), blocks: int(le.Uint16(b[at+4:])), method: le.Uint16(b[at+6:]) & 15})
		at += each
	}
	for range nFiles {
		if files < 0 || files+16 > len(b) {
			return nil, 0, errCab
		}
		h := b[files:]
		n := bytes.IndexByte(h[16:], 0)
		if n < 0 {
			return nil, 0, errCab
		}
		i := int(le.Uint16(h[8:]))
		if i >= len(folders) { // 0xfffd to 0xffff: the file goes on in another cabinet
			return nil, 0, errors.New("a file spans several cabinets")
		}
		folders[i].files = append(folders[i].files, cabFile{name: string(h[16 : 16+n]), size: int64(le.Uint32(h)), at: int64(le.Uint32(h[4:]))})
		files += 16 + n + 1
	}
	return folders, reserve, nil
}

// cabFolder inflates one folder and examines its files.
func (w *walk) cabFolder(it *item, f *cabFolder, reserve int) error {
	if f.method != cabStored && f.method != cabZip {
		w.find(it, "attach.unscannable.format", "An attachment is an archive of a kind that the gateway does not open.", fmt.Sprintf("cabinet with compression %d", f.method))
		for _, file := range f.files {
			w.nameOnly(it, file.name)
		}
		return nil
	}
	if f.at > len(it.data) {
		return errCab
	}
	data, err := w.budget.read(&cabReader{b: it.data[f.at:], blocks: f.blocks, reserve: reserve, zip: f.method == cabZip}, int64(len(it.data)))
	for _, file := range f.files {
		if err := w.budget.entry(); err != nil {
			return err
		}
		from, to := min(file.at, int64(len(data))), min(file.at+file.size, int64(len(data)))
		if to-from < file.size && err == nil {
			err = fmt.Errorf("%q is cut off", file.name)
		}
		w.member(it, file.name, data[from:to])
	}
	return err
}

// A cabReader yields what the blocks of a folder become.
type cabReader struct {
	b       []byte
	blocks  int
	reserve int
	zip     bool
	dict    []byte // the last 32 KiB that came out
	out     []byte // of a block, not yet read
}

// Read implements io.Reader.
func (r *cabReader) Read(p []byte) (int, error) {
	for len(r.out) == 0 {
		if r.blocks == 0 {
			return 0, io.EOF
		}
		r.blocks--
		if err := r.block(); err != nil {
			return 0, err
		}
	}
	n := copy(p, r.out)
	r.out = r.out[n:]
	return n, nil
}

// block inflates the next block: at most 32 KiB, with what came out before as its dictionary ([MS-MCI] section 2).
func (r *cabReader) block() error {
	head := 8 + r.reserve
	if len(r.b) < head {
		return io.ErrUnexpectedEOF
	}
	packed, size := int(le.Uint16(r.b[4:])), int(le.Uint16(r.b[6:]))
	if packed > len(r.b)-head {
		return io.ErrUnexpectedEOF
	}
	data := r.b[head : head+packed]
	r.b = r.b[head+packed:]
	if !r.zip {
		r.out = data
		return nil
	}
	if size > 32<<10 || len(data) < 2 || string(data[:2]) != "CK" {
		return errors.New("a block is no MSZIP")
	}
	out := make([]byte, size)
	if _, err := io.ReadFull(flate.NewReaderDict(bytes.NewReader(data[2:]), r.dict), out); err != nil {
		return fmt.Errorf("inflate block: %w", err)
	}
	r.dict = append(r.dict, out...)
	r.dict = r.dict[max(0, len(r.dict)-32<<10):]
	r.out = out
	return nil
}
