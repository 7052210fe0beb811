package attach

import (
	"bytes"
	"errors"
	"strings"
	"unicode/utf16"
)

const sector = 2048

var errISO = errors.New("the file system's descriptors are broken")

// isISO reports whether a disk image holds the volume descriptors of ISO 9660 or UDF (ECMA-119 section 8, ECMA-167 section 2/9).
func isISO(b []byte) bool {
	if len(b) < 17*sector {
		return false
	}
	id := string(b[16*sector+1 : 16*sector+6])
	return id == "CD001" || id == "BEA01" || id == "NSR02" || id == "NSR03"
}

// A disc is one image while it is walked. The same file may stand in several directory trees: it is examined once, under the
// name that stands first, and the other names are examined as names.
type disc struct {
	w    *walk
	it   *item
	b    []byte
	seen map[int64]bool // of where files and directories begin
}

// iso examines the file systems of a disk image: what Windows shows first comes first, UDF, Joliet, ISO 9660.
func (w *walk) iso(it *item) error {
	d := &disc{w: w, it: it, b: it.data, seen: map[int64]bool{}}
	var primary, joliet []byte
	udf := false
	for at := 16 * sector; at+sector <= len(d.b); at += sector {
		v := d.b[at : at+sector]
		id := string(v[1:6])
		switch {
		case id == "NSR02" || id == "NSR03":
			udf = true
		case id == "CD001" && v[0] == 1 && primary == nil:
			primary = v
		case id == "CD001" && v[0] == 2 && v[88] == '%' && v[89] == '/':
			joliet = v
		case id != "CD001" && id != "BEA01" && id != "TEA01" && id != "BOOT2":
			at = len(d.b)
		}
	}
	if primary == nil && !udf {
		return errISO
	}
	if udf {
		if err := d.udf(); err != nil {
			return err
		}
	}
	for _, v := range [][]byte{joliet, primary} {
		if v == nil {
			continue
		}
		if err := d.directory(v[156:190], v[0] == 2, 0); err != nil {
			return err
		}
	}
	return nil
}

// span is a run of octets of the image.
func (d *disc) span(at, size int64) ([]byte, error) {
	if at < 0 || size < 0 || at > int64(len(d.b)) || size > int64(len(d.b))-at {
		return nil, errISO
	}
	return d.b[at : at+size], nil
}

// file examines one file, or only its name if its content was examined under another.
func (d *disc) file(name string, at int64, data []byte) {
	if d.seen[at] && len(data) > 0 {
		d.w.nameOnly(d.it, name)
		return
	}
	d.seen[at] = true
	d.w.member(d.it, name, data)
}

// directory walks an ISO 9660 directory (ECMA-119 section 9.1). joliet: names are UCS-2.
func (d *disc) directory(record []byte, joliet bool, depth int) error {
	at, size := int64(le.Uint32(record[2:]))*sector, int64(le.Uint32(record[10:]))
	key := -at - 2 // directories are kept apart from files
	if joliet {
		key -= 1
	}
	if d.seen[key] {
		return nil
	}
	d.seen[key] = true
	if depth > 32 {
		return limitError("depth")
	}
	b, err := d.span(at, size)
	if err != nil {
		return err
	}
	for len(b) > 0 {
		n := int(b[0])
		if n == 0 { // the rest of a sector is empty
			b = b[min(len(b), sector-(int(size)-len(b))%sector):]
			continue
		}
		if n < 34 || n > len(b) || 33+int(b[32]) > n {
			return errISO
		}
		if err := d.entry(b[:n], joliet, depth); err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// entry examines one record of a directory.
func (d *disc) entry(r []byte, joliet bool, depth int) error {
	name := string(r[33 : 33+int(r[32])])
	if name == "\x00" || name == "\x01" { // the directory itself and the one above
		return nil
	}
	if err := d.w.budget.entry(); err != nil {
		return err
	}
	if joliet {
		name = utf16BE(name)
	}
	name, _, _ = strings.Cut(name, ";")
	if r[25]&2 != 0 {
		return d.directory(r, joliet, depth+1)
	}
	at, size := int64(le.Uint32(r[2:]))*sector, int64(le.Uint32(r[10:]))
	data, err := d.span(at, size)
	if err != nil {
		return err
	}
	d.file(name, at, data)
	if r[25]&0x80 != 0 || r[26] != 0 {
		return errors.New("a file lies in several pieces")
	}
	return nil
}

// utf16BE reads UCS-2 or UTF-16 in big-endian order.
func utf16BE(s string) string {
	u := make([]uint16, 0, len(s)/2)
	for i := 0; i+1 < len(s); i += 2 {
		u = append(u, uint16(s[i])<<8|uint16(s[i+1]))
	}
	return string(utf16.Decode(u))
}

// diskImage recognises images of disks that are not looked into.
func diskImage(b []byte) string {
	switch {
	case bytes.HasPrefix(b, []byte("conectix")), len(b) > 512 && bytes.HasPrefix(b[len(b)-512:], []byte("conectix")):
		return "VHD"
	case bytes.HasPrefix(b, []byte("vhdxfile")):
		return "VHDX"
	case len(b) > 512 && bytes.HasPrefix(b[len(b)-512:], []byte("koly")):
		return "DMG"
	case bytes.HasPrefix(b, []byte("MSWIM\x00\x00\x00")):
		return "WIM"
	case bytes.HasPrefix(b, []byte("KDMV")), bytes.HasPrefix(b, []byte("# Disk DescriptorFile")):
		return "VMDK"
	case len(b) > 512 && b[510] == 0x55 && b[511] == 0xaa && (bytes.Contains(b[:100], []byte("FAT")) || bytes.Contains(b[:100], []byte("NTFS"))):
		return "file system of a disk"
	case len(b) > 0x9316 && string(b[0x9311:0x9316]) == "CD001":
		return "raw image of a CD"
	}
	return ""
}
