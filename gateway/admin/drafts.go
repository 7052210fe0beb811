package admin

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"gatepost/policy"
	"gatepost/rules/conf"
)

// This file is the policy: what judges now, a draft of it with its check, its tests and its replay, and its past.

const replaySpan = 14 * 24 * time.Hour

// inForce is the policy that judges now.
func (d *desk) inForce(v *visit) (PolicyInForce, error) {
	now, err := d.deps.Policies.Current(v.r.Context())
	if err != nil {
		return now, fmt.Errorf("read policy: %w", err)
	}
	return now, nil
}

type policyView struct {
	PolicyInForce
	Thresholds []thresholdRow
	Rules      []policy.RuleInfo
	Over, Soon []string
	Change     bool
}

type thresholdRow struct {
	Action policy.Action
	Points policy.Points
	On     bool
}

func policyPage(d *desk, v *visit) error {
	now, err := d.inForce(v)
	if err != nil {
		return err
	}
	p := policyView{PolicyInForce: now, Rules: now.Policy.RuleList(), Change: d.mayChange(v) && now.File != ""}
	for _, a := range []policy.Action{policy.Tag, policy.Quarantine, policy.Reject} {
		points, on := now.Policy.Threshold(a)
		p.Thresholds = append(p.Thresholds, thresholdRow{a, points, on})
	}
	p.Over, p.Soon = now.Policy.Expired(d.now(), hitSpan)
	return d.render(v, http.StatusOK, "policy", p)
}

func (d *desk) mayChange(v *visit) bool { return d.deps.Changer != nil && v.visitor.may(RightChange) }

// A draftView is a draft and what was found out about it.
type draftView struct {
	File    string
	Text    string
	Base    string
	Lines   int
	Check   *PolicyCheck
	Failed  int
	Replay  *PolicyReplay
	Prove   bool // the password must be given again
	Error   string
	Applied bool
}

func (d *desk) showDraft(v *visit, status int, p draftView) error {
	now, err := d.inForce(v)
	if err != nil {
		return err
	}
	if now.File == "" {
		return errNotFound
	}
	p.File = now.File
	if p.Base == "" {
		p.Base = now.Base
	}
	if p.Check != nil {
		p.Failed = p.Check.Tests.Failed()
	}
	p.Lines = min(max(strings.Count(p.Text, "\n")+3, 16), 40)
	p.Prove = d.asks(v)
	return d.render(v, status, "draft", p)
}

func draftPage(d *desk, v *visit) error {
	now, err := d.inForce(v)
	if err != nil {
		return err
	}
	return d.showDraft(v, http.StatusOK, draftView{Text: now.Text})
}

// draft is the text that a form holds, with the line ends that files here have.
func (v *visit) draft() draftView {
	text := strings.ReplaceAll(v.r.PostForm.Get("text"), "\r\n", "\n")
	if text != "" && !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	return draftView{Text: text, Base: v.r.PostForm.Get("base")}
}

func checkDraft(d *desk, v *visit) error {
	p := v.draft()
	c, err := d.deps.Policies.Check(v.r.Context(), p.Text)
	if err != nil {
		return fmt.Errorf("check draft: %w", err)
	}
	p.Check = &c
	return d.showDraft(v, http.StatusOK, p)
}

func replayDraft(d *desk, v *visit) error {
	p := v.draft()
	c, err := d.deps.Policies.Check(v.r.Context(), p.Text)
	if err != nil {
		return fmt.Errorf("check draft: %w", err)
	}
	if p.Check = &c; len(c.Problems) > 0 {
		return d.showDraft(v, http.StatusUnprocessableEntity, p)
	}
	r, err := d.deps.Policies.Replay(v.r.Context(), p.Text, d.now().Add(-replaySpan))
	if err != nil {
		return err
	}
	p.Replay = &r
	return d.showDraft(v, http.StatusOK, p)
}

// apply puts a draft in force: checked, written down, and only by someone who just showed who they are.
func (d *desk) apply(v *visit, text, base string) ([]conf.Problem, error) {
	if d.deps.Changer == nil {
		return nil, errNotWired
	}
	c, err := d.deps.Policies.Check(v.r.Context(), text)
	if err != nil {
		return nil, fmt.Errorf("check draft: %w", err)
	}
	if len(c.Problems) > 0 {
		return c.Problems, nil
	}
	if err := d.audit(v, "policy changed", "", changesNote(c.Changes)); err != nil {
		return nil, err
	}
	problems, err := d.deps.Changer.Apply(v.r.Context(), text, base)
	if errors.Is(err, ErrPolicyMoved) {
		return nil, errMoved
	}
	if err != nil {
		return nil, fmt.Errorf("apply policy: %w", err)
	}
	return problems, nil
}

// changesNote is what changed, in one line for the audit.
func changesNote(changes []policy.Change) string {
	lines := make([]string, len(changes))
	for i, c := range changes {
		lines[i] = c.String()
	}
	if len(lines) == 0 {
		return "nothing but the text"
	}
	return strings.Join(lines, "; ")
}

func applyDraft(d *desk, v *visit) error {
	p := v.draft()
	if err := d.prove(v); err != nil {
		if p.Error = errorKey(err); p.Error == "" {
			return err
		}
		return d.showDraft(v, http.StatusForbidden, p)
	}
	problems, err := d.apply(v, p.Text, p.Base)
	switch {
	case errors.Is(err, errMoved):
		p.Error = errMoved.key
		return d.showDraft(v, http.StatusConflict, p)
	case err != nil:
		return err
	case len(problems) > 0:
		p.Check = &PolicyCheck{Problems: problems}
		return d.showDraft(v, http.StatusUnprocessableEntity, p)
	}
	v.redirect("/policy")
	return nil
}

type keptView struct {
	KeptPolicy
	Name  string
	Time  time.Time
	Now   bool // it is in force
	Prove bool
	Error string
	May   bool
}

func (d *desk) keptView(v *visit) (keptView, error) {
	now, err := d.inForce(v)
	if err != nil {
		return keptView{}, err
	}
	p := keptView{Name: v.r.PathValue("name"), Prove: d.asks(v), May: d.mayChange(v)}
	for i, k := range now.History {
		if k.Name == p.Name {
			p.Time, p.Now = k.Time, i == 0
		}
	}
	if p.Time.IsZero() || d.deps.Changer == nil {
		return p, errNotFound
	}
	p.KeptPolicy, err = d.deps.Changer.Kept(v.r.Context(), p.Name)
	if errors.Is(err, ErrNoPolicy) {
		return p, errNotFound
	}
	return p, err
}

func keptPage(d *desk, v *visit) error {
	p, err := d.keptView(v)
	if err != nil {
		return err
	}
	return d.render(v, http.StatusOK, "kept", p)
}

// restore puts an earlier policy in force again.
func (d *desk) restore(v *visit, p keptView) error {
	if err := d.audit(v, "policy put back", "", p.Name+": "+changesNote(p.Changes)); err != nil {
		return err
	}
	problems, err := d.deps.Changer.Restore(v.r.Context(), p.Name)
	if err != nil {
		return fmt.Errorf("restore policy: %w", err)
	}
	if len(problems) > 0 {
		return refusal(problems)
	}
	return nil
}

func restoreKept(d *desk, v *visit) error {
	p, err := d.keptView(v)
	if err != nil {
		return err
	}
	if err := d.prove(v); err != nil {
		if p.Error = errorKey(err); p.Error == "" {
			return err
		}
		return d.render(v, http.StatusForbidden, "kept", p)
	}
	err = d.restore(v, p)
	var r refusal
	if errors.As(err, &r) {
		p.Error = "error.check"
		return d.render(v, http.StatusUnprocessableEntity, "kept", p)
	}
	if err != nil {
		return err
	}
	v.redirect("/policy")
	return nil
}

// A testView is a policy test made of a message.
type testView struct {
	ID      string
	Subject string
	Test    string
	None    string // catalogue key: why there is none
	Change  bool
}

func (d *desk) testView(v *visit) (testView, error) {
	e, _, err := d.entry(v.r.Context(), v.visitor, v.r.PathValue("id"))
	if err != nil {
		return testView{}, err
	}
	if d.deps.Testwright == nil {
		return testView{}, errNotFound
	}
	p := testView{ID: e.ID, Subject: e.Subject, Change: d.mayChange(v)}
	if p.Test, err = d.deps.Testwright.TestOf(v.r.Context(), e.ID); err != nil {
		p.None = "test.none"
		if !errors.Is(err, ErrNoFacts) {
			d.log.Warn("policy test of a message", "request", v.id, "error", err.Error())
			p.None = "test.other"
		}
	}
	return p, nil
}

func testPage(d *desk, v *visit) error {
	p, err := d.testView(v)
	if err != nil {
		return err
	}
	return d.render(v, http.StatusOK, "test", p)
}

// draftTest opens a draft of the policy with the test of a message in it.
func draftTest(d *desk, v *visit) error {
	p, err := d.testView(v)
	if err != nil {
		return err
	}
	now, err := d.inForce(v)
	if err != nil {
		return err
	}
	if p.Test == "" || now.File == "" {
		return errNotFound
	}
	draft := draftView{Text: insertTest(now.Text, p.Test), Base: now.Base}
	c, err := d.deps.Policies.Check(v.r.Context(), draft.Text)
	if err != nil {
		return fmt.Errorf("check draft: %w", err)
	}
	draft.Check = &c
	return d.showDraft(v, http.StatusOK, draft)
}

// insertTest puts a test, indented by two, at the end of the tests of a policy file, in the indentation that it has.
func insertTest(text, test string) string {
	lines := strings.SplitAfter(text, "\n")
	at := -1
	for i, l := range lines {
		bare, _, _ := strings.Cut(strings.TrimRight(l, " \r\n"), " #")
		if bare == "tests:" || bare == "tests: []" {
			lines[i], at = "tests:\n", i+1
			break
		}
	}
	if at < 0 {
		return strings.TrimRight(text, "\n") + "\n\ntests:\n" + test
	}
	indent, end := "  ", at
	for i := at; i < len(lines); i++ {
		trimmed := strings.TrimLeft(lines[i], " ")
		if strings.TrimSpace(trimmed) == "" || strings.HasPrefix(trimmed, "#") {
			continue
		}
		if trimmed == lines[i] && !strings.HasPrefix(trimmed, "- ") {
			break
		}
		if end == at {
			indent = lines[i][:len(lines[i])-len(trimmed)]
		}
		end = i + 1
	}
	var own strings.Builder
	for l := range strings.Lines(test) {
		own.WriteString(indent + strings.TrimPrefix(l, "  "))
	}
	before := strings.Join(lines[:end], "")
	if !strings.HasSuffix(before, "\n") {
		before += "\n"
	}
	return before + own.String() + strings.Join(lines[end:], "")
}

// The bodies of the API.
type (
	apiPolicyBody struct {
		Generation uint64            `json:"generation"`
		File       string            `json:"file"`
		Text       string            `json:"text"`
		Base       string            `json:"base"`
		Rules      []policy.RuleInfo `json:"rules"`
		Lists      []policy.List     `json:"lists"`
		History    []apiKept         `json:"history"`
	}
	apiKept struct {
		Name string    `json:"name"`
		Time time.Time `json:"time"`
	}
	apiDraft struct {
		Text string `json:"text"`
		Base string `json:"base,omitempty"` // of the text that it was made from, for apply
	}
	apiCheckBody struct {
		OK       bool              `json:"ok"`
		Problems []apiProblem      `json:"problems"`
		Changes  []policy.Change   `json:"changes"`
		Tests    policy.TestReport `json:"tests"`
		Failed   int               `json:"failed"`
	}
	apiReplayBody struct {
		policy.Differences
		Since time.Time `json:"since"`
		Whole bool      `json:"whole"`
	}
)

func apiPolicy(d *desk, v *visit) error {
	now, err := d.inForce(v)
	if err != nil {
		return err
	}
	body := apiPolicyBody{now.Generation, now.File, now.Text, now.Base, now.Policy.RuleList(), now.Policy.Lists(), []apiKept{}}
	for _, k := range now.History {
		body.History = append(body.History, apiKept{k.Name, k.Time})
	}
	d.writeJSON(v, http.StatusOK, body)
	return nil
}

// draftOf reads a draft from the body, and what is to be said of it.
func (d *desk) draftOf(v *visit) (in apiDraft, c PolicyCheck, err error) {
	if err := v.readBody(&in); err != nil {
		return in, c, err
	}
	if c, err = d.deps.Policies.Check(v.r.Context(), in.Text); err != nil {
		return in, c, fmt.Errorf("check draft: %w", err)
	}
	return in, c, nil
}

func apiCheck(d *desk, v *visit) error {
	_, c, err := d.draftOf(v)
	if err != nil {
		return err
	}
	for i := range c.Tests.Results {
		c.Tests.Results[i].Result = nil // a whole judgment each; the problems say what matters
	}
	d.writeJSON(v, http.StatusOK, apiCheckBody{len(c.Problems) == 0, problemsOf(c.Problems), append([]policy.Change{}, c.Changes...), c.Tests, c.Tests.Failed()})
	return nil
}

func apiReplay(d *desk, v *visit) error {
	in, c, err := d.draftOf(v)
	if err != nil {
		return err
	}
	if len(c.Problems) > 0 {
		return d.refused(v, refusal(c.Problems))
	}
	r, err := d.deps.Policies.Replay(v.r.Context(), in.Text, d.now().Add(-replaySpan))
	if err != nil {
		return err
	}
	r.Differences.Differences = append([]policy.Difference{}, r.Differences.Differences...)
	d.writeJSON(v, http.StatusOK, apiReplayBody(r))
	return nil
}

func apiApply(d *desk, v *visit) error {
	var in apiDraft
	if err := v.readBody(&in); err != nil {
		return err
	}
	if !v.visitor.fresh(d.now()) {
		return errProve
	}
	problems, err := d.apply(v, in.Text, in.Base)
	switch {
	case err == nil && len(problems) > 0:
		err = refusal(problems)
	case errors.Is(err, errMoved) && in.Base == "":
		return badRequest("base: give that of GET /api/v1/policy, so that nobody's change meanwhile is lost")
	}
	if err != nil {
		return d.refused(v, err)
	}
	v.w.WriteHeader(http.StatusNoContent)
	return nil
}

func apiRestore(d *desk, v *visit) error {
	p, err := d.keptView(v)
	if err != nil {
		return err
	}
	if p.Prove {
		return errProve
	}
	if err := d.restore(v, p); err != nil {
		return d.refused(v, err)
	}
	v.w.WriteHeader(http.StatusNoContent)
	return nil
}
