package links

import (
	"context"
	"encoding/base64"
	"strings"
	"time"

	"gatepost/filters"
	"gatepost/filters/mail"
	"gatepost/filters/qr"
	"gatepost/filters/web"
)

// maxLooking is how long pictures and documents are looked into.
const maxLooking = 1500 * time.Millisecond

// pictures reads QR codes in pictures, documents and texts, and the links of documents, and adds what they lead to.
func (c *check) pictures(ctx context.Context) error {
	if !c.cfg.QR {
		return nil
	}
	until := time.Now().Add(maxLooking)
	p := pictures{check: c, reader: qr.Reader{Done: func() bool { return ctx.Err() != nil || time.Now().After(until) }}}
	for part := range c.m.Parts() {
		switch {
		case strings.HasPrefix(part.Type, "text/"):
			p.text(part)
		case strings.HasPrefix(part.Type, "image/"), part.Type == "application/pdf", part.Type == "application/octet-stream":
			p.file(part)
		}
	}
	if p.reader.Missed {
		c.state("links.pictures", "There are more or larger pictures than are looked at for QR codes.", filters.Evidence{Where: "message", What: "pictures and documents"})
	}
	return p.err
}

// pictures reads the pictures of one message.
type pictures struct {
	*check
	reader qr.Reader
	links  web.Reader
	err    error // the first crash; what was read before it counts
}

// file looks into an attached or embedded file.
func (p *pictures) file(part *mail.Part) {
	readings := part.Decoded()
	if len(readings) == 0 {
		return
	}
	name := part.Name()
	if name == "" {
		name = "part " + part.Path()
	}
	data := readings[0].Data
	if strings.HasPrefix(string(data[:min(len(data), 5)]), "%PDF-") || part.Type == "application/pdf" {
		codes, uris, err := p.reader.Document(data)
		p.note(err)
		for _, code := range codes {
			p.code(code, name, part)
		}
		for _, u := range uris {
			p.add(p.links.Read(u, "pdf", name), part)
		}
		return
	}
	code, err := p.reader.Picture(data)
	p.note(err)
	p.code(code, name, part)
}

// text looks for codes in block characters, and in pictures that stand in HTML itself.
func (p *pictures) text(part *mail.Part) {
	v := part.View()
	if v == nil {
		return
	}
	if !v.HTML {
		code, err := p.reader.Lines(v.Text)
		p.note(err)
		p.code(code, "text", part)
		return
	}
	rest := v.Source
	for n := 0; ; n++ {
		_, after, ok := strings.Cut(rest, "data:image/")
		if !ok {
			return
		}
		if n == maxInText {
			p.reader.Missed = true
			return
		}
		rest = after
		begin := strings.Index(after[:min(len(after), 64)], ";base64,")
		if begin < 0 {
			continue
		}
		data := after[begin+len(";base64,"):]
		if end := strings.IndexAny(data, `"' )>&`); end >= 0 {
			data = data[:end]
		}
		picture, err := base64.StdEncoding.DecodeString(strings.TrimRight(data, " \r\n"))
		if err != nil {
			continue
		}
		code, err := p.reader.Picture(picture)
		p.note(err)
		p.code(code, "picture in HTML", part)
	}
}

// maxInText is how many pictures of one HTML text are looked at.
const maxInText = 100

// note keeps the first crash.
func (p *pictures) note(err error) {
	if p.err == nil {
		p.err = err
	}
}

// code takes what a code says, if that is a link.
func (p *pictures) code(text, inside string, part *mail.Part) {
	text = strings.TrimSpace(text)
	if text == "" {
		return
	}
	if _, ok := web.Parse(text); !ok {
		if _, ok := web.Shown(text); !ok {
			return
		}
		text = "http://" + text
	}
	list := p.links.Read(text, "qr", inside)
	p.add(list, part)
	for i := range list {
		if list[i].Web() {
			p.codes = append(p.codes, list[i])
			return
		}
	}
}

// add adds links with the part that holds them.
func (p *pictures) add(list []web.Link, part *mail.Part) {
	for i := range list {
		list[i].Part = part
	}
	p.check.links = append(p.check.links, list...)
}
