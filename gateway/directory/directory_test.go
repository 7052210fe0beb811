package directory

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"gatepost/filters/mail"
	"gatepost/gateway/forward"
	"gatepost/rules/conf"
	"gatepost/test/harness/slapd"
)

// open makes a Directory from a section.
func open(t *testing.T, section string) *Directory {
	t.Helper()
	var c Config
	if problems := conf.Decode("gatepost.yaml", []byte(section), &c); len(problems) > 0 {
		t.Fatal(problems)
	}
	d, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	return d
}

// ask asks for an address.
func ask(t *testing.T, d *Directory, s string) forward.Standing {
	t.Helper()
	a, err := mail.ParseAddress(s)
	if err != nil {
		t.Fatal(err)
	}
	return d.Verify(context.Background(), a)
}

// section is the usual section for a server; more keys follow.
func section(urls, ca, more string) string {
	return fmt.Sprintf("urls: [%s]\nca: %s\nbind_dn: cn=reader,dc=example,dc=com\npassword: secret\nbase: dc=example,dc=com\nfilter: (mail={address})\n%s", urls, ca, more)
}

func TestRecipientsAreThoseOfTheDirectory(t *testing.T) {
	s := slapd.Start(t, "ann@example.com", "Bob.Builder@Example.com", `"*"@example.com`)
	for name, url := range map[string]string{"StartTLS": s.Plain, "TLS": s.Secure} {
		t.Run(name, func(t *testing.T) {
			d := open(t, section(url, s.CA, ""))
			for address, want := range map[string]forward.Standing{
				"ann@example.com": forward.Known, "ANN@example.COM": forward.Known, "bob.builder@example.com": forward.Known, "carl@example.com": forward.Unknown,
				// What a stranger writes is a value, never a filter.
				"*@example.com": forward.Unknown, "a*@example.com": forward.Unknown, `")(mail=*"@example.com`: forward.Unknown,
				`"a)(|(mail=ann@example.com"@example.com`: forward.Unknown, `"\\2a"@example.com`: forward.Unknown,
			} {
				if got := ask(t, d, address); got != want {
					t.Errorf("%s: %v, want %v", address, got, want)
				}
			}
			if _, err := d.Health(); err != nil {
				t.Errorf("health: %v", err)
			}
			if err := d.Probe(context.Background()); err != nil {
				t.Errorf("probe: %v", err)
			}
		})
	}
	d := open(t, strings.Replace(section(s.Secure, s.CA, ""), "(mail={address})", "(mail={user}@{domain})", 1))
	if ask(t, d, "ann+news@example.com") != forward.Known || ask(t, d, "carl+ann@example.com") != forward.Unknown {
		t.Error("the part before the plus is not asked for")
	}
}

func TestAServerThatCannotBeAskedMakesNobodyUnknown(t *testing.T) { // K-11
	s := slapd.Start(t, "ann@example.com")
	closed := "ldap://127.0.0.1:1"
	for name, text := range map[string]string{
		"nobody there":      section(closed, s.CA, ""),
		"wrong password":    strings.Replace(section(s.Secure, s.CA, ""), "password: secret", "password: wrong", 1),
		"wrong base":        strings.Replace(section(s.Secure, s.CA, ""), "base: dc=example,dc=com", "base: ou=nowhere,dc=example,dc=com", 1),
		"not our tree":      strings.Replace(section(s.Secure, s.CA, ""), "base: dc=example,dc=com", "base: dc=example,dc=net", 1),
		"other certificate": strings.Replace(section(s.Secure, s.CA, ""), "ca: "+s.CA+"\n", "", 1),
		"other name":        section(strings.Replace(s.Plain, "127.0.0.1", "localhost", 1), s.CA, ""),
		"may not read":      strings.Replace(section(s.Secure, s.CA, ""), "bind_dn: cn=reader,dc=example,dc=com\npassword: secret\n", "", 1),
	} {
		t.Run(name, func(t *testing.T) {
			d := open(t, text)
			if got := ask(t, d, "carl@example.com"); got != forward.CannotSay {
				t.Errorf("carl: %v", got)
			}
			if since, err := d.Health(); err == nil || since.IsZero() {
				t.Error("health says that all is well")
			}
			if err := d.Probe(context.Background()); err == nil {
				t.Error("the probe says that all is well")
			}
		})
	}
	d := open(t, section(closed+", "+s.Plain, s.CA, ""))
	if ask(t, d, "ann@example.com") != forward.Known {
		t.Error("the second server is not asked while the first is down")
	}
}

func TestAnOldYesCountsWhileTheServerIsDownAndAnOldNoDoesNot(t *testing.T) { // K-11
	s := slapd.Start(t, "ann@example.com")
	d := open(t, section(s.Plain, s.CA, "keep: 0s\nkeep_no: 0s\ntimeout: 300ms"))
	d.known = forward.NewMemory(forward.VerifyConfig{Keep: 1, No: 1}) // asked again each time
	if ask(t, d, "ann@example.com") != forward.Known || ask(t, d, "carl@example.com") != forward.Unknown {
		t.Fatal("the server does not answer")
	}
	s.Hang()
	if got := ask(t, d, "ann@example.com"); got != forward.Known {
		t.Errorf("an old yes: %v", got)
	}
	if got := ask(t, d, "carl@example.com"); got != forward.CannotSay {
		t.Errorf("an old no: %v", got)
	}
	s.Stop()
	if got := ask(t, d, "ann@example.com"); got != forward.Known {
		t.Errorf("an old yes, and nobody there: %v", got)
	}
	s.Run()
	for deadline := time.Now().Add(20 * time.Second); ask(t, d, "carl@example.com") != forward.Unknown; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the server came back and is not asked")
		}
	}
	if _, err := d.Health(); err != nil {
		t.Errorf("health: %v", err)
	}
}

func TestManyAskAtOnceOverOneConnection(t *testing.T) {
	s := slapd.Start(t, "ann@example.com")
	d := open(t, section(s.Plain, s.CA, ""))
	var wg sync.WaitGroup
	for i := range 200 {
		wg.Go(func() {
			want, address := forward.Unknown, fmt.Sprintf("n%d@example.com", i)
			if i%2 == 0 {
				want, address = forward.Known, "ann@example.com"
			}
			if got := ask(t, d, address); got != want {
				t.Errorf("%s: %v", address, got)
			}
		})
	}
	wg.Wait()
}

func TestAServerThatSaysNothingIsGivenUp(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, scheme := range []string{"ldap", "ldaps"} {
		d := open(t, "urls: ["+scheme+"://"+l.Addr().String()+"]\nbase: dc=x\ntimeout: 150ms\n")
		if got := ask(t, d, "ann@example.com"); got != forward.CannotSay {
			t.Errorf("%s: %v", scheme, got)
		}
	}
}

func TestASectionWithSlipsIsRefused(t *testing.T) {
	for text, want := range map[string]string{
		"base: dc=x":                   `missing key "urls"`,
		"urls: []\nbase: dc=x":         "at least one server",
		"urls: [http://x]\nbase: dc=x": "expected ldaps://HOST",
		"urls: [ldap://dc.example.com/dc=x??sub]\nbase: dc=x":                 "expected ldaps://HOST",
		"urls: [ldap://dc.example.com]\ntls: off\nbase: dc=x":                 "this machine",
		"urls: [ldaps://dc.example.com]\nbind_dn: cn=a\nbase: dc=x":           "belong together",
		"urls: [ldaps://dc.example.com]\nbase: people":                        "not the name of an entry",
		"urls: [ldaps://dc.example.com]\nbase: dc=x\nfilter: (mail={address}": "not a search filter",
		"urls: [ldaps://dc.example.com]\nbase: dc=x\nfilter: (mail=*)":        "asks for nobody",
	} {
		var c Config
		if p := conf.Decode("gatepost.yaml", []byte(text), &c); len(p) == 0 || !strings.Contains(p[0].Error(), want) {
			t.Errorf("%q: %v, want %q", text, p, want)
		}
	}
}
