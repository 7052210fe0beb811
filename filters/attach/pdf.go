package attach

import (
	"bytes"
	"compress/lzw"
	"compress/zlib"
	"encoding/ascii85"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
)

// The bounds of one PDF (HOSTILE G-13).
const (
	maxFilters    = 8       // of one stream
	maxDictionary = 8 << 10 // octets before a stream
	maxPDFStreams = 200_000
)

var (
	pdfFilter = regexp.MustCompile(`/Filter\s*(\[[^\]]*\]|/[A-Za-z0-9]+)`)
	pdfLength = regexp.MustCompile(`/Length\s+(\d{1,9})\b`)
	pdfName   = regexp.MustCompile(`/[A-Za-z0-9]+`)
)

// A pdfFacts is what the names of a PDF say that a viewer would do.
type pdfFacts struct {
	script, launch, open, remote, embedded, crypt bool
	urls                                          []string
	files                                         map[string]bool // numbers of objects that are files
	name                                          string          // of a file
}

// look finds the names that make a viewer act (ISO 32000-1 section 12.6). Names may spell any character as #xx (7.3.5).
func (f *pdfFacts) look(b []byte) {
	b = spelledOut(b)
	files := bytes.Contains(b, []byte("/EF"))
	for {
		i := bytes.IndexByte(b, '/')
		if i < 0 {
			return
		}
		b = b[i+1:]
		n := 0
		for n < len(b) && isWord(b[n]) {
			n++
		}
		switch string(b[:n]) {
		case "JavaScript", "JS":
			f.script = true
		case "Launch":
			f.launch = true
		case "OpenAction", "AA":
			f.open = true
		case "GoToR", "GoToE", "SubmitForm", "ImportData":
			f.remote = true
		case "EmbeddedFile":
			f.embedded = true
		case "Encrypt":
			f.crypt = true
		case "URI":
			if s := pdfString(b[n:], 1000); s != "" && len(f.urls) < maxLinks {
				f.urls = append(f.urls, s)
			}
		case "F", "UF", "DOS", "Mac", "Unix":
			if files {
				f.file(string(b[:n]), b[n:])
			}
		}
		b = b[n:]
	}
}

// file takes what stands behind a name that leads to a file: the number of the object that is one, or its name.
func (f *pdfFacts) file(name string, b []byte) {
	if ref := bytes.TrimLeft(b[:min(len(b), 64)], blankOctets); len(ref) > 0 && isBlank(b[0]) && digits(ref[:1]) {
		if words := bytes.Fields(ref); len(words) > 2 && digits(words[0]) && digits(words[1]) && words[2][0] == 'R' && len(f.files) < maxEntries {
			f.files[string(words[0])] = true
		}
		return
	}
	if f.name == "" && (name == "F" || name == "UF") {
		f.name = pdfString(b, 255)
	}
}

func digits(b []byte) bool {
	return len(b) <= 10 && bytes.IndexFunc(b, func(r rune) bool { return r < '0' || r > '9' }) < 0
}

// pdfString is the string in parentheses at the start of b, without escapes and of at most so many octets; empty if none is there.
func pdfString(b []byte, most int) string {
	b = bytes.TrimLeft(b[:min(len(b), most+100)], blankOctets)
	if len(b) == 0 || b[0] != '(' {
		return ""
	}
	end := bytes.IndexAny(b[1:], "()\\")
	if end < 0 || b[1+end] != ')' || end > most {
		return ""
	}
	return string(b[1 : 1+end])
}

// spelledOut is b with each #xx as the octet that it stands for.
func spelledOut(b []byte) []byte {
	i := bytes.IndexByte(b, '#')
	if i < 0 {
		return b
	}
	out := append(make([]byte, 0, len(b)), b[:i]...)
	for i < len(b) {
		if b[i] == '#' && i+2 < len(b) && isHex(b[i+1]) && isHex(b[i+2]) {
			out = append(out, unhex(b[i+1])<<4|unhex(b[i+2]))
			i += 3
			continue
		}
		out = append(out, b[i])
		i++
	}
	return out
}

func isHex(c byte) bool { return c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'f' }

// pdf states what a PDF does by itself and examines the files in it.
func (w *walk) pdf(it *item) {
	f := &pdfFacts{files: map[string]bool{}}
	f.look(it.data)
	streams, more := pdfStreams(it.data)
	if more {
		w.blind(it, "PDF", limitError("streams"))
	}
	for _, s := range streams { // objects may stand in compressed streams of objects (7.5.7)
		if bytes.Contains(s.dict, []byte("ObjStm")) {
			f.look(w.pdfInflate(it, s))
		}
	}
	say := func(found bool, code, text, what string) {
		if found {
			w.find(it, code, text, what)
		}
	}
	const runs = "A document runs a script when it is opened."
	say(f.script, "attach.active-content", runs, "PDF JavaScript")
	say(f.launch, "attach.active-content", runs, "PDF Launch")
	say(f.open && (f.script || f.launch || f.remote), "attach.active-content", runs, "PDF OpenAction")
	say(f.remote, "attach.remote-template", "An office document loads something from elsewhere when it is opened.", "PDF action that leaves the document")
	say(f.embedded, "attach.embedded-object", "An office document holds another file.", "PDF EmbeddedFile")
	w.links(strings.Join(f.urls, "\n"))
	if f.crypt {
		w.encrypted(it, "PDF")
		return
	}
	for _, s := range streams {
		if !f.files[s.number] && !bytes.Contains(s.dict, []byte("EmbeddedFile")) {
			continue
		}
		if f.name == "" {
			f.name = "file"
		}
		if err := w.budget.entry(); err != nil {
			w.blind(it, "PDF", err)
			return
		}
		w.member(it, f.name, w.pdfInflate(it, s))
	}
}

// A pdfStream is one stream with the number of its object and its dictionary, #xx spelled out.
type pdfStream struct {
	number string
	dict   []byte
	data   []byte
}

// pdfStreams finds the streams (7.3.8). more says that there are more than are looked at.
func pdfStreams(b []byte) (list []pdfStream, more bool) {
	for at := 0; ; {
		i := bytes.Index(b[at:], []byte("stream"))
		if i < 0 {
			return list, false
		}
		i += at
		at = i + 6
		if i >= 3 && string(b[i-3:i]) == "end" {
			continue
		}
		if len(list) == maxPDFStreams {
			return list, true
		}
		head := b[max(0, i-maxDictionary):i]
		o := bytes.LastIndex(head, []byte("obj"))
		if o < 0 {
			continue
		}
		s := pdfStream{number: objectNumber(head[:o]), dict: head[o+3:]}
		s.dict = spelledOut(s.dict)
		from := at
		if bytes.HasPrefix(b[from:], []byte("\r\n")) {
			from += 2
		} else if from < len(b) && (b[from] == '\n' || b[from] == '\r') {
			from++
		}
		end := bytes.Index(b[from:], []byte("endstream"))
		if end < 0 {
			end = len(b) - from
		}
		s.data = b[from : from+end]
		at = from + end
		list = append(list, s)
	}
}

// objectNumber is the first of the two numbers before "obj".
func objectNumber(head []byte) string {
	words := bytes.Fields(head[max(0, len(head)-32):])
	if len(words) < 2 {
		return ""
	}
	w := words[len(words)-2]
	i := len(w)
	for i > 0 && w[i-1] >= '0' && w[i-1] <= '9' {
		i--
	}
	return string(w[i:])
}

// content is the stream without the line end before its end, if the length that is declared says so.
func (s *pdfStream) content() []byte {
	if m := pdfLength.FindSubmatch(s.dict); m != nil {
		if n, err := strconv.Atoi(string(m[1])); err == nil && n <= len(s.data) && len(bytes.TrimSpace(s.data[n:])) == 0 {
			return s.data[:n]
		}
	}
	return s.data
}

// pdfInflate undoes the filters of a stream (7.4), as far as they go.
func (w *walk) pdfInflate(it *item, s pdfStream) []byte {
	m := pdfFilter.FindSubmatch(s.dict)
	if m == nil {
		return s.content()
	}
	names := pdfName.FindAll(m[1], maxFilters+1)
	if len(names) > maxFilters {
		w.blind(it, "PDF", limitError("filters"))
		return nil
	}
	data := s.content()
	for _, name := range names {
		r, err := pdfFilterOf(string(name), data)
		if err != nil {
			w.find(it, "attach.unscannable.format", "An attachment is an archive of a kind that the gateway does not open.", err.Error())
			return data
		}
		out, err := w.budget.read(r, int64(len(data)))
		var limit limitError
		if errors.As(err, &limit) {
			w.blind(it, "PDF", err)
			return out
		}
		data = out // a stream that ends early is shown by viewers as far as it goes
	}
	return data
}

// pdfFilterOf undoes one filter.
func pdfFilterOf(name string, data []byte) (io.Reader, error) {
	switch name {
	case "/FlateDecode", "/Fl":
		r, err := zlib.NewReader(bytes.NewReader(data))
		if err != nil {
			return bytes.NewReader(nil), nil
		}
		return r, nil
	case "/ASCIIHexDecode", "/AHx":
		text, _, _ := bytes.Cut(data, []byte(">"))
		text = bytes.Map(func(r rune) rune {
			if r <= ' ' {
				return -1
			}
			return r
		}, text)
		return hex.NewDecoder(bytes.NewReader(text)), nil
	case "/ASCII85Decode", "/A85":
		text, _, _ := bytes.Cut(data, []byte("~>"))
		return ascii85.NewDecoder(bytes.NewReader(text)), nil
	case "/LZWDecode", "/LZW":
		return lzw.NewReader(bytes.NewReader(data), lzw.MSB, 8), nil
	}
	return nil, fmt.Errorf("PDF filter %s", name)
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
