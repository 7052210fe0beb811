package browser

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"gatepost/filters"
	"gatepost/filters/mail"
	"gatepost/gateway/admin"
	"gatepost/gateway/journal"
	"gatepost/gateway/quarantine"
	"gatepost/policy"
	"gatepost/test/harness/rooms"
)

// A House is a quarantine, a journal and a next hop made of memory, with mail in them.
type House struct {
	mu       sync.Mutex
	entries  []quarantine.Entry // newest first
	content  map[string][]byte
	records  []journal.Record // newest first
	Refuse   map[string]string
	Released []string      // "id address", in order
	Pause    time.Duration // how long the next hop takes for a message
	Checks   []admin.Check
	Meter    *admin.Meter
	Rooms    *rooms.Rooms
	Accounts *admin.Accounts
	now      time.Time
}

// List implements admin.Quarantine.
func (h *House) List(_ context.Context, q quarantine.Query) ([]quarantine.Entry, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	var out []quarantine.Entry
	past := q.Before == ""
	for _, e := range h.entries {
		if !past {
			past = e.ID == q.Before
			continue
		}
		text := strings.ToLower(e.Subject + " " + e.MailFrom + " " + e.Author + " " + string(e.Result))
		if q.Text != "" && !strings.Contains(text, strings.ToLower(q.Text)) || q.Class != "" && e.Class != q.Class ||
			!q.Since.IsZero() && e.Time.Before(q.Since) {
			continue
		}
		if !slices.ContainsFunc(e.Rcpts, func(r quarantine.Recipient) bool {
			return (q.State == "" || r.State == q.State) && (q.Recipient == "" || r.Address == q.Recipient)
		}) {
			continue
		}
		if out = append(out, e); len(out) == q.Limit {
			break
		}
	}
	return out, nil
}

// Count implements admin.Quarantine.
func (h *House) Count(ctx context.Context, q quarantine.Query, most int) (int, error) {
	q.Limit, q.Before = most, ""
	list, err := h.List(ctx, q)
	return len(list), err
}

// Own is the house as some of its people see it.
func (h *House) Own(addresses ...string) admin.Quarantine { return own{h, addresses} }

// own is a view of a House.
type own struct {
	h         *House
	addresses []string
}

// List implements admin.Quarantine.
func (o own) List(ctx context.Context, q quarantine.Query) ([]quarantine.Entry, error) {
	all, err := o.h.List(ctx, quarantine.Query{Text: q.Text, Class: q.Class, State: q.State, Recipient: q.Recipient,
		Since: q.Since, Until: q.Until, Before: q.Before, Limit: -1})
	all = slices.DeleteFunc(all, func(e quarantine.Entry) bool { return !o.has(&e) })
	return all[:min(len(all), q.Limit)], err
}

// Count implements admin.Quarantine.
func (o own) Count(ctx context.Context, q quarantine.Query, most int) (int, error) {
	q.Limit, q.Before = most, ""
	list, err := o.List(ctx, q)
	return len(list), err
}

// Entry implements admin.Quarantine.
func (o own) Entry(ctx context.Context, id string) (*quarantine.Entry, error) {
	e, err := o.h.Entry(ctx, id)
	if err != nil || !o.has(e) {
		return nil, quarantine.ErrNotFound
	}
	return e, nil
}

// Open implements admin.Quarantine.
func (o own) Open(ctx context.Context, id string) (quarantine.Content, error) {
	if _, err := o.Entry(ctx, id); err != nil {
		return nil, err
	}
	return o.h.Open(ctx, id)
}

// has reports whether one of e's copies is in view, and leaves only those.
func (o own) has(e *quarantine.Entry) bool {
	e.Rcpts = slices.DeleteFunc(slices.Clone(e.Rcpts), func(r quarantine.Recipient) bool { return !slices.Contains(o.addresses, r.Address) })
	return len(e.Rcpts) > 0
}

// Entry implements admin.Quarantine.
func (h *House) Entry(_ context.Context, id string) (*quarantine.Entry, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, e := range h.entries {
		if e.ID == id {
			e.Rcpts = slices.Clone(e.Rcpts)
			return &e, nil
		}
	}
	return nil, quarantine.ErrNotFound
}

// content is a stored message.
type content struct{ *bytes.Reader }

// Close implements quarantine.Content.
func (content) Close() error { return nil }

// Open implements admin.Quarantine.
func (h *House) Open(_ context.Context, id string) (quarantine.Content, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	b, ok := h.content[id]
	if !ok {
		return nil, quarantine.ErrNotFound
	}
	return content{bytes.NewReader(b)}, nil
}

// Release implements admin.Releaser: the next hop takes everything but for those in Refuse.
func (h *House) Release(_ context.Context, id string, rcpts []string, actor string) ([]admin.ReleaseOutcome, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	time.Sleep(h.Pause)
	var out []admin.ReleaseOutcome
	rec := journal.Record{V: journal.Version, Kind: journal.Disposal, ID: id, Time: h.now, Actor: actor, Action: "release"}
	for _, a := range rcpts {
		o := admin.ReleaseOutcome{Rcpt: a, OK: true, Reply: "250 2.0.0 Ok: queued as 4F2A9C1B"}
		fate := journal.Fate{Rcpt: a, Fate: "delivered", Hop: "mail1.internal:25", Reply: o.Reply}
		if words, no := h.Refuse[a]; no {
			o.OK, o.Reply = false, words
			fate.Fate, fate.Reply = "refused", words
		} else {
			h.Released = append(h.Released, id+" "+a)
			h.mark(id, a, quarantine.Released, actor, o.Reply)
		}
		rec.Fates = append(rec.Fates, fate)
		out = append(out, o)
	}
	h.records = slices.Insert(h.records, 0, rec)
	return out, nil
}

// Delete implements admin.Deleter.
func (h *House) Delete(_ context.Context, id string, rcpts []string, actor string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, a := range rcpts {
		h.mark(id, a, quarantine.Deleted, actor, "")
	}
	return nil
}

func (h *House) mark(id, address string, s quarantine.State, actor, reply string) {
	for i := range h.entries {
		if h.entries[i].ID != id {
			continue
		}
		h.entries[i].Rcpts = slices.Clone(h.entries[i].Rcpts)
		for j := range h.entries[i].Rcpts {
			if r := &h.entries[i].Rcpts[j]; r.Address == address {
				r.State, r.By, r.At, r.Reply = s, actor, h.now, reply
			}
		}
	}
}

// Trace implements admin.Journal.
func (h *House) Trace(_ context.Context, query string, limit int) ([]journal.Record, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	var out []journal.Record
	for _, r := range h.records {
		hay := strings.ToLower(strings.Join(append([]string{r.ID, r.MsgID, r.From, r.Author, r.Client.String(), r.Name, r.Helo}, r.Rcpts...), " "))
		if strings.Contains(hay, strings.ToLower(query)) && len(out) < limit {
			out = append(out, r)
		}
	}
	return out, nil
}

// Health is how things are.
func (h *House) Health() []admin.Check {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.Checks)
}

// Mend makes everything well.
func (h *House) Mend() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i := range h.Checks {
		h.Checks[i].OK = true
	}
}

// Recent implements admin.Journal.
func (h *House) Recent(_ context.Context, kind journal.Kind, _ time.Time, limit int) ([]journal.Record, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	var out []journal.Record
	for _, r := range h.records {
		if r.Kind == kind && len(out) < limit {
			out = append(out, r)
		}
	}
	return out, nil
}

// Append implements admin.Journal.
func (h *House) Append(_ context.Context, r *journal.Record) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.records = slices.Insert(h.records, 0, *r)
	return nil
}

// Body implements admin.Bodies for the plain messages that the house is furnished with.
func (h *House) Body(src mail.Source, limit int) (admin.Body, error) {
	buf := make([]byte, min(src.Size(), int64(limit)))
	if _, err := src.ReadAt(buf, 0); err != nil {
		return admin.Body{}, err
	}
	_, body, _ := strings.Cut(string(buf), "\r\n\r\n")
	text, html, _ := strings.Cut(body, "\r\n--html--\r\n")
	return admin.Body{Text: text, HTML: html}, nil
}

// A letter is one message to furnish the house with.
type letter struct {
	id, from, author, name, subject, text, html string
	rcpts                                       []string
	class                                       policy.Class
	client, helo                                string
	age                                         time.Duration
	because                                     []policy.Reason
	findings                                    []finding
	decided, would                              []string
	auth                                        *filters.Auth
	attachments                                 []filters.Attachment
	urls                                        []filters.URL
	notRun                                      []filters.Failure
	refused                                     bool
}

// A finding of a letter, with a string whose place in the message is its proof.
type finding struct {
	filter, code, text, where, proof string
	weight                           policy.Points
}

// put stores a letter as a held message and as the journal's record of it.
func (h *House) put(l letter) {
	raw := fmt.Sprintf("Received: from %s ([%s]) by mx.example.com\r\nFrom: %s <%s>\r\nTo: %s\r\nSubject: %s\r\nMessage-ID: <%s@%s>\r\n"+
		"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n%s", l.helo, l.client, l.name, l.author,
		l.rcpts[0], l.subject, l.id, l.helo, strings.ReplaceAll(l.text, "\n", "\r\n"))
	if l.html != "" {
		raw += "\r\n--html--\r\n" + l.html
	}
	sum := sha256.Sum256([]byte(raw))
	e := quarantine.Entry{ID: l.id, Time: h.now.Add(-l.age), Expires: h.now.Add(30*24*time.Hour - l.age), Class: l.class,
		MailFrom: l.from, Author: l.author, Name: l.name, Subject: l.subject, Size: int64(len(raw)), SHA256: hex.EncodeToString(sum[:]),
		Client: l.client, Helo: l.helo}
	dec := policy.Decision{Action: policy.Quarantine, Class: l.class, Decided: l.decided, WouldPass: l.would,
		Reply: policy.Reply{Code: 250, Enhanced: "2.6.0", Text: "held for review"}}
	if l.refused {
		dec.Reply = policy.Reply{Code: 550, Enhanced: "5.7.1", Text: "refused by policy, see https://mx.example.com/r/" + l.id}
	}
	for _, b := range l.because {
		dec.Score += b.Weight
	}
	e.Score = dec.Score
	report := filters.Report{Facts: filters.Facts{Auth: l.auth, Attachments: l.attachments, URLs: l.urls}, Failures: l.notRun}
	type weighed struct {
		filters.Finding
		Weight policy.Points `json:"weight,omitempty"`
	}
	var found []weighed
	for _, f := range l.findings {
		proof := filters.Evidence{Where: f.where, What: f.proof}
		if at := strings.Index(raw, f.proof); at >= 0 {
			proof.At = &[2]int64{int64(at), int64(len(f.proof))}
		}
		w := weighed{filters.Finding{Filter: f.filter, Code: f.code, Text: f.text, Proof: []filters.Evidence{proof}}, f.weight}
		found = append(found, w)
		report.Findings = append(report.Findings, w.Finding)
	}
	rec := journal.Record{V: journal.Version, Kind: journal.Message, ID: l.id, Time: e.Time, Client: netip.MustParseAddr(l.client),
		Helo: l.helo, From: l.from, Rcpts: l.rcpts, Subject: l.subject, Author: l.author, MsgID: "<" + l.id + "@" + l.helo + ">",
		Size: e.Size, Reply: dec.Reply, Report: &report, Micros: map[string]int64{"total": 1840, "auth": 812}}
	for _, a := range l.rcpts {
		dec.Recipients = append(dec.Recipients, policy.Verdict{Address: a, Action: policy.Quarantine, Because: l.because})
		e.Rcpts = append(e.Rcpts, quarantine.Recipient{Address: a, State: quarantine.Waiting})
		rec.Fates = append(rec.Fates, journal.Fate{Rcpt: a, Fate: "quarantined"})
	}
	rec.Decision = &dec
	result, err := json.Marshal(map[string]any{"id": l.id, "time": e.Time, "action": dec.Action, "class": dec.Class, "score": dec.Score,
		"reply": dec.Reply, "recipients": dec.Recipients, "decided": dec.Decided, "would_pass_if": dec.WouldPass, "findings": found,
		"not_run": l.notRun, "auth": l.auth, "attachments": l.attachments, "urls": l.urls, "timings_us": rec.Micros})
	if err != nil {
		panic(err) // the letters are ours: they marshal
	}
	e.Result = result
	h.entries = append(h.entries, e)
	h.content[l.id] = []byte(raw)
	h.records = append(h.records, rec)
}

// newest puts what was stored last where its time is, first.
func (h *House) newest() {
	h.mu.Lock()
	defer h.mu.Unlock()
	slices.SortStableFunc(h.entries, func(a, b quarantine.Entry) int { return b.Time.Compare(a.Time) })
}
