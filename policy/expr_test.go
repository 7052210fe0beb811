package policy

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"gatepost/filters"
)

// holds reports whether an expression is true of a report, and why that is unknown if it is.
func holds(t testing.TB, when string, rep *filters.Report) (bool, string) {
	t.Helper()
	d := parse(t, "lists: {partners: {domains: [partner.example], addresses: [x@y.example], networks: [198.51.100.0/24], words: [Blue Moon], people: [{name: Ann Lee, addresses: [ann@example.com]}]}}\n"+
		"rules:\n  - name: it\n    when: >-\n      "+when+"\n    then: {add_header: 'X-It: yes'}\n").Decide(envelope("c@example.com", "d@example.com"), rep)
	for _, u := range d.Unknown {
		if u.Rule == "it" {
			return false, u.Text
		}
	}
	return len(d.AddHeaders) == 1, ""
}

// rich is a report with every fact.
func rich() *filters.Report {
	r := report("links.listed")
	r.Auth = &filters.Auth{SPF: filters.SPF{Result: "softfail"}, SPFHelo: filters.SPF{Result: "pass"}, DKIM: []filters.DKIM{{Result: "fail"}, {Result: "pass"}},
		DMARC: filters.DMARC{Result: "pass", Policy: "reject", Disposition: "none"}, ARC: filters.ARC{Result: "fail"}, IPRev: "pass", Domain: "b.example", By: "dkim"}
	r.Message = &filters.MessageFacts{From: "a@b.example", FromDomain: "b.example", FromName: "Ann  LEE", To: []string{"c@example.com"}, ReplyTo: []string{"z@z.example"},
		Subject: "Invoice 7", Size: 4711, Date: "2026-11-20T10:00:00+02:00", MessageID: "<1@b.example>",
		Header: filters.Header{{Name: "X-Mailer", Value: "Mail 1"}, {Name: "received", Value: "one"}, {Name: "Received", Value: "two"}}}
	r.Attachments = []filters.Attachment{{Name: "a.zip", Names: []string{"a.zip", "b.EXE"}, Type: "application/zip", Size: 9, SHA256: "ab", Path: []string{"x.zip", "a.zip"}, Macro: true}}
	r.URLs = []filters.URL{{URL: "https://w.evil.example/x", Host: "w.evil.example", Domain: "evil.example", Text: "bank.example"}}
	r.Text = &filters.Text{Language: "de", Words: 12}
	return r
}

func TestEveryFactCanBeNamed(t *testing.T) {
	for _, when := range []string{
		`envelope.client == "198.51.100.7" && envelope.client_name == "" && envelope.helo == "h.example"`,
		`envelope.mail_from == "a@b.example" && envelope.mail_from_domain == "b.example"`,
		`"d@example.com" in envelope.rcpt && envelope.rcpt_count == 2 && size(envelope.rcpt) == 2`,
		`!envelope.tls && envelope.tls_version == "" && !envelope.trusted`,
		`auth.spf == "softfail" && auth.spf_helo == "pass" && auth.dkim == "pass" && auth.dmarc == "pass" && auth.arc == "fail" && auth.domain == "b.example"`,
		`auth.dmarc_policy == "reject" && auth.dmarc_disposition == "none" && auth.by == "dkim" && auth.iprev == "pass"`,
		`message.from == "a@b.example" && message.from_domain.endsWith(".example") && message.from_name.lowerAscii() == "ann  lee"`,
		`message.to[0] == "c@example.com" && message.froms == ["a@b.example"] && message.reply_to.exists(r, r.contains("z.example"))`,
		`message.subject.matches("^Invoice [0-9]+$") && message.size == 4711 && message.message_id == "<1@b.example>"`,
		`now - message.date > duration("72h") && now - message.date <= duration("73h") && now.getFullYear() == 2026`,
		`message.header("X-Mailer") == "Mail 1" && message.header("none") == "" && message.headers("Received") == ["one", "two"]`,
		`attachments.exists(a, a.name == "a.zip" && a.names.exists(n, n.lowerAscii().endsWith(".exe")) && a.type == "application/zip" && a.extension == "zip")`,
		`attachments.all(a, a.size == 9 && a.sha256 == "ab" && a.path == ["x.zip", "a.zip"] && a.macro && !a.encrypted && !a.executable && a.declared == "" && size(a.defects) == 0)`,
		`urls.exists_one(u, u.url.startsWith("https://") && u.host == "w.evil.example" && u.domain == "evil.example" && u.text == "bank.example")`,
		`text.language == "de" && text.words < 20`,
		`has("links.listed") && has("links.*") && !has("links.phish")`,
		`score == 7.0 && score >= 7.0 && score < 8`,
		`in_list("a@partner.example", "partners") && in_list("partner.example", "partners") && !in_list("a@sub.partner.example", "partners")`,
		`in_list("X@y.example", "partners") && in_list(envelope.client, "partners") && in_list("blue  moon", "partners") && in_list(message.from_name, "partners")`,
		`has_fact(auth.dmarc) && has_fact(attachments) && has_fact(message) && has_fact(text) && !has_fact(envelope.country) && !has_fact(envelope.asn)`,
		`attachments.filter(a, a.macro).map(a, a.name) == ["a.zip"] && urls.size() == 1`,
		`(message.size > 10 ? "big" : "small") == "big"`,
	} {
		if ok, why := holds(t, when, rich()); !ok {
			t.Errorf("%s: false %s", when, why)
		}
	}
}

// TestUnknownIsThreeValued states that an absent fact decides nothing, unless the other side decides alone.
func TestUnknownIsThreeValued(t *testing.T) {
	for _, c := range []struct{ when, unknown string }{
		{`auth.dmarc == "fail"`, "auth.dmarc"},
		{`auth.dmarc != "fail"`, "auth.dmarc"},
		{`!(auth.dmarc == "fail")`, "auth.dmarc"},
		{`auth.dmarc == "fail" || message.size > 1`, "auth.dmarc"}, // both are absent
		{`auth.dmarc == "fail" || envelope.rcpt_count == 2`, "true"},
		{`auth.dmarc == "fail" && envelope.rcpt_count == 3`, "false"},
		{`auth.dmarc == "fail" ? true : true`, "auth.dmarc"},
		{`attachments.exists(a, a.macro)`, "attachments"},
		{`size(urls) == 0`, "urls"},
		{`message.header("x") == ""`, "message.header"},
		{`has_fact(auth) || has_fact(text)`, "false"},
		{`text.words == 0`, "text.words"},
		{`envelope.country == "DE"`, "envelope.country"},
	} {
		ok, why := holds(t, c.when, &filters.Report{})
		got := fmt.Sprint(ok)
		if why != "" {
			got = strings.TrimSuffix(strings.TrimPrefix(why, "Not decided: "), " is not known.")
		}
		if got != c.unknown {
			t.Errorf("%s: got %s, want %s", c.when, got, c.unknown)
		}
	}
}

// TestLoopsInLoopsAreGivenUp gives a rule that compares all links with all links a message with thousands: it is
// unknown, and by counting, not by the clock.
func TestLoopsInLoopsAreGivenUp(t *testing.T) {
	rep := rich()
	for i := range 5000 {
		rep.URLs = append(rep.URLs, filters.URL{Host: fmt.Sprintf("h%d.example", i)})
	}
	ok, why := holds(t, `urls.all(a, urls.exists(b, a.host == b.host + "x"))`, rep)
	if ok || why != "" {
		t.Errorf("one row is enough to tell: %v %q", ok, why)
	}
	ok, why = holds(t, `urls.exists(a, urls.exists(b, a.host == b.host + "x"))`, rep)
	if ok || !strings.Contains(why, "cost limit") {
		t.Errorf("got %v %q", ok, why)
	}
	if ok, why := holds(t, `urls.exists(a, a.host == "h4999.example")`, rep); !ok {
		t.Errorf("a plain loop sees everything: %q", why)
	}
}

func TestPositionsInExpressionsPointIntoTheFile(t *testing.T) {
	for _, c := range []struct{ yaml, at string }{
		{"rules:\n  - name: a\n    when: true && nix == 1\n    then: tag\n", "3:19"},
		{"rules:\n  - name: a\n    when: \"true && nix == 1\"\n    then: tag\n", "3:20"},
		{"rules:\n  - name: a\n    when: |\n      true &&\n        nix == 1\n    then: tag\n", "5:9"},
		{"rules: [{name: a, when: 'nix', then: tag}]", "1:26"},
	} {
		_, problems := Parse("p.yaml", []byte(c.yaml), Options{})
		if len(problems) != 1 || !strings.HasPrefix(problems[0].Error(), "p.yaml:"+c.at+": ") {
			t.Errorf("%q: got %v, want %s", c.yaml, problems, c.at)
		}
	}
}

func TestListFilesAreRelativeToThePolicy(t *testing.T) {
	read := func(path string) ([]byte, error) {
		if path == "conf/lists/p.txt" {
			return []byte("# partners\npartner.example\n*.wide.example # all below\nann@one.example\n198.51.100.0/25\n"), nil
		}
		return nil, fmt.Errorf("asked for %s", path)
	}
	p, problems := Parse("conf/policy.yaml", []byte("lists: {p: {file: lists/p.txt}}"), Options{ReadFile: read})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	l := p.lists["p"]
	for value, want := range map[string]bool{"partner.example": true, "x@partner.example": true, "a.partner.example": false, "a.wide.example": true,
		"wide.example": false, "ANN@one.example": true, "bob@one.example": false, "198.51.100.7": true, "198.51.100.200": false, "": false} {
		if got := l.holds(value, time.Time{}); got != want {
			t.Errorf("%q: %v", value, got)
		}
	}
}

func TestGlob(t *testing.T) {
	for _, c := range []struct {
		pattern, s string
		want       bool
	}{{"*.exe", "a.exe", true}, {"*.exe", "a.exe.txt", false}, {"a*b*c", "aXbYc", true}, {"a*b*c", "ac", false}, {"*", "", true}, {"", "", true},
		{"*a*", "bab", true}, {"ab*ba", "aba", false}, {"**", "x", true}, {"a*a", "a", false}} {
		if got := glob(c.pattern, c.s); got != c.want {
			t.Errorf("%q on %q: %v", c.pattern, c.s, got)
		}
	}
}

// FuzzParse reads any policy: it never fails otherwise than by problems with positions, and what it accepts judges.
func FuzzParse(f *testing.F) {
	f.Add("rules: [{name: a, when: 'score > 3', then: tag}]")
	f.Add(replayed)
	f.Add(dozen)
	f.Add("access: [{deny: {client: 10.0.0.0/8}}]\nthresholds: {tag: off}\nlimits: [{name: a, key: client, count: bytes, rate: 1MiB/1h}]")
	read := func(string) ([]byte, error) { return nil, fmt.Errorf("no files here") }
	rep := rich()
	f.Fuzz(func(t *testing.T, text string) {
		p, problems := Parse("p.yaml", []byte(text), Options{ReadFile: read})
		if (p == nil) != (len(problems) > 0) {
			t.Fatalf("policy %v, problems %v", p != nil, problems)
		}
		if p == nil {
			return
		}
		env := envelope("c@example.com", "d@two.example")
		d := p.Decide(env, rep)
		if !slices.Contains(decidingActions, string(d.Action)) || len(d.Recipients) != 2 {
			t.Fatalf("decided %+v", d)
		}
		p.Settled(env, rep)
	})
}

// FuzzExpression compiles any expression; problems stay inside the file.
func FuzzExpression(f *testing.F) {
	for _, s := range []string{`score > 3`, `attachments.exists(a, a.macro)`, `has("x.y") && has_fact(auth)`, `in_list(message.from, "l")`, `"` + "\\", `urls.map(u, u.host).size() > 1`,
		`message.header("x")[0] == "y"`, `true ? 1 : 2`, `[1,2].all(x, x > 0)`, `has(a.b.c)`, `auth.`, `((((`} {
		f.Add(s)
	}
	c := &compiler{p: &Policy{lists: map[string]*list{"l": {}}}}
	env, err := c.newEnv()
	if err != nil {
		f.Fatal(err)
	}
	rep := rich()
	f.Fuzz(func(t *testing.T, text string) {
		c := &compiler{p: c.p, env: env, lines: []string{"when: " + text}}
		e := c.expression(item{Value: text})
		if (e == nil) != (len(c.problems) > 0) {
			t.Fatalf("compiled %v, problems %v", e != nil, c.problems)
		}
		if e != nil {
			e.eval(&facts{env: envelope("c@example.com"), rep: rep})
		}
	})
}
