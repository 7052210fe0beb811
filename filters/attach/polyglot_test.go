package attach

import (
	"archive/zip"
	"bytes"
	"slices"
	"strings"
	"testing"

	"gatepost/filters/mail"
)

// F-07: a file that is two formats at once is looked into as each, and told.
func TestPolyglotsAreOpenedAsEachFormat(t *testing.T) {
	gif := "GIF89a\x01\x00\x01\x00\x80\x00\x00\xff\xff\xff\x00\x00\x00,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;"
	for name, front := range map[string]string{"PDF": "%PDF-1.4\n1 0 obj<<>>endobj\n", "GIF": gif, "EXE": "MZ\x90\x00\x03\x00\x00\x00\x04\x00"} {
		data := append([]byte(front), zipped("a.com", eicar)...)
		got := codes(check(t, "a.bin", "application/octet-stream", data))
		if !slices.Contains(got, "attach.polyglot") || !slices.Contains(got, "attach.eicar") {
			t.Errorf("%s and ZIP: %v", name, got)
		}
	}
}

// A field that is folded with a tab is written by half of the programs there are, and hides nothing.
func TestAFoldedFieldHidesNothing(t *testing.T) {
	m := mail.Parse(mail.Memory("From: a@a.example\r\nContent-Type: image/png;\r\n\tname=\"image001.png\"\r\nContent-Disposition: inline;\r\n \tfilename=\"image001.png\"\r\n\r\n\x89PNG\r\n\x1a\n"))
	facts, err := New(Config{}).Check(t.Context(), &mail.Mail{Message: m})
	if err != nil {
		t.Fatal(err)
	}
	if got := codes(facts); slices.Contains(got, "attach.bidi-name") {
		t.Error(got)
	}
}

// The text of a program runs where somebody has an interpreter run it, not where it is opened: people send it to each other.
func TestTheTextOfAProgramIsNoProgram(t *testing.T) {
	for name, text := range map[string]string{"tool.py": "import os\n", "install.sh": "#!/bin/sh\nexit 0\n", "README": "#!/usr/bin/perl\n1;\n"} {
		facts := check(t, name, "text/plain", []byte(text))
		got := codes(facts)
		if !slices.Contains(got, "attach.source") || slices.Contains(got, "attach.script") || slices.Contains(got, "attach.executable") {
			t.Errorf("%s: %v", name, got)
		}
		if facts.Attachments[0].Executable {
			t.Errorf("%s is told to be executable", name)
		}
	}
	if got := codes(check(t, "invoice.pdf.sh", "application/pdf", []byte("#!/bin/sh\n"))); !slices.Contains(got, "attach.double-extension") {
		t.Errorf("behind a harmless name: %v", got)
	}
}

// F-07: a browser goes by the name and reads over what it does not know; so does Word.
func TestWhatStandsBeforeAPageHidesNothingOfIt(t *testing.T) {
	page := `<html><script>var u=URL.createObjectURL(new Blob([atob("TVqQAA==")]));a.download="x.iso"</script></html>`
	wide := []byte{0xFF, 0xFE}
	for _, c := range []byte(page) {
		wide = append(wide, c, 0)
	}
	for what, data := range map[string][]byte{
		"PDF": []byte("<!-- %PDF-1.4 -->" + page), "contact": []byte("BEGIN:VCARD\r\nEND:VCARD\r\n" + page), "calendar": []byte("BEGIN:VCALENDAR\r\n" + page),
		"RTF": []byte("{\\rtf1}" + page), "Office": []byte("<!-- <?mso-application -->" + page), "drawing": []byte("<svg></svg>" + page),
		"HTA": []byte("<!-- <hta: -->" + page), "blanks": []byte(strings.Repeat(" ", 1100) + page), "text": []byte(strings.Repeat("x", 1100) + page), "UTF-16": wide,
	} {
		if got := codes(check(t, "a.html", "text/html", data)); !slices.Contains(got, "attach.html-smuggling") {
			t.Errorf("%s before a page: %v", what, got)
		}
	}
	rtf := "{\\rtf1 %PDF-1.4 <svg {\\object{\\*\\objdata 0105}}}"
	if got := codes(check(t, "a.doc", "application/msword", []byte(rtf))); !slices.Contains(got, "attach.embedded-object") {
		t.Errorf("PDF in RTF: %v", got)
	}
}

// G-11: a document is read in every charset that Word reads, and what cannot be read is not clean.
func TestFieldCodesAreReadInEveryCharset(t *testing.T) {
	document := `<w:document><w:instrText>DDEAUTO c:\\x\\cmd.exe "/k"</w:instrText></w:document>`
	wide := []byte{0xFF, 0xFE}
	for _, c := range []byte(`<?xml version="1.0" encoding="UTF-16"?>` + document) {
		wide = append(wide, c, 0)
	}
	for what, data := range map[string][]byte{
		"UTF-16": wide, "UTF-16 unmarked": wide[2:], "windows-1252": []byte(`<?xml version="1.0" encoding="windows-1252"?>` + document),
		"far": []byte("<w:instrText>" + strings.Repeat("PAGE ", 300_000) + "</w:instrText>" + document), "broken": []byte("<w:instrText/><a =" + document),
	} {
		got := codes(check(t, "a.docx", "application/octet-stream", packed(t, []string{"[Content_Types].xml", "<x/>", "word/document.xml", string(data)})))
		if !slices.Contains(got, "attach.dde") && !slices.ContainsFunc(got, func(c string) bool { return strings.HasPrefix(c, "attach.unscannable.") }) {
			t.Errorf("%s: %v", what, got)
		}
	}
}

// G-11, G-13: what stands behind the most entries that are looked at is told.
func TestObjectsBeyondTheBudgetAreTold(t *testing.T) {
	for name, data := range map[string]string{
		"a.rtf": "{\\rtf1" + strings.Repeat("{\\objdata 01}", maxEntries+1) + "}",
		"a.pdf": "%PDF-1.4\n" + strings.Repeat("1 0 obj<</Type/EmbeddedFile>>stream\nx\nendstream endobj\n", maxEntries+1),
	} {
		if got := codes(check(t, name, "application/octet-stream", []byte(data))); !slices.Contains(got, "attach.unscannable.limit") {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// packed is a ZIP archive of names and contents by turns.
func packed(t *testing.T, members []string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for i := 0; i < len(members); i += 2 {
		w, err := z.Create(members[i])
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(members[i+1])); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
