package mail

import (
	"bytes"
	"strings"
)

// leaf looks into a part that has content: whether programs decode it alike, and what hides in it.
func (w *walker) leaf(p *Part) {
	readings := w.checkDecoding(p)
	if strings.HasPrefix(p.Type, "text/") {
		w.checkText(p, readings)
		return
	}
	switch {
	case isTNEF(p):
		w.tnef(p)
	case p.Type == "application/mac-binhex40":
		w.note(p, "mime.encoding-unsupported")
	case p.Type == "application/pgp-encrypted":
		w.note(p, "mime.pgp")
	}
}

// checkDecoding records a body that decoders differ on. It returns the readings if they had to be made.
func (w *walker) checkDecoding(p *Part) []Reading {
	text := strings.HasPrefix(p.Type, "text/")
	if len(p.encodings) == 1 && !text {
		switch {
		case p.encodings[0] == "identity":
			return nil
		case p.encodings[0] == "base64" && w.cleanBase64(p):
			return nil
		}
	}
	if !w.spend(p.body.End-p.body.Start, p.Body) {
		return nil
	}
	readings := p.Decoded()
	if p.clean {
		return readings
	}
	switch p.encodings[0] {
	case "base64":
		w.note(p, "mime.base64-malformed")
	case "quoted-printable":
		w.note(p, "mime.qp-malformed")
	default:
		w.note(p, "mime.encoding-malformed")
	}
	return readings
}

// cleanBase64 reports whether a body is base64 as RFC 2045 section 6.8 writes it, without decoding it.
func (w *walker) cleanBase64(p *Part) bool {
	clean, n, pads := true, 0, 0
	err := p.space.windows(p.body, 0, func(_ int64, b []byte, _ bool) bool {
		for len(b) > 0 {
			if pads == 0 && allBase64(b) {
				n, b = n+8, b[8:]
				continue
			}
			v := values64[b[0]]
			switch {
			case v < 64 && pads == 0:
				n++
			case v == 64:
			case v == 65:
				pads++
			default:
				clean = false
				return false
			}
			b = b[1:]
		}
		return true
	})
	w.m.fail(err)
	return clean && err == nil && n%4 != 1 && pads <= 2
}

// allBase64 reports whether the first eight octets of b are characters of base64.
func allBase64(b []byte) bool {
	if len(b) < 8 {
		return false
	}
	b = b[:8]
	return values64[b[0]]|values64[b[1]]|values64[b[2]]|values64[b[3]]|values64[b[4]]|values64[b[5]]|values64[b[6]]|values64[b[7]] < 64
}

// checkText looks at a text part's charset and for files inside the text.
func (w *walker) checkText(p *Part, readings []Reading) {
	label := charsetName(p.Param("charset"))
	if strings.Contains(label, "utf-7") || strings.Contains(label, "unicode-1-1") {
		w.note(p, "mime.utf7")
	}
	if w.noFile(p) {
		return
	}
	for _, r := range readings {
		w.embeddedFiles(p, r.Data)
	}
}

// noFile reports whether the survey of the lines has shown already that no file stands in a text.
func (w *walker) noFile(p *Part) bool {
	at := p.body.Start
	return p.space == w.m.space && len(p.encodings) == 1 && p.encodings[0] == "identity" &&
		w.lines.marks.noFile(p.body) && (at == 0 || p.space.data[at-1] == '\n')
}

// maxFiles bounds the files that are looked for in one text.
const maxFiles = 100

// embeddedFiles finds uuencode, yEnc, BinHex and PGP in running text.
func (w *walker) embeddedFiles(p *Part, b []byte) {
	for n := 0; n < maxFiles && len(b) > 0; n++ {
		at, kind := nextMark(b)
		if at < 0 {
			return
		}
		b = b[at:]
		var f embedded
		var size int
		ok := false
		switch kind {
		case markUU:
			f, size, ok = decodeUU(b)
		case markYEnc:
			f, size, ok = decodeYEnc(b)
		case markBinHex:
			w.note(p, "mime.encoding-unsupported")
		case markPGP:
			w.note(p, "mime.pgp")
		}
		if ok && len(f.data) > 0 {
			w.note(p, "mime.embedded-file")
			if !w.embed(p, f) {
				return
			}
		} else {
			size = bytes.IndexByte(b, '\n') + 1
			if size == 0 {
				return
			}
		}
		b = b[size:]
	}
}

// embed adds an embedded file as a part.
func (w *walker) embed(p *Part, f embedded) bool {
	if !w.take(p.Body) {
		return false
	}
	if f.data == nil {
		f.data = []byte{}
	}
	q := &Part{m: p.m, space: p.space, body: p.body, Body: p.Body, Role: RoleEmbedded, Type: f.kind, content: f.data,
		encodings: identityOnly, names: nameReadings(nil, f.name), path: filePath(p)}
	if q.Type == "" {
		q.Type = "application/octet-stream"
	}
	p.others = append(p.others, q)
	return true
}

// The kinds of marks: lines at which something other than text begins.
const (
	markUU     = 'u' // "begin 644 name"
	markYEnc   = 'y' // "=ybegin "
	markBinHex = 'x' // "(This file must be converted with BinHex"
	markPGP    = 'p' // "-----BEGIN PGP MESSAGE"
)

var (
	uuBegin  = []byte("begin")
	yBegin   = []byte("=ybegin ")
	binHex   = []byte("(This file must be converted with BinHex")
	pgpBegin = []byte("-----BEGIN PGP MESSAGE")
)

// nextMark finds the first line of b that begins like an encoding of its own.
func nextMark(b []byte) (at int, kind byte) {
	for i := 0; i < len(b); {
		line := b[i:]
		switch line[0] {
		case 'b':
			if bytes.HasPrefix(line, uuBegin) && isUUBegin(line) {
				return i, markUU
			}
		case '=':
			if bytes.HasPrefix(line, yBegin) {
				return i, markYEnc
			}
		case '(':
			if bytes.HasPrefix(line, binHex) {
				return i, markBinHex
			}
		case '-':
			if bytes.HasPrefix(line, pgpBegin) {
				return i, markPGP
			}
		}
		n := bytes.IndexByte(line, '\n')
		if n < 0 {
			break
		}
		i += n + 1
	}
	return -1, 0
}

// isUUBegin reports whether a line is "begin MODE NAME" or "begin-base64 MODE NAME" (POSIX uuencode).
func isUUBegin(line []byte) bool {
	line = bytes.TrimPrefix(line, uuBegin)
	line = bytes.TrimPrefix(line, []byte("-base64"))
	if len(line) < 5 || line[0] != ' ' {
		return false
	}
	line = line[1:]
	n := 0
	for n < len(line) && line[n] >= '0' && line[n] <= '7' {
		n++
	}
	return n >= 3 && n <= 5 && n+1 < len(line) && line[n] == ' ' && line[n+1] > ' '
}
