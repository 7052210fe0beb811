package config

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatepost/rules/conf"
)

// TestBrokenFilesSayWhatToDo holds the exact problems of each file in testdata/broken: NAME.yaml has them in NAME.txt.
// S-10, D-35, J-03.
func TestBrokenFilesSayWhatToDo(t *testing.T) {
	files, err := filepath.Glob("testdata/broken/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 40 {
		t.Fatalf("only %d broken files", len(files))
	}
	dir := t.TempDir()
	writePair(t, dir, "good", "mx.example.com", today.AddDate(1, 0, 0))
	writePair(t, dir, "other", "mx.example.com", today.AddDate(1, 0, 0))
	writePair(t, dir, "open", "mx.example.com", today.AddDate(1, 0, 0))
	for name, mode := range map[string]os.FileMode{"open.key": 0o644, "secret-open": 0o644} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("x\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(filepath.Join(dir, name), mode); err != nil {
			t.Fatal(err)
		}
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".yaml")
		t.Run(name, func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			_, problems := parse(filepath.Join(dir, "gatepost.yaml"), data, today)
			if len(problems) == 0 {
				t.Fatal("no problem was found")
			}
			var b strings.Builder
			for _, p := range problems {
				b.WriteString(strings.ReplaceAll(strings.ReplaceAll(p.Error(), dir+"/", ""), dir, "DIR") + "\n")
			}
			golden(t, strings.TrimSuffix(file, ".yaml")+".txt", []byte(b.String()))
		})
	}
}

// FuzzParse proves that no file makes the reader panic, and that every problem has a place.
func FuzzParse(f *testing.F) {
	files, err := filepath.Glob("testdata/broken/*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add(Sample())
	f.Fuzz(func(t *testing.T, data []byte) {
		if strings.Contains(string(data), "file") || strings.Contains(string(data), "/") {
			return // nothing on this machine is opened
		}
		c, problems := parse("f", data, today)
		for _, p := range append(problems, c.Notes...) {
			if p.Message == "" || p.Pos.File != "f" {
				t.Fatalf("problem %+v", p)
			}
		}
	})
}

// pathIn is a path in a directory.
func pathIn(dir, name string) conf.Path { return conf.Path(filepath.Join(dir, name)) }

// writePair makes a certificate that ends at a time, with its key.
func writePair(t *testing.T, dir, name, host string, end time.Time) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{host}, NotBefore: today.AddDate(-1, 0, 0), NotAfter: end}
	der, err := x509.CreateCertificate(rand.Reader, &tmpl, &tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{name + ".crt": {Type: "CERTIFICATE", Bytes: der}, name + ".pem": {Type: "CERTIFICATE", Bytes: der},
		name + ".key": {Type: "PRIVATE KEY", Bytes: keyDER}} {
		if err := os.WriteFile(filepath.Join(dir, file), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
