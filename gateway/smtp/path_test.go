package smtp

import (
	"strings"
	"testing"

	"gatepost/filters/mail"
)

// K-03, K-04, K-10, C-19: a path ends where it ends, and nowhere else. What is in the mailbox is ParseAddress's.
func TestCutPath(t *testing.T) {
	long := "<" + strings.Repeat("a", 64) + "@" + strings.Repeat("b", 63) + "." + strings.Repeat("c", 63) + "." + strings.Repeat("d", 61) + ">"
	if len(long) != maxPath {
		t.Fatal(len(long))
	}
	for _, c := range []struct {
		in, mailbox, rest string
		ok                bool
	}{
		{"<a@b.example>", "a@b.example", "", true},
		{" <a@b.example>", "a@b.example", "", true},
		{"<a@b.example>  SIZE=1  BODY=7BIT", "a@b.example", "SIZE=1  BODY=7BIT", true},
		{"<>", "", "", true},
		{"<> SIZE=1", "", "SIZE=1", true},
		{"a@b.example", "a@b.example", "", true},
		{"a@b.example SIZE=1", "a@b.example", "SIZE=1", true},
		{"<@ours.example:user@foreign.example>", "user@foreign.example", "", true},
		{"<@a.example,@b.example:u@c.example>", "u@c.example", "", true},
		{"<@[192.0.2.1]:u@c.example>", "u@c.example", "", true},
		{"<@[IPv6:2001:db8::1],@b.example:u@c.example>", "u@c.example", "", true},
		{`<"user@foreign"@ours.example>`, `"user@foreign"@ours.example`, "", true},
		{`<"a b"@ours.example>`, `"a b"@ours.example`, "", true},
		{`<"a\"b"@ours.example>`, `"a\"b"@ours.example`, "", true},
		{`<"> SIZE=1"@ours.example> SIZE=2`, `"> SIZE=1"@ours.example`, "SIZE=2", true},
		{`<"a\\"@ours.example>`, `"a\\"@ours.example`, "", true},
		{"<u@[192.0.2.1]>", "u@[192.0.2.1]", "", true},
		{"<postmaster>", "postmaster", "", true},
		{long, long[1 : len(long)-1], "", true},
		{"<`id`@x.example>", "`id`@x.example", "", true},
		{"<|prog@x.example>", "|prog@x.example", "", true},

		{strings.Replace(long, "<", "<a", 1), "", "", false},
		{"", "", "", false},
		{"<", "", "", false},
		{"<a@b.example", "", "", false},
		{"<a@b.example>x", "", "", false},
		{"<a@b@c>", "", "", false},
		{"<<a@b.example>>", "", "", false},
		{"<a@b.example>>", "", "", false},
		{"<a b@c.example>", "", "", false},
		{"<a\x00b@c.example>", "", "", false},
		{"<a\rb@c.example>", "", "", false},
		{"<;for i in 0 1;do x;done@x.example>", "", "", false},
		{`<a"b"@c.example>`, "", "", false},
		{`<"a"b@c.example>`, "", "", false},
		{`<"a@c.example>`, "", "", false},
		{`<"a\"@c.example>`, "", "", false},
		{`<"a"."b"@c.example>`, "", "", false},
		{`<a\@b@c.example>`, "", "", false},
		{"<@a.example>", "", "", false},
		{"<@a.example:>", "", "", false},
		{"<@:u@c.example>", "", "", false},
		{"<@a.example:@b.example>", "", "", false},
		{"@a.example", "", "", false},
		{"<@a.example;u@c.example>", "", "", false},
		{"<@a.example,u@c.example>", "", "", false},
		{"<(x)a@b.example>", "", "", false},
		{"<a@b.example,c@d.example>", "", "", false},
		{"a@b.example>", "", "", false},
		{`"a b"@c.example`, "", "", false},
	} {
		mailbox, rest, ok := cutPath(c.in)
		if ok != c.ok || ok && (mailbox != c.mailbox || rest != c.rest) {
			t.Errorf("%q: got %q, %q, %v", c.in, mailbox, rest, ok)
		}
	}
}

// C-17, C-18.
func TestMailParameters(t *testing.T) {
	all := Capabilities{Size: 1000, EightBit: true, SMTPUTF8: true}
	for _, c := range []struct {
		in   string
		caps Capabilities
		code int // 0: fine
	}{
		{"", all, 0},
		{"SIZE=999", all, 0},
		{"SIZE=1000", all, 0},
		{"SIZE=1001", all, 552},
		{"SIZE=99999999999999999999", all, 552},
		{"SIZE=" + strings.Repeat("9", 400), all, 552},
		{"SIZE=0000000000000000000000000000001000", all, 0},
		{"SIZE=-1", all, 501},
		{"SIZE=1e9", all, 501},
		{"SIZE=", all, 501},
		{"SIZE", all, 501},
		{"SIZE=1 SIZE=2", all, 501},
		{"SIZE=1", Capabilities{}, 555},
		{"size=1 body=8bitmime smtputf8", all, 0},
		{"BODY=7BIT", all, 0},
		{"BODY=7BIT", Capabilities{}, 0},
		{"BODY=8BITMIME", Capabilities{}, 555},
		{"BODY=BINARYMIME", all, 555},
		{"BODY=7BIT BODY=8BITMIME", all, 501},
		{"SMTPUTF8", Capabilities{}, 555},
		{"SMTPUTF8=1", all, 501},
		{"SMTPUTF8 SMTPUTF8", all, 501},
		{"FOO=bar", all, 555},
		{"REQUIRETLS", all, 555},
		{"RET=HDRS", all, 555},
		{"AUTH=<>", all, 555},
		{"FOO=a=b", all, 501},
		{"=x", all, 501},
		{"-A=x", all, 501},
		{strings.Repeat("BODY=7BIT ", 100), all, 501},
	} {
		_, r := parseMailParams(c.in, c.caps, 1000)
		got := 0
		if r != nil {
			got = r.Code
		}
		if got != c.code {
			t.Errorf("%.60q: got %d, want %d", c.in, got, c.code)
		}
	}
}

// C-08.
func TestHelloNames(t *testing.T) {
	label := strings.Repeat("a", 63)
	for name, want := range map[string]bool{
		"mx.example.com": true, "localhost": true, "my_host.example": true, "a-b.example": true, "mx.example.com.": true,
		"1.2.3.4": true, "[192.0.2.1]": true, "[IPv6:2001:db8::1]": true, "[ipv6:::1]": true,
		strings.Repeat(label+".", 3) + strings.Repeat("b", 63): true, // 255
		strings.Repeat(label+".", 3) + strings.Repeat("b", 64): false,
		strings.Repeat("a", 300):                               false, label + "a.example": false,
		"": false, "-x": false, "x-": false, "a.-b": false, "a-.b": false, ".": false, ".a": false, "a..b": false,
		"a b": false, "\x00x": false, "a/b": false, "ü.example": false, "a;b": false,
		"[1.2.3]": false, "[]": false, "[192.0.2.1": false, "[2001:db8::1]": false, "[IPv6:192.0.2.1]": false,
		"[IPv6:fe80::1%eth0]": false, "[IPv6:]": false, "[192.0.2.1]x": false,
	} {
		if helloName(name) != want {
			t.Errorf("%.40q: got %v", name, !want)
		}
	}
}

// Whatever path is cut, it is written again as it was, so that a next hop reads the same mailbox (K-05).
func FuzzPath(f *testing.F) {
	for _, s := range []string{
		"<a@b.example> SIZE=1", "<>", `<"a\">b"@c.example> X=y`, "<@a,@b:c@d.example>", "a@b", `<"> SIZE=1"@x.example>`,
		"<@[IPv6:::1]:a@b>", "<ü@b.example>", `<"\`, "<postmaster>",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		mailbox, rest, ok := cutPath(s)
		if !ok {
			return
		}
		if len(mailbox)+2 > maxPath || strings.ContainsAny(mailbox, "\x00\r\n") {
			t.Fatalf("%q: mailbox %q", s, mailbox)
		}
		again, rest2, ok := cutPath("<" + mailbox + "> " + rest)
		if !ok || again != mailbox || rest2 != rest {
			t.Fatalf("%q: %q, %q, then %q, %q, %v", s, mailbox, rest, again, rest2, ok)
		}
		if a, err := mail.ParseAddress(mailbox); err == nil && a.String() != mailbox && !strings.HasPrefix(mailbox, `"`) && ascii(mailbox) {
			t.Fatalf("%q: address %q", mailbox, a)
		}
		_, _ = parseMailParams(rest, allCaps, 1000)
		if size, r := parseSize(rest, 1000); r == nil && (size < 0 || size > 1000) {
			t.Fatalf("size %d", size)
		}
	})
}
