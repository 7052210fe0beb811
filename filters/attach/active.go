package attach

import (
	"bytes"
	"regexp"
)

var (
	pdfScript = regexp.MustCompile(`/(JavaScript|JS)\b`)
	pdfLaunch = regexp.MustCompile(`/Launch\b`)
	pdfFile   = regexp.MustCompile(`/EmbeddedFile\b`)
	pdfCrypt  = regexp.MustCompile(`/Encrypt\b`)
	pdfHex    = regexp.MustCompile(`#[0-9A-Fa-f]{2}`)
	smuggle   = regexp.MustCompile(`(?i)msSaveOrOpenBlob|createObjectURL|\.download\s*=|\sdownload\s*=`)
	decodes   = regexp.MustCompile(`(?i)\batob\s*\(|fromCharCode|Uint8Array|new\s+Blob`)
	svgScript = regexp.MustCompile(`(?i)<script|\son[a-z]+\s*=|javascript:`)
	rtfObject = regexp.MustCompile(`(?i)\\obj(data|ect|class|link|autlink|update)`)
	csvCall   = regexp.MustCompile(`(?i)(^|[\n,;\t"])\s*[=+@-]\s*[a-z0-9_."' \\:()=+-]{1,60}\|\s*'`)
	rtfRemote = regexp.MustCompile(`(?i)\\\*\\template\s+\S*(https?:|\\\\)`)
)

// active finds what a document does by itself, by the tokens of its format.
func (w *walk) active(it *item) {
	b := it.data
	head := bytes.ToLower(b[:min(len(b), 1024)])
	switch {
	case bytes.Contains(head, []byte("%pdf-")):
		w.pdf(it)
	case bytes.HasPrefix(bytes.TrimLeft(head, " \r\n\t\xef\xbb\xbf"), []byte("{\\rt")):
		if rtfObject.Match(b) {
			w.find(it, "attach.embedded-object", "An office document holds another file.", "RTF object")
		}
		if rtfRemote.Match(b) {
			w.find(it, "attach.remote-template", "An office document loads something from elsewhere when it is opened.", "RTF template")
		}
	case bytes.Contains(head, []byte("<svg")):
		if svgScript.Match(b) {
			w.find(it, "attach.active-content", "A document runs a script when it is opened.", "SVG")
		}
	case bytes.Contains(head, []byte("<hta:")):
		w.find(it, "attach.script", "An attachment is a script.", "HTA")
	case bytes.Contains(head, []byte("<?mso-application")) || bytes.Contains(head, []byte("<w:worddocument")):
		w.flatXML(it)
	case csvCall.Match(head):
		w.find(it, "attach.dde", "An office document starts a program by DDE.", "formula in a text table")
	case bytes.HasPrefix(b, []byte("ID;P")) && (bytes.Contains(b, []byte("\nO;E")) || bytes.Contains(b, []byte(";E\n")) || bytes.Contains(b, []byte(";E\r"))):
		w.find(it, "attach.macro", "An office document holds macros.", "SYLK")
	case bytes.IndexByte(head, '<') >= 0 && bytes.Contains(b, []byte("cript")):
		if smuggle.Match(b) && decodes.Match(b) {
			w.find(it, "attach.html-smuggling", "A web page puts a file together in the browser, behind the gateway's back.", string(smuggle.Find(b)))
		}
	}
}

// flatXML looks at Office documents of 2003 in one XML file.
func (w *walk) flatXML(it *item) {
	if bytes.Contains(it.data, []byte("w:macrosPresent=\"yes\"")) || bytes.Contains(it.data, []byte("editdata.mso")) {
		w.find(it, "attach.macro", "An office document holds macros.", "flat XML")
	}
	if bytes.Contains(it.data, []byte("/embeddings/")) || bytes.Contains(it.data, []byte("docOleData")) {
		w.find(it, "attach.embedded-object", "An office document holds another file.", "flat XML")
	}
	if ddeField.Match(it.data) || bytes.Contains(it.data, []byte("DDELink")) {
		w.find(it, "attach.dde", "An office document starts a program by DDE.", "flat XML")
	}
}

// pdf finds the names that make a viewer act (ISO 32000-1 section 12.6). Names may spell any character as #xx (7.3.5).
func (w *walk) pdf(it *item) {
	b := it.data
	if pdfHex.Match(b) {
		b = pdfHex.ReplaceAllFunc(b, func(m []byte) []byte { return []byte{unhex(m[1])<<4 | unhex(m[2])} })
	}
	if pdfScript.Match(b) {
		w.find(it, "attach.active-content", "A document runs a script when it is opened.", "PDF JavaScript")
	}
	if pdfLaunch.Match(b) {
		w.find(it, "attach.active-content", "A document runs a script when it is opened.", "PDF Launch")
	}
	if pdfFile.Match(b) {
		w.find(it, "attach.embedded-object", "An office document holds another file.", "PDF EmbeddedFile")
	}
	if pdfCrypt.Match(b) {
		w.encrypted(it, "PDF")
	}
}

func unhex(c byte) byte {
	switch {
	case c >= 'a':
		return c - 'a' + 10
	case c >= 'A':
		return c - 'A' + 10
	}
	return c - '0'
}
