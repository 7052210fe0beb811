// Package rooms is what stands behind the review pages, in memory: a policy with its past, entries, a hold queue, waiting
// senders, what was learnt, webhooks. Tests of the pages and pictures of them are made of it.
package rooms

import (
	"context"
	"io/fs"
	"slices"
	"strconv"
	"sync"
	"time"

	"gatepost/gateway/admin"
	"gatepost/gateway/policies"
	"gatepost/gateway/webhook"
	"gatepost/policy"
	"gatepost/rules/conf"
)

// Rooms are a policy with its past, entries, a hold queue, waiting senders and what was learnt, in memory.
type Rooms struct {
	mu      sync.Mutex
	now     time.Time
	text    string // the policy file
	entries []policy.Entry
	kept    []policies.Kept // newest first
	texts   map[string]string
	gen     uint64
	taught  []string
	held    []admin.HeldMail
	waiters []admin.Waiter
	known   []admin.Acquaintance
	done    []string // what was asked of the queue, the waiting and the learnt
	rescan  admin.Rescan
}

// read implements policy.Options.ReadFile.
func (r *Rooms) read(path string) ([]byte, error) {
	if path == "entries.yaml" {
		return policy.WriteEntries(r.entries), nil
	}
	return nil, fs.ErrNotExist
}

func (r *Rooms) parse(text string) (*policy.Policy, []conf.Problem) {
	return policy.Parse("policy.yaml", []byte(text), policy.Options{ReadFile: r.read, Entries: "entries.yaml"})
}

// Current implements admin.Policies.
func (r *Rooms) Current(context.Context) (admin.PolicyInForce, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p, problems := r.parse(r.text)
	if len(problems) > 0 {
		return admin.PolicyInForce{}, problems[0]
	}
	return admin.PolicyInForce{Policy: p, Generation: r.gen, File: "policy.yaml", Text: r.text, Base: "base" + strconv.FormatUint(r.gen, 10), History: r.kept}, nil
}

// Check implements admin.Policies.
func (r *Rooms) Check(ctx context.Context, text string) (admin.PolicyCheck, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	draft, problems := r.parse(text)
	if len(problems) > 0 {
		return admin.PolicyCheck{Problems: problems}, nil
	}
	was, _ := r.parse(r.text)
	return admin.PolicyCheck{Changes: policy.Diff(was, draft), Tests: draft.RunTests(ctx, r.now, nil)}, nil
}

// Replay implements admin.Policies.
func (r *Rooms) Replay(_ context.Context, _ string, since time.Time) (admin.PolicyReplay, error) {
	d := policy.Difference{ID: "0m9xspoofk", Was: policy.Quarantine, Now: policy.Reject, From: "noreply@cheap-hosting.example", Rcpt: "alice@example.com",
		Subject: "Your account is locked: confirm within 24 hours", Because: []policy.Reason{{Code: "dmarc.fail", At: "policy.yaml:9", Weight: 15000, Text: "DMARC fails for yourbank.example."}}}
	return admin.PolicyReplay{Differences: policy.Differences{Judged: 4210, Unknown: 2, Differences: []policy.Difference{d}}, Since: since, Whole: true}, nil
}

// force takes a text into force.
func (r *Rooms) force(text string) {
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

// Apply implements admin.PolicyChanger.
func (r *Rooms) Apply(_ context.Context, text, base string) ([]conf.Problem, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if base != "base"+strconv.FormatUint(r.gen, 10) {
		return nil, admin.ErrPolicyMoved
	}
	if _, problems := r.parse(text); len(problems) > 0 {
		return problems, nil
	}
	r.force(text)
	return nil, nil
}

// Kept implements admin.PolicyChanger.
func (r *Rooms) Kept(_ context.Context, name string) (admin.KeptPolicy, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	text, ok := r.texts[name]
	if !ok {
		return admin.KeptPolicy{}, admin.ErrNoPolicy
	}
	now, _ := r.parse(r.text)
	then, _ := r.parse(text)
	return admin.KeptPolicy{Text: text, Changes: policy.Diff(now, then)}, nil
}

// Restore implements admin.PolicyChanger.
func (r *Rooms) Restore(_ context.Context, name string) ([]conf.Problem, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.force(r.texts[name])
	return nil, nil
}

// Add implements admin.Entries.
func (r *Rooms) Add(_ context.Context, e policy.Entry) ([]conf.Problem, error) {
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

// Remove implements admin.Entries.
func (r *Rooms) Remove(_ context.Context, key string) ([]conf.Problem, error) {
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
		return nil, admin.ErrNoEntry
	}
	r.entries = left
	r.gen++
	return nil, nil
}

// Hits implements admin.Entries.
func (r *Rooms) Hits(context.Context, time.Time) (map[string]int, error) {
	return map[string]int{"entries.yaml:5": 41}, nil
}

// TestOf implements admin.Testwright.
func (r *Rooms) TestOf(_ context.Context, id string) (string, error) {
	return "  - name: \"message " + id + " is treated as it was: quarantine\"\n    given:\n      client: \"203.0.113.9\"\n      mail_from: \"noreply@cheap-hosting.example\"\n" +
		"      rcpt: [\"person1@example.com\"]\n      findings: [\"dmarc.fail\",\"links.mismatch\",\"spoof.person\"]\n      from: \"person2@yourbank.example\"\n    expect: {action: quarantine, class: phish}\n", nil
}

// Rescan implements admin.Rescanner.
func (r *Rooms) Rescan(context.Context, string) (admin.Rescan, error) { return r.rescan, nil }

// Teach implements admin.Teacher.
func (r *Rooms) Teach(_ context.Context, l admin.Lesson) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.taught = append(r.taught, strconv.FormatBool(l.Spam)+" "+strconv.FormatInt(l.Content.Size(), 10))
	return nil
}

// Held implements admin.Holds.
func (r *Rooms) Held(_ context.Context, limit int) ([]admin.HeldMail, int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.held[:min(limit, len(r.held))]), len(r.held), nil
}

// Retry implements admin.Holds.
func (r *Rooms) Retry(_ context.Context, ids []string, by string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.done = append(r.done, "retry "+strconv.Itoa(len(ids))+" by "+by)
	return nil
}

// Cancel implements admin.Holds.
func (r *Rooms) Cancel(_ context.Context, id, by string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return take(r, &r.held, func(h admin.HeldMail) bool { return h.ID == id }, admin.ErrNoMail, "cancel "+id+" by "+by)
}

// Waiting implements admin.Waiters.
func (r *Rooms) Waiting(context.Context, int) ([]admin.Waiter, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.waiters), nil
}

// LetThrough implements admin.Waiters.
func (r *Rooms) LetThrough(_ context.Context, key string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return take(r, &r.waiters, func(w admin.Waiter) bool { return w.Key == key }, admin.ErrNoWaiter, "let "+key)
}

// Readiness implements admin.TLSReadiness.
func (r *Rooms) Readiness(context.Context, time.Time) (admin.TLSReport, error) {
	return admin.TLSReport{Messages: 5554, Clear: 431, Senders: []admin.TLSSender{{Domain: "old-printer.example", Clear: 412, Wanted: 409, Stage: "observe", Last: r.now},
		{Domain: "club.example", Clear: 17, Wanted: 17, Stage: "warn", Last: r.now, Error: "no cipher suite in common"}, {Domain: Evil, Clear: 2, Error: Evil}}}, nil
}

// Known implements admin.Acquaintances.
func (r *Rooms) Known(context.Context, string, string, int) ([]admin.Acquaintance, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.known), nil
}

// Forget implements admin.Acquaintances.
func (r *Rooms) Forget(_ context.Context, address string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return take(r, &r.known, func(a admin.Acquaintance) bool { return a.Address == address }, admin.ErrNoneSuch, "forget "+address)
}

// take removes the item that is wanted, and notes what was done; none is there: missing.
func take[T any](r *Rooms, list *[]T, wanted func(T) bool, missing error, done string) error {
	i := slices.IndexFunc(*list, wanted)
	if i < 0 {
		return missing
	}
	*list = slices.Delete(*list, i, i+1)
	r.done = append(r.done, done)
	return nil
}

// Status implements admin.Hooks.
func (r *Rooms) Status() []webhook.Status {
	return []webhook.Status{
		{Name: "hooks.example.com", Events: []webhook.Event{webhook.Held, webhook.Health}, Delivered: 1284, LastOK: r.now},
		{Name: Evil, Delivered: 3, Waiting: 12, Failed: 2, Dropped: 1, LastOK: r.now.Add(-time.Hour), Since: r.now.Add(-30 * time.Minute), Error: Evil},
	}
}

// Test implements admin.Hooks.
func (r *Rooms) Test(name, by string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !slices.ContainsFunc(r.Status(), func(s webhook.Status) bool { return s.Name == name }) {
		return false
	}
	r.done = append(r.done, "test "+name+" by "+by)
	return true
}

// What a test asks afterwards.

// State is everything that a request could have changed.
func (r *Rooms) State() []any {
	return []any{r.text, r.entries, r.kept, r.taught, r.held, r.waiters, r.known, r.done}
}

// Made are the entries there are.
func (r *Rooms) Made() []policy.Entry { return r.entries }

// Taught is what was learnt, such as "true 512": spam of so many bytes.
func (r *Rooms) Taught() []string { return r.taught }

// Asked is what was asked of the queue, the waiting, the learnt and the webhooks.
func (r *Rooms) Asked() []string { return r.done }

// Text is the policy file.
func (r *Rooms) Text() string { return r.text }

// Find makes v what a scan finds from now on.
func (r *Rooms) Find(v admin.Rescan) { r.rescan = v }

// Evil is what must be text wherever it is shown (N-02).
const Evil = `<img src=x onerror=alert(1)>"'><script>alert(1)</script>`

// Furnished are rooms with something of everything in them, some of it hostile.
func Furnished(now time.Time) *Rooms {
	r := &Rooms{now: now.Add(-50 * time.Hour)}
	r.force("version: 1\nthresholds: {quarantine: 8}\n")
	r.now = now.Add(-3 * time.Hour)
	r.force(roomPolicy)
	r.entries = []policy.Entry{
		{Allow: true, Sender: []string{"@partner.example"}, Reason: "invoices come from there, asked for by accounting", Owner: "ada", From: "0m9xmacrok", Expires: now.Add(70 * 24 * time.Hour).Truncate(time.Second)},
		{Sender: []string{"offers@bulk3.example"}, Reason: Evil, Owner: "rev", Expires: now.Add(5 * 24 * time.Hour).Truncate(time.Second)},
		{Allow: true, Sender: []string{"news@club.example"}, Recipient: []string{"alice@example.com"}, Reason: "my club", Owner: "alice", Expires: now.Add(300 * 24 * time.Hour).Truncate(time.Second)},
		{Client: []string{"203.0.113.66"}, Reason: "botnet, seen by ops", Owner: "ada"},
	}
	r.held = []admin.HeldMail{{ID: "0m9w0001a", MailFrom: "ann@friend.example", Rcpts: []string{"alice@example.com"}, Size: 18211, Since: now.Add(-4 * time.Hour), Until: now.Add(116 * time.Hour),
		Next: now.Add(6 * time.Minute), Attempts: 7, Last: "451 4.4.1 mail1.internal:25: connection refused"},
		{ID: "0m9w0002b", MailFrom: "x@evil.example", Rcpts: []string{"bob@example.com", "carol@example.com"}, Size: 902, Since: now.Add(-3 * time.Hour), Until: now.Add(117 * time.Hour), Attempts: 6, Last: Evil}}
	r.waiters = []admin.Waiter{{Key: "w1", Client: "198.51.100.0/24", Sender: "first-time@new.example", Rcpt: "alice@example.com", First: now.Add(-8 * time.Minute), Ready: now.Add(2 * time.Minute), Attempts: 2},
		{Key: Evil, Client: Evil, Sender: Evil, Rcpt: "bob@example.com", First: now.Add(-2 * time.Minute), Ready: now.Add(8 * time.Minute), Attempts: 1}}
	r.known = []admin.Acquaintance{{Address: "ann@friend.example", Name: "Ann Friend", Messages: 311, First: now.Add(-900 * time.Hour), Last: now.Add(-2 * time.Hour), Proved: true},
		{Address: "@supplier.example", Messages: 88, Last: now.Add(-30 * time.Hour), Proved: true}, {Address: "x@evil.example", Name: Evil, Messages: 1, Last: now}}
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
