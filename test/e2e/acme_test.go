package e2e

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"strings"
	"testing"

	"gatepost/test/harness"
	"gatepost/test/harness/authority"
	"gatepost/test/harness/dnszone"
	"gatepost/test/harness/named"
)

// TestCertificatesComeFromAnAuthorityWithoutAPerson: from a self-signed certificate to those of an authority that verify,
// with each kind of key, while sessions go on.
func TestCertificatesComeFromAnAuthorityWithoutAPerson(t *testing.T) {
	for _, challenge := range []string{"http", "tls-alpn"} {
		t.Run(challenge, func(t *testing.T) {
			port := unusedPort(t)
			a := authority.Start(t, dnszone.Start(t, "mx.gatepost.example A 127.0.0.1\n").Addr(), port)
			w := harness.Start(t, harness.Setup{Zone: friend, Config: fmt.Sprintf(
				"tls: {acme: {agree: true, directory: %q, roots: %q, challenge: %s, listen: \"127.0.0.1:%d\"}}\ntrusted_networks: [127.0.0.0/8]\n", a.Directory, a.Roots, challenge, port)})
			before := harness.Dial(t, w.SMTP)
			before.Expect("220")
			for _, kind := range []string{"ecdsa", "rsa"} {
				harness.Eventually(t, "a certificate of the authority with a key of kind "+kind, func() bool { return verifies(t, w.SMTP, a, kind) })
			}
			before.Talk("C: NOOP\nS: 250")
			w.Send("ann@friend.example", "bob@example.com", "From: <ann@friend.example>\n\nHello\n")
		})
	}
}

// TestAnAuthorityReadsTheNameServer: the dns challenge, with a server that takes signed updates of TXT records alone.
func TestAnAuthorityReadsTheNameServer(t *testing.T) {
	server := named.Start(t, "gatepost.example")
	a := authority.Start(t, server, 1)
	w := harness.Start(t, harness.Setup{Zone: friend, Config: fmt.Sprintf(
		"tls: {acme: {agree: true, directory: %q, roots: %q, challenge: dns, keys: [ecdsa], dns: {server: %q, zone: gatepost.example, key: %s, secret: %s, settle: 0s}}}\ntrusted_networks: [127.0.0.0/8]\n",
		a.Directory, a.Roots, server, named.Key, named.Secret)})
	harness.Eventually(t, "a certificate of the authority", func() bool { return verifies(t, w.SMTP, a, "ecdsa") })
}

// TestAnAuthorityThatCannotBeReachedKeepsNoMailAway: the self-signed certificate stays, and the trouble is shown.
func TestAnAuthorityThatCannotBeReachedKeepsNoMailAway(t *testing.T) {
	w := harness.Start(t, harness.Setup{Zone: friend, Config: fmt.Sprintf("tls: {acme: {agree: true, directory: \"https://127.0.0.1:%d/dir\"}}\n", unusedPort(t))})
	w.Send("ann@friend.example", "bob@example.com", "From: <ann@friend.example>\n\nHello\n")
	harness.Eventually(t, "a word about the authority in the log", func() bool { return w.Logged("no certificate has come from the authority") > 0 })
}

// verifies reports whether a handshake that knows one kind of key sees a certificate of the authority for the gateway.
func verifies(t *testing.T, addr string, a *authority.Authority, kind string) bool {
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(a.Root) {
		t.Fatal("the authority's root is no certificate")
	}
	suite := map[string]uint16{"ecdsa": tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, "rsa": tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}[kind]
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	r := bufio.NewReader(conn)
	for _, line := range []string{"", "EHLO client.example", "STARTTLS"} {
		if line != "" {
			fmt.Fprint(conn, line+"\r\n")
		}
		for {
			reply, err := r.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasPrefix(reply[3:], "-") {
				break
			}
		}
	}
	c := tls.Client(conn, &tls.Config{ServerName: "mx.gatepost.example", RootCAs: roots, MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{suite}})
	if c.Handshake() != nil {
		return false
	}
	switch c.ConnectionState().PeerCertificates[0].PublicKey.(type) {
	case *ecdsa.PublicKey:
		return kind == "ecdsa"
	case *rsa.PublicKey:
		return kind == "rsa"
	}
	return false
}

// unusedPort is a port of the loopback address that nobody listens on.
func unusedPort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}
