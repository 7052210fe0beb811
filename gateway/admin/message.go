package admin

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"gatepost/filters"
	"gatepost/filters/mail"
	"gatepost/gateway/quarantine"
	"gatepost/policy"
)

// A heldRow is one held message in a list.
type heldRow struct {
	quarantine.Entry
	State quarantine.State // of the first copy: what the row is marked with
	Work  work
}

// heldRows makes rows of a list that the visitor may see, looking up the explanations that a list leaves out.
func (d *desk) heldRows(ctx context.Context, who *visitor, entries []quarantine.Entry) ([]heldRow, error) {
	ids := make([]string, len(entries))
	for i := range entries {
		ids[i] = entries[i].ID
		if entries[i].Reason != "" || entries[i].Result != nil {
			continue
		}
		if e, err := d.quarantineOf(who).Entry(ctx, entries[i].ID); err == nil {
			entries[i].Result = e.Result
		}
	}
	ws, err := d.works(ctx, who, ids...)
	if err != nil {
		return nil, err
	}
	rows := heldRows(entries)
	for i := range rows {
		rows[i].Work = ws[rows[i].ID]
	}
	return rows, nil
}

func heldRows(entries []quarantine.Entry) []heldRow {
	out := make([]heldRow, len(entries))
	for i, e := range entries {
		out[i].Entry = e
		if e.Result != nil {
			out[i].Reason, out[i].Code = quarantine.Headline(e.Result)
		}
		for _, c := range e.Rcpts {
			if out[i].State == "" || c.State == quarantine.Waiting {
				out[i].State = c.State
			}
		}
	}
	return out
}

type listView struct {
	Filter   filter
	Rows     []heldRow
	Older    string // path of the next page; empty on the last
	Classes  []policy.Class
	States   []quarantine.State
	Release  bool
	Delete   bool
	CSV      string
	Filtered bool
	Count    int
	Many     bool // there are more than Count
}

// asked is the filter in the query.
func (v *visit) asked() filter {
	q := v.r.URL.Query()
	return filter{Text: q.Get("q"), Class: q.Get("class"), State: q.Get("state"), Rcpt: q.Get("recipient"), Days: q.Get("days"),
		Since: q.Get("since"), Until: q.Get("until"), Before: q.Get("before")}
}

// filter is asked for people: of what still waits, unless they say otherwise.
func (v *visit) filter() filter {
	f := v.asked()
	if !v.r.URL.Query().Has("state") {
		f.State = string(quarantine.Waiting)
	}
	return f
}

// path is the list's address with f and one change.
func (f filter) path(base, key, value string) string {
	q := url.Values{"q": {f.Text}, "class": {f.Class}, "state": {f.State}, "recipient": {f.Rcpt}, "days": {f.Days}, "since": {f.Since}, "until": {f.Until}, "before": {f.Before}}
	q.Set(key, value)
	for k, v := range q {
		if v[0] == "" && k != "state" {
			delete(q, k)
		}
	}
	return base + "?" + q.Encode()
}

// maxCount is how far the list counts what it could show.
const maxCount = 1000

func listPage(d *desk, v *visit) error {
	f := v.filter()
	entries, more, err := d.held(v.r.Context(), v.visitor, f.query(d.now()))
	if err != nil {
		return err
	}
	rows, err := d.heldRows(v.r.Context(), v.visitor, entries)
	if err != nil {
		return err
	}
	p := listView{Filter: f, Rows: rows, Release: v.visitor.may(RightRelease), Delete: v.visitor.may(RightDelete),
		Classes:  []policy.Class{policy.Spam, policy.Phish, policy.Malware, policy.ByRule},
		States:   []quarantine.State{quarantine.Waiting, quarantine.Released, quarantine.Deleted, quarantine.Expired},
		CSV:      f.path("/quarantine.csv", "before", ""),
		Filtered: f.Text != "" || f.Class != "" || f.Days != "" || f.Rcpt != "" || f.Dated()}
	if p.Count, err = d.quarantineOf(v.visitor).Count(v.r.Context(), f.query(d.now()), maxCount+1); err != nil {
		return fmt.Errorf("count quarantine: %w", err)
	}
	p.Many, p.Count = p.Count > maxCount, min(p.Count, maxCount)
	if more {
		p.Older = f.path("/quarantine", "before", entries[len(entries)-1].ID)
	}
	return d.render(v, http.StatusOK, "list", p)
}

// listCSV exports what the list shows, at most 1000 entries. Cells that a spreadsheet would take for a formula are
// defused (N-12).
func listCSV(d *desk, v *visit) error {
	q := v.filter().query(d.now())
	q.Limit = 999
	entries, _, err := d.held(v.r.Context(), v.visitor, q)
	if err != nil {
		return err
	}
	held, err := d.heldRows(v.r.Context(), v.visitor, entries)
	if err != nil {
		return err
	}
	h := v.w.Header()
	h.Set("Content-Type", "text/csv; charset=utf-8")
	h.Set("Content-Disposition", `attachment; filename="quarantine.csv"`)
	h.Set("Content-Security-Policy", rawPolicy)
	if v.r.Method == http.MethodHead {
		return nil
	}
	out := csv.NewWriter(v.w)
	out.UseCRLF = true
	rows := [][]string{{"id", "time", "class", "score", "mail_from", "from", "recipients", "subject", "reason", "client", "size"}}
	for _, e := range held {
		var to []string
		for _, r := range e.Rcpts {
			to = append(to, r.Address)
		}
		rows = append(rows, []string{e.ID, e.Time.UTC().Format("2006-01-02T15:04:05Z"), string(e.Class), e.Score.String(), e.MailFrom,
			e.Author, strings.Join(to, " "), e.Subject, e.Reason, e.Client, strconv.FormatInt(e.Size, 10)})
	}
	for _, row := range rows {
		for i := range row {
			row[i] = defuse(row[i])
		}
		if err := out.Write(row); err != nil {
			return nil // the reader went away
		}
	}
	out.Flush()
	return nil
}

// defuse keeps a spreadsheet from calculating with a stranger's text.
func defuse(s string) string {
	s = mail.Printable(s, 1000)
	if t := strings.TrimLeft(s, " "); t != "" && strings.ContainsRune("=+-@\t\r|%＝＋－＠", []rune(t)[0]) {
		return "'" + s
	}
	return s
}

// A proof is one piece of evidence with the bytes around it.
type proof struct {
	filters.Evidence
	Excerpt *excerpt
}

// A fact is a finding with its proofs.
type fact struct {
	Code, Filter, Text string
	Proofs             []proof
}

// A reason is one step with its facts.
type reason struct {
	step
	Facts []fact
}

// A judgment is what was decided for recipients who were all judged alike.
type judgment struct {
	Action  policy.Action
	Rcpts   []string
	Reasons []reason
	Score   policy.Points
}

// messageView is all that the page of one message shows.
type messageView struct {
	ID        string
	Entry     *quarantine.Entry
	Record    *traceRow // of a message that is not held
	Held      bool      // it can be looked up in the quarantine
	Result    *result
	Judgments []judgment
	Others    []fact // seen, and weighing nothing
	Links     []link
	MoreLinks int
	Defects   []string

	Headers    []piece
	HeadersCut bool
	Text       []piece
	Body       Body
	Content    bool // the visitor may read it
	Download   bool
	View       string // "text" or "html"

	Journey []traceRow
	Next    string // id of the next message that waits; "" on the last
	Release bool   // possible now, and the visitor may
	Delete  bool
	Sender  bool // may be allowed and denied
	Teach   bool
	Test    bool
	Work    work
	Claim   bool // the visitor may take it
	Ask     bool // the visitor may release mail, yet not of this class
}

// Free reports whether no other reviewer has taken the message.
func (p messageView) Free() bool { return p.Work.Claim == nil || p.Work.Mine }

// explain fills the tree; src, if not nil, is where excerpts are taken from.
func (p *messageView) explain(res *result, src mail.Source) {
	p.Result = res
	var because []policy.Reason
	for _, rc := range res.Recipients {
		because = append(because, rc.Because...)
		if i := slices.IndexFunc(p.Judgments, func(j judgment) bool { return j.alike(rc) }); i >= 0 {
			p.Judgments[i].Rcpts = append(p.Judgments[i].Rcpts, rc.Address)
			continue
		}
		j := judgment{Action: rc.Action, Rcpts: []string{rc.Address}, Score: res.Score}
		for _, s := range res.steps(rc.Because) {
			r := reason{step: s}
			for _, f := range s.Findings {
				r.Facts = append(r.Facts, factOf(f, src))
			}
			j.Reasons = append(j.Reasons, r)
		}
		p.Judgments = append(p.Judgments, j)
	}
	for _, f := range res.others(because) {
		p.Others = append(p.Others, factOf(f, src))
	}
	p.Links = res.links(30)
	p.MoreLinks = len(res.URLs) - len(p.Links)
	p.Defects = res.defects()
}

// alike reports whether a verdict has the action and the reasons of j.
func (j judgment) alike(v policy.Verdict) bool {
	if j.Action != v.Action || len(j.Reasons) != len(v.Because) {
		return false
	}
	for _, r := range j.Reasons {
		if !slices.Contains(v.Because, r.Reason) {
			return false
		}
	}
	return true
}

func factOf(f filters.Finding, src mail.Source) fact {
	out := fact{Code: f.Code, Filter: f.Filter, Text: f.Text}
	for i, e := range f.Proof {
		if i == 10 {
			break
		}
		out.Proofs = append(out.Proofs, proof{e, excerptAt(src, e)})
	}
	return out
}

func messagePage(d *desk, v *visit) error {
	ctx := v.r.Context()
	e, res, err := d.entry(ctx, v.visitor, v.r.PathValue("id"))
	if err != nil {
		return err
	}
	p := messageView{ID: e.ID, Entry: e, Held: true, Content: v.visitor.may(RightContent), Download: v.visitor.may(RightDownload), View: "text"}
	if v.r.URL.Query().Get("view") == "html" {
		p.View = "html"
	}
	if p.Content {
		src, err := d.open(ctx, v.visitor, e.ID)
		switch {
		case err == nil:
			defer src.Close()
			if err := d.noteReading(v, "read", e.ID); err != nil {
				return err
			}
			if err := d.fillContent(&p, src); err != nil {
				return err
			}
			p.explain(res, src)
		case errors.Is(err, errNotFound): // the content is gone with the last copy; what was decided stays
			p.Content = false
		default:
			return err
		}
	}
	if p.Result == nil {
		p.explain(res, nil)
	}
	if err := d.noteLook(v, e.ID); err != nil {
		return err
	}
	ws, err := d.works(ctx, v.visitor, e.ID)
	if err != nil {
		return err
	}
	p.Work = ws[e.ID]
	left := len(waiting(e, nil)) > 0
	if p.Next, err = d.next(ctx, v.visitor, e.ID); err != nil {
		return err
	}
	p.Claim = left && v.visitor.reviewing() && v.visitor.may(RightRelease)
	p.Release = left && d.deps.Releaser != nil && v.visitor.mayRelease(e.Class)
	p.Ask = left && v.visitor.may(RightRelease) && !v.visitor.mayRelease(e.Class)
	p.Delete = left && d.deps.Deleter != nil && v.visitor.may(RightDelete)
	p.Sender = hasEntries(&d.deps) && v.visitor.may(RightEntries)
	p.Teach = hasTeacher(&d.deps) && v.visitor.may(RightTeach)
	p.Test = hasTests(&d.deps) && v.visitor.may(RightPolicy)
	recs, err := d.journey(ctx, v.visitor, e.ID)
	if err != nil {
		return err
	}
	p.Journey = traceRows(recs)
	return d.render(v, http.StatusOK, "message", p)
}

// fillContent reads header and text of an open message.
func (d *desk) fillContent(p *messageView, src quarantine.Content) error {
	block, cut := headerBlock(src, src.Size())
	p.Headers, p.HeadersCut = textHeader(block), cut
	body, err := d.body(src)
	if err != nil {
		return err
	}
	p.Body = body
	p.Text = textPieces(body.Text)
	return nil
}

// textHeader sets field names apart from their values.
func textHeader(block string) []piece {
	var out []piece
	for line := range strings.Lines(lineEnds([]byte(block))) {
		name, rest, ok := strings.Cut(line, ":")
		if ok && name != "" && !strings.ContainsAny(name, " \t") {
			out = append(out, escapeHidden(name+":", "name")...)
			line = rest
		}
		out = append(out, escapeHidden(line, "")...)
	}
	return joinPieces(out)
}

// htmlPreview is the document inside the sandboxed frame.
func htmlPreview(d *desk, v *visit) error {
	_, src, err := d.taken(v, "read")
	if err != nil {
		return err
	}
	defer src.Close()
	body, err := d.body(src)
	if err != nil {
		return err
	}
	note := ""
	if body.HTMLCut {
		note = d.texts.say(v.lang, "message.cut")
	}
	doc := previewDocument(d.clean.Sanitize(body.HTML), v.lang, note)
	h := v.w.Header()
	h.Set("Content-Security-Policy", previewPolicy)
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(len(doc)))
	if v.r.Method != http.MethodHead {
		v.w.Write(doc)
	}
	return nil
}

// rawMessage hands out the bytes under a name and type that nothing opens by itself (N-07).
func rawMessage(d *desk, v *visit) error {
	e, src, err := d.taken(v, "downloaded")
	if err != nil {
		return err
	}
	defer src.Close()
	h := v.w.Header()
	h.Set("Content-Security-Policy", rawPolicy)
	h.Set("Content-Type", "application/octet-stream")
	h.Set("Content-Disposition", `attachment; filename="message-`+e.ID+`.eml"`)
	h.Set("Content-Length", strconv.FormatInt(src.Size(), 10))
	if v.r.Method == http.MethodHead {
		return nil
	}
	io.Copy(v.w, io.NewSectionReader(src, 0, src.Size())) // an error here is the reader's going away
	return nil
}
