package policy

import (
	"slices"
	"testing"

	"gatepost/filters"
)

// decide judges a report for some recipients under a policy.
func decide(t testing.TB, yaml string, rep *filters.Report, rcpts ...string) Decision {
	t.Helper()
	if rcpts == nil {
		rcpts = []string{"c@example.com"}
	}
	return parse(t, yaml).Decide(envelope(rcpts...), rep)
}

// TestRecipientsWhoDisagree is the truth table of BETS 5: three recipients who each deserve one of five outcomes, 125 cases.
func TestRecipientsWhoDisagree(t *testing.T) {
	p := parse(t, `rules:
  - {name: r-tag, for: "tag*@*", then: tag}
  - {name: to-tag, for: ["a-tag@x.example", "b-tag@x.example", "c-tag@x.example"], then: tag}
  - {name: to-quarantine, for: ["a-quarantine@x.example", "b-quarantine@x.example", "c-quarantine@x.example"], then: quarantine}
  - {name: to-reject, for: ["a-reject@x.example", "b-reject@x.example", "c-reject@x.example"], then: reject}
  - {name: to-defer, for: ["a-defer@x.example", "b-defer@x.example", "c-defer@x.example"], then: defer}
`)
	outcomes := []Action{Accept, Tag, Quarantine, Reject, Defer}
	cases := 0
	for _, a := range outcomes {
		for _, b := range outcomes {
			for _, c := range outcomes {
				cases++
				wanted := []Action{a, b, c}
				d := p.Decide(envelope("a-"+string(a)+"@x.example", "b-"+string(b)+"@x.example", "c-"+string(c)+"@x.example"), report())
				checkFold(t, wanted, d)
			}
		}
	}
	if cases != 125 {
		t.Errorf("%d cases", cases)
	}
}

// checkFold states the fold a second time, in words of the wire: what is replied, what is delivered, what is kept.
func checkFold(t *testing.T, wanted []Action, d Decision) {
	t.Helper()
	count := func(a Action) (n int) {
		for _, w := range wanted {
			if w == a {
				n++
			}
		}
		return n
	}
	code := 250
	switch {
	case count(Defer) > 0:
		code = 451
	case count(Reject) == 3:
		code = 550
	}
	if d.Reply.Code != code {
		t.Errorf("%v: replied %d, want %d", wanted, d.Reply.Code, code)
	}
	for i, v := range d.Recipients {
		delivered := v.Action == Accept || v.Action == Tag
		kept := v.Action == Quarantine
		switch {
		case v.Wanted != wanted[i]:
			t.Errorf("%v: recipient %d deserved %s, got %s", wanted, i, wanted[i], v.Wanted)
		case code != 250 && (delivered || kept):
			t.Errorf("%v: copy %d is taken (%s) although the client was told no", wanted, i, v.Action)
		case code == 250 && !delivered && !kept:
			t.Errorf("%v: copy %d is lost (%s) although the client was told yes", wanted, i, v.Action)
		case code == 250 && delivered && v.Action != wanted[i]:
			t.Errorf("%v: copy %d is delivered as %s", wanted, i, v.Action)
		case code == 250 && wanted[i] == Reject && !kept:
			t.Errorf("%v: the rejected copy %d is not kept", wanted, i)
		}
		if v.Wanted != v.Action && v.Because[len(v.Because)-1].Text == "" {
			t.Errorf("%v: recipient %d is not told why it is %s", wanted, i, v.Action)
		}
	}
}

func TestRulesDecideInOrder(t *testing.T) {
	const order = `rules:
  - {name: first, when: 'message.subject == "Hello"', then: tag}
  - {name: second, when: 'message.subject == "Hello"', then: reject}
`
	d := decide(t, order, report())
	if d.Action != Tag || !slices.Equal(d.Decided, []string{"first"}) {
		t.Errorf("got %s because of %v", d.Action, d.Decided)
	}
}

func TestScoreRulesAddAndLaterRulesSeeIt(t *testing.T) {
	d := decide(t, `rules:
  - {name: add, when: 'message.subject == "Hello"', then: {score: 2.5}}
  - {name: see, when: 'score >= 2.5 && score < 2.6', then: quarantine, class: spam}
`, report())
	if d.Action != Quarantine || d.Class != Spam || d.Score != 2500 {
		t.Errorf("got %s %s %s", d.Action, d.Class, d.Score)
	}
	if !slices.Equal(d.Decided, []string{"see", "add"}) && !slices.Equal(d.Decided, []string{"add", "see"}) {
		t.Errorf("decided by %v", d.Decided)
	}
}

func TestMonitoredRulesAreRecordedAndNotActedOn(t *testing.T) {
	d := decide(t, `rules: [{name: watch, when: 'message.size > 10', then: [reject, {score: 9}], mode: monitor}]`, report())
	if d.Action != Accept || d.Score != 0 || len(d.Monitored) != 1 || d.Monitored[0].Rule != "watch" {
		t.Errorf("got %s at %s, monitored %v", d.Action, d.Score, d.Monitored)
	}
}

func TestARuleOverAnAbsentFactDoesNotMatchAndSaysSo(t *testing.T) {
	const rules = `rules:
  - {name: not-pass, when: 'auth.dmarc != "pass"', then: reject}
  - {name: asks-first, when: 'has_fact(auth.dmarc) && auth.dmarc != "pass"', then: reject}
  - {name: either, when: 'auth.dmarc != "pass" || message.size > 10', then: tag}
`
	rep := report()
	rep.Auth = nil
	d := decide(t, rules, rep)
	if d.Action != Tag || d.Decided[0] != "either" {
		t.Errorf("got %s because of %v", d.Action, d.Decided)
	}
	if len(d.Unknown) < 3 || d.Unknown[0].Text != "Not decided: auth.dmarc is not known." {
		// not-pass and, where auth is absent, the shipped DMARC rules; asks-first is simply false
		for _, u := range d.Unknown {
			if u.Rule == "asks-first" {
				t.Errorf("asks-first is unknown: %v", u)
			}
		}
	}
}

func TestAFailureHasTheStatedAction(t *testing.T) {
	for _, c := range []struct {
		filter, yaml string
		action       Action
		code         int
		enhanced     string
	}{
		{"clamd", "", Defer, 451, "4.7.1"},
		{"auth", "", Defer, 451, "4.4.3"},
		{"attach", "", Quarantine, 250, "2.0.0"},
		{"dnsbl", "", Accept, 250, "2.0.0"},
		{"clamd", "failures: {clamd: accept}", Accept, 250, "2.0.0"},
		{"clamd", "failures: {clamd: reject}", Reject, 550, "5.7.1"},
		{"never-heard-of", "", Defer, 451, "4.3.0"}, // what nobody classified is temporary
	} {
		rep := report()
		rep.Failures = []filters.Failure{{Filter: c.filter, Error: "timeout after 5s"}}
		d := decide(t, c.yaml, rep)
		if d.Action != c.action || d.Reply.Code != c.code || d.Reply.Enhanced != c.enhanced {
			t.Errorf("%s %s: got %s, %d %s", c.filter, c.yaml, d.Action, d.Reply.Code, d.Reply.Enhanced)
		}
		if c.action != Accept && !slices.Equal(d.Decided, []string{"not_run." + c.filter}) {
			t.Errorf("%s: decided by %v", c.filter, d.Decided)
		}
	}
}

func TestARefusalForOtherReasonsOutweighsAFailure(t *testing.T) {
	rep := report("content.gtube")
	rep.Failures = []filters.Failure{{Filter: "clamd", Error: "timeout after 5s"}}
	if d := decide(t, "", rep); d.Action != Reject {
		t.Errorf("got %s", d.Action)
	}
}

func TestRepliesFitWhatDecided(t *testing.T) {
	dmarc := report("dmarc.fail")
	dmarc.Auth.DMARC = filters.DMARC{Result: "fail", Disposition: "reject"}
	for _, c := range []struct {
		name, yaml string
		rep        *filters.Report
		code       int
		enhanced   string
		class      Class
	}{
		{"DMARC asks to reject", "", dmarc, 550, "5.7.26", Phish},
		{"EICAR", "rules: [{name: malware, then: reject}]", report("attach.eicar"), 554, "5.7.1", Malware},
		{"EICAR, held by default", "", report("attach.eicar"), 250, "2.0.0", Malware},
		{"a scanner's find", "rules: [{name: malware, then: reject}]", report("clamd.found"), 554, "5.7.1", Malware},
		{"D-07 two From fields", "", report("defect.header.from-twice"), 550, "5.6.0", ByRule},
		{"spam", "", report("content.gtube"), 550, "5.7.1", Spam},
		{"SPF by weight", "weights: {spf.fail: 16}", report("spf.fail"), 550, "5.7.23", Phish},
		{"an attachment by weight", "weights: {attach.shortcut: 16}", report("attach.shortcut"), 554, "5.7.1", ByRule},
		{"a rule's own words", `rules: [{name: a, finding: dmarc.pass, then: reject, reply: {code: 550, enhanced: 5.7.20, text: Sign it}}]`,
			report("dmarc.pass"), 550, "5.7.20", ByRule},
	} {
		d := decide(t, c.yaml, c.rep)
		if d.Reply.Code != c.code || d.Reply.Enhanced != c.enhanced || d.Class != c.class {
			t.Errorf("%s: got %d %s (%s), class %q", c.name, d.Reply.Code, d.Reply.Enhanced, d.Reply.Text, d.Class)
		}
		if len(d.Reply.Text) > 200 {
			t.Errorf("%s: the reply is %d characters long", c.name, len(d.Reply.Text))
		}
	}
}

func TestAmbiguousStructureIsQuarantined(t *testing.T) {
	// E-01
	if d := decide(t, "", report("defect.mime.boundary-twice")); d.Action != Quarantine || !slices.Contains(d.Decided, "ambiguous") {
		t.Errorf("got %s because of %v", d.Action, d.Decided)
	}
}

// E-17: what only makes a message together with others is refused by its own code (RFC 3463, X.6.1).
func TestAFragmentIsRefused(t *testing.T) {
	d := decide(t, "", report("defect.mime.partial"))
	if d.Action != Reject || d.Reply.Code != 550 || d.Reply.Enhanced != "5.6.1" {
		t.Errorf("got %s, %d %s because of %v", d.Action, d.Reply.Code, d.Reply.Enhanced, d.Decided)
	}
}

// E-20: encrypted mail is told of and passes, unless the site asks to look into everything.
func TestEncryptedMailIsWatchedUnlessEnforced(t *testing.T) {
	for _, code := range []string{"defect.mime.smime", "defect.mime.pgp"} {
		d := decide(t, "", report(code))
		if d.Action != Accept || len(d.Monitored) != 1 || d.Monitored[0].Rule != "encrypted-message" {
			t.Errorf("%s: got %s, monitored %v", code, d.Action, d.Monitored)
		}
		d = decide(t, "rules: [{name: encrypted-message, mode: enforce}]", report(code))
		if d.Action != Quarantine || !slices.Contains(d.Decided, "encrypted-message") {
			t.Errorf("%s, enforced: got %s because of %v", code, d.Action, d.Decided)
		}
	}
}

func TestNothingDeliversMalware(t *testing.T) {
	for _, yaml := range []string{
		`rules: [{name: let-in, from: "@b.example", then: accept}]`,
		`rules: [{name: let-in, from: "@b.example", then: tag}, {name: malware, mode: off}]`,
		`access: [{allow: {client: 198.51.100.7}}]`,
		`access: [{allow: {sender: "@b.example", unsafe: true}}]`,
		"access: [{allow: {client: 198.51.100.7}}]\nrules: [{name: malware, mode: off}]\nthresholds: {tag: off, quarantine: off, reject: off}",
		"thresholds: {tag: off, quarantine: off, reject: off}\nrules: [{name: malware, mode: monitor}]",
	} {
		d := decide(t, yaml, report("attach.eicar"))
		if d.Action != Reject && d.Action != Quarantine || d.Class != Malware {
			t.Errorf("%s\ngives %s, class %s", yaml, d.Action, d.Class)
		}
	}
}

// TestWhatARuleCallsMalwareStaysMalwareHoweverHighItScores: who may release it must not depend on what else was found.
func TestWhatARuleCallsMalwareStaysMalwareHoweverHighItScores(t *testing.T) {
	const rules = "weights: {spf.fail: 9, headers.*: 1}\nrules:\n  - {name: macro, finding: attach.macro, then: {at_least: quarantine}, class: malware}\n"
	for _, codes := range [][]string{{"attach.macro"}, {"attach.macro", "spf.fail"}, {"attach.macro", "spf.fail", "dmarc.fail"}} {
		if d := decide(t, rules, report(codes...)); d.Class != Malware {
			t.Errorf("%v: class %s", codes, d.Class)
		}
	}
	if d := decide(t, rules, report("spf.fail")); d.Class == Malware {
		t.Error("a message without a macro is malware")
	}
}

func TestModifiersReachTheCopiesTheyAreFor(t *testing.T) {
	d := decide(t, `rules:
  - {name: mark, when: 'message.size > 0', then: {add_header: "X-Site: outside"}}
  - {name: archive, for: boss@example.com, then: [{bcc: archive@example.com}, {add_header: {X-Copy: archived}}]}
  - {name: moved, for: old@example.com, then: {redirect: new@example.com}}
  - {name: bare, for: bare@example.com, then: {strip: attachments}}
`, report(), "boss@example.com", "old@example.com", "bare@example.com")
	if len(d.AddHeaders) != 1 || d.AddHeaders[0] != (HeaderField{"X-Site", "outside"}) || d.Strip != nil {
		t.Errorf("for all: %v %v", d.AddHeaders, d.Strip)
	}
	boss, old, bare := d.Recipients[0], d.Recipients[1], d.Recipients[2]
	if !slices.Equal(boss.Bcc, []string{"archive@example.com"}) || len(boss.AddHeaders) != 1 || boss.AddHeaders[0].Name != "X-Copy" {
		t.Errorf("boss: %+v", boss)
	}
	if old.Redirect != "new@example.com" || len(old.AddHeaders) != 0 {
		t.Errorf("old: %+v", old)
	}
	if !slices.Equal(bare.Strip, []string{"attachments"}) {
		t.Errorf("bare: %+v", bare)
	}
}

func TestSimpleMatchersReadLikeTheirSentence(t *testing.T) {
	base := report()
	base.Attachments = []filters.Attachment{{Name: "Invoice.PDF.EXE", Names: []string{"Invoice.PDF.EXE", "x.txt"}, Type: "application/x-dosexec"}}
	for _, c := range []struct {
		match string
		want  bool
	}{
		{`from: a@b.example`, true}, {`from: "@b.example"`, true}, {`from: "*.example"`, true}, {`from: "@c.example"`, false},
		{`sender: "a@*"`, true}, {`sender: "<>"`, false}, {`helo: "*.example"`, true}, {`helo: example`, false},
		{`client: 198.51.100.0/24`, true}, {`client: [192.0.2.1, "2001:db8::/32"]`, false},
		{`subject: "hel*"`, true}, {`subject: "*ell*"`, true}, {`subject: hell`, false},
		{`attachment: "*.exe"`, true}, {`attachment: "*.txt"`, true}, {`attachment: "application/x-*"`, true}, {`attachment: "*.pdf"`, false},
		{`from: "@b.example", subject: "bye*"`, false}, {`from: "@b.example", subject: "h*"`, true},
		{`for: "*@example.com", helo: h.example`, true}, {`for: d@example.com, helo: h.example`, false},
	} {
		d := decide(t, "rules: [{name: it, "+c.match+", then: {score: 1}}]", base)
		if got := d.Score == 1000; got != c.want {
			t.Errorf("%s: matched %v", c.match, got)
		}
	}
}

func TestSettledOnlyWhenNothingCouldChangeIt(t *testing.T) {
	for _, c := range []struct {
		name, yaml string
		rep        *filters.Report
		want       bool
	}{
		{"nothing found", "", report(), false},
		{"malware that is refused", "rules: [{name: malware, then: reject}]", report("attach.eicar"), true},
		{"malware that is held", "", report("attach.eicar"), false},
		{"refused structure", "", report("defect.header.from-twice"), true},
		{"far above the threshold", "rules: [{name: malware, then: reject}]", report("content.gtube"), true},
		{"far above the threshold, but malware would be held", "", report("content.gtube"), false},
		{"just above, and relief may come", "weights: {links.listed: 15}", report("links.listed"), false},
		{"an accept rule may still match", "rules: [{name: late, finding: links.listed, then: accept}]", report("content.gtube"), false},
		{"quarantine is not settled", "", report("defect.mime.boundary-twice"), false},
		{"a defer rule", `rules: [{name: wait, client: 198.51.100.7, then: defer}]`, &filters.Report{}, true},
		{"before the content", "", &filters.Report{}, false},
	} {
		p := parse(t, c.yaml)
		if got := p.Settled(envelope("c@example.com"), c.rep); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}
