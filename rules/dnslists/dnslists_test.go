package dnslists

import (
	"net/netip"
	"strings"
	"testing"

	"gatepost/rules/conf"
)

func TestEveryShippedListIsWhole(t *testing.T) {
	lists, err := Shipped()
	if err != nil {
		t.Fatal(err)
	}
	if len(lists) < 8 {
		t.Fatalf("%d lists", len(lists))
	}
	for _, l := range lists {
		if l.About == "" || !strings.HasPrefix(l.Terms, "https://") || !strings.HasPrefix(l.Help, "https://") || len(l.Means()) == 0 {
			t.Errorf("%s says too little of itself: %+v", l.Name, l)
		}
		if strings.ContainsAny(l.Name, ". ") {
			t.Errorf("%q cannot be part of a finding's code", l.Name)
		}
	}
}

func TestAnswersMeanWhatTheirListsSay(t *testing.T) { // L-06
	lists, err := Shipped()
	if err != nil {
		t.Fatal(err)
	}
	byName := map[string]List{}
	for _, l := range lists {
		byName[l.Name] = l
	}
	for _, c := range []struct {
		list, answer string
		reading      Reading
		means        string
	}{
		{"spamhaus-zen", "127.0.0.2", Word, "listed"},
		{"spamhaus-zen", "127.0.0.7", Word, "listed"},
		{"spamhaus-zen", "127.0.0.11", Word, "policy"},
		{"spamhaus-zen", "127.0.0.8", Unknown, ""},
		{"spamhaus-zen", "127.255.255.254", Blocked, ""},
		{"spamcop", "127.255.255.252", Blocked, ""},
		{"spamhaus-zen", "192.0.2.1", Foreign, ""},
		{"spamhaus-zen", "::1", Foreign, ""},
		{"spamhaus-dbl", "127.0.1.255", Blocked, ""},
		{"spamhaus-dbl", "127.0.1.104", Word, "abused"},
		{"surbl", "127.0.0.80", Word, "malware listed"},
		{"surbl", "127.0.0.1", Blocked, ""},
		{"surbl", "127.0.0.4", Unknown, ""},
		{"dnswl", "127.0.5.3", Word, "allowed"},
		{"dnswl", "127.0.5.0", Word, "nothing"},
		{"dnswl", "127.0.0.255", Blocked, ""},
	} {
		l := byName[c.list]
		reading, answers := l.Read(netip.MustParseAddr(c.answer))
		var means []string
		for _, a := range answers {
			means = append(means, string(a.Means))
		}
		if reading != c.reading || strings.Join(means, " ") != c.means {
			t.Errorf("%s %s: %v %v, want %v %q", c.list, c.answer, reading, means, c.reading, c.means)
		}
	}
}

func TestAListThatContradictsItselfIsRefusedWithItsPlace(t *testing.T) {
	for text, want := range map[string]string{
		"zone: nodots\nasks: [client]":                                         "1:7: ",
		"zone: bl.example.net\nasks: [client, mailbox]\nhash: sha1":            "a list of mailboxes",
		"zone: bl.example.net\nasks: [mailbox]":                                "needs hash",
		"zone: bl.example.net\nasks: [clients]":                                `did you mean "client"`,
		"zone: bl.example.net\nasks: [client]\nanswers: {192.0.2.1: listed x}": "not an answer",
		"zone: bl.example.net\nasks: [client]\nanswers: {127.0.0.9-2: listed}": "not an octet",
		"zone: bl.example.net\nasks: [client]\nanswers: {127.0.0.2: lsited x}": `did you mean "listed"`,
		"zone: bl.example.net\nasks: [link]\nbits: {3: listed x}":              "not one bit",
		"zone: bl.example.net\nasks: [link]\ntest: {listed: x.example}":        "must not list",
		"zone: bl.example.net\nasks: [link]\nanswers: [127.0.0.2]":             "expected answers",
		"zone: bl.example.net\nasks: [link]\nblocked: [10.0.0.1]":              "not an answer",
	} {
		var l List
		problems := conf.Decode("f.yaml", []byte(text), &l)
		if len(problems) == 0 || !strings.Contains(problems[0].Error(), want) {
			t.Errorf("%q: %v, want %q", text, problems, want)
		}
	}
	var plain List
	if p := conf.Decode("f.yaml", []byte("zone: BL.example.net.\nasks: [client]"), &plain); len(p) > 0 || plain.Zone != "bl.example.net" || plain.Test.Listed != "127.0.0.2" || len(plain.Means()) != 1 {
		t.Errorf("a plain list: %v %+v", p, plain)
	}
}
