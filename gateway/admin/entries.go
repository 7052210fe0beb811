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
	"gatepost/rules/conf"
)

// This file is who is allowed and denied: entries with an owner, a reason and an end, bound to what can be proved.

// Lives of an entry in days; the first is what is proposed.
func entryLives() []int { return []int{90, 7, 30, 365} }

const (
	longestEntry = 366 * 24 * time.Hour
	hitSpan      = 14 * 24 * time.Hour
	hitTime      = 2 * time.Second
	hitAge       = time.Minute
)

var (
	errEntry     = &problem{status: http.StatusBadRequest, key: "error.entry"}
	errNoReason  = &problem{status: http.StatusBadRequest, key: "error.reason"}
	errEntryWide = &problem{status: http.StatusForbidden, key: "error.wide"}
	errMoved     = &problem{status: http.StatusConflict, key: "error.moved"}
	errProve     = &problem{status: http.StatusForbidden, key: "error.prove"}
	errAgain     = &problem{status: http.StatusForbidden, key: "error.again"}
)

// A refusal is problems of a policy that was not changed.
type refusal []conf.Problem

func (r refusal) Error() string { return r[0].Error() }

// shape makes an entry what this visitor may make: with an owner, a reason and an end; a user's only for own mail, and
// nothing unsafe or about whole networks but by those who may change the policy.
func (d *desk) shape(v *visit, e policy.Entry) (policy.Entry, error) {
	e.Owner, e.At, e.Key = v.visitor.account.Name, "", ""
	if e.Reason = strings.TrimSpace(mail.Printable(e.Reason, 200)); e.Reason == "" {
		return e, errNoReason
	}
	now := d.now().UTC()
	if !e.Expires.IsZero() && !e.Expires.After(now) {
		return e, errEntry
	}
	if e.Allow && (e.Expires.IsZero() || e.Expires.Sub(now) > longestEntry) && !v.visitor.may(RightChange) {
		e.Expires = now.Add(longestEntry).Truncate(time.Second)
	}
	wide := e.Unsafe || e.Allow && len(e.Sender) == 0 || len(e.Country)+len(e.ASN)+len(e.Helo) > 0 || slices.ContainsFunc(e.Client, wideNetwork) ||
		slices.ContainsFunc(e.Sender, func(s string) bool { return !strings.Contains(s, ".") }) // a local part anywhere, or everybody
	if wide && !v.visitor.may(RightChange) {
		return e, errEntryWide
	}
	if mine, all := v.visitor.scope(); !all {
		if len(e.Client) > 0 || len(mine) == 0 {
			return e, errEntryWide
		}
		for _, r := range e.Recipient {
			if !owns(mine, r) {
				return e, errEntryWide
			}
		}
		if len(e.Recipient) == 0 {
			e.Recipient = mine
		}
	}
	return e, nil
}

// wideNetwork reports whether s is more than one address or a small network, or a name.
func wideNetwork(s string) bool {
	if _, err := netip.ParseAddr(s); err == nil {
		return false
	}
	p, err := netip.ParsePrefix(s)
	return err != nil || p.Addr().Is4() && p.Bits() < 24 || p.Addr().Is6() && p.Bits() < 48
}

// addEntry makes an entry; what cannot be written down is not done.
func (d *desk) addEntry(v *visit, e policy.Entry) error {
	if d.deps.Entries == nil {
		return errNotWired
	}
	e, err := d.shape(v, e)
	if err != nil {
		return err
	}
	if err := d.audit(v, "entry added", e.From, entryNote(e)); err != nil {
		return err
	}
	problems, err := d.deps.Entries.Add(v.r.Context(), e)
	if err != nil {
		return fmt.Errorf("add entry: %w", err)
	}
	if len(problems) > 0 {
		return refusal(problems)
	}
	return nil
}

// entryNote is an entry in one line, for the audit.
func entryNote(e policy.Entry) string {
	word := "deny"
	if e.Allow {
		word = "allow"
	}
	for _, k := range []struct {
		name   string
		values []string
	}{{"client", e.Client}, {"helo", e.Helo}, {"sender", e.Sender}, {"recipient", e.Recipient}, {"country", e.Country}, {"asn", e.ASN}} {
		if len(k.values) > 0 {
			word += " " + k.name + " " + strings.Join(k.values, " ")
		}
	}
	if e.Unsafe {
		word += " unsafe"
	}
	if !e.Expires.IsZero() {
		word += " until " + e.Expires.UTC().Format(time.DateOnly)
	}
	return word + ": " + e.Reason
}

// An entryRow is one entry in a list.
type entryRow struct {
	policy.Entry
	Hits   int
	Over   bool // it does not count any more
	Soon   bool // it will end within two weeks
	Remove bool // by this visitor
}

// Who is whom the entry is about, each with its kind.
func (e entryRow) Who() [][2]string {
	var out [][2]string
	for _, k := range []struct {
		key    string
		values []string
	}{{"entry.client", e.Client}, {"entry.helo", e.Helo}, {"entry.sender", e.Sender}, {"entry.recipient", e.Recipient},
		{"entry.country", e.Country}, {"entry.asn", e.ASN}} {
		for _, s := range k.values {
			out = append(out, [2]string{k.key, s})
		}
	}
	return out
}

type listsView struct {
	Entries []entryRow
	Lists   []policy.List
	Since   time.Time // hits were counted since; zero: they could not be
	Add     bool
	Wide    bool // the visitor may make entries of any kind
	Lives   []int
	Error   string
	Problem string
	Draft   policy.Entry
	All     bool   // the visitor sees everybody's
	Sure    string // key of the entry that is about to be removed
}

// hitCount remembers hits for a moment, for counting reads the journal.
type hitCount struct {
	mu    sync.Mutex
	at    time.Time
	gen   uint64
	hits  map[string]int
	since time.Time
}

// hits counts what entries decided lately.
func (d *desk) hits(ctx context.Context, gen uint64) (map[string]int, time.Time) {
	c := &d.counted
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gen == gen && d.now().Sub(c.at) < hitAge {
		return c.hits, c.since
	}
	ctx, cancel := context.WithTimeout(ctx, hitTime)
	defer cancel()
	since := d.now().Add(-hitSpan)
	hits, err := d.deps.Entries.Hits(ctx, since)
	if err != nil {
		since = time.Time{} // too much to count for a page
	}
	c.at, c.gen, c.hits, c.since = d.now(), gen, hits, since
	return hits, since
}

// entryRows are the entries that the visitor may see.
func (d *desk) entryRows(v *visit, p PolicyInForce) ([]entryRow, time.Time) {
	mine, all := v.visitor.scope()
	all = all || v.visitor.may(RightPolicy)
	var hits map[string]int
	var since time.Time
	if d.deps.Entries != nil {
		hits, since = d.hits(v.r.Context(), p.Generation)
	}
	now := d.now()
	var rows []entryRow
	for _, e := range p.Policy.Entries() {
		if !all && (len(e.Recipient) == 0 || slices.ContainsFunc(e.Recipient, func(r string) bool { return !owns(mine, r) })) {
			continue
		}
		row := entryRow{Entry: e, Hits: hits[e.At]}
		row.Over = !e.Expires.IsZero() && !now.Before(e.Expires)
		row.Soon = !row.Over && !e.Expires.IsZero() && e.Expires.Sub(now) < hitSpan
		row.Remove = d.mayRemove(v, e)
		rows = append(rows, row)
	}
	return rows, since
}

// mayRemove reports whether the visitor may take an entry away: their own, and any if they may change the policy.
func (d *desk) mayRemove(v *visit, e policy.Entry) bool {
	return d.deps.Entries != nil && e.Key != "" && v.visitor.may(RightEntries) &&
		(e.Owner == v.visitor.account.Name || v.visitor.may(RightChange))
}

func (d *desk) showLists(v *visit, status int, p listsView) error {
	now, err := d.inForce(v)
	if err != nil {
		return err
	}
	p.Entries, p.Since = d.entryRows(v, now)
	if p.Sure != "" && !slices.ContainsFunc(p.Entries, func(e entryRow) bool { return e.Remove && e.Key == p.Sure }) {
		return errNotFound
	}
	p.Add, p.Wide, p.Lives = d.deps.Entries != nil, v.visitor.may(RightChange), entryLives()
	if _, p.All = v.visitor.scope(); p.All || v.visitor.may(RightPolicy) {
		p.Lists = now.Policy.Lists()
	}
	return d.render(v, status, "lists", p)
}

func listsPage(d *desk, v *visit) error { return d.showLists(v, http.StatusOK, listsView{}) }

// formEntry reads the entry that a form describes.
func (d *desk) formEntry(v *visit) policy.Entry {
	form := v.r.PostForm
	e := policy.Entry{Allow: form.Get("verb") == "allow", Reason: form.Get("reason"), Unsafe: form.Get("unsafe") != ""}
	if days := slices.Index([]string{"7", "30", "90", "365"}, form.Get("days")); days >= 0 {
		e.Expires = d.now().UTC().Truncate(time.Second).Add(time.Duration([]int{7, 30, 90, 365}[days]) * 24 * time.Hour)
	}
	words := strings.FieldsFunc(form.Get("who"), func(r rune) bool { return strings.ContainsRune(" ,;\r\n\t", r) })
	if form.Get("kind") == "client" {
		e.Client = words
	} else {
		e.Sender = words
	}
	e.Recipient = strings.FieldsFunc(form.Get("recipients"), func(r rune) bool { return strings.ContainsRune(" ,;\r\n\t", r) })
	return e
}

// entryError is what to tell the person, by catalogue key or in the words of the check; other errors are not theirs.
func entryError(err error) (key, words string, theirs bool) {
	var p *problem
	var r refusal
	switch {
	case errors.As(err, &r):
		return "error.entry", r[0].Message, true
	case errors.As(err, &p) && p.err == nil && p.status < 500:
		return p.key, "", true
	}
	return "", "", false
}

func createEntry(d *desk, v *visit) error {
	e := d.formEntry(v)
	err := d.addEntry(v, e)
	if key, words, theirs := entryError(err); theirs {
		return d.showLists(v, http.StatusBadRequest, listsView{Error: key, Problem: words, Draft: e})
	}
	if err != nil {
		return err
	}
	v.redirect("/lists")
	return nil
}

// removeEntry takes an entry away; which are the visitor's to remove is asked of the policy in force.
func (d *desk) removeEntry(v *visit, key string) error {
	now, err := d.inForce(v)
	if err != nil {
		return err
	}
	list := now.Policy.Entries()
	i := slices.IndexFunc(list, func(e policy.Entry) bool { return e.Key == key && key != "" })
	if i < 0 || !d.mayRemove(v, list[i]) {
		return errNotFound
	}
	if err := d.audit(v, "entry removed", list[i].From, entryNote(list[i])); err != nil {
		return err
	}
	problems, err := d.deps.Entries.Remove(v.r.Context(), key)
	switch {
	case errors.Is(err, ErrNoEntry):
		return errNotFound
	case err != nil:
		return fmt.Errorf("remove entry: %w", err)
	case len(problems) > 0:
		return refusal(problems)
	}
	return nil
}

// dropEntry first asks, then does.
func dropEntry(d *desk, v *visit) error {
	if v.r.PostForm.Get("sure") == "" {
		return d.showLists(v, http.StatusOK, listsView{Sure: v.r.PathValue("key")})
	}
	err := d.removeEntry(v, v.r.PathValue("key"))
	if key, words, theirs := entryError(err); theirs && !errors.Is(err, errNotFound) {
		return d.showLists(v, http.StatusBadRequest, listsView{Error: key, Problem: words})
	}
	if err != nil {
		return err
	}
	v.redirect("/lists")
	return nil
}

// A senderView is the page on which the sender of one message is allowed or denied.
type senderView struct {
	confirmMessage
	senderChoice
	Error, Problem string
	Reason         string
	Release        bool // it could be released in the same step
}

// A senderChoice is whom an entry made from a message may be about.
type senderChoice struct {
	Verb    string // allow or deny
	Address string
	Domain  string
	Client  string // empty: not this visitor's to deny
	Proved  string // the domain that the message proved to come from; empty: none that the author's belongs to
	Lives   []int
	Unsafe  bool // the visitor may allow what is not proved
	Seen    int  // how much mail the journal knows from the address lately
	Shown   int
	Own     []string // for these recipients only
}

// senderOf is what can be said of the sender of a held message.
func (d *desk) senderOf(v *visit, e *quarantine.Entry, res *result, verb string) senderChoice {
	c := senderChoice{Verb: verb, Address: cmp.Or(e.Author, e.MailFrom), Lives: entryLives(), Unsafe: v.visitor.may(RightChange)}
	c.Domain = c.Address[strings.LastIndexByte(c.Address, '@')+1:]
	var all bool
	if c.Own, all = v.visitor.scope(); all {
		c.Own = nil
		c.Client = e.Client
	}
	if a := res.Auth; a != nil && a.Domain != "" && (c.Domain == a.Domain || strings.HasSuffix(c.Domain, "."+a.Domain) || strings.HasSuffix(a.Domain, "."+c.Domain)) {
		c.Proved = a.Domain
	}
	return c
}

// seen counts lately recorded mail from an address, and how much of it proved where it came from.
func (d *desk) seen(ctx context.Context, address string) (n, proved int) {
	recs, err := d.deps.Journal.Trace(ctx, address, 200)
	if err != nil {
		return 0, 0
	}
	for _, r := range recs {
		if r.Kind != journal.Message || !strings.EqualFold(r.Author, address) && !strings.EqualFold(r.From, address) {
			continue
		}
		if n++; r.Report != nil && r.Report.Auth != nil && r.Report.Auth.Domain != "" {
			proved++
		}
	}
	return n, proved
}

// entryFrom is the entry that a form asks for about the sender of a message; ok is false if it asks for none.
func (d *desk) entryFrom(v *visit, e *quarantine.Entry, c senderChoice) (policy.Entry, bool) {
	form := v.r.PostForm
	entry := policy.Entry{Allow: c.Verb == "allow", From: e.ID, Reason: form.Get("reason"), Recipient: c.Own,
		Unsafe: c.Verb == "allow" && form.Get("unsafe") != ""}
	switch form.Get("who") {
	case "address":
		entry.Sender = []string{c.Address}
	case "domain":
		entry.Sender = []string{"@" + c.Domain}
	case "client":
		if c.Client == "" || entry.Allow {
			return entry, false
		}
		entry.Client = []string{c.Client}
	default:
		return entry, false
	}
	days := 90
	for _, n := range entryLives() {
		if form.Get("days") == fmt.Sprint(n) {
			days = n
		}
	}
	entry.Expires = d.now().UTC().Truncate(time.Second).Add(time.Duration(days) * 24 * time.Hour)
	if form.Get("days") == "never" && !entry.Allow {
		entry.Expires = time.Time{}
	}
	return entry, true
}

// senderView reads what the page needs.
func (d *desk) senderView(v *visit) (senderView, *quarantine.Entry, error) {
	e, res, err := d.entry(v.r.Context(), v.visitor, v.r.PathValue("id"))
	if err != nil {
		return senderView{}, nil, err
	}
	if d.deps.Entries == nil {
		return senderView{}, nil, errNotFound
	}
	verb := v.r.FormValue("verb")
	if verb != "allow" && verb != "deny" {
		verb = "allow"
	}
	p := senderView{confirmMessage: confirmMessage{heldRows([]quarantine.Entry{*e})[0], res, waiting(e, nil)}, senderChoice: d.senderOf(v, e, res, verb)}
	p.Release = verb == "allow" && len(p.Waiting) > 0 && d.deps.Releaser != nil && e.Class != policy.Malware && v.visitor.mayRelease(e.Class)
	if _, all := v.visitor.scope(); all {
		p.Seen, p.Shown = d.seen(v.r.Context(), p.Address)
	}
	return p, e, nil
}

func senderPage(d *desk, v *visit) error {
	p, _, err := d.senderView(v)
	if err != nil {
		return err
	}
	return d.render(v, http.StatusOK, "sender", p)
}

// judgeSender allows or denies the sender of one message, and releases it in the same step if that is asked for.
func judgeSender(d *desk, v *visit) error {
	p, e, err := d.senderView(v)
	if err != nil {
		return err
	}
	p.Reason = v.r.PostForm.Get("reason")
	entry, ok := d.entryFrom(v, e, p.senderChoice)
	if !ok {
		return errBadForm
	}
	err = d.addEntry(v, entry)
	if key, words, theirs := entryError(err); theirs {
		p.Error, p.Problem = key, words
		return d.render(v, http.StatusBadRequest, "sender", p)
	}
	if err != nil {
		return err
	}
	done := act{ID: e.ID, Subject: e.Subject, Entry: &entry}
	if p.Release && v.r.PostForm.Get("release") != "" {
		if done.Outcomes, err = d.release(v, e.ID, nil); err != nil {
			done.Error = d.explainFailure(v, "release", err)
		}
	}
	return d.render(v, http.StatusOK, "done", doneView{Act: "entry", Acts: []act{done}})
}

// explainFailure is the sentence for an error of one of several acts; the log gets what is not the person's.
func (d *desk) explainFailure(v *visit, what string, err error) string {
	if p := (*problem)(nil); errors.As(err, &p) {
		return p.key
	}
	if key, _, theirs := entryError(err); theirs {
		return key
	}
	d.log.Error(what, "request", v.id, "error", fmt.Sprint(err))
	return "error.internal"
}

// The bodies of the API.
type (
	apiEntriesBody struct {
		Entries []apiAccessEntry `json:"entries"`
		Since   time.Time        `json:"hits_since,omitzero"`
	}
	apiAccessEntry struct {
		policy.Entry
		Hits int `json:"hits"`
	}
	apiProblems struct {
		Error    string       `json:"error"`
		Code     string       `json:"code"`
		Problems []apiProblem `json:"problems"`
	}
	apiProblem struct {
		File    string `json:"file"`
		Line    int    `json:"line"`
		Column  int    `json:"column"`
		Message string `json:"message"`
		Hint    string `json:"hint,omitempty"`
	}
)

func problemsOf(list []conf.Problem) []apiProblem {
	out := make([]apiProblem, len(list))
	for i, p := range list {
		out[i] = apiProblem{p.Pos.File, p.Pos.Line, p.Pos.Col, p.Message, p.Hint}
	}
	return out
}

// refused answers an API call whose change the check did not let pass.
func (d *desk) refused(v *visit, err error) error {
	var r refusal
	if !errors.As(err, &r) {
		return err
	}
	d.writeJSON(v, http.StatusUnprocessableEntity, apiProblems{d.texts.say("en", "error.check"), "error.check", problemsOf(r)})
	return nil
}

func apiEntries(d *desk, v *visit) error {
	now, err := d.inForce(v)
	if err != nil {
		return err
	}
	rows, since := d.entryRows(v, now)
	body := apiEntriesBody{Entries: []apiAccessEntry{}, Since: since}
	for _, r := range rows {
		body.Entries = append(body.Entries, apiAccessEntry{r.Entry, r.Hits})
	}
	d.writeJSON(v, http.StatusOK, body)
	return nil
}

func apiAddEntry(d *desk, v *visit) error {
	var e policy.Entry
	if err := v.readBody(&e); err != nil {
		return err
	}
	if err := d.addEntry(v, e); err != nil {
		return d.refused(v, err)
	}
	v.w.WriteHeader(http.StatusNoContent)
	return nil
}

func apiRemoveEntry(d *desk, v *visit) error {
	if err := d.removeEntry(v, v.r.PathValue("key")); err != nil {
		return d.refused(v, err)
	}
	v.w.WriteHeader(http.StatusNoContent)
	return nil
}
