package certs

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

var today = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func clock() time.Time { return today }

// A maker writes certificates into a directory.
type maker struct {
	t   testing.TB
	dir string
}

func newMaker(t testing.TB) *maker { return &maker{t: t, dir: t.TempDir()} }

func (m *maker) ecdsaKey() crypto.Signer {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		m.t.Fatal(err)
	}
	return k
}

func (m *maker) rsaKey(bits int) crypto.Signer {
	k, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		m.t.Fatal(err)
	}
	return k
}

// pair writes a certificate for hosts with its key.
func (m *maker) pair(name string, key crypto.Signer, end time.Time, hosts ...string) Pair {
	m.t.Helper()
	tmpl := x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), DNSNames: hosts, NotBefore: today.AddDate(-1, 0, 0), NotAfter: end}
	der, err := x509.CreateCertificate(rand.Reader, &tmpl, &tmpl, key.Public(), key)
	if err != nil {
		m.t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		m.t.Fatal(err)
	}
	p := Pair{Cert: filepath.Join(m.dir, name+".crt"), Key: filepath.Join(m.dir, name+".key")}
	m.write(p.Cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644)
	m.write(p.Key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}), 0o600)
	return p
}

func (m *maker) write(path string, data []byte, mode os.FileMode) {
	m.t.Helper()
	if err := os.WriteFile(path, data, mode); err != nil {
		m.t.Fatal(err)
	}
}

// shake makes a handshake over loopback and returns what the client saw.
func shake(t testing.TB, server, client *tls.Config) (tls.ConnectionState, error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		conn, err := l.Accept()
		if err != nil {
			return
		}
		s := tls.Server(conn, server)
		defer s.Close()
		if s.Handshake() == nil {
			s.Write([]byte("x")) // brings the tickets to the client
		}
	}()
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	client.InsecureSkipVerify = true
	c := tls.Client(conn, client)
	if err = c.Handshake(); err == nil {
		_, err = io.ReadFull(c, make([]byte, 1))
	}
	state := c.ConnectionState()
	conn.Close()
	<-done
	return state, err
}

func mustLoad(t testing.TB, pairs []Pair, dir string) (*Store, []string) {
	t.Helper()
	s, notes, err := Load(pairs, "mx.example.com", dir, clock)
	if err != nil {
		t.Fatal(err)
	}
	return s, notes
}

func TestASelfSignedCertificateIsMadeAndKept(t *testing.T) {
	dir := t.TempDir()
	s, notes := mustLoad(t, nil, dir)
	if len(notes) != 1 || !strings.Contains(notes[0], "self-signed one for mx.example.com") || !s.SelfSigned() {
		t.Errorf("notes: %v", notes)
	}
	state, err := shake(t, s.Config(tls.VersionTLS12), &tls.Config{ServerName: "mx.example.com"})
	if err != nil || state.PeerCertificates[0].VerifyHostname("mx.example.com") != nil {
		t.Errorf("handshake: %v", err)
	}
	info, err := os.Stat(filepath.Join(dir, "tls", "self-signed.key"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("key file: %v %v", info, err)
	}
	again, _ := mustLoad(t, nil, dir)
	if !again.Expiry().Equal(s.Expiry()) || again.Certificates()[0].Pin != s.Certificates()[0].Pin {
		t.Error("a second start made another certificate")
	}
	left, err := filepath.Glob(filepath.Join(dir, "tls", ".new-*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestARenewedSelfSignedCertificateKeepsItsKey(t *testing.T) {
	dir := t.TempDir()
	first, _ := mustLoad(t, nil, dir)
	later := func() time.Time { return today.AddDate(0, 11, 15) }
	second, _, err := Load(nil, "mx.example.com", dir, later)
	if err != nil {
		t.Fatal(err)
	}
	if !second.Expiry().After(first.Expiry()) || second.Certificates()[0].TLSA != first.Certificates()[0].TLSA {
		t.Errorf("expiry %v then %v", first.Expiry(), second.Expiry())
	}
	renamed, _, err := Load(nil, "mx2.example.com", dir, later)
	if err != nil || !renamed.Certificates()[0].Covers("mx2.example.com") {
		t.Errorf("for another name: %v", err)
	}
}

func TestASelfSignedKeyThatOthersCanReadIsNotUsed(t *testing.T) {
	dir := t.TempDir()
	mustLoad(t, nil, dir)
	if err := os.Chmod(filepath.Join(dir, "tls", "self-signed.key"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Load(nil, "mx.example.com", dir, clock); err == nil || !strings.Contains(err.Error(), "everybody on this machine") {
		t.Errorf("error: %v", err)
	}
}

// S-05: who finds it damaged at the start is told what can be done.
func TestADamagedSelfSignedPairSaysWhatToDo(t *testing.T) {
	for _, name := range []string{"self-signed.crt", "self-signed.key"} {
		dir := t.TempDir()
		mustLoad(t, nil, dir)
		if err := os.WriteFile(filepath.Join(dir, "tls", name), []byte("-----BEGIN"), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, _, err := Load(nil, "mx.example.com", dir, clock); err == nil || !strings.Contains(err.Error(), "remove self-signed.crt and self-signed.key") {
			t.Errorf("%s: error: %v", name, err)
		}
	}
}

// HOSTILE 4.1: ECDSA and RSA side by side, the certificate by name, the first one for a client that asks for none.
func TestACertificateIsChosenByNameAndByKey(t *testing.T) {
	m := newMaker(t)
	end := today.AddDate(1, 0, 0)
	key := m.rsaKey(2048)
	s, notes := mustLoad(t, []Pair{
		m.pair("rsa", key, end, "mx.example.com"),
		m.pair("ecdsa", m.ecdsaKey(), end, "mx.example.com"),
		m.pair("other", m.ecdsaKey(), end, "mx.other.example", "*.wild.example"),
		m.pair("other-rsa", key, end, "mx.other.example"),
	}, m.dir)
	if len(notes) > 0 {
		t.Errorf("notes: %v", notes)
	}
	onlyRSA := []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}
	cases := []struct {
		name      string
		client    *tls.Config
		host, key string
	}{
		{"by name", &tls.Config{ServerName: "mx.example.com"}, "mx.example.com", "ECDSA P-256"},
		{"by name, old client", &tls.Config{ServerName: "mx.example.com", MaxVersion: tls.VersionTLS12, CipherSuites: onlyRSA}, "mx.example.com", "RSA 2048"},
		{"another name", &tls.Config{ServerName: "mx.other.example"}, "mx.other.example", "ECDSA P-256"},
		{"another name, old client", &tls.Config{ServerName: "mx.other.example", MaxVersion: tls.VersionTLS12, CipherSuites: onlyRSA}, "mx.other.example", "RSA 2048"},
		{"wildcard", &tls.Config{ServerName: "a.wild.example"}, "a.wild.example", "ECDSA P-256"},
		{"wildcard, old client", &tls.Config{ServerName: "a.wild.example", MaxVersion: tls.VersionTLS12, CipherSuites: onlyRSA}, "mx.example.com", "RSA 2048"},
		{"no name", &tls.Config{}, "mx.example.com", "ECDSA P-256"},
		{"no name, old client", &tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: onlyRSA}, "mx.example.com", "RSA 2048"},
		{"unknown name", &tls.Config{ServerName: "who.example"}, "mx.example.com", "ECDSA P-256"},
	}
	for _, c := range cases {
		state, err := shake(t, s.Config(tls.VersionTLS12), c.client)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		leaf := state.PeerCertificates[0]
		if leaf.VerifyHostname(c.host) != nil || algorithm(leaf.PublicKey) != c.key {
			t.Errorf("%s: %v %s", c.name, leaf.DNSNames, algorithm(leaf.PublicKey))
		}
	}
}

// B-13: what is too old to protect anything is refused, whatever the caller asks for.
func TestOldVersionsAndWeakSuitesAreRefused(t *testing.T) {
	m := newMaker(t)
	s, _ := mustLoad(t, []Pair{m.pair("a", m.rsaKey(2048), today.AddDate(1, 0, 0), "mx.example.com")}, m.dir)
	for name, client := range map[string]*tls.Config{
		"TLS 1.1":    {MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11},
		"static RSA": {MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_RSA_WITH_AES_128_GCM_SHA256}},
		"CBC":        {MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA}},
		"3DES":       {MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_RSA_WITH_3DES_EDE_CBC_SHA}},
	} {
		if _, err := shake(t, s.Config(tls.VersionTLS10), client); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
	if _, err := shake(t, s.Config(tls.VersionTLS13), &tls.Config{MaxVersion: tls.VersionTLS12}); err == nil {
		t.Error("TLS 1.2 was accepted where 1.3 is the oldest")
	}
}

// B-14: a ticket of one listener means nothing to another.
func TestATicketIsGoodForItsListenerAlone(t *testing.T) {
	m := newMaker(t)
	s, _ := mustLoad(t, []Pair{m.pair("a", m.ecdsaKey(), today.AddDate(1, 0, 0), "mx.example.com")}, m.dir)
	one, two := s.Config(tls.VersionTLS12), s.Config(tls.VersionTLS12)
	client := tls.Config{ServerName: "mx.example.com", ClientSessionCache: tls.NewLRUClientSessionCache(8)}
	resumed := func(server *tls.Config) bool {
		state, err := shake(t, server, &client)
		if err != nil {
			t.Fatal(err)
		}
		return state.DidResume
	}
	if resumed(one) || !resumed(one) {
		t.Error("a session is not resumed where it was made")
	}
	if resumed(two) {
		t.Error("a session was resumed elsewhere")
	}
}

// B-08: a reload takes effect without a new configuration, and a broken one changes nothing.
func TestAReloadTakesEffectAndABrokenOneDoesNot(t *testing.T) {
	m := newMaker(t)
	end := today.AddDate(1, 0, 0)
	p := m.pair("a", m.ecdsaKey(), end, "mx.example.com")
	s, _ := mustLoad(t, []Pair{p}, m.dir)
	config := s.Config(tls.VersionTLS12)
	pin := func() string {
		state, err := shake(t, config, &tls.Config{})
		if err != nil {
			t.Fatal(err)
		}
		return infoOf(&tls.Certificate{Leaf: state.PeerCertificates[0]}).Pin
	}
	first := pin()
	m.pair("a", m.ecdsaKey(), end.AddDate(1, 0, 0), "mx.example.com")
	if pin() != first {
		t.Error("the new file was served before the reload")
	}
	if _, err := s.Reload(); err != nil {
		t.Fatal(err)
	}
	second := pin()
	if second == first || !s.Expiry().Equal(end.AddDate(1, 0, 0)) {
		t.Error("the reload had no effect")
	}
	m.write(p.Key, []byte("rubbish"), 0o600)
	if _, err := s.Reload(); err == nil || pin() != second {
		t.Errorf("after a broken reload: %v", err)
	}
}

// B-08, P-18: pairs are added and taken away while the store serves, all or none.
func TestOtherPairsAreServedFromNowOnOrNoneAre(t *testing.T) {
	m := newMaker(t)
	end := today.AddDate(1, 0, 0)
	one, two := m.pair("one", m.ecdsaKey(), end, "one.example"), m.pair("two", m.ecdsaKey(), end, "two.example")
	s, _ := mustLoad(t, []Pair{one}, m.dir)
	config := s.Config(tls.VersionTLS12)
	shown := func(name string) string {
		state, err := shake(t, config, &tls.Config{ServerName: name})
		if err != nil {
			t.Fatal(err)
		}
		return state.PeerCertificates[0].DNSNames[0]
	}
	for i, step := range []struct {
		pairs []Pair
		ok    bool
		want  string // shown to who asks for two.example
	}{
		{[]Pair{one, two}, true, "two.example"}, {[]Pair{one, {Cert: two.Cert, Key: one.Key}}, false, "two.example"},
		{[]Pair{one}, true, "one.example"}, {nil, true, "mx.example.com"}, {[]Pair{two}, true, "two.example"},
	} {
		if _, err := s.Use(step.pairs); (err == nil) != step.ok {
			t.Errorf("step %d: %v", i, err)
		}
		if got := shown("two.example"); got != step.want {
			t.Errorf("step %d: %s is shown", i, got)
		}
	}
}

func TestReloadsDoNotDisturbHandshakes(t *testing.T) {
	m := newMaker(t)
	end := today.AddDate(1, 0, 0)
	s, _ := mustLoad(t, []Pair{m.pair("a", m.ecdsaKey(), end, "mx.example.com"), m.pair("b", m.ecdsaKey(), end, "b.example")}, m.dir)
	config := s.Config(tls.VersionTLS12)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 20 {
				if _, err := shake(t, config, &tls.Config{ServerName: "b.example"}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range 50 {
		if _, err := s.Reload(); err != nil {
			t.Error(err)
		}
		s.Certificates()
	}
	wg.Wait()
}

func TestWhatCannotBeServedSaysWhy(t *testing.T) {
	m := newMaker(t)
	end := today.AddDate(1, 0, 0)
	good, other := m.pair("good", m.ecdsaKey(), end, "mx.example.com"), m.pair("other", m.ecdsaKey(), end, "mx.example.com")
	m.write(filepath.Join(m.dir, "junk"), []byte("junk"), 0o600)
	m.write(filepath.Join(m.dir, "bad.crt"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("x")}), 0o600)
	m.write(filepath.Join(m.dir, "big"), bytes.Repeat([]byte("x"), maxFile+1), 0o600)
	open := m.pair("open", m.ecdsaKey(), end, "mx.example.com")
	if err := os.Chmod(open.Key, 0o604); err != nil {
		t.Fatal(err)
	}
	in := func(name string) string { return filepath.Join(m.dir, name) }
	cases := []struct {
		name string
		pair Pair
		want string
		key  bool
	}{
		{"no certificate", Pair{Cert: in("none"), Key: good.Key}, "none: no such file or directory", false},
		{"no key", Pair{Cert: good.Cert, Key: in("none")}, "none: no such file or directory", true},
		{"another key", Pair{Cert: good.Cert, Key: other.Key}, "the key in other.key does not belong to the certificate in good.crt", true},
		{"junk for a certificate", Pair{Cert: in("junk"), Key: good.Key}, "junk does not begin with a certificate in PEM", false},
		{"junk for a key", Pair{Cert: good.Cert, Key: in("junk")}, "the key in junk cannot be read: no private key in PEM without a password", true},
		{"junk in PEM", Pair{Cert: in("bad.crt"), Key: good.Key}, "the certificate in bad.crt cannot be read: x509: malformed certificate", false},
		{"too big", Pair{Cert: in("big"), Key: good.Key}, "big has more than 1048576 bytes", false},
		{"readable for all", open, "everybody on this machine can use the key in open.key (mode 0604); chmod 600 it", true},
	}
	for _, c := range cases {
		_, err := Examine(c.pair)
		if err == nil || strings.ReplaceAll(err.Error(), m.dir+"/", "") != c.want || IsKeyError(err) != c.key {
			t.Errorf("%s: %v", c.name, err)
		}
		if _, _, err := Load([]Pair{good, c.pair}, "mx.example.com", m.dir, clock); err == nil {
			t.Errorf("%s: loaded", c.name)
		}
	}
}

func TestExpiryIsToldInTime(t *testing.T) {
	m := newMaker(t)
	cases := []struct {
		left time.Duration
		want string
	}{
		{-time.Hour, "the certificate expired on 2026-11-23"},
		{20 * 24 * time.Hour, "the certificate expires in 20 days, on 2026-12-13"},
		{21 * 24 * time.Hour, ""},
	}
	for _, c := range cases {
		info, err := Examine(m.pair("x", m.ecdsaKey(), today.Add(c.left), "mx.example.com"))
		if err != nil || info.Warning(today) != c.want {
			t.Errorf("%v: %q %v", c.left, info.Warning(today), err)
		}
	}
	info, err := Examine(m.pair("x", m.ecdsaKey(), today.AddDate(1, 0, 0), "mx.example.com"))
	if err != nil || !strings.Contains(info.Warning(today.AddDate(-2, 0, 0)), "is the clock right?") {
		t.Errorf("before its time: %q %v", info.Warning(today.AddDate(-2, 0, 0)), err)
	}
	_, notes := mustLoad(t, []Pair{m.pair("x", m.ecdsaKey(), today.Add(-time.Hour), "other.example")}, m.dir)
	if len(notes) != 2 {
		t.Errorf("notes: %v", notes)
	}
}

func TestFilesAreWatched(t *testing.T) {
	m := newMaker(t)
	p := m.pair("a", m.ecdsaKey(), today.AddDate(1, 0, 0), "mx.example.com")
	synctest.Test(t, func(t *testing.T) {
		s, _ := mustLoad(t, []Pair{p}, m.dir)
		ctx, cancel := context.WithCancel(t.Context())
		var told []error
		go s.Watch(ctx, time.Minute, func(_ []string, err error) { told = append(told, err) })
		settle := func() { time.Sleep(3 * time.Minute); synctest.Wait() }
		if settle(); len(told) != 0 {
			t.Errorf("nothing changed: %v", told)
		}
		m.pair("a", m.ecdsaKey(), today.AddDate(2, 0, 0), "mx.example.com")
		if settle(); len(told) != 1 || told[0] != nil || !s.Expiry().Equal(today.AddDate(2, 0, 0)) {
			t.Errorf("replaced: %v %v", told, s.Expiry())
		}
		m.write(p.Key, []byte("rubbish"), 0o600)
		if settle(); len(told) != 2 || told[1] == nil {
			t.Errorf("broken, told once: %v", told)
		}
		m.pair("a", m.ecdsaKey(), today.AddDate(3, 0, 0), "mx.example.com")
		if settle(); len(told) != 3 || told[2] != nil {
			t.Errorf("repaired: %v", told)
		}
		cancel()
		synctest.Wait()
	})
}

func BenchmarkChoose(b *testing.B) {
	m := newMaker(b)
	end := today.AddDate(1, 0, 0)
	s, _ := mustLoad(b, []Pair{m.pair("rsa", m.rsaKey(2048), end, "mx.example.com"), m.pair("ecdsa", m.ecdsaKey(), end, "mx.example.com")}, m.dir)
	hello := &tls.ClientHelloInfo{ServerName: "mx.example.com", SupportedVersions: []uint16{tls.VersionTLS13},
		SignatureSchemes: []tls.SignatureScheme{tls.ECDSAWithP256AndSHA256, tls.PSSWithSHA256}, SupportedCurves: []tls.CurveID{tls.X25519}}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.choose(hello); err != nil {
			b.Fatal(err)
		}
	}
}

// TestAnAwaitedPairIsPassedOverUntilItIsThereAndWhole: the self-signed one stays until then.
func TestAnAwaitedPairIsPassedOverUntilItIsThereAndWhole(t *testing.T) {
	m := newMaker(t)
	made := m.pair("mx", m.ecdsaKey(), today.AddDate(1, 0, 0), "mx.example.com")
	p := Pair{Cert: filepath.Join(m.dir, "later.crt"), Key: filepath.Join(m.dir, "later.key"), Awaited: true}
	s, _, err := Load([]Pair{p}, "mx.example.com", t.TempDir(), clock)
	if err != nil || !s.SelfSigned() || !p.Missing() {
		t.Fatalf("before it comes: %v", err)
	}
	copyFile(t, made.Cert, p.Cert) // without its key
	if _, err := s.Reload(); err != nil || !s.SelfSigned() || p.Missing() {
		t.Errorf("half of it: %v", err)
	}
	copyFile(t, made.Key, p.Key)
	if _, err := s.Reload(); err != nil || s.SelfSigned() {
		t.Errorf("all of it: %v", err)
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	data, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, data, 0o600); err != nil {
		t.Fatal(err)
	}
}
