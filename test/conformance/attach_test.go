package conformance

import (
	"archive/zip"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
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
	count := map[string]int{}
	eachFile(t, "archives-libzip", func(path, name string) {
		if !strings.HasSuffix(name, ".zip") {
			return
		}
		f := attached(t, path)
		count["all"]++
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
		if flagged || said(f, "encrypted") {
			count["flagged"]++
			return
		}
		count["listed"]++
		if want, got := listing(t, path), inside(f); want != "" && !slices.Equal(strings.Fields(want), got) {
			t.Errorf("%s holds %s, listed are %v", name, want, got)
		}
	})
	t.Logf("%d archives: %d flagged, %d listed as archive/zip does", count["all"], count["flagged"], count["listed"])
}

// listing is the SHA-256 of every file in a ZIP archive as the standard library reads it; "" if it cannot.
func listing(t *testing.T, path string) string {
	t.Helper()
	z, err := zip.OpenReader(path)
	if err != nil {
		return ""
	}
	defer z.Close()
	var sums []string
	for _, f := range z.File {
		r, err := f.Open()
		if err != nil {
			return "" // by a method that only we read
		}
		b, err := io.ReadAll(r)
		r.Close()
		if err != nil {
			return ""
		}
		if !f.FileInfo().IsDir() {
			sums = append(sums, fmt.Sprintf("%x", sha256.Sum256(b)))
		}
	}
	slices.Sort(sums)
	return strings.Join(sums, " ")
}

// inside is the SHA-256 of every file that was examined right inside the attachment.
func inside(f filters.Facts) (sums []string) {
	for _, a := range f.Attachments {
		if len(a.Path) == 2 {
			sums = append(sums, a.SHA256)
		}
	}
	slices.Sort(sums)
	return sums
}

// The documents of the suite that lie in archives with the password infected-test.
func TestDocumentsBehindAPasswordThatIsGivenAwayAreFlagged(t *testing.T) {
	eachFile(t, "office-oletools", func(path, name string) {
		if !strings.HasPrefix(name, "dde-") || !strings.HasSuffix(name, ".zip") {
			return
		}
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		text := "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nThe password is infected-test\r\n--b\r\nContent-Type: application/zip; name=a.zip\r\n" +
			"Content-Transfer-Encoding: base64\r\n\r\n" + base64.StdEncoding.EncodeToString(data) + "\r\n--b--\r\n"
		f, err := attach.New(attach.Config{Passwords: true}).Check(context.Background(), &mail.Mail{Message: mail.Parse(mail.Memory(text))})
		if err != nil || !said(f, "attach.dde") || !said(f, "password-in-text") {
			t.Errorf("%s: %v, %v", name, all(f), err)
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
