package policy

import (
	"io/fs"
	"reflect"
	"strings"
	"testing"
	"time"

	"gatepost/filters"
	"gatepost/filters/mail"
)

// files is a disk in memory.
type files map[string]string

func (f files) read(path string) ([]byte, error) {
	text, ok := f[path]
	if !ok {
		return nil, fs.ErrNotExist
	}
	return []byte(text), nil
}

// What people write on the pages comes back as it was, whatever the text, and is asked after the policy file's own entries.
func TestEntriesOfThePagesAreReadAsTheyWereWritten(t *testing.T) { // N-02
	hostile := "x\"}\n  - allow: {client: [\"0.0.0.0/0\"]}\n# <script> \u2028 é"
	entries := []Entry{
		{Sender: []string{"@bad.example"}, Reason: hostile, Owner: "ada", From: "01abc", Expires: time.Date(2027, 1, 31, 12, 0, 0, 0, time.UTC)},
		{Allow: true, Sender: []string{"ann@friend.example"}, Recipient: []string{"bob@example.com"}, Owner: "bob"},
		{Allow: true, Unsafe: true, Sender: []string{"*.old.example"}},
		{Client: []string{"192.0.2.0/24", "*.pool.example"}, Helo: []string{"localhost"}},
	}
	disk := files{"policy.yaml": "access:\n  - allow: {client: 192.0.2.7}\n", "entries.yaml": string(WriteEntries(entries))}
	p, problems := Load("policy.yaml", Options{ReadFile: disk.read, Entries: "entries.yaml"})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	got := p.Entries()
	if len(got) != 5 || got[0].Key != "" || got[0].At != "policy.yaml:2" {
		t.Fatalf("%+v", got)
	}
	seen := map[string]bool{}
	for i, e := range got[1:] {
		if e.Key == "" || seen[e.Key] || !strings.HasPrefix(e.At, "entries.yaml:") {
			t.Errorf("entry %d: key %q at %q", i, e.Key, e.At)
		}
		seen[e.Key] = true
		e.Key, e.At = "", ""
		want := entries[i]
		want.Reason = mail.Printable(want.Reason, 300)
		for _, f := range []*[]string{&want.Client, &want.Helo, &want.Sender, &want.Recipient, &want.Country, &want.ASN} {
			if *f == nil {
				*f = []string{}
			}
		}
		if !reflect.DeepEqual(e, want) {
			t.Errorf("entry %d: %+v, want %+v", i, e, want)
		}
	}
	if again := WriteEntries(got[1:]); string(again) != disk["entries.yaml"] {
		t.Errorf("written again it is otherwise:\n%s", again)
	}
}

// A file of entries that is not there holds none, and one that is broken is a problem at its place.
func TestAMissingFileOfEntriesIsEmptyAndABrokenOneIsAProblem(t *testing.T) {
	for text, want := range map[string]string{
		"":                                      "",
		"access: []\n":                          "",
		"access:\n  - allow: {sendr: x@y.zz}\n": "entries.yaml:2:12: ",
		"access:\n  - deny: {sender: '@'}\n":    "entries.yaml:2:20: ",
		"rules: []\n":                           "entries.yaml:1:1: ",
	} {
		disk := files{}
		if text != "" {
			disk["entries.yaml"] = text
		}
		_, problems := Parse("", nil, Options{ReadFile: disk.read, Entries: "entries.yaml"})
		if want == "" && len(problems) > 0 || want != "" && (len(problems) == 0 || !strings.HasPrefix(problems[0].Error(), want)) {
			t.Errorf("%q: %v, want %q", text, problems, want)
		}
	}
}

// An allow entry made from a message counts only for mail that is proved to come from there, however often its
// address is borrowed (BETS 8), and never for malware.
func TestForgeriesOfAnAllowedSenderAreJudgedAllTheSame(t *testing.T) {
	disk := files{"entries.yaml": string(WriteEntries([]Entry{{Allow: true, Sender: []string{"@friend.example"}}}))}
	p, problems := Parse("", nil, Options{ReadFile: disk.read, Entries: "entries.yaml"})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	for i := range 20 {
		from := address("person" + string(rune('a'+i)) + "@friend.example")
		env := &mail.Envelope{ID: "x", Time: time.Now(), From: from, Rcpts: []mail.Address{address("bob@example.com")}}
		forged := &filters.Report{Facts: filters.Facts{Findings: []filters.Finding{{Code: "dmarc.fail"}, {Code: "spoof.own-domain"}},
			Auth: &filters.Auth{}, Message: &filters.MessageFacts{From: from.String()}}}
		if d := p.Decide(env, forged); d.Action == Accept {
			t.Errorf("%s, forged: %s", from, d.Action)
		}
		proved := *forged
		proved.Auth = &filters.Auth{Domain: "friend.example"}
		if d := p.Decide(env, &proved); d.Action != Accept {
			t.Errorf("%s, proved: %s", from, d.Action)
		}
		malware := proved
		malware.Findings = append(malware.Findings, filters.Finding{Code: "attach.eicar"})
		if d := p.Decide(env, &malware); d.Action == Accept || d.Class != Malware {
			t.Errorf("%s, proved, with malware: %s %s", from, d.Action, d.Class)
		}
	}
}
