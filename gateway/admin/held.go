package admin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"gatepost/filters/mail"
	"gatepost/gateway/journal"
	"gatepost/gateway/quarantine"
	"gatepost/policy"
)

// This file is what both the pages and the API do with held mail. Everything here sees with the eyes of one visitor:
// what is not theirs does not exist.

const listLimit = 50

// owns reports whether address is one of mine, which are canonical.
func owns(mine []string, address string) bool {
	a, err := mail.ParseAddress(address)
	return err == nil && slices.Contains(mine, a.Canonical())
}

// quarantineOf is the part of the quarantine that the visitor may see.
func (d *desk) quarantineOf(who *visitor) Quarantine {
	if mine, all := who.scope(); !all {
		return d.deps.Own(mine...)
	}
	return d.deps.Quarantine
}

// held lists entries that the visitor may see, newest first, and whether there are more.
func (d *desk) held(ctx context.Context, who *visitor, q quarantine.Query) ([]quarantine.Entry, bool, error) {
	limit := cmp.Or(q.Limit, listLimit)
	q.Limit = limit + 1
	out, err := d.quarantineOf(who).List(ctx, q)
	if err != nil {
		return nil, false, fmt.Errorf("list quarantine: %w", err)
	}
	more := len(out) > limit
	out = out[:min(limit, len(out))]
	if mine, all := who.scope(); !all {
		out = slices.DeleteFunc(out, func(e quarantine.Entry) bool { return !narrow(&e, mine) })
		for i := range out {
			narrow(&out[i], mine)
		}
	}
	return out, more, nil
}

// narrow leaves only the copies of mine in e, and reports whether there are any.
func narrow(e *quarantine.Entry, mine []string) bool {
	e.Rcpts = slices.DeleteFunc(slices.Clone(e.Rcpts), func(r quarantine.Recipient) bool { return !owns(mine, r.Address) })
	return len(e.Rcpts) > 0
}

// entry finds one entry and its explanation. Not there and not the visitor's are the same error.
func (d *desk) entry(ctx context.Context, who *visitor, id string) (*quarantine.Entry, *result, error) {
	if !validID(id) {
		return nil, nil, errNotFound
	}
	found, err := d.quarantineOf(who).Entry(ctx, id)
	if errors.Is(err, quarantine.ErrNotFound) {
		return nil, nil, errNotFound
	}
	if err != nil {
		return nil, nil, fmt.Errorf("read quarantine entry: %w", err)
	}
	e := *found
	res, err := readResult(e.Result)
	if err != nil {
		return nil, nil, err
	}
	if mine, all := who.scope(); !all {
		if !narrow(&e, mine) {
			return nil, nil, errNotFound
		}
		res.only(mine)
	}
	return &e, res, nil
}

func validID(id string) bool {
	if id == "" || len(id) > 64 {
		return false
	}
	for _, c := range []byte(id) {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_') {
			return false
		}
	}
	return true
}

// open returns the content of an entry that entry has shown to the visitor; the caller closes it.
func (d *desk) open(ctx context.Context, who *visitor, id string) (quarantine.Content, error) {
	c, err := d.quarantineOf(who).Open(ctx, id)
	if errors.Is(err, quarantine.ErrNotFound) {
		return nil, errNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("open quarantine content: %w", err)
	}
	return c, nil
}

// taken opens the message of the visit's path, and writes down what the visitor does with it; the caller closes it.
func (d *desk) taken(v *visit, action string) (*quarantine.Entry, quarantine.Content, error) {
	e, _, err := d.entry(v.r.Context(), v.visitor, v.r.PathValue("id"))
	if err != nil {
		return nil, nil, err
	}
	src, err := d.open(v.r.Context(), v.visitor, e.ID)
	if err != nil {
		return nil, nil, err
	}
	if err := d.noteReading(v, action, e.ID); err != nil {
		return nil, nil, errors.Join(err, src.Close())
	}
	return e, src, nil
}

// body decodes what a person would see.
func (d *desk) body(src mail.Source) (Body, error) {
	if d.deps.Bodies == nil {
		return Body{}, nil
	}
	b, err := d.deps.Bodies.Body(src, previewLimit)
	if err != nil {
		return b, fmt.Errorf("read body: %w", err)
	}
	if len(b.Text) > previewLimit {
		b.Text, b.TextCut = clip(b.Text, previewLimit), true
	}
	if len(b.HTML) > previewLimit {
		b.HTML, b.HTMLCut = clip(b.HTML, previewLimit), true
	}
	return b, nil
}

// mayRelease reports whether the visitor may release mail of a class: a user only spam, malware only who has the right.
func (who *visitor) mayRelease(c policy.Class) bool {
	if !who.may(RightRelease) {
		return false
	}
	if c == policy.Malware {
		return who.may(RightMalware)
	}
	_, all := who.scope()
	return all || c == policy.Spam || c == policy.Clean
}

// waiting are the recipients whose copies still wait, of those asked for; with none asked for, all.
func waiting(e *quarantine.Entry, asked []string) []string {
	var out []string
	for _, r := range e.Rcpts {
		if r.State == quarantine.Waiting && (len(asked) == 0 || slices.ContainsFunc(asked, func(a string) bool { return strings.EqualFold(a, r.Address) })) {
			out = append(out, r.Address)
		}
	}
	return out
}

var (
	errBusy       = &problem{status: 409, key: "error.busy"}
	errNothing    = &problem{status: 409, key: "error.nothing"}
	errNoRelease  = &problem{status: 403, key: "error.class"}
	errNowMalware = &problem{status: 403, key: "error.nowmalware"}
	errNotWired   = &problem{status: 501, key: "error.unavailable"}
)

// release lets the waiting copies for rcpts go on, and returns what the next hop said. The actor is written down first,
// so that nothing leaves without a trace of who sent it.
func (d *desk) release(v *visit, id string, rcpts []string) ([]ReleaseOutcome, error) {
	ctx := v.r.Context()
	e, _, err := d.entry(ctx, v.visitor, id)
	if err != nil {
		return nil, err
	}
	if !v.visitor.mayRelease(e.Class) {
		return nil, errNoRelease
	}
	to := waiting(e, rcpts)
	if len(to) == 0 {
		return nil, errNothing
	}
	if err := d.free(v, id); err != nil {
		return nil, err
	}
	if d.deps.Releaser == nil {
		return nil, errNotWired
	}
	if err := d.rescan(v, e); err != nil {
		return nil, err
	}
	if err := d.audit(v, "release", id, strings.Join(to, " ")); err != nil {
		return nil, err
	}
	out, err := d.deps.Releaser.Release(ctx, id, to, v.visitor.account.Name)
	if errors.Is(err, ErrUnderWay) {
		return nil, errBusy
	}
	if err != nil {
		return nil, fmt.Errorf("release %s: %w", id, err)
	}
	d.settled(v, id)
	return out, nil
}

// rescan looks at a message by what is known today: what was spam last week may be known malware by now. Who may release
// malware may go on, having just shown who they are.
func (d *desk) rescan(v *visit, e *quarantine.Entry) error {
	if d.deps.Rescanner == nil || e.Class == policy.Malware {
		return nil
	}
	r, err := d.deps.Rescanner.Rescan(v.r.Context(), e.ID)
	if err != nil {
		return &problem{status: 503, key: "error.unscanned", err: fmt.Errorf("scan %s again: %w", e.ID, err)}
	}
	if v.visitor.may(RightMalware) && v.visitor.fresh(d.now()) {
		return nil
	}
	switch {
	case r.Class == policy.Malware:
		return errNowMalware
	case len(r.NotRun) > 0:
		return &problem{status: 503, key: "error.unscanned", err: fmt.Errorf("scan %s again: %s could not look", e.ID, strings.Join(r.NotRun, ", "))}
	}
	return nil
}

// discard forgets the waiting copies for rcpts and returns whose they were.
func (d *desk) discard(v *visit, id string, rcpts []string) ([]string, error) {
	ctx := v.r.Context()
	e, _, err := d.entry(ctx, v.visitor, id)
	if err != nil {
		return nil, err
	}
	of := waiting(e, rcpts)
	if len(of) == 0 {
		return nil, errNothing
	}
	if err := d.free(v, id); err != nil {
		return nil, err
	}
	if d.deps.Deleter == nil {
		return nil, errNotWired
	}
	if err := d.audit(v, "delete", id, strings.Join(of, " ")); err != nil {
		return nil, err
	}
	err = d.deps.Deleter.Delete(ctx, id, of, v.visitor.account.Name)
	if errors.Is(err, ErrUnderWay) {
		return nil, errBusy
	}
	if err != nil {
		return nil, fmt.Errorf("delete %s: %w", id, err)
	}
	d.settled(v, id)
	return of, nil
}

// audit writes down what a person does. What cannot be written down is not done.
func (d *desk) audit(v *visit, action, id, note string) error {
	rec := &journal.Record{V: journal.Version, Kind: journal.Management, ID: id, Time: d.now().UTC(),
		Client: v.client, Action: action, Note: mail.Printable(note, 500)}
	if v.visitor != nil {
		rec.Actor = v.visitor.account.Name
	}
	if err := d.deps.Journal.Append(v.r.Context(), rec); err != nil {
		return fmt.Errorf("write audit record: %w", err)
	}
	return nil
}

// readings remembers who read what lately, so that turning a page back and forth is written down once.
type readings struct {
	mu   sync.Mutex
	seen map[string]time.Time
}

const (
	readingAge  = time.Hour
	maxReadings = 10000
)

// again reports whether key was noted within readingAge, and notes it.
func (r *readings) again(key string, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if at, ok := r.seen[key]; ok && now.Sub(at) < readingAge {
		return true
	}
	if r.seen == nil || len(r.seen) >= maxReadings {
		r.seen = make(map[string]time.Time)
	}
	r.seen[key] = now
	return false
}

// noteReading writes down that somebody read another's mail (HOSTILE 4.3). It is all that a GET leaves behind. Who reads
// the mail of their own addresses reads their own.
func (d *desk) noteReading(v *visit, action, id string) error {
	if _, all := v.visitor.scope(); !all || v.r.Method == http.MethodHead {
		return nil
	}
	if action == "read" && d.read.again(v.visitor.account.Name+" "+id, d.now()) {
		return nil
	}
	return d.audit(v, action, id, "")
}

// journey is everything the journal knows of one id, oldest first, narrowed to the visitor's own.
func (d *desk) journey(ctx context.Context, who *visitor, id string) ([]journal.Record, error) {
	recs, err := d.deps.Journal.Trace(ctx, id, 100)
	if err != nil {
		return nil, fmt.Errorf("trace %s: %w", id, err)
	}
	mine, all := who.scope()
	out := slices.DeleteFunc(recs, func(r journal.Record) bool { return r.ID != id || !all && r.Kind == journal.Management })
	for i := range out {
		if !all {
			narrowRecord(&out[i], mine)
		}
	}
	slices.SortStableFunc(out, func(a, b journal.Record) int { return a.Time.Compare(b.Time) })
	return out, nil
}

// narrowRecord removes other recipients from a record, and what another person did (O-06).
func narrowRecord(r *journal.Record, mine []string) {
	r.Rcpts = slices.DeleteFunc(slices.Clone(r.Rcpts), func(a string) bool { return !owns(mine, a) })
	r.Fates = slices.DeleteFunc(slices.Clone(r.Fates), func(f journal.Fate) bool { return !owns(mine, f.Rcpt) })
	r.Note = ""
	if r.Decision != nil {
		dec := *r.Decision
		dec.Recipients = slices.DeleteFunc(slices.Clone(dec.Recipients), func(x policy.Verdict) bool { return !owns(mine, x.Address) })
		r.Decision = &dec
	}
}

// A filter is what a person asked the list for.
type filter struct {
	Text   string
	Class  string
	State  string
	Rcpt   string
	Days   string
	Since  string // a day, 2006-01-02 in UTC
	Until  string // the last day
	Before string
}

// Dated reports whether f names days.
func (f filter) Dated() bool { return f.Since != "" || f.Until != "" }

// check says what of f a program got wrong. The pages ignore it: what stands there was chosen from a list.
func (f filter) check() error {
	for _, p := range []struct {
		name, value string
		oneOf       []string
	}{
		{"class", f.Class, []string{string(policy.Spam), string(policy.Phish), string(policy.Malware), string(policy.ByRule)}},
		{"state", f.State, []string{string(quarantine.Waiting), string(quarantine.Released), string(quarantine.Deleted), string(quarantine.Expired)}},
		{"days", f.Days, []string{"1", "7"}},
	} {
		if p.value != "" && !slices.Contains(p.oneOf, p.value) {
			return badRequest("%s=%s: want one of %s", p.name, p.value, strings.Join(p.oneOf, ", "))
		}
	}
	for name, day := range map[string]string{"since": f.Since, "until": f.Until} {
		if _, err := time.Parse(time.DateOnly, day); day != "" && err != nil {
			return badRequest("%s=%s: want a day such as 2026-11-30", name, day)
		}
	}
	if f.Before != "" && !validID(f.Before) {
		return badRequest("before=%s: want the id of an entry", f.Before)
	}
	return nil
}

func (f filter) query(now time.Time) quarantine.Query {
	q := quarantine.Query{Text: clip(strings.TrimSpace(f.Text), 200), Recipient: strings.TrimSpace(f.Rcpt)}
	switch c := policy.Class(f.Class); c {
	case policy.Spam, policy.Phish, policy.Malware, policy.ByRule:
		q.Class = c
	}
	switch s := quarantine.State(f.State); s {
	case quarantine.Waiting, quarantine.Released, quarantine.Deleted, quarantine.Expired:
		q.State = s
	}
	switch f.Days {
	case "1":
		q.Since = now.Add(-24 * time.Hour)
	case "7":
		q.Since = now.Add(-7 * 24 * time.Hour)
	}
	if day, err := time.Parse(time.DateOnly, f.Since); err == nil && day.After(q.Since) {
		q.Since = day
	}
	if day, err := time.Parse(time.DateOnly, f.Until); err == nil {
		q.Until = day.Add(24 * time.Hour)
	}
	if validID(f.Before) {
		q.Before = f.Before
	}
	return q
}

// next is the newest waiting message that is older than id and that the visitor may see; "" if there is none.
func (d *desk) next(ctx context.Context, who *visitor, id string) (string, error) {
	list, _, err := d.held(ctx, who, quarantine.Query{State: quarantine.Waiting, Before: id, Limit: 1})
	if err != nil || len(list) == 0 {
		return "", err
	}
	return list[0].ID, nil
}

// clientName is a client as a person reads it.
func clientName(addr netip.Addr, name string) string {
	switch {
	case !addr.IsValid():
		return name
	case name == "":
		return addr.String()
	}
	return name + " [" + addr.String() + "]"
}
