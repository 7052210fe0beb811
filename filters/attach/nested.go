package attach

import (
	"bytes"
	"path"
	"strings"

	"gatepost/filters/mail"
)

// oneNoteHead begins a OneNote section file ([MS-ONESTORE] section 2.3.1).
const oneNoteHead = "\xe4\x52\x5c\x7b\x8c\xd8\xa7\x4d\xae\xb1\x53\x78\xd0\x29\x96\xd3"

// oneNoteFile begins a file within one ([MS-ONESTORE] section 2.6.13): this, the size in 8 octets, 12 octets, the content.
const oneNoteFile = "\xe7\x16\xe3\xbd\x65\x26\x11\x45\xa4\xc4\x8d\x4d\x0b\x7a\x9e\xac"

// oneNote examines the files that a OneNote section holds.
func (w *walk) oneNote(it *item) error {
	for b := it.data; ; {
		i := bytes.Index(b, []byte(oneNoteFile))
		if i < 0 || len(b) < i+36 {
			return nil
		}
		if err := w.budget.entry(); err != nil {
			return err
		}
		size := le.Uint64(b[i+16:])
		b = b[i+36:]
		w.find(it, "attach.embedded-object", "A document holds another file.", "file in a OneNote section")
		w.member(it, "file", b[:min(size, uint64(len(b)))])
	}
}

// isLetter recognises a stored message, or a web archive (MHTML), by its first lines.
func isLetter(b []byte) bool {
	head := b[:min(len(b), 4096)]
	fields := 0
	for range 12 {
		line, rest, ok := bytes.Cut(head, []byte("\n"))
		if !ok || len(line) > 998 {
			return false
		}
		head = rest
		name, _, colon := strings.Cut(string(line), ":")
		switch strings.ToLower(name) {
		case "mime-version":
			if colon {
				return true
			}
		case "received", "return-path", "from", "to", "subject", "date", "message-id", "content-type", "delivered-to", "x-mailer", "reply-to", "dkim-signature":
			if fields++; colon && fields >= 2 {
				return true
			}
		}
		if len(bytes.TrimSpace(line)) == 0 {
			return false
		}
	}
	return false
}

// shownAsText reports whether every program shows an item as the text that it is, whatever it quotes: it is declared as
// plain text, and its names say so too.
func shownAsText(it *item) bool {
	if !strings.EqualFold(it.declared, "text/plain") {
		return false
	}
	for _, n := range it.names {
		switch strings.ToLower(path.Ext(n)) {
		case ".txt", ".log", ".asc", ".diff", ".patch":
		default:
			return false
		}
	}
	return true
}

// letter examines the parts of a message that lies in a container: the parse of the outer message does not reach there.
func (w *walk) letter(it *item) error {
	m := mail.Parse(mail.Memory(it.data))
	for _, d := range m.Defects {
		if mail.SeverityOf(d.Code) != mail.Note && !shownAsText(it) {
			w.find(it, "attach.archive-ambiguous", "Programs see different files in this archive.", "a message: "+d.Code)
			break
		}
	}
	for p := range m.Parts() {
		if err := w.budget.entry(); err != nil {
			return err
		}
		readings := p.Decoded()
		for i, r := range readings {
			if i > 0 && bytes.Equal(r.Data, readings[0].Data) {
				continue
			}
			w.letterPart(it, p, r.Data, i == 0)
		}
	}
	return m.Err()
}

// letterPart examines one part of such a message.
func (w *walk) letterPart(outer *item, p *mail.Part, data []byte, list bool) {
	path := append(append([]string{}, outer.path...), mail.Printable(p.Name(), 255))
	it := &item{part: outer.part, names: p.Names(), declared: p.Type, path: path, data: data}
	if isProse(p) {
		w.handOver(it, path, p.Type, data)
		w.eicar(it)
		w.activeSafely(it)
		return
	}
	w.look(it, list)
}
