package admin

import (
	"context"
	"io/fs"
	"slices"
	"strconv"
	"sync"
	"time"

	"gatepost/filters/mail"
	"gatepost/gateway/policies"
	"gatepost/policy"
	"gatepost/rules/conf"
)

// rooms are a policy with its past, entries, a hold queue, waiting senders and what was learnt, in memory.
type rooms struct {
	mu      sync.Mutex
	now     time.Time
	text    string // the policy file
	entries []policy.Entry
	kept    []policies.Kept // newest first
	texts   map[string]string
	gen     uint64
	taught  []string
	held    []HeldMail
	waiters []Waiter
	known   []Acquaintance
	done    []string // what was asked of the queue, the waiting and the learnt
	rescan  Rescan
}

// read implements policy.Options.ReadFile.
func (r *rooms) read(path string) ([]byte, error) {
	if path == "entries.yaml" {
		return policy.WriteEntries(r.entries), nil
	}
	return nil, fs.ErrNotExist
}

func (r *rooms) parse(text string) (*policy.Policy, []conf.Problem) {
	return policy.Parse("policy.yaml", []byte(text), policy.Options{ReadFile: r.read, Entries: "entries.yaml"})
}

// Current implements Policies.
func (r *rooms) Current(context.Context) (PolicyInForce, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p, problems := r.parse(r.text)
	if len(problems) > 0 {
		return PolicyInForce{}, problems[0]
	}
	return PolicyInForce{Policy: p, Generation: r.gen, File: "policy.yaml", Text: r.text, Base: "base" + strconv.FormatUint(r.gen, 10), History: r.kept}, nil
}

// Check implements Policies.
func (r *rooms) Check(ctx context.Context, text string) (PolicyCheck, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	draft, problems := r.parse(text)
	if len(problems) > 0 {
		return PolicyCheck{Problems: problems}, nil
	}
	was, _ := r.parse(r.text)
	return PolicyCheck{Changes: policy.Diff(was, draft), Tests: draft.RunTests(ctx, r.now, nil)}, nil
}

// Replay implements Policies.
func (r *rooms) Replay(_ context.Context, _ string, since time.Time) (PolicyReplay, error) {
	d := policy.Difference{ID: "0m9xspoofk", Was: policy.Quarantine, Now: policy.Reject, From: "noreply@cheap-hosting.example", Rcpt: "alice@example.com",
		Subject: "Your account is locked: confirm within 24 hours", Because: []policy.Reason{{Code: "dmarc.fail", At: "policy.yaml:9", Weight: 15000, Text: "DMARC fails for yourbank.example."}}}
	return PolicyReplay{Differences: policy.Differences{Judged: 4210, Unknown: 2, Differences: []policy.Difference{d}}, Since: since, Whole: true}, nil
}

// force takes a text into force.
func (r *rooms) force(text string) {
	r.text = text
	r.gen++
	r.now = r.now.Add(time.Second)
	k := policies.Kept{Name: "k" + strconv.FormatUint(r.gen, 10), Time: r.now, Sum: strconv.FormatUint(0x5a7e00+r.gen, 16)}
	if r.texts == nil {
		r.texts = make(map[string]string)
	}
	r.texts[k.Name] = text
	r.kept = slices.Insert(r.kept, 0, k)
}

// Apply implements PolicyChanger.
func (r *rooms) Apply(_ context.Context, text, base string) ([]conf.Problem, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if base != "base"+strconv.FormatUint(r.gen, 10) {
		return nil, ErrPolicyMoved
	}
	if _, problems := r.parse(text); len(problems) > 0 {
		return problems, nil
	}
	r.force(text)
	return nil, nil
}

// Kept implements PolicyChanger.
func (r *rooms) Kept(_ context.Context, name string) (KeptPolicy, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	text, ok := r.texts[name]
	if !ok {
		return KeptPolicy{}, ErrNoPolicy
	}
	now, _ := r.parse(r.text)
	then, _ := r.parse(text)
	return KeptPolicy{Text: text, Changes: policy.Diff(now, then)}, nil
}

// Restore implements PolicyChanger.
func (r *rooms) Restore(_ context.Context, name string) ([]conf.Problem, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.force(r.texts[name])
	return nil, nil
}

// Add implements Entries.
func (r *rooms) Add(_ context.Context, e policy.Entry) ([]conf.Problem, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.entries = append(r.entries, e)
	if _, problems := r.parse(r.text); len(problems) > 0 {
		r.entries = r.entries[:len(r.entries)-1]
		return problems, nil
	}
	r.gen++
	return nil, nil
}

// Remove implements Entries.
func (r *rooms) Remove(_ context.Context, key string) ([]conf.Problem, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p, _ := r.parse(r.text)
	var left []policy.Entry
	found := false
	for _, e := range p.Entries() {
		switch {
		case e.Key == key:
			found = true
		case e.Key != "":
			left = append(left, e)
		}
	}
	if !found {
		return nil, ErrNoEntry
	}
	r.entries = left
	r.gen++
	return nil, nil
}

// Hits implements Entries.
func (r *rooms) Hits(context.Context, time.Time) (map[string]int, error) {
	return map[string]int{"entries.yaml:5": 41}, nil
}

// TestOf implements Testwright.
func (r *rooms) TestOf(_ context.Context, id string) (string, error) {
	return "  - name: \"message " + id + " is treated as it was: quarantine\"\n    given:\n      client: \"203.0.113.9\"\n      mail_from: \"noreply@cheap-hosting.example\"\n" +
		"      rcpt: [\"person1@example.com\"]\n      findings: [\"dmarc.fail\",\"links.mismatch\",\"spoof.person\"]\n      from: \"person2@yourbank.example\"\n    expect: {action: quarantine, class: phish}\n", nil
}

// Rescan implements Rescanner.
func (r *rooms) Rescan(context.Context, string) (Rescan, error) { return r.rescan, nil }

// Teach implements Teacher.
func (r *rooms) Teach(_ context.Context, spam bool, src mail.Source, _ string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.taught = append(r.taught, strconv.FormatBool(spam)+" "+strconv.FormatInt(src.Size(), 10))
	return nil
}

// Held implements Holds.
func (r *rooms) Held(_ context.Context, limit int) ([]HeldMail, int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.held[:min(limit, len(r.held))]), len(r.held), nil
}

// Retry implements Holds.
func (r *rooms) Retry(_ context.Context, ids []string, by string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.done = append(r.done, "retry "+strconv.Itoa(len(ids))+" by "+by)
	return nil
}

// Cancel implements Holds.
func (r *rooms) Cancel(_ context.Context, id, by string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	i := slices.IndexFunc(r.held, func(h HeldMail) bool { return h.ID == id })
	if i < 0 {
		return ErrNoMail
	}
	r.held = slices.Delete(r.held, i, i+1)
	r.done = append(r.done, "cancel "+id+" by "+by)
	return nil
}

// Waiting implements Waiters.
func (r *rooms) Waiting(context.Context, int) ([]Waiter, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.waiters), nil
}

// LetThrough implements Waiters.
func (r *rooms) LetThrough(_ context.Context, key string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	i := slices.IndexFunc(r.waiters, func(w Waiter) bool { return w.Key == key })
	if i < 0 {
		return ErrNoWaiter
	}
	r.waiters = slices.Delete(r.waiters, i, i+1)
	r.done = append(r.done, "let "+key)
	return nil
}

// Readiness implements TLSReadiness.
func (r *rooms) Readiness(context.Context, time.Time) ([]TLSSender, error) {
	return []TLSSender{{Domain: "old-printer.example", Clear: 412, Wanted: 409, Last: r.now}, {Domain: "club.example", Clear: 17, Wanted: 17, TLS: 3, Last: r.now, Error: "tls: no shared cipher"},
		{Domain: evil, Clear: 2}, {Domain: "shop.example", TLS: 5120, Last: r.now}}, nil
}

// Known implements Acquaintances.
func (r *rooms) Known(context.Context, string, int) ([]Acquaintance, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.known), nil
}

// Forget implements Acquaintances.
func (r *rooms) Forget(_ context.Context, address string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	i := slices.IndexFunc(r.known, func(a Acquaintance) bool { return a.Address == address })
	if i < 0 {
		return ErrNoneSuch
	}
	r.known = slices.Delete(r.known, i, i+1)
	r.done = append(r.done, "forget "+address)
	return nil
}

// furnished are rooms with something of everything in them, some of it hostile.
func furnished(now time.Time) *rooms {
	r := &rooms{now: now.Add(-50 * time.Hour)}
	r.force("version: 1\nthresholds: {quarantine: 8}\n")
	r.now = now.Add(-3 * time.Hour)
	r.force(roomPolicy)
	r.entries = []policy.Entry{
		{Allow: true, Sender: []string{"@partner.example"}, Reason: "invoices come from there, asked for by accounting", Owner: "ada", From: "0m9xmacrok", Expires: now.Add(70 * 24 * time.Hour).Truncate(time.Second)},
		{Sender: []string{"offers@bulk3.example"}, Reason: evil, Owner: "rev", Expires: now.Add(5 * 24 * time.Hour).Truncate(time.Second)},
		{Allow: true, Sender: []string{"news@club.example"}, Recipient: []string{"alice@example.com"}, Reason: "my club", Owner: "alice", Expires: now.Add(300 * 24 * time.Hour).Truncate(time.Second)},
		{Client: []string{"203.0.113.66"}, Reason: "botnet, seen by ops", Owner: "ada"},
	}
	r.held = []HeldMail{{ID: "0m9w0001a", MailFrom: "ann@friend.example", Rcpts: []string{"alice@example.com"}, Size: 18211, Since: now.Add(-4 * time.Hour), Until: now.Add(116 * time.Hour),
		Next: now.Add(6 * time.Minute), Attempts: 7, Last: "451 4.4.1 mail1.internal:25: connection refused"},
		{ID: "0m9w0002b", MailFrom: "x@evil.example", Rcpts: []string{"bob@example.com", "carol@example.com"}, Size: 902, Since: now.Add(-3 * time.Hour), Until: now.Add(117 * time.Hour), Attempts: 6, Last: evil}}
	r.waiters = []Waiter{{Key: "w1", Client: "198.51.100.0/24", Sender: "first-time@new.example", Rcpt: "alice@example.com", First: now.Add(-8 * time.Minute), Ready: now.Add(2 * time.Minute), Attempts: 2},
		{Key: evil, Client: evil, Sender: evil, Rcpt: "bob@example.com", First: now.Add(-2 * time.Minute), Ready: now.Add(8 * time.Minute), Attempts: 1}}
	r.known = []Acquaintance{{Address: "ann@friend.example", Name: "Ann Friend", Messages: 311, First: now.Add(-900 * time.Hour), Last: now.Add(-2 * time.Hour), Proved: true},
		{Address: "@supplier.example", Messages: 88, Last: now.Add(-30 * time.Hour), Proved: true}, {Address: "x@evil.example", Name: evil, Messages: 1, Last: now}}
	return r
}

// roomPolicy is the policy in force in furnished rooms.
const roomPolicy = `version: 1

lists:
  vips: {people: [{name: "Chief Executive", addresses: [ceo@example.com]}], owner: ops, reason: "Whom impostors like to be."}

access:
  - deny: {client: [198.51.100.0/28], reason: "open proxy range", owner: ops, expires: 2027-01-31}

thresholds: {tag: 5, quarantine: 8, reject: 15}

rules:
  - name: macro-from-stranger
    when: attachments.exists(a, a.macro) && auth.dmarc != "pass"
    then: quarantine
    class: malware
    reason: "Documents with macros need an authenticated sender."
  - name: parcels
    when: message.subject.contains("parcel")
    then: {score: 2}
    mode: monitor
    reason: "Parcel notices are often a lure; watched for now."

tests:
  - name: a forged bank is held
    given: {mail_from: a@b.example, rcpt: [c@example.com], findings: [dmarc.fail, links.lookalike]}
    expect: {action: quarantine}
`
