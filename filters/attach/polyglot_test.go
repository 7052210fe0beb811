package attach

import (
	"slices"
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
