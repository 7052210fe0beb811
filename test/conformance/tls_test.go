package conformance

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"gatepost/test/harness"
)

// authority makes a certificate authority and a certificate of it for a name, as a public one would be.
func authority(t *testing.T, name string) (ca, cert, key string) {
	t.Helper()
	sign := func(tmpl, parent *x509.Certificate, pub *ecdsa.PublicKey, by *ecdsa.PrivateKey) string {
		der, err := x509.CreateCertificate(rand.Reader, tmpl, parent, pub, by)
		if err != nil {
			t.Fatal(err)
		}
		return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	}
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	leafKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	root := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Test Authority"}, NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(0, 3, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign}
	leaf := &x509.Certificate{SerialNumber: serial, Subject: pkix.Name{CommonName: name}, DNSNames: []string{name}, NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(0, 2, 0),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, CRLDistributionPoints: []string{"http://ca.example/crl"}}
	private, err := x509.MarshalPKCS8PrivateKey(leafKey)
	if err != nil {
		t.Fatal(err)
	}
	return sign(root, root, &caKey.PublicKey, caKey), sign(leaf, root, &leafKey.PublicKey, caKey), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}))
}

// testssl.sh looks at protocols, ciphers, forward secrecy, preferences, the certificate and known attacks of the listener:
// nothing that it finds may be above "low".
func TestTestsslFindsNothingAboveLow(t *testing.T) {
	t.Parallel()
	program := harness.Need(t, "testssl")
	const name = "mx.gatepost.example"
	ca, cert, key := authority(t, name)
	w := harness.Start(t, harness.Setup{
		Config: "trusted_networks: [127.0.0.0/8]\ntls: {certificates: [{cert: cert.pem, key: key.pem}]}\n",
		Files:  map[string]string{"ca.pem": ca, "cert.pem": cert, "key.pem": key},
	})
	_, port, err := net.SplitHostPort(w.SMTP)
	if err != nil {
		t.Fatal(err)
	}
	report := filepath.Join(t.TempDir(), "report.json")
	cmd := exec.Command(program, "--quiet", "--color", "0", "--warnings", "batch", "--jsonfile", report, "--add-ca", filepath.Join(w.Dir, "ca.pem"), "--nodns", "none",
		"-p", "-s", "-f", "-P", "-S", "-U", "--ip", "127.0.0.1", "-t", "smtp", name+":"+port)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	_ = cmd.Run() // its code counts findings
	data, err := os.ReadFile(report)
	if err != nil {
		t.Fatalf("testssl.sh wrote no report: %v\n%s", err, out.String())
	}
	var findings []struct{ ID, Severity, Finding string }
	if err := json.Unmarshal(data, &findings); err != nil {
		t.Fatal(err)
	}
	seen, count := map[string]bool{}, map[string]int{}
	for _, f := range findings {
		seen[f.ID] = true
		count[f.Severity]++
		switch f.Severity {
		case "OK", "INFO", "LOW":
		default:
			if f.ID != "engine_problem" { // of the OpenSSL that testssl.sh uses
				t.Errorf("%s: %s: %s", f.Severity, f.ID, f.Finding)
			}
		}
	}
	t.Logf("testssl.sh: %v", count)
	for _, id := range []string{"TLS1", "TLS1_3", "cert_chain_of_trust", "heartbleed", "ROBOT", "secure_client_renego", "POODLE_SSL", "SWEET32", "LOGJAM", "BEAST", "RC4", "PFS"} {
		if !seen[id] {
			t.Errorf("testssl.sh did not look at %s\n%s", id, out.String())
		}
	}
}
