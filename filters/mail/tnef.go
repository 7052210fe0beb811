package mail

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"strings"
	"unicode/utf16"
)

// The attributes of TNEF that hold files and texts ([MS-OXTNEF] section 2.1.3.3).
const (
	tnefSignature   = 0x223E9F78
	tnefRendData    = 0x00069002 // begins an attachment
	tnefTitle       = 0x00018010
	tnefData        = 0x0006800F
	tnefAttachment  = 0x00069005 // MAPI properties of an attachment
	tnefMessageProp = 0x00069003 // MAPI properties of the message
	tnefBody        = 0x0002800C

	mapiLongName = 0x3707
	mapiName     = 0x3704
	mapiData     = 0x3701
	mapiBody     = 0x1000
	mapiHTML     = 0x1013
)

// isTNEF reports whether p is a winmail.dat by type, name or first bytes.
func isTNEF(p *Part) bool {
	if strings.HasSuffix(p.Type, "ms-tnef") || strings.EqualFold(p.Name(), "winmail.dat") {
		return true
	}
	if !strings.HasPrefix(p.Type, "application/") {
		return false
	}
	b, err := p.space.bytes(Span{p.body.Start, min(p.body.End, p.body.Start+64)})
	if err != nil {
		return false
	}
	if p.Encoding() == "base64" {
		var head [12]byte
		b = bytes.TrimSpace(b)
		if len(b) < 16 {
			return false
		}
		n, _ := base64.StdEncoding.Decode(head[:], b[:16])
		b = head[:n]
	}
	return len(b) >= 4 && binary.LittleEndian.Uint32(b) == tnefSignature
}

// tnef adds the files and texts inside a winmail.dat as parts.
func (w *walker) tnef(p *Part) {
	if size := p.body.End - p.body.Start; !w.spend(size, p.Body) {
		return
	}
	w.note(p, "mime.tnef")
	for _, r := range p.Decoded() {
		files, ok := readTNEF(r.Data)
		if !ok {
			w.note(p, "mime.tnef-broken")
		}
		for _, f := range files {
			if len(f.data) > 0 && !w.embed(p, f) {
				return
			}
		}
	}
}

// readTNEF lists the files and texts of a TNEF stream. ok is false if it ends early or makes no sense.
func readTNEF(b []byte) (files []embedded, ok bool) {
	if len(b) < 6 || binary.LittleEndian.Uint32(b) != tnefSignature {
		return nil, false
	}
	var texts []embedded
	b = b[6:]
	for len(b) > 0 {
		if len(b) < 11 {
			return append(files, texts...), len(bytes.Trim(b, "\x00")) == 0
		}
		id, size := binary.LittleEndian.Uint32(b[1:]), uint64(binary.LittleEndian.Uint32(b[5:]))
		if size+11 > uint64(len(b)) {
			return append(files, texts...), false
		}
		data := b[9 : 9+size]
		b = b[11+size:]
		switch id {
		case tnefRendData:
			files = append(files, embedded{})
		case tnefBody:
			texts = append(texts, embedded{kind: "text/plain", data: data})
		case tnefMessageProp:
			texts = append(texts, tnefTexts(data)...)
		case tnefTitle, tnefData, tnefAttachment:
			if len(files) == 0 {
				files = append(files, embedded{})
			}
			files[len(files)-1].tnef(id, data)
		}
		if len(files) > maxParts {
			return files, false
		}
	}
	return append(files, texts...), true
}

// tnef takes one attribute of an attachment.
func (f *embedded) tnef(id uint32, data []byte) {
	switch id {
	case tnefTitle:
		if f.name == "" {
			f.name = string(bytes.TrimRight(data, "\x00"))
		}
	case tnefData:
		f.data = data
	case tnefAttachment:
		for _, p := range mapiProps(data) {
			switch p.id {
			case mapiLongName:
				f.name = p.text()
			case mapiName:
				if f.name == "" {
					f.name = p.text()
				}
			case mapiData:
				if f.data == nil {
					f.data = p.value
				}
			}
		}
	}
}

// tnefTexts are the bodies among the message's properties.
func tnefTexts(data []byte) []embedded {
	var list []embedded
	for _, p := range mapiProps(data) {
		switch p.id {
		case mapiBody:
			list = append(list, embedded{kind: "text/plain", data: []byte(p.text())})
		case mapiHTML:
			list = append(list, embedded{kind: "text/html", data: p.value})
		}
	}
	return list
}

// A mapiProp is one MAPI property with a value of variable length.
type mapiProp struct {
	id    uint16
	kind  uint16
	value []byte
}

// text is the value of a string property.
func (p mapiProp) text() string {
	if p.kind != 0x1F {
		return guess(bytes.TrimRight(p.value, "\x00"))
	}
	u := make([]uint16, len(p.value)/2)
	for i := range u {
		u[i] = binary.LittleEndian.Uint16(p.value[2*i:])
	}
	return strings.TrimRight(string(utf16.Decode(u)), "\x00")
}

// mapiProps reads a property list ([MS-OXTNEF] section 2.1.3.4) as far as it makes sense.
func mapiProps(b []byte) []mapiProp {
	if len(b) < 4 {
		return nil
	}
	n := min(int(binary.LittleEndian.Uint32(b)), 10000)
	b = b[4:]
	var list []mapiProp
	for ; n > 0 && len(b) >= 4; n-- {
		p := mapiProp{kind: binary.LittleEndian.Uint16(b) &^ 0x1000, id: binary.LittleEndian.Uint16(b[2:])}
		multi := binary.LittleEndian.Uint16(b)&0x1000 != 0
		b = b[4:]
		if p.id >= 0x8000 {
			if b = skipNamed(b); b == nil {
				return list
			}
		}
		var ok bool
		if b, ok = p.read(b, multi); !ok {
			return list
		}
		list = append(list, p)
	}
	return list
}

// skipNamed skips the name of a named property.
func skipNamed(b []byte) []byte {
	if len(b) < 24 {
		return nil
	}
	kind, size := binary.LittleEndian.Uint32(b[16:]), uint64(binary.LittleEndian.Uint32(b[20:]))
	b = b[24:]
	if kind == 0 {
		return b
	}
	size = (size + 3) &^ 3
	if size > uint64(len(b)) {
		return nil
	}
	return b[size:]
}

// read takes the property's values from b; of several the last stays.
func (p *mapiProp) read(b []byte, multi bool) ([]byte, bool) {
	size := uint64(0)
	variable := false
	switch p.kind {
	case 2, 3, 4, 10, 11:
		size = 4
	case 5, 6, 7, 0x14, 0x40:
		size = 8
	case 0x48:
		size = 16
	case 0x0D, 0x1E, 0x1F, 0x102:
		variable = true
	default:
		return nil, false
	}
	count := uint64(1)
	if multi || variable {
		if len(b) < 4 {
			return nil, false
		}
		count = uint64(binary.LittleEndian.Uint32(b))
		b = b[4:]
	}
	for ; count > 0; count-- {
		if variable {
			if len(b) < 4 {
				return nil, false
			}
			size = uint64(binary.LittleEndian.Uint32(b))
			b = b[4:]
		}
		if size > uint64(len(b)) {
			return nil, false
		}
		p.value = b[:size]
		b = b[min((size+3)&^3, uint64(len(b))):]
	}
	return b, true
}
