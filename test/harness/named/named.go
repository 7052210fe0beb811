// Package named runs BIND's name server with one zone that takes signed updates.
package named

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"gatepost/test/harness"
)

// The key that signs updates, for hmac-sha256.
const (
	Key    = "gatepost-key"
	Secret = "Z2F0ZXBvc3QgdGVzdCBrZXkgb2YgMzIgb2N0ZXRzISE="
)

const conf = `options { directory "%[1]s"; listen-on port %[2]d { 127.0.0.1; }; listen-on-v6 { none; }; recursion no; pid-file none; session-keyfile none; managed-keys-directory "%[1]s"; dnssec-validation no; };
key "%[3]s" { algorithm hmac-sha256; secret "%[4]s"; };
controls { };
zone "%[5]s" { type primary; file "%[1]s/zone"; update-policy { grant %[3]s zonesub TXT; }; };
`

const zone = `$TTL 60
@ SOA ns.%[1]s. root.%[1]s. 1 60 60 600 60
@ NS ns.%[1]s.
ns A 127.0.0.1
mx A 127.0.0.1
`

// Start serves a zone in which NAME and mx.NAME are, and returns the server's address. It ends with the test.
func Start(t testing.TB, name string) string {
	t.Helper()
	program := harness.Need(t, "named")
	dir := t.TempDir()
	port := freePort(t)
	for file, text := range map[string]string{
		"named.conf": fmt.Sprintf(conf, dir, port, Key, Secret, name),
		"zone":       fmt.Sprintf(zone, name),
	} {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(program, "-g", "-n", "1", "-c", filepath.Join(dir, "named.conf"))
	logged, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = logged
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		logged.Close()
	})
	addr := fmt.Sprintf("127.0.0.1:%d", port)
	for range 200 {
		if conn, err := net.Dial("tcp", addr); err == nil {
			conn.Close()
			return addr
		}
		time.Sleep(50 * time.Millisecond)
	}
	text, _ := os.ReadFile(filepath.Join(dir, "log"))
	t.Fatalf("named does not listen:\n%s", text)
	return ""
}

// freePort is a port of the loopback address that nobody has, for TCP and UDP.
func freePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}
