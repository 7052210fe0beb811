package attach

import (
	"bytes"
	"regexp"
)

var (
	smuggle   = regexp.MustCompile(`(?i)msSaveOrOpenBlob|createObjectURL|\.download\s*=|\sdownload\s*=`)
	dataLink  = regexp.MustCompile(`(?i)<a\b[^>]{0,300}\shref\s*=\s*["']?data:(?:application|text/html|[a-z]+/[a-z.+-]*zip)`)
	decodes   = regexp.MustCompile(`(?i)\batob\s*\(|fromCharCode|Uint8Array|new\s+Blob`)
	svgScript = regexp.MustCompile(`(?i)<script|<!ENTITY|<foreignObject|\son[a-z]+\s*=|javascript:|data:text/html`)
	csvCall   = regexp.MustCompile(`(?i)(^|[\n,;\t"])\s*[=+@-]\s*[a-z0-9_."' \\:()=+-]{1,60}\|\s*'`)
)

// active finds what a document does by itself, by the tokens of its format.
func (w *walk) active(it *item) {
	b := it.data
	var room [1024]byte
	head := lower(room[:], b)
	var signs pageSigns
	if bytes.IndexByte(head, '<') >= 0 {
		signs = readSigns(b)
	}
	switch {
	case bytes.Contains(head, []byte("%pdf-")):
		w.pdf(it)
	case bytes.HasPrefix(bytes.TrimLeft(head, " \r\n\t\xef\xbb\xbf"), []byte("{\\rt")):
		w.rtf(it)
	case bytes.Contains(head, []byte("<svg")):
		if m := svgScript.Find(b); m != nil {
			w.find(it, "attach.active-content", "A document runs a script when it is opened.", "SVG: "+string(m))
		}
	case bytes.Contains(head, []byte("<hta:")):
		w.find(it, "attach.script", "An attachment is a script.", "HTA")
	case bytes.Contains(head, []byte("<?mso-application")) || bytes.Contains(head, []byte("<w:worddocument")):
		w.flatXML(it)
	case bytes.IndexByte(head, '|') >= 0 && csvCall.Match(b[:len(head)]):
		w.find(it, "attach.dde", "An office document starts a program by DDE.", "formula in a text table")
	case bytes.HasPrefix(head, []byte("begin:vcalendar")) || bytes.HasPrefix(head, []byte("begin:vcard")):
		w.card(it)
	case bytes.HasPrefix(b, []byte("ID;P")) && (bytes.Contains(b, []byte("\nO;E")) || bytes.Contains(b, []byte(";E\n")) || bytes.Contains(b, []byte(";E\r"))):
		w.find(it, "attach.macro", "An office document holds macros.", "SYLK")
	case signs.dataLink && dataLink.Match(b):
		w.find(it, "attach.html-smuggling", "A web page puts a file together in the browser, behind the gateway's back.", "a link that is the file itself")
	case signs.saves:
		if smuggle.Match(b) && decodes.Match(b) {
			w.find(it, "attach.html-smuggling", "A web page puts a file together in the browser, behind the gateway's back.", string(smuggle.Find(b)))
		}
	}
}

// lower writes the beginning of b to room, its ASCII letters in lower case.
func lower(room, b []byte) []byte {
	head := room[:copy(room, b)]
	for i, c := range head {
		if c >= 'A' && c <= 'Z' {
			head[i] = c + 'a' - 'A'
		}
	}
	return head
}

// flatXML looks at Office documents of 2003 in one XML file.
func (w *walk) flatXML(it *item) {
	if bytes.Contains(it.data, []byte("w:macrosPresent=\"yes\"")) || bytes.Contains(it.data, []byte("editdata.mso")) || bytes.Contains(it.data, []byte("vbaProject.bin")) {
		w.find(it, "attach.macro", "An office document holds macros.", "flat XML")
	}
	if bytes.Contains(it.data, []byte("/embeddings/")) || bytes.Contains(it.data, []byte("docOleData")) {
		w.find(it, "attach.embedded-object", "An office document holds another file.", "flat XML")
	}
	if bytes.Contains(it.data, []byte("DDELink")) || ddeField.Match(it.data) {
		w.find(it, "attach.dde", "An office document starts a program by DDE.", "flat XML")
	}
	w.fields(it, "flat XML", it.data)
	if bytes.Contains(it.data, []byte("<Relationship ")) {
		w.relations(it, "flat XML", it.data)
	}
}

// card finds the links of calendar and contact files (RFC 5545, RFC 6350), whose lines may be folded.
func (w *walk) card(it *item) {
	text := bytes.ReplaceAll(bytes.ReplaceAll(it.data[:min(len(it.data), 1<<20)], []byte("\r\n"), []byte("\n")), []byte("\n "), nil)
	w.links(string(text))
	if bytes.Contains(bytes.ToUpper(text), []byte("ENCODING=BASE64")) && bytes.Contains(bytes.ToUpper(text), []byte("ATTACH")) {
		w.find(it, "attach.embedded-object", "A document holds another file.", "calendar attachment")
	}
}
