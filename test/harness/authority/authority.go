// Package authority runs Pebble, the ACME authority that the makers of Boulder test clients with.
//
// It is in the test's own process; what it proves and signs is real.
package authority

import (
	"encoding/pem"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/letsencrypt/pebble/v2/ca"
	"github.com/letsencrypt/pebble/v2/db"
	"github.com/letsencrypt/pebble/v2/va"
	"github.com/letsencrypt/pebble/v2/wfe"
)

// An Authority is a running one.
type Authority struct {
	Directory string // its URL
	Roots     string // PEM file by which its own web server is verified
	Root      []byte // the certificate, in PEM, that what it signs leads to
}

// Start starts one that looks names up at the DNS server and comes to their port for the http and the tls-alpn challenge.
// It ends with the test.
func Start(t testing.TB, dnsServer string, port int) *Authority {
	t.Helper()
	for name, value := range map[string]string{"PEBBLE_VA_NOSLEEP": "1", "PEBBLE_WFE_NONCEREJECT": "5"} { // it refuses nonces at random, to see whether a client bears that
		t.Setenv(name, value)
	}
	silent := log.New(io.Discard, "", 0)
	store := db.NewMemoryStore()
	signer := ca.New(silent, store, "", "ecdsa", 0, 1, map[string]ca.Profile{"default": {Description: "default"}})
	front := wfe.New(silent, store, va.New(silent, port, port, false, dnsServer, store), signer, []string{"pebble.letsencrypt.org"}, false, false, 1, 1)
	server := httptest.NewTLSServer(front.Handler())
	t.Cleanup(server.Close)
	a := &Authority{
		Directory: server.URL + wfe.DirectoryPath,
		Roots:     filepath.Join(t.TempDir(), "authority.pem"),
		Root:      signer.GetRootCert(0).PEM(),
	}
	if err := os.WriteFile(a.Roots, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	return a
}
