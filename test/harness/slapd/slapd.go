// Package slapd starts OpenLDAP's server for tests, on free ports of the loopback address and with its own data.
package slapd

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"gatepost/test/harness"
	"gatepost/test/harness/badsink"
)

// A Server is one slapd. Its base is dc=example,dc=com; cn=reader,dc=example,dc=com may read with the password "secret".
type Server struct {
	Plain  string // ldap://HOST:PORT, with StartTLS
	Secure string // ldaps://HOST:PORT
	CA     string // file that signs its certificate, which is for 127.0.0.1

	t    testing.TB
	dir  string
	urls string
	cmd  *exec.Cmd
	log  bytes.Buffer
}

const config = `include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
TLSCACertificateFile %[1]s/cert.pem
TLSCertificateFile %[1]s/cert.pem
TLSCertificateKeyFile %[1]s/key.pem
database mdb
suffix "dc=example,dc=com"
rootdn "cn=admin,dc=example,dc=com"
directory %[1]s/data
index mail eq
access to attrs=userPassword by anonymous auth by * none
access to * by dn.exact="cn=reader,dc=example,dc=com" read by * none
`

const people = `dn: dc=example,dc=com
objectClass: dcObject
objectClass: organization
o: Example
dc: example

dn: cn=reader,dc=example,dc=com
objectClass: organizationalRole
objectClass: simpleSecurityObject
cn: reader
userPassword: secret

`

// Start runs a server that knows people with these addresses.
func Start(t testing.TB, addresses ...string) *Server {
	t.Helper()
	harness.Need(t, "slapd")
	s := &Server{t: t, dir: t.TempDir()}
	cert, err := badsink.SelfSigned(time.Now().Add(24*time.Hour), "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.Index(cert.PEM, []byte("-----BEGIN CERTIFICATE"))
	ldif := people
	for i, a := range addresses {
		ldif += fmt.Sprintf("dn: uid=p%[1]d,dc=example,dc=com\nobjectClass: inetOrgPerson\nuid: p%[1]d\ncn: P\nsn: P\nmail: %[2]s\n\n", i, a)
	}
	s.CA = filepath.Join(s.dir, "cert.pem")
	for name, text := range map[string]string{
		"key.pem": string(cert.PEM[:at]), "cert.pem": string(cert.PEM[at:]), "slapd.conf": fmt.Sprintf(config, s.dir), "people.ldif": ldif,
	} {
		if err := os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(s.dir, "data"), 0o700); err != nil {
		t.Fatal(err)
	}
	add := exec.Command(harness.Need(t, "slapadd"), "-f", filepath.Join(s.dir, "slapd.conf"), "-l", filepath.Join(s.dir, "people.ldif"))
	if out, err := add.CombinedOutput(); err != nil {
		t.Fatalf("slapadd: %v\n%s", err, out)
	}
	plain, secure := free(t), free(t)
	s.Plain, s.Secure = "ldap://"+plain, "ldaps://"+secure
	s.urls = s.Plain + "/ " + s.Secure + "/"
	t.Cleanup(s.Stop)
	s.Run()
	return s
}

// Run starts the server, again after Stop.
func (s *Server) Run() {
	s.t.Helper()
	s.cmd = exec.Command(harness.Need(s.t, "slapd"), "-d", "0", "-f", filepath.Join(s.dir, "slapd.conf"), "-h", s.urls)
	s.cmd.Stderr = &s.log
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	harness.Eventually(s.t, "slapd answers", func() bool {
		c, err := net.Dial("tcp", strings.TrimPrefix(s.Secure, "ldaps://"))
		if err == nil {
			c.Close()
		}
		return err == nil
	})
}

// Stop ends the server.
func (s *Server) Stop() {
	if s.cmd == nil {
		return
	}
	s.cmd.Process.Signal(syscall.SIGCONT)
	s.cmd.Process.Signal(syscall.SIGTERM)
	s.cmd.Wait()
	s.cmd = nil
}

// Hang makes the server keep its connections and answer nothing, until Stop.
func (s *Server) Hang() {
	s.t.Helper()
	s.cmd.Process.Signal(syscall.SIGSTOP)
	harness.Eventually(s.t, "slapd is stopped", func() bool {
		threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", s.cmd.Process.Pid))
		for _, file := range threads {
			b, err := os.ReadFile(file)
			if _, rest, ok := strings.Cut(string(b), ") "); err == nil && ok && !strings.HasPrefix(rest, "T") {
				return false
			}
		}
		return len(threads) > 0
	})
}

// free is an address that nobody listens on now.
func free(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
