package policy

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"gatepost/filters"
	"gatepost/filters/attach"
	"gatepost/filters/headers"
	"gatepost/filters/mail"
)

// corpora is the folder of foreign mail beside the project; "" where there is none.
func corpora(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	for err == nil && dir != "/" {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			break
		}
		dir = filepath.Dir(dir)
	}
	path := filepath.Join(dir, "..", "shared", "corpora")
	if _, err := os.Stat(path); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("the corpora are not there")
		}
		t.Skip("the corpora are not there")
	}
	return path
}

// letters are the messages of the corpora with CRLF line ends.
func letters(t testing.TB) [][]byte {
	t.Helper()
	var out [][]byte
	for _, dir := range []string{"spamham-spamassassin", "ham-modern-usrp/eml", "phishing-pot-300/eml"} {
		err := filepath.WalkDir(filepath.Join(corpora(t), dir), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || strings.HasSuffix(path, ".txt") {
				return err
			}
			data, err := os.ReadFile(path)
			if !bytes.Contains(data, []byte("\r\n")) {
				data = bytes.ReplaceAll(data, []byte("\n"), []byte("\r\n"))
			}
			out = append(out, data)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// record keeps a judgment as the journal does and reads it again.
func record(t testing.TB, p *Policy, env *mail.Envelope, rep *filters.Report) Past {
	t.Helper()
	d := p.Decide(env, rep)
	return recall(t, env, keep(t, p, rep, &d))
}

// kept is what the journal keeps of facts and judgment.
type kept struct {
	Report   *filters.Report
	Decision *Decision
}

// keep writes a judgment as JSON.
func keep(t testing.TB, p *Policy, rep *filters.Report, d *Decision) []byte {
	t.Helper()
	data, err := json.Marshal(kept{p.Kept(rep), d})
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// recall reads what keep wrote.
func recall(t testing.TB, env *mail.Envelope, data []byte) Past {
	t.Helper()
	var again kept
	if err := json.Unmarshal(data, &again); err != nil {
		t.Fatal(err)
	}
	return Past{Envelope: env, Report: again.Report, Was: again.Decision}
}

const replayed = `
weights: {headers.no-date: 3.3, attach.macro: 4.2}
access:
  - deny: {client: 203.0.113.0/25}
  - allow: {sender: "@amazon.com"}
rules:
  - {name: mailer, when: 'message.header("X-Mailer").contains("Outlook Express")', then: {score: 2.2}}
  - {name: many, when: 'envelope.rcpt_count > 1 && message.size > 20000', then: {score: 1.7}, for: "*@two.example"}
  - {name: links, when: 'urls.size() > 3', then: tag}
  - {name: old, when: 'now - message.date > duration("24h")', then: {score: 0.4}}
  - {name: win, subject: "*win*", then: {at_least: quarantine}}
`

// TestReplayOfTheCurrentPolicyDiffersNowhere records more than 10,000 judgments of real mail as the journal keeps them and
// judges them again: no difference, nothing unknown (BETS 2).
func TestReplayOfTheCurrentPolicyDiffersNowhere(t *testing.T) {
	p := parse(t, replayed)
	hdr, att := headers.New(headers.Config{}), attach.New(attach.Config{})
	var past []Past
	actions := map[Action]int{}
	bytesKept := 0
	for n, letter := range letters(t) {
		env := envelope("c@one.example")
		m := &mail.Mail{Envelope: env, Message: mail.Parse(bytes.NewReader(letter))}
		rep := &filters.Report{}
		for _, f := range []filters.Filter{hdr, att} {
			facts, err := f.Check(context.Background(), m)
			if err != nil {
				t.Fatal(err)
			}
			rep.Findings = append(rep.Findings, facts.Findings...)
			if facts.Message != nil {
				rep.Message = facts.Message
			}
			if facts.Attachments != nil {
				rep.Attachments = facts.Attachments
			}
		}
		results := []string{"none", "pass", "fail", "temperror"}
		for k := range 3 {
			e, r := *env, *rep
			e.ID = fmt.Sprintf("%06d-%d", n, k)
			e.Remote = netip.AddrFrom4([4]byte{203, 0, 113, byte(n)})
			if k == 1 {
				e.Rcpts = envelope("c@one.example", "d@two.example").Rcpts
			}
			if k < 2 {
				r.Auth = &filters.Auth{DMARC: filters.DMARC{Result: results[n%4], Disposition: "reject"}, SPF: filters.SPF{Result: results[(n+k)%4]}}
			}
			d := p.Decide(&e, &r)
			actions[d.Action]++
			data := keep(t, p, &r, &d)
			bytesKept += len(data)
			past = append(past, recall(t, &e, data))
		}
	}
	if len(past) < 10_000 {
		t.Errorf("only %d judgments", len(past))
	}
	diff := Replay(slices.Values(past), p)
	if diff.Judged != len(past) || diff.Unknown != 0 || len(diff.Differences) != 0 {
		t.Errorf("judged %d of %d, unknown %d, differences %d: %+v", diff.Judged, len(past), diff.Unknown, len(diff.Differences), diff.Differences[:min(3, len(diff.Differences))])
	}
	t.Logf("%d judgments, %v, %d bytes of facts each", len(past), actions, bytesKept/len(past))
}

func TestReplayListsExactlyWhatADraftChanges(t *testing.T) {
	now := parse(t, `rules: [{name: hello, subject: "hello", then: tag}]`)
	var past []Past
	for i := range 40 {
		env, rep := envelope("c@example.com"), report()
		env.ID = fmt.Sprintf("%02d", i)
		if i%10 == 3 {
			rep = report("links.listed")
		}
		if i%10 == 4 {
			rep.Message.From = "x@bad.example"
		}
		past = append(past, record(t, now, env, rep))
	}
	draft := parse(t, `rules:
  - {name: listed, finding: links.listed, then: reject}
  - {name: bad, from: "@bad.example", then: quarantine}
  - {name: hello, subject: "hello", then: tag}
`)
	got := Replay(slices.Values(past), draft)
	var table []string
	for _, d := range got.Differences {
		table = append(table, d.ID+" "+string(d.Was)+">"+string(d.Now)+" "+d.Because[len(d.Because)-1].Rule)
	}
	want := "03 tag>reject listed,13 tag>reject listed,23 tag>reject listed,33 tag>reject listed,04 tag>quarantine bad,14 tag>quarantine bad,24 tag>quarantine bad,34 tag>quarantine bad"
	if strings.Join(table, ",") != want || got.Judged != 40 || got.Unknown != 0 {
		t.Errorf("judged %d, unknown %d\n%s", got.Judged, got.Unknown, strings.Join(table, "\n"))
	}
}

func TestReplaySaysUnknownWhereFactsWereNotRecorded(t *testing.T) {
	now := parse(t, `rules: [{name: mailer, when: 'message.header("X-Mailer") == "x"', then: tag}]`)
	rep := report()
	noAuth := report()
	noAuth.Auth = nil
	past := []Past{record(t, now, envelope("c@example.com"), rep), record(t, now, envelope("c@example.com"), noAuth)}
	for _, c := range []struct {
		rule                 string
		unknown, differences int
	}{
		{`{name: mailer, when: 'message.header("X-Mailer") == "m"', then: quarantine}`, 0, 2}, // recorded, for the rule of then asked for it
		{`{name: list, when: 'message.header("List-Id") != ""', then: quarantine}`, 2, 0},     // nobody asked
		{`{name: known-absent, when: 'auth.dmarc == "fail"', then: quarantine}`, 0, 0},        // then, too, nobody knew for the second
		{`{name: maybe, when: 'message.size == 1000 || message.header("List-Id") != ""', then: quarantine}`, 0, 2},
	} {
		got := Replay(slices.Values(past), parse(t, "rules: ["+c.rule+"]"))
		if len(got.Untold) != c.unknown || c.unknown > 0 && (got.Untold[0].ID != past[0].Envelope.ID || !strings.Contains(got.Untold[0].Lacks, "list policy.yaml:1 Not decided: message.header")) {
			t.Errorf("%s: untold %+v", c.rule, got.Untold)
		}
		if got.Unknown != c.unknown || len(got.Differences) != c.differences {
			t.Errorf("%s: unknown %d, differences %d", c.rule, got.Unknown, len(got.Differences))
		}
	}
}

func TestDiffNamesEveryChange(t *testing.T) {
	a := parse(t, "thresholds: {tag: 4}\nweights: {dmarc.fail: 4}\nlists: {l: {domains: [a.example]}}\naccess: [{deny: {client: 192.0.2.1}}]\nrules: [{name: a, subject: x, then: tag}, {name: b, subject: y, then: tag}]")
	b := parse(t, "thresholds: {tag: 5}\nweights: {dmarc.fail: 3, links.*: 2}\nlists: {l: {domains: [b.example]}}\nfailures: {clamd: accept}\nlimits: [{name: n, key: client, count: messages, rate: 5/m}]\nrules: [{name: a, subject: x, then: reject}, {name: c, subject: y, then: tag}]")
	var got []string
	for _, c := range Diff(a, b) {
		got = append(got, c.String())
	}
	for _, want := range []string{"~ threshold tag: 4 -> 5", "- weight links.listed: 7", "~ weight links.*: 1 -> 2", "~ list l: a.example -> b.example", "- access.deny client 192.0.2.1: in force",
		"~ failure of clamd: defer -> accept (policy.yaml:4)", "+ limit n: messages by client, 5 in 1m0s (policy.yaml:5)", "+ rule c", "- rule b"} {
		if !slices.ContainsFunc(got, func(s string) bool { return strings.HasPrefix(s, want) }) {
			t.Errorf("%q is not in\n%s", want, strings.Join(got, "\n"))
		}
	}
	if d := Diff(a, a); len(d) != 0 {
		t.Errorf("a policy differs from itself: %v", d)
	}
}

func TestATestIsMadeFromARecord(t *testing.T) {
	const rules = `
  - {name: macro, when: 'attachments.exists(a, a.macro) && message.header("X-Mailer") == "m"', then: quarantine, class: policy}
`
	p := parse(t, "rules:"+rules)
	env, rep := envelope("jane.doe@example.com", "postmaster@example.com"), report("dmarc.fail", "headers.no-date")
	env.From = address("john.smith@b.example")
	rep.Message.From, rep.Message.FromName, rep.Message.To = "john.smith@b.example", "John Smith", []string{"jane.doe@example.com"}
	rep.Attachments = []filters.Attachment{{Name: "a.docm", Type: "application/x", Size: 5, Macro: true}}
	text, err := TestFromRecord(p, record(t, p, env, rep))
	if err != nil {
		t.Fatal(err)
	}
	for _, who := range []string{"jane", "john", "smith", "doe"} {
		if strings.Contains(strings.ToLower(string(text)), who) {
			t.Errorf("%s is named in\n%s", who, text)
		}
	}
	again := parse(t, "rules:"+rules+"tests:\n"+string(text))
	r := again.RunTests(context.Background(), time.Now(), nil)
	if len(r.Results) != 1 || !r.Results[0].Passed || !slices.Equal(r.Covered, []string{"macro"}) {
		t.Errorf("%+v\n%s", r.Results, text)
	}
}

func TestResultsAreTheSameBytesEachTime(t *testing.T) {
	p := parse(t, dozen)
	env, rep := envelope("c@example.com", "d@example.com"), report("dmarc.fail", "links.listed", "headers.no-date", "headers.no-date")
	var first []byte
	for range 20 {
		d := p.Decide(env, rep)
		data, err := json.Marshal(NewResult(env, rep, d))
		if err != nil {
			t.Fatal(err)
		}
		if first == nil {
			first = data
		}
		if !bytes.Equal(first, data) {
			t.Fatalf("got\n%s\nthen\n%s", first, data)
		}
	}
	for _, key := range []string{`"id":"01TEST"`, `"action":"quarantine"`, `"class":"spam"`, `"score":12`, `"reply":{"code":250,"enhanced":"2.0.0"`, `"decided":["links.listed"`,
		`"would_pass_if":[`, `"not_run":[]`, `"spf":{"result":"none"}`, `"attachments":[]`, `"urls":[]`, `"defects":[]`, `"code":"headers.no-date"`} {
		if !bytes.Contains(first, []byte(key)) {
			t.Errorf("%s is not in %s", key, first)
		}
	}
}

// BenchmarkReplay100000 is the rate of BETS 2: 100,000 fact records under a draft, read from their JSON.
func BenchmarkReplay100000(b *testing.B) {
	p := parse(b, dozen)
	var past []Past
	var data [][]byte
	for seed := range uint64(100) {
		w := newWorld(seed)
		d := p.Decide(w.env, w.rep)
		past = append(past, Past{Envelope: w.env})
		data = append(data, keep(b, p, w.rep, &d))
	}
	const n = 100_000
	for b.Loop() {
		records := func(yield func(Past) bool) {
			for i := range n {
				if !yield(recall(b, past[i%len(past)].Envelope, data[i%len(data)])) {
					return
				}
			}
		}
		if d := Replay(records, p); d.Judged != n || len(d.Differences) > 0 {
			b.Fatalf("%+v", d)
		}
	}
	b.ReportMetric(n*float64(b.N)/b.Elapsed().Seconds(), "records/s")
}
