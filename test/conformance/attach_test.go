package conformance

import (
	"context"
	"encoding/base64"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gatepost/filters"
	"gatepost/filters/attach"
	"gatepost/filters/mail"
)

// attached is what the filter says of a message with one attachment.
func attached(t *testing.T, path string) filters.Facts {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text := "MIME-Version: 1.0\r\nContent-Type: application/octet-stream\r\nContent-Disposition: attachment; filename=\"" + filepath.Base(path) +
		"\"\r\nContent-Transfer-Encoding: base64\r\n\r\n" + base64.StdEncoding.EncodeToString(data) + "\r\n"
	facts, err := attach.New(attach.Config{}).Check(context.Background(), &mail.Mail{Message: mail.Parse(mail.Memory(text))})
	if err != nil {
		t.Fatal(err)
	}
	return facts
}

func eachFile(t *testing.T, folder string, do func(path, name string)) {
	t.Helper()
	err := filepath.WalkDir(corpus(t, folder), func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			do(path, d.Name())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func said(f filters.Facts, part string) bool {
	for _, x := range f.Findings {
		if strings.Contains(x.Code, part) {
			return true
		}
	}
	return false
}

func all(f filters.Facts) (list []string) {
	for _, x := range f.Findings {
		list = append(list, x.Code+" ("+x.Proof[0].What+")")
	}
	return list
}

// G-04, G-05, G-06
func TestArchivesOfLibzipAreListedOrFlagged(t *testing.T) {
	empty := map[string]bool{"testempty.zip": true, "empty-pkware.zip": true, "testdir.zip": true}
	// Comments and unknown extra fields do not change which files a program sees: these must be listed.
	harmless := map[string]bool{"incons-central-file-comment-utf8-ascii.zip": true, "incons-ef-local-dupe-utf8comment.zip": true, "incons-ef-local-id.zip": true}
	eachFile(t, "archives-libzip", func(path, name string) {
		if !strings.HasSuffix(name, ".zip") {
			return
		}
		f := attached(t, path)
		flagged := said(f, "archive-") || said(f, "unscannable") || said(f, "type-mismatch")
		if strings.HasPrefix(name, "incons-") && !flagged && !harmless[name] {
			t.Errorf("%s is inconsistent and not flagged", name)
		}
		if strings.HasPrefix(name, "encrypt") && name != "encrypt-none.zip" && !said(f, "encrypted") {
			t.Errorf("%s is encrypted and not flagged: %v", name, all(f))
		}
		if len(f.Attachments) < 2 && !flagged && !empty[name] {
			t.Errorf("%s is clean and empty: %v", name, all(f))
		}
	})
}

// G-06, G-11
func TestDocumentsOfOletoolsAreFlagged(t *testing.T) {
	eachFile(t, "office-oletools", func(path, name string) {
		if strings.HasSuffix(name, ".md") || name == "SOURCE.txt" {
			return
		}
		f := attached(t, path)
		for part, want := range map[string]bool{
			"encrypted": strings.Contains(name, "encrypt"), "macro": strings.HasPrefix(name, "excel4_") || name == "sample_with_vba.ppt" || name == "oleform-PR314.docm",
			"dde":             strings.HasPrefix(name, "dde-") && !strings.Contains(name, "encrypt"),
			"remote-template": strings.Contains(path, "external_link"), "embedded-object": strings.HasPrefix(name, "embedded-") || strings.HasPrefix(name, "sample_with_lnk") || strings.HasPrefix(name, "sample_with_calc"),
		} {
			if want && !said(f, part) && !(part == "dde" && said(f, "unscannable.encrypted")) {
				t.Errorf("%s: no %s: %v", name, part, all(f))
			}
		}
		if strings.HasPrefix(name, "harmless-clean") && len(f.Findings) > 0 {
			t.Errorf("%s: %v", name, all(f))
		}
	})
}
