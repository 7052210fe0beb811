package attach

import (
	"errors"
)

// The descriptor tags of UDF (ECMA-167 sections 3/7.2.1 and 4/7.2.1).
const (
	udfAnchor    = 2
	udfPartition = 5
	udfVolume    = 6
	udfFileSet   = 256
	udfFileID    = 257
	udfFile      = 261
	udfExtended  = 266
)

var errUDF = errors.New("its UDF is of a kind that is not read")

// udf walks the UDF file system of an image with one plain partition, as images for distribution have it.
func (d *disc) udf() error {
	anchor, err := d.tagged(256*sector, udfAnchor)
	if err != nil {
		return err
	}
	from, size := int64(le.Uint32(anchor[20:]))*sector, min(int64(le.Uint32(anchor[16:])), 64*sector)
	start, fileSet := int64(-1), int64(-1)
	for at := from; at < from+size; at += sector {
		v, err := d.span(at, sector)
		if err != nil {
			return err
		}
		switch le.Uint16(v) {
		case udfPartition:
			start = int64(le.Uint32(v[188:])) * sector
		case udfVolume:
			if le.Uint32(v[212:]) != sector || le.Uint32(v[268:]) != 1 || v[440] != 1 {
				return errUDF
			}
			fileSet = int64(le.Uint32(v[252:])) * sector
		}
	}
	if start < 0 || fileSet < 0 {
		return errUDF
	}
	set, err := d.tagged(start+fileSet, udfFileSet)
	if err != nil {
		return err
	}
	return d.udfEntry(start, int64(le.Uint32(set[404:]))*sector, "", 0)
}

// tagged is the sector at an offset, which must begin with a descriptor of that kind.
func (d *disc) tagged(at int64, tag uint16) ([]byte, error) {
	b, err := d.span(at, sector)
	if err != nil || le.Uint16(b) != tag {
		return nil, errISO
	}
	return b, nil
}

// udfEntry examines the file or directory whose file entry stands at an offset of the partition (ECMA-167 section 4/14.9).
func (d *disc) udfEntry(part, at int64, name string, depth int) error {
	if depth > 32 {
		return limitError("depth")
	}
	if err := d.w.budget.entry(); err != nil {
		return err
	}
	b, err := d.span(part+at, sector)
	if err != nil {
		return err
	}
	head := 176
	switch le.Uint16(b) {
	case udfFile:
	case udfExtended:
		head = 216
	default:
		return errISO
	}
	size, ea, ad := int64(le.Uint64(b[56:])), int(le.Uint32(b[head-8:])), int(le.Uint32(b[head-4:]))
	if ea < 0 || ad < 0 || ea > sector || ad > sector || head+ea+ad > sector {
		return errISO
	}
	data, where, err := d.udfContent(part, b[head+ea:head+ea+ad], le.Uint16(b[34:])&7, size)
	if err != nil {
		return err
	}
	if where < 0 {
		where = part + at + int64(head+ea)
	}
	if b[27] != 4 { // no directory
		d.file(name, where, data)
		return nil
	}
	if d.seen[-where-2] {
		return nil
	}
	d.seen[-where-2] = true
	return d.udfDirectory(part, data, depth)
}

// udfContent is the content that allocation descriptors lead to, in one piece: several pieces are only followed if they
// stand side by side. where is the offset in the image; -1: within the file entry.
func (d *disc) udfContent(part int64, ad []byte, kind uint16, size int64) (data []byte, where int64, err error) {
	if kind == 3 {
		if size > int64(len(ad)) || size < 0 {
			return nil, 0, errISO
		}
		return ad[:size], -1, nil
	}
	step := map[uint16]int{0: 8, 1: 16}[kind]
	if step == 0 {
		return nil, 0, errUDF
	}
	where = -1
	total := int64(0)
	for ; len(ad) >= step && total < size; ad = ad[step:] {
		n, at := int64(le.Uint32(ad)), part+int64(le.Uint32(ad[4:]))*sector
		if n == 0 {
			break
		}
		if n>>30 != 0 || where >= 0 && at != where+total {
			return nil, 0, errors.New("a file lies in several pieces")
		}
		if where < 0 {
			where = at
		}
		total += n
	}
	if size == 0 {
		return nil, where, nil
	}
	data, err = d.span(where, size)
	return data, where, err
}

// udfDirectory walks the file identifiers of a directory (ECMA-167 section 4/14.4).
func (d *disc) udfDirectory(part int64, b []byte, depth int) error {
	for len(b) >= 38 {
		if le.Uint16(b) != udfFileID {
			return errISO
		}
		n, use := int(b[19]), int(le.Uint16(b[36:]))
		size := (38 + use + n + 3) &^ 3
		if size > len(b) {
			return errISO
		}
		if flags := b[18]; flags&(4|8) == 0 && n > 1 { // neither deleted nor the directory above
			name := string(b[38+use+1 : 38+use+n])
			if b[38+use] == 16 {
				name = utf16BE(name)
			}
			if err := d.udfEntry(part, int64(le.Uint32(b[24:]))*sector, name, depth+1); err != nil {
				return err
			}
		}
		b = b[size:]
	}
	return nil
}
