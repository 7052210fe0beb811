package attach

import (
	"bytes"
	"regexp"
	"slices"
	"strings"
)

// csvCall is a formula of a text table that starts a program.
var csvCall = regexp.MustCompile(`(?i)(^|[\n,;\t"])\s*[=+@-]\s*[a-z0-9_."' \\:()=+-]{1,60}\|\s*'`)

// active finds what a document does by itself, by the tokens of its format. A program goes by the name of a file and reads over
// what it does not know, so what is the beginning of one format says nothing against another.
func (w *walk) active(it *item) {
	b := it.data
	var room [1024]byte
	head := lower(room[:], b)
	if bytes.Contains(head, []byte("%pdf-")) {
		w.pdf(it)
	}
	if bytes.HasPrefix(bytes.TrimLeft(head, " \r\n\t\xef\xbb\xbf"), []byte("{\\rt")) {
		w.rtf(it)
	}
	if bytes.Contains(head, []byte("<?mso-application")) || bytes.Contains(head, []byte("<w:worddocument")) {
		w.flatXML(it)
	}
	if bytes.IndexByte(head, '|') >= 0 && csvCall.Match(b[:len(head)]) {
		w.find(it, "attach.dde", "An office document starts a program by DDE.", "formula in a text table")
	}
	if bytes.HasPrefix(head, []byte("begin:vcalendar")) || bytes.HasPrefix(head, []byte("begin:vcard")) {
		w.card(it)
	}
	if bytes.HasPrefix(b, []byte("ID;P")) && (bytes.Contains(b, []byte("\nO;E")) || bytes.Contains(b, []byte(";E\n")) || bytes.Contains(b, []byte(";E\r"))) {
		w.find(it, "attach.macro", "An office document holds macros.", "SYLK")
	}
	w.page(it)
}

// page finds what a web page or a drawing does by itself.
func (w *walk) page(it *item) {
	b := utf8Of(it.data)
	var room [1024]byte
	head := lower(room[:], b)
	if bytes.IndexByte(head, '<') < 0 && !isPage(it) {
		return
	}
	if bytes.Contains(head, []byte("<svg")) {
		if what := svgScript(b); what != "" {
			w.find(it, "attach.active-content", "A document runs a script when it is opened.", "SVG: "+what)
		}
	}
	if bytes.Contains(head, []byte("<hta:")) {
		w.find(it, "attach.script", "An attachment is a script.", "HTA")
	}
	signs := readSigns(b)
	switch {
	case signs.dataLink:
		w.find(it, "attach.html-smuggling", "A web page puts a file together in the browser, behind the gateway's back.", "a link that is the file itself")
	case signs.saves != "" && decodes(b):
		w.find(it, "attach.html-smuggling", "A web page puts a file together in the browser, behind the gateway's back.", signs.saves)
	}
}

// isPage reports whether a browser opens an item as a page whatever it begins with.
func isPage(it *item) bool {
	return strings.HasPrefix(it.declared, "text/html") || strings.HasPrefix(it.declared, "application/xhtml") || slices.ContainsFunc(it.names, func(name string) bool {
		return slices.ContainsFunc(suffixes(name), func(s string) bool {
			return s == "html" || s == "htm" || s == "shtml" || s == "xhtml" || s == "xht" || s == "hta" || s == "svg"
		})
	})
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
	if bytes.Contains(it.data, []byte("DDELink")) || hasDDE(it.data) {
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
