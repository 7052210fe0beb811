package mail

import (
	"bufio"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

func TestIDsSortByTimeAndDiffer(t *testing.T) {
	now := time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
	a, b, c := NewID(now), NewID(now), NewID(now.Add(time.Millisecond))
	if len(a) != 26 || a == b || c <= a || c <= b {
		t.Fatalf("%s %s %s", a, b, c)
	}
	if !regexp.MustCompile(`^[0-7][0-9a-hjkmnp-tv-z]{25}$`).MatchString(a) {
		t.Fatalf("%q is not in Crockford's alphabet", a)
	}
}

// D-02, D-06, K-02, K-04, K-05, K-06, K-07, K-10, C-19: what an envelope address may be, and its one form.
func TestEnvelopeAddressesAreReadStrictly(t *testing.T) {
	local64, label63 := strings.Repeat("l", 64), strings.Repeat("d", 63)
	long := label63 + "." + label63 + "." + label63 // 191 octets
	for _, c := range []struct{ in, canonical string }{
		{"a@b.example", "a@b.example"},
		{"User@EXAMPLE.Org", "user@example.org"},
		{"user%foreign@ours.example", "user%foreign@ours.example"},
		{"foreign!user@ours.example", "foreign!user@ours.example"},
		{`"user@foreign"@ours.example`, `"user@foreign"@ours.example`},
		{`"a b"@ours.example`, `"a b"@ours.example`},
		{`"a\"b"@ours.example`, `"a\"b"@ours.example`},
		{`"plain"@ours.example`, "plain@ours.example"},
		{"user@ÖURS.example", "user@xn--urs-rna.example"},
		{"user@xn--urs-rna.example", "user@xn--urs-rna.example"},
		{"jörg@example.org", "jörg@example.org"},
		{"user@[127.0.0.1]", "user@[127.0.0.1]"},
		{"user@[IPv6:::1]", "user@[IPv6:::1]"},
		{"user@[ipv6:2001:DB8::0:1]", "user@[IPv6:2001:db8::1]"},
		{"user@localhost", "user@localhost"},
		{local64 + "@b.example", local64 + "@b.example"},
		{"a@" + long, "a@" + long},
		{"", ""}, {"@", ""}, {"a", ""}, {"a@", ""}, {"@b.example", ""},
		{"(any@legit.example", ""}, {"any@legit.example(a.attack.example", ""}, {"any@legit.example'@any.attack.example", ""},
		{"'any@attack.example", "'any@attack.example"}, // an apostrophe is an atom's character: O'Neil has one
		{"a b@c.example", ""}, {"a@b c.example", ""}, {".a@b.example", ""}, {"a.@b.example", ""}, {"a..b@c.example", ""},
		{"a\x00@b.example", ""}, {"a\r\n@b.example", ""}, {"a@b.example\r\nRCPT TO:<x@y>", ""}, {"\"a\r\n\"@b.example", ""},
		{"a>SIZE=1@b.example", ""}, {"<a@b.example>", ""}, {`"a@b.example`, ""}, {`"a"b@c.example`, ""}, {`""@b.example`, ""},
		{"-f@b.example", ""}, {`"-f"@b.example`, ""},
		{"a\u200b@b.example", ""}, {"a\u202e@b.example", ""}, {"a\xff@b.example", ""}, {"a\u0085@b.example", ""},
		{"a@-b.example", ""}, {"a@b-.example", ""}, {"a@b..example", ""}, {"a@.example", ""}, {"a@b_c.example", ""}, {"a@b.example.", ""},
		{"a@xn--a", ""}, {"a@b\u202ec.example", ""}, {"a@" + label63 + "d.example", ""},
		{"a@[127.0.0.1", ""}, {"a@[300.0.0.1]", ""}, {"a@[::1]", ""}, {"a@[IPv6:127.0.0.1]", ""}, {"a@[IPv6:fe80::1%eth0]", ""}, {"a@[x:y]", ""},
		{"l" + local64 + "@b.example", ""},
		{"a@" + strings.Repeat("d.", 127) + "dd", ""},
	} {
		a, err := ParseAddress(c.in)
		if (err == nil) != (c.canonical != "") || a.Canonical() != c.canonical {
			t.Errorf("%q: %q, %v; want %q", c.in, a.Canonical(), err, c.canonical)
			continue
		}
		if err != nil {
			if !errors.Is(err, ErrAddress) {
				t.Errorf("%q: %v is no ErrAddress", c.in, err)
			}
			continue
		}
		if a.String() != c.in {
			t.Errorf("%q is written as %q", c.in, a)
		}
		var back Address
		if b, _ := a.MarshalText(); back.UnmarshalText(b) != nil || back != a {
			t.Errorf("%q does not survive text", c.in)
		}
	}
}

// K-10: 254 octets fill a path of 256, 255 do not.
func TestPathLengthIsExact(t *testing.T) {
	local := strings.Repeat("l", 64)
	domain := strings.Repeat(strings.Repeat("d", 46)+".", 3) + strings.Repeat("d", 48) // 189 octets
	at := local + "@" + domain
	if len(at) != 254 {
		t.Fatal(len(at))
	}
	if _, err := ParseAddress(at); err != nil {
		t.Error(err)
	}
	if _, err := ParseAddress(at + "d"); err == nil {
		t.Error("a path of 257 octets was accepted")
	}
}

// K-06: a recipient whose domain ends in a dot has the same owner, and goes on as it was written.
func TestRecipientMayEndInADot(t *testing.T) {
	a, err := ParseRecipient("User@OURS.example.")
	if err != nil || a.Canonical() != "user@ours.example" || a.String() != "User@OURS.example." {
		t.Fatalf("%v %q %v", a, a.Canonical(), err)
	}
	if _, err := ParseRecipient("a@b.example.."); err == nil {
		t.Error("two dots were accepted")
	}
}

func TestAddressTellsWhatItNeeds(t *testing.T) {
	a, _ := ParseAddress("jörg@example.org")
	b, _ := ParseAddress("a@[192.0.2.1]")
	if !a.NonASCII() || b.NonASCII() {
		t.Error("NonASCII")
	}
	if ip, ok := b.Literal(); !ok || ip.String() != "192.0.2.1" {
		t.Error(ip, ok)
	}
	if _, ok := a.Literal(); ok || !(Address{}).IsNull() || (Address{}).Canonical() != "" {
		t.Error("null")
	}
}

// D-32: one spelling for all names that are looked up as the same; none for what cannot be looked up.
func TestDomainsHaveOneSpelling(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"Legit.COM", "legit.com"}, {"legit.com.", "legit.com"}, {"legit。com", "legit.com"}, {"legit.com\u200b", "legit.com"},
		{"ｌegit.com", "legit.com"}, {"lеgit.com", "xn--lgit-v4d.com"}, {"bücher.example", "xn--bcher-kva.example"},
		{"BÜCHER.example", "xn--bcher-kva.example"}, {"xn--bcher-kva.example", "xn--bcher-kva.example"},
		{"faß.de", "xn--fa-hia.de"}, {"_dmarc.example.org", "_dmarc.example.org"},
		{"", ""}, {".", ""}, {"a..b", ""}, {"a b", ""}, {"a\x00b.c", ""}, {"xn--zzzzzz-.com", ""}, {"-a.example", ""}, {"a\u202e.com", ""},
		{"%pagamentos.com", ""}, {strings.Repeat("a.", 127) + "b", ""},
	} {
		if got, err := CanonicalDomain(c.in); got != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%q: %q, %v; want %q", c.in, got, err, c.want)
		}
	}
}

func TestOrganizationalDomainsFollowThePublicSuffixList(t *testing.T) {
	f, err := os.Open(filepath.Join(corpora(t, "psl"), "tests", "test_psl.txt"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	line := regexp.MustCompile(`^checkPublicSuffix\((null|'.*'), (null|'.*')\);`)
	n := 0
	for s := bufio.NewScanner(f); s.Scan(); {
		m := line.FindStringSubmatch(s.Text())
		if m == nil {
			continue
		}
		n++
		in, want := strings.Trim(m[1], "'"), strings.Trim(m[2], "'")
		if in == "null" {
			in = ""
		}
		if want == "null" {
			want = ""
		} else if want, err = CanonicalDomain(want); err != nil {
			t.Errorf("%q: %v", m[2], err)
		}
		if got := OrganizationalDomain(in); got != want {
			t.Errorf("%s: %q, want %q", s.Text(), got, want)
		}
	}
	if n < 78 { // and four that the list itself has commented out
		t.Errorf("only %d checks", n)
	}
	if !IsPublicSuffix("co.uk") || IsPublicSuffix("example.co.uk") || OrganizationalDomain("192.0.2.1") != "" || OrganizationalDomain("192.0.2.1.") != "" || OrganizationalDomain("1.2.example") != "2.example" {
		t.Error("suffixes")
	}
}
