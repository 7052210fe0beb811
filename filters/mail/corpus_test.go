package mail

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// corpora is the folder of real mail beside the project. Without it a test that needs it is skipped, except in CI.
func corpora(t testing.TB, name string) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			break
		}
		if dir == filepath.Dir(dir) {
			t.Fatal("no go.mod above the package")
		}
		dir = filepath.Dir(dir)
	}
	path := filepath.Join(dir, "..", "shared", "corpora", name)
	if _, err := os.Stat(path); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("corpus %s is missing", name)
		}
		t.Skipf("corpus %s is missing", name)
	}
	return path
}

// messages calls see with each file below dir whose name ends in one of the endings.
func messages(t testing.TB, dir string, see func(name string, data []byte), endings ...string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		for _, e := range endings {
			if strings.HasSuffix(path, e) {
				b, err := os.ReadFile(path)
				if err != nil {
					return err
				}
				name, _ := filepath.Rel(dir, path)
				see(name, b)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// crlf gives a message the line ends that it has on the wire, and removes the mbox line.
func crlf(b []byte) []byte {
	b = bytes.ReplaceAll(b, []byte("\r\n"), []byte("\n"))
	if bytes.HasPrefix(b, []byte("From ")) {
		b = b[bytes.IndexByte(b, '\n')+1:]
	}
	return bytes.ReplaceAll(b, []byte("\n"), []byte("\r\n"))
}

// explained lists the legitimate messages whose readings differ, and why that is so.
var explained = map[string]string{}

// Of legitimate mail at most one message in a thousand is marked ambiguous or refused, and each is explained.
func TestLegitimateMailIsNotAmbiguous(t *testing.T) {
	total, marked := 0, 0
	for _, c := range []string{"ham-modern-usrp/eml", "spamham-spamassassin/ham", "spamham-spamassassin/hardham"} {
		messages(t, corpora(t, c), func(name string, data []byte) {
			total++
			m := Parse(Memory(crlf(data)))
			if worst(m) > Note {
				marked++
				if explained[name] == "" {
					t.Errorf("%s/%s: %v", c, name, codes(m))
				}
			}
		}, ".eml")
	}
	if marked*1000 > total || total < 3000 {
		t.Errorf("%d of %d are marked", marked, total)
	}
}

// Each message of the spoofing suite that plays with the header is refused or held, or shows an author at the domain
// that DMARC will ask about; the authentication filter does the rest.
func TestPublishedSpoofsShowAllTheirAuthors(t *testing.T) {
	seen := 0
	messages(t, corpora(t, "spoof-espoofer/eml"), func(name string, data []byte) {
		seen++
		m := Parse(Memory(data))
		victim := false
		for _, a := range m.Authors() {
			victim = victim || a.Domain == "legitimate.example" || a.Domain == "legitimate.com" || a.Domain == "mail.example"
		}
		if !victim && worst(m) != Refuse {
			t.Errorf("%s: authors %v, %v", name, m.Authors(), codes(m))
		}
	}, ".eml")
	if seen != 22 {
		t.Errorf("%d cases", seen)
	}
}

// Every message of every corpus is parsed and viewed; the fields do not overlap, and with the gaps between them they
// are the header to the octet.
func TestEveryCorpusMessageIsParsed(t *testing.T) {
	for _, c := range []string{"mime-corpus", "phishing-pot-300/eml", "spamham-spamassassin/spam", "ham-modern-usrp/eml", "spoof-espoofer/eml"} {
		messages(t, corpora(t, c), func(name string, data []byte) {
			for _, data := range [][]byte{data, crlf(data)} {
				m := Parse(Memory(data))
				if err := invariants(m, data); err != nil {
					t.Errorf("%s/%s: %v", c, name, err)
				}
			}
		}, ".eml", ".raw")
	}
}
