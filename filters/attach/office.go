package attach

import (
	"bytes"
	"compress/zlib"
	"encoding/xml"
	"errors"
	"io"
	"regexp"
	"strings"

	"github.com/richardlehane/mscfb"
)

// officePart looks at one part of an OOXML document.
func (w *walk) officePart(it *item, name string, data []byte) {
	name = strings.ToLower(strings.ReplaceAll(name, `\`, "/"))
	if strings.HasSuffix(name, ".xml") || strings.HasSuffix(name, ".rels") {
		data = utf8Of(data)
	}
	switch {
	case strings.HasSuffix(name, "vbaproject.bin"), strings.Contains(name, "/macrosheets/"):
		w.find(it, "attach.macro", "An office document holds macros.", name)
	case strings.Contains(name, "/embeddings/"):
		w.find(it, "attach.embedded-object", "An office document holds another file.", name)
	case strings.HasSuffix(name, ".rels"):
		w.relations(it, name, data)
	case strings.HasSuffix(name, ".xml") && (bytes.Contains(data, []byte("instrText")) || bytes.Contains(data, []byte("fldSimple"))):
		w.fields(it, name, data)
	}
	if strings.Contains(name, "externallinks/") && (bytes.Contains(data, []byte("ddeLink")) || bytes.Contains(data, []byte("c\x00m\x00d\x00"))) {
		w.find(it, "attach.dde", "An office document starts a program by DDE.", name)
	}
}

// relations finds what a document loads from elsewhere when it is opened (ISO/IEC 29500-2). A hyperlink or a picture is none.
func (w *walk) relations(it *item, name string, data []byte) {
	d := xmlDecoder(data)
	for {
		t, err := d.RawToken()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			w.find(it, "attach.unscannable.corrupt", "An attachment is broken, so not all of it was seen.", name+": "+err.Error())
			return
		}
		if _, dtd := t.(xml.Directive); dtd {
			w.find(it, "attach.unscannable.corrupt", "An attachment is broken, so not all of it was seen.", name+" declares entities, which no office program writes")
			return
		}
		s, ok := t.(xml.StartElement)
		if !ok || s.Name.Local != "Relationship" {
			continue
		}
		at := map[string]string{}
		for _, a := range s.Attr {
			at[a.Name.Local] = a.Value
		}
		kind := at["Type"][strings.LastIndexByte(at["Type"], '/')+1:]
		if strings.EqualFold(at["TargetMode"], "External") && kind != "hyperlink" && kind != "image" && kind != "audio" && kind != "video" {
			w.find(it, "attach.remote-template", "An office document loads something from elsewhere when it is opened.", kind+" "+at["Target"])
		}
	}
}

// xmlDecoder reads XML in whatever charset it says it is in: the words that are looked for are ASCII in all of them.
func xmlDecoder(data []byte) *xml.Decoder {
	d := xml.NewDecoder(bytes.NewReader(data))
	d.CharsetReader = func(_ string, r io.Reader) (io.Reader, error) { return r, nil }
	return d
}

// hasDDE reports whether a field of b is DDE or DDEAUTO.
func hasDDE(b []byte) bool {
	for i := 0; ; i += 3 {
		n := indexDDE(b[i:])
		if n < 0 {
			return false
		}
		i += n
		rest := b[i+3:]
		if len(rest) >= 4 && strings.EqualFold(string(rest[:4]), "AUTO") {
			rest = rest[4:]
		}
		if (i == 0 || strings.IndexByte(" \t\r\n\f\"\x13{", b[i-1]) >= 0) && len(rest) > 0 && strings.IndexByte(" \t\r\n\f\"\x14", rest[0]) >= 0 {
			return true
		}
	}
}

// indexDDE is where "DDE" stands in b, in any case; negative if it does not.
func indexDDE(b []byte) int {
	for i := 2; i < len(b); i++ {
		switch b[i] | 0x20 {
		case 'e':
			if b[i-1]|0x20 == 'd' && b[i-2]|0x20 == 'd' {
				return i - 2
			}
		case 'd':
		default:
			i += 2 // no octet of it is in the word
		}
	}
	return -1
}

// maxFieldCode is how many octets of field codes one part of a document may hold.
const maxFieldCode = 1 << 20

// fields finds DDE among the field codes of a text document, however they are cut into runs.
func (w *walk) fields(it *item, name string, data []byte) {
	d := xmlDecoder(data)
	d.Strict = false
	var code bytes.Buffer
	inside := false
	for {
		t, err := d.RawToken()
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil && code.Len() > maxFieldCode {
			err = limitError("field codes")
		}
		if err != nil {
			w.blind(it, name, err)
			break
		}
		switch t := t.(type) {
		case xml.StartElement:
			inside = t.Name.Local == "instrText"
			for _, a := range t.Attr {
				if t.Name.Local == "fldSimple" && a.Name.Local == "instr" {
					code.WriteString(" " + a.Value + " ")
				}
			}
			if t.Name.Local == "fldChar" {
				code.WriteByte(' ')
			}
		case xml.EndElement:
			inside = false
		case xml.CharData:
			if inside {
				code.Write(t)
			}
		}
	}
	code.WriteByte(' ')
	if hasDDE(code.Bytes()) {
		w.find(it, "attach.dde", "An office document starts a program by DDE.", name)
	}
}

// ole looks into a compound file: the older office formats, and the wrapper of encrypted new ones.
func (w *walk) ole(it *item) error {
	r, err := mscfb.New(bytes.NewReader(it.data))
	if err != nil {
		return err
	}
	for f, err := r.Next(); err == nil; f, err = r.Next() {
		if err := w.budget.entry(); err != nil {
			return err
		}
		name := strings.ToLower(f.Name)
		switch {
		case name == "_vba_project", name == "vba" && f.Size == 0:
			w.find(it, "attach.macro", "An office document holds macros.", f.Name)
			continue
		case name == "encryptedpackage", name == "encryptioninfo", name == "encryptedsummary":
			w.encrypted(it, f.Name)
			continue
		case f.Size <= 0:
			continue
		}
		data, err := w.budget.read(io.LimitReader(f, f.Size), int64(len(it.data)))
		w.oleStream(it, f, data)
		if err != nil {
			return err
		}
	}
	return nil
}

// oleStream looks at one stream.
func (w *walk) oleStream(it *item, f *mscfb.File, data []byte) {
	switch {
	case strings.HasSuffix(strings.ToLower(f.Name), "ole10native"):
		w.find(it, "attach.embedded-object", "An office document holds another file.", f.Name)
		if len(data) > 4 {
			w.native(it, data[4:])
		}
	case strings.HasPrefix(f.Name, "__substg1.0_3701"): // PidTagAttachDataBinary of an Outlook message
		inner := *it
		inner.office = false
		w.member(&inner, "attachment", data)
	case strings.HasPrefix(f.Name, "__substg1.0_3707"): // PidTagAttachLongFilename
		w.nameOnly(it, stringData(data, strings.HasSuffix(f.Name, "001F")))
	case f.Name == "Workbook" || f.Name == "Book":
		w.biff(it, data)
	case f.Name == "WordDocument":
		if len(data) > 12 && data[0x0b]&1 != 0 { // fEncrypted, [MS-DOC] 2.5.2
			w.encrypted(it, f.Name)
		}
		if ddeMark.Match(data) || ddeMark.Match(bytes.ReplaceAll(data, []byte{0}, nil)) {
			w.find(it, "attach.dde", "An office document starts a program by DDE.", f.Name)
		}
	case f.Name == "PowerPoint Document":
		w.slides(it, data)
	case f.Name == "Current User":
		if len(data) > 16 && le.Uint32(data[12:]) == 0xF3D1C4DF { // headerToken, [MS-PPT] 2.3.2
			w.encrypted(it, f.Name)
		}
	}
	if i := bytes.Index(data, []byte("\x00Attribut")); i >= 3 {
		text := inflateVBA(data[i-3:])
		w.handOver(it, append(it.path[:len(it.path):len(it.path)], "macro "+f.Name), "text/plain", text)
		if m := autoRun.Find(text); m != nil {
			w.find(it, "attach.macro-auto", "A macro runs by itself.", string(m)+" in "+f.Name)
		}
		if m := suspicious.Find(text); m != nil {
			w.find(it, "attach.macro-suspicious", "A macro calls what malware calls: programs, the network, the memory of Windows.", string(m)+" in "+f.Name)
		}
	}
}

// ddeMark is a field code behind the mark that begins a field ([MS-DOC] 2.8.25).
var ddeMark = regexp.MustCompile(`(?i)\x13\s*"?DDE(AUTO)?[\s"]`)

// slides finds the storages inside a presentation: records ExOleObjStg and the like, plain or compressed ([MS-PPT] 2.10.34).
func (w *walk) slides(it *item, b []byte) {
	for i := 2; ; {
		n := bytes.Index(b[i:], []byte{0x11, 0x10})
		if n < 0 {
			return
		}
		i += n
		size := len(b) - i - 6
		if size < 8 || int(le.Uint32(b[i+2:])) > size || le.Uint16(b[i-2:]) > 0x10 {
			i += 2
			continue
		}
		if err := w.budget.entry(); err != nil {
			w.blind(it, "presentation", err)
			return
		}
		inner := b[i+6 : i+6+int(le.Uint32(b[i+2:]))]
		if b[i-2] == 0x10 && len(inner) > 4 {
			r, err := zlib.NewReader(bytes.NewReader(inner[4:]))
			if err != nil {
				i += 2
				continue
			}
			if inner, err = w.budget.read(r, int64(len(inner))); err != nil {
				w.blind(it, "object of a presentation", err)
			}
		}
		if !bytes.Contains(inner, []byte("_\x00V\x00B\x00A\x00_\x00P\x00R\x00O\x00J")) {
			w.find(it, "attach.embedded-object", "An office document holds another file.", "object of a presentation")
		}
		hidden := *it
		hidden.office = true
		w.member(&hidden, "object", inner)
		i += 2
	}
}

var autoRun = regexp.MustCompile(`(?i)\b(auto_?open|auto_?exec|auto_?close|auto_?exit|auto_?new|document_(open|close|new|beforeclose)|workbook_(open|activate|beforeclose)|\w+_(layout|painted|resize))\b`)

// suspicious finds what downloaders and droppers need and few honest macros do.
var suspicious = regexp.MustCompile(`(?i)\b(?:CreateObject\s*\(|GetObject\s*\(|Shell\s*\(|ShellExecute\w*|Wscript\.\w+|powershell|URLDownloadToFile\w*|MSXML2?\.\w*XMLHTTP|WinHttp\.\w+|ADODB\.Stream|CallByName|VirtualAlloc\w*|RtlMoveMemory|CreateThread|WriteProcessMemory|mshta|regsvr32|rundll32|certutil|bitsadmin|cmd(?:\.exe)?\s*/c)`)

// biff finds encryption and macro sheets among the records of a workbook ([MS-XLS] 2.4.117, 2.4.28).
func (w *walk) biff(it *item, b []byte) {
	for len(b) >= 4 {
		id, n := le.Uint16(b), int(le.Uint16(b[2:]))
		if 4+n > len(b) {
			return
		}
		switch rec := b[4 : 4+n]; {
		case id == 0x2f:
			w.encrypted(it, "workbook")
			return
		case id == 0x85 && n > 5 && rec[5] == 1:
			w.find(it, "attach.macro", "An office document holds macros.", "Excel 4 macro sheet")
		}
		b = b[4+n:]
	}
}

// maxVBA is how much of one module is inflated.
const maxVBA = 4 << 20

// inflateVBA decompresses a CompressedContainer ([MS-OVBA] 2.4.1) as far as it can be read.
func inflateVBA(b []byte) []byte {
	if len(b) < 3 || b[0] != 1 {
		return nil
	}
	var out []byte
	for b = b[1:]; len(b) >= 2 && len(out) < maxVBA; {
		head := int(le.Uint16(b))
		size := min(head&0xfff+3, len(b))
		chunk := b[2:max(size, 2)]
		b = b[max(size, 2):]
		if head&0x8000 == 0 {
			out = append(out, chunk...)
			continue
		}
		out = inflateChunk(out, chunk)
	}
	return out
}

// inflateChunk appends one chunk of tokens to out.
func inflateChunk(out, c []byte) []byte {
	start := len(out)
	for len(c) > 0 {
		flags := c[0]
		c = c[1:]
		for bit := 0; bit < 8 && len(c) > 0; bit++ {
			if flags>>bit&1 == 0 {
				out = append(out, c[0])
				c = c[1:]
				continue
			}
			if len(c) < 2 || len(out)-start > 4096 {
				return out
			}
			bits := 4
			for 1<<bits < len(out)-start {
				bits++
			}
			token := int(le.Uint16(c))
			c = c[2:]
			back, n := token>>(16-bits)+1, token&(0xffff>>bits)+3
			if back > len(out)-start {
				return out
			}
			for ; n > 0; n-- {
				out = append(out, out[len(out)-back])
			}
		}
	}
	return out
}
