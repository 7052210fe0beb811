package main

import (
	"archive/zip"
	"bytes"
	"compress/zlib"
	"encoding/base64"
	"fmt"
	"io"
	"mime/quotedprintable"
	"strings"
)

// html is about n bytes of a page as newsletters are: tables in tables, styles, links and pixels.
func (w *writer) html(n int, pitch bool) string {
	var b strings.Builder
	b.WriteString("<html><head><meta http-equiv=\"Content-Type\" content=\"text/html; charset=utf-8\"><style>.a{color:#333;font:13px Arial}.b{padding:4px 8px}</style></head>\r\n<body>\r\n")
	for b.Len() < n {
		text := strings.ReplaceAll(w.prose(150+w.IntN(350), pitch), "\r\n", " ")
		fmt.Fprintf(&b, "<table width=\"600\" cellpadding=\"0\"><tr><td class=\"b\" style=\"background:#f%dfafa\"><p class=\"a\">%s</p>", w.IntN(10), text)
		fmt.Fprintf(&b, "<a href=\"https://%s/%s?id=%d\">%s</a>", domainOf(w.IntN(domains)), w.word(), w.IntN(1e9), w.word())
		fmt.Fprintf(&b, "<img src=\"https://img.%s/%d.png\" width=\"1\" height=\"1\"></td></tr></table>\r\n", domainOf(w.IntN(domains)), w.IntN(1e6))
	}
	b.WriteString("</body></html>\r\n")
	return b.String()
}

// alternative is the body of a multipart/alternative of about n bytes: text, and HTML in quoted-printable.
func (w *writer) alternative(boundary string, n int, pitch bool) string {
	var b strings.Builder
	fmt.Fprintf(&b, "--%s\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 7bit\r\n\r\n%s\r\n", boundary, w.prose(n/5, pitch))
	fmt.Fprintf(&b, "--%s\r\nContent-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n", boundary)
	q := quotedprintable.NewWriter(&b)
	io.WriteString(q, w.html(n*68/100, pitch)) // into memory: neither this nor Close can fail
	q.Close()
	fmt.Fprintf(&b, "\r\n--%s--\r\n", boundary)
	return b.String()
}

// An enclosure is a file that is sent along.
type enclosure struct {
	extension, mediaType string
	content              []byte
}

// enclosure makes a file of about n bytes of one of the kinds that people send.
func (w *writer) enclosure(n int) enclosure {
	switch w.IntN(5) {
	case 0:
		return enclosure{"zip", "application/zip", w.archive(map[string][]byte{"readme.txt": []byte(w.prose(2000, false)), "photo1.jpg": append([]byte("\xff\xd8\xff\xe0"), w.noise(max(100, n-3000))...)})}
	case 1:
		return enclosure{"docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document", w.document(n)}
	case 2:
		return enclosure{"png", "image/png", append([]byte("\x89PNG\r\n\x1a\n"), w.noise(n)...)}
	}
	return enclosure{"pdf", "application/pdf", w.paper(n)}
}

// archive is a zip of files, in the order of their names.
func (w *writer) archive(files map[string][]byte) []byte {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, name := range sortedKeys(files) {
		f, err := z.Create(name)
		if err == nil {
			_, err = f.Write(files[name])
		}
		if err != nil {
			panic(err) // it writes to memory
		}
	}
	if err := z.Close(); err != nil {
		panic(err)
	}
	return b.Bytes()
}

// document is a Word document: paragraphs and a picture.
func (w *writer) document(n int) []byte {
	var text strings.Builder
	text.WriteString("<w:document>")
	for range min(200, n/1500+1) {
		text.WriteString("<w:p><w:r><w:t>" + strings.TrimSpace(w.prose(300, false)) + "</w:t></w:r></w:p>")
	}
	text.WriteString("</w:document>")
	return w.archive(map[string][]byte{
		"[Content_Types].xml":   []byte(`<?xml version="1.0"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"/>`),
		"_rels/.rels":           []byte(`<?xml version="1.0"?><Relationships/>`),
		"word/document.xml":     []byte(text.String()),
		"word/media/image1.png": append([]byte("\x89PNG\r\n\x1a\n"), w.noise(max(100, n*8/10))...),
	})
}

// paper is a PDF whose objects are compressed text and pictures.
func (w *writer) paper(n int) []byte {
	var b bytes.Buffer
	b.WriteString("%PDF-1.5\n%\xe2\xe3\xcf\xd3\n")
	for k := 1; b.Len() < n; k++ {
		raw := []byte(w.prose(1500, false))
		if k%3 == 0 {
			raw = w.noise(min(60000, max(200, n-b.Len())))
		}
		var packed bytes.Buffer
		z := zlib.NewWriter(&packed)
		z.Write(raw)
		z.Close()
		fmt.Fprintf(&b, "%d 0 obj\n<</Length %d/Filter/FlateDecode>>stream\n%s\nendstream\nendobj\n", k, packed.Len(), packed.Bytes())
	}
	b.WriteString("trailer<</Root 1 0 R>>\n%%EOF\n")
	return b.Bytes()
}

// lines is b in base64, 76 characters a line.
func lines(b []byte) string {
	text := base64.StdEncoding.EncodeToString(b)
	var out strings.Builder
	for len(text) > 76 {
		out.WriteString(text[:76] + "\r\n")
		text = text[76:]
	}
	return out.String() + text + "\r\n"
}
