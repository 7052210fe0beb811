package mail

import (
	"slices"
	"strings"
	"testing"
)

// show is a list of mailboxes in one line: name <address> [defects].
func show(list []Mailbox) string {
	var b []string
	for _, m := range list {
		s := m.Name + " <" + m.Address + ">"
		if len(m.Defects) > 0 {
			d := slices.Clone(m.Defects)
			slices.Sort(d)
			s += " " + strings.Join(slices.Compact(d), ",")
		}
		b = append(b, s)
	}
	return strings.Join(b, "; ")
}

// D-12 to D-18: every address that a reader may be shown.
func TestMailboxesAreEveryAddressAReaderMayBeShown(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"a@b.example", " <a@b.example>"},
		{"Ann <a@b.example>", "Ann <a@b.example>"},
		{`"Ann, B." <a@b.example>, c@d.example (See)`, "Ann, B. <a@b.example>; See <c@d.example>"},
		{"=?utf-8?q?J=C3=B6rg?= <a@b.example>", "Jörg <a@b.example>"},
		{"friends: a@b.example, c@d.example;", " <a@b.example>; <c@d.example>"},
		{`"john doe"@b.example`, ` <"john doe"@b.example>`},
		{"a @ b.example", " <a@b.example>"},
		{"<a@[192.0.2.1]>", " <a@[192.0.2.1]>"},
		{"<x@attack.example>, <admin@legit.example>", " <x@attack.example>; <admin@legit.example>"},                                                                       // D-12
		{"=?utf-8?B?PGFkbWluQGxlZ2l0LmNvbT4=?=,<y@attack.example>", " <admin@legit.com> encoded; <y@attack.example>"},                                                     // D-13
		{"<@attack.example,@any.example:admin@legit.example>", " <admin@legit.example> route"},                                                                            // D-14
		{`<admin@legit.example>\,<y@attack.example>`, " <admin@legit.example> odd,split; <y@attack.example>"},                                                             // D-15
		{"admin@legit.example,<y@attack.example>", " <admin@legit.example>; <y@attack.example>"},                                                                          // D-16
		{"<y@attack.example>admin@legit.example", " <y@attack.example> split; <admin@legit.example> odd,split"},                                                           // D-16
		{"admin@legit.example(.attack.example)", ".attack.example <admin@legit.example>"},                                                                                 // D-17
		{`"admin@legit.example" <x@attack.example>`, "admin@legit.example <x@attack.example> name-address"},                                                               // D-17
		{"x@attack.example (admin@legit.example)", "admin@legit.example <x@attack.example> name-address"},                                                                 // D-17
		{"=?utf-8?q?admin=40legit.example=00?= <x@attack.example>", "admin@legit.example <x@attack.example> hidden,name-address"},                                         // D-18
		{"\u202emoc.tigel@nimda <x@attack.example>", "moc.tigel@nimda <x@attack.example> hidden; moc.tigel@nimda <moc.tigel@nimda> hidden,name-address,unquoted-address"}, // D-18
		{"admin@legit.example <x@attack.example>", "admin@legit.example <x@attack.example>; admin@legit.example <admin@legit.example> name-address,unquoted-address"},
		{"a@b.example <a@b.example>", "a@b.example <a@b.example> odd"},
		{"=?utf-8?q?=3Cadmin=40legit.example=3E?= <x@attack.example>", "<admin@legit.example> <x@attack.example> name-address;  <admin@legit.example> encoded"},
		{"root", ""}, {"", ""}, {"Sara <>", ""}, {"undisclosed-recipients:;", ""},
		{`"unclosed <a@b.example>`, "unclosed <a@b.example> odd"},
		{"Ann <a@b.example", "Ann <a@b.example> odd"},
		{"<<a@b.example>>", " <a@b.example> odd"},
		{"mailto:a@b.example", " <a@b.example>"},
		{"a@b.example.", " <a@b.example>"},
	} {
		got := show(ParseMailboxes(c.in))
		norm := func(s string) string { return strings.Join(strings.Fields(strings.ReplaceAll(s, ";", " ; ")), " ") }
		if norm(got) != norm(c.want) {
			t.Errorf("%q:\n got %s\nwant %s", c.in, norm(got), norm(c.want))
		}
	}
}

// D-32: domains of authors are compared as they are looked up.
func TestMailboxDomainsAreCanonical(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"a@LEGIT.example.", "legit.example"}, {"a@legit。example", "legit.example"}, {"a@xn--zzzzzz-.com", ""}, {"a@%x.example", ""},
		{"a@[IPv6:::1]", "[IPv6:::1]"}, {"a@bücher.example", "xn--bcher-kva.example"}, {"a@legit.example\u200b", "legit.example"},
	} {
		list := ParseMailboxes(c.in)
		if len(list) != 1 || list[0].Domain != c.want {
			t.Errorf("%q: %+v", c.in, list)
		}
		if len(list) == 1 && c.want == "" && !slices.Contains(list[0].Defects, MailboxDomain) {
			t.Errorf("%q has no defect", c.in)
		}
	}
}

func TestEncodedWordsAreDecodedAsProgramsDo(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"plain", "plain"},
		{"=?utf-8?B?w7w=?=", "ü"},
		{"=?ISO-8859-1?Q?Andr=E9?= Pirard", "André Pirard"},
		{"=?utf-8?q?a?= =?utf-8?q?b?= c", "ab c"},
		{"=?utf-8?B?ww==?= =?utf-8?B?vA==?=", "ü"}, // a character split between words
		{"x=?utf-8?q?a?=y", "xay"},
		{"=?gb2312?B?1tDOxA==?=", "中文"},
		{"=?iso-2022-jp?B?GyRCRnxLXBsoQg==?=", "日本"},
		{"=?utf-16?B?/v8ATgBv?=", "No"},
		{"=?utf-7?Q?+AGE-b?=", "ab"},
		{"=?windows-1251?Q?=CF=F0?=", "Пр"},
		{"=?x-unknown?Q?=E9?=", "é"},
		{"=?utf-8*en?Q?a?=", "a"},
		{"=?utf-8?Q?bad=ZZ?=", "bad=ZZ"},
		{"=?utf-8?X?a?=", "=?utf-8?X?a?="},
		{"=?utf-8?Q?open", "=?utf-8?Q?open"},
		{"caf\xe9", "café"},
	} {
		if got := DecodeWords(c.in); got != c.want {
			t.Errorf("%q: %q, want %q", c.in, got, c.want)
		}
	}
}
