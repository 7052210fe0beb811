package policy

import (
	"slices"
	"strings"

	"gatepost/filters/mail"
	"gatepost/rules/conf"
)

// A thenDoc is what a rule does: at most one deciding action, and any additions.
type thenDoc struct {
	action  Action // empty: the rule only adds
	floor   Action // at_least: where nothing decides, the score may not do less than this
	score   Points
	scores  bool
	route   string // redirect
	strip   []string
	grey    bool // an unknown sender is to come again
	bcc     []string
	headers []HeaderField
	pos     conf.Pos
}

// decidingActions are what then, failures and tests may name. Discard stands last: it is not for what nobody could look at.
var decidingActions = []string{"accept", "tag", "quarantine", "defer", "reject", "discard"}

// additions are the keys of a then that is a mapping.
var additions = []string{"score", "at_least", "redirect", "strip", "bcc", "add_header", greylist}

// greylist is the addition that takes no value.
const greylist = "greylist"

// UnmarshalConf reads an action, an addition, or a list of them.
func (t *thenDoc) UnmarshalConf(n conf.Node) []conf.Problem {
	t.pos = n.Pos()
	switch n.Kind() {
	case conf.Sequence:
		var problems []conf.Problem
		for _, i := range n.Items() {
			if i.Kind() == conf.Sequence {
				problems = append(problems, i.Problemf("expected an action"))
				continue
			}
			problems = append(problems, t.one(i)...)
		}
		return problems
	default:
		return t.one(n)
	}
}

// one reads one action or addition.
func (t *thenDoc) one(n conf.Node) []conf.Problem {
	if n.Kind() == conf.Mapping {
		var problems []conf.Problem
		for _, p := range n.Pairs() {
			problems = append(problems, t.add(n, p)...)
		}
		return problems
	}
	if n.String() == greylist {
		t.grey = true
		return nil
	}
	a, ok := parseAction(n.String())
	if !ok {
		return []conf.Problem{{Pos: n.Pos(), Message: "unknown action " + quoted(n.String()),
			Hint: conf.Suggest(n.String(), append(decidingActions, additions...))}}
	}
	if t.action != "" {
		return []conf.Problem{{Pos: n.Pos(), Message: "a rule can decide once, and this one already says " + string(t.action)}}
	}
	t.action = a
	return nil
}

// add reads one key of a mapping.
func (t *thenDoc) add(n conf.Node, p conf.Pair) []conf.Problem {
	var problems []conf.Problem
	switch p.Key.String() {
	case "score":
		t.score, problems = decodePoints(p.Value)
		t.scores = true
	case "at_least":
		a, ok := parseAction(p.Value.String())
		if !ok || a == Accept || a == Discard {
			return []conf.Problem{{Pos: p.Value.Pos(), Message: "at_least takes tag, quarantine, defer or reject, not " + quoted(p.Value.String())}}
		}
		t.floor = a
	case "redirect":
		t.route, problems = decodeAddress(p.Value)
	case "bcc":
		nodes := []conf.Node{p.Value}
		if p.Value.Kind() == conf.Sequence {
			nodes = p.Value.Items()
		}
		for _, v := range nodes {
			a, bad := decodeAddress(v)
			t.bcc, problems = append(t.bcc, a), append(problems, bad...)
		}
	case "strip":
		problems = t.addStrip(p.Value)
	case "add_header":
		problems = t.addHeader(p.Value)
	default:
		if _, ok := parseAction(p.Key.String()); ok || p.Key.String() == greylist {
			return []conf.Problem{{Pos: p.Key.Pos(), Message: p.Key.String() + " takes no value: write then: " + p.Key.String()}}
		}
		return []conf.Problem{{Pos: p.Key.Pos(), Message: "unknown action " + quoted(p.Key.String()), Hint: conf.Suggest(p.Key.String(), additions)}}
	}
	return problems
}

// strippable are what strip may name.
var strippable = []string{StripAttachments, StripDangerous, StripLinks}

// addStrip reads what to take out: one word or a list.
func (t *thenDoc) addStrip(n conf.Node) []conf.Problem {
	nodes := []conf.Node{n}
	if n.Kind() == conf.Sequence {
		nodes = n.Items()
	}
	var problems []conf.Problem
	for _, v := range nodes {
		if !slices.Contains(strippable, v.String()) {
			problems = append(problems, conf.Problem{Pos: v.Pos(), Message: "cannot strip " + quoted(v.String()) + ": say attachments, dangerous or links", Hint: conf.Suggest(v.String(), strippable)})
			continue
		}
		t.strip = append(t.strip, v.String())
	}
	return problems
}

// addHeader reads "Name: value", or a mapping of names to values.
func (t *thenDoc) addHeader(n conf.Node) []conf.Problem {
	if n.Kind() == conf.Mapping {
		var problems []conf.Problem
		for _, p := range n.Pairs() {
			problems = append(problems, t.header(p.Key.String(), p.Value.String(), p.Key.Pos())...)
		}
		return problems
	}
	name, value, ok := strings.Cut(n.String(), ":")
	if !ok {
		return []conf.Problem{n.Problemf("expected 'Name: value'")}
	}
	return t.header(name, strings.TrimSpace(value), n.Pos())
}

// ourFields are what only the gateway itself or the author may write (P-17).
var ourFields = []string{"received", "authentication-results", "dkim-signature", "arc-seal", "arc-message-signature",
	"arc-authentication-results", "from", "sender", "to", "cc", "bcc", "subject", "date", "message-id", "reply-to", "return-path",
	"mime-version", "content-type", "content-transfer-encoding", "content-disposition"}

func (t *thenDoc) header(name, value string, pos conf.Pos) []conf.Problem {
	lower := strings.ToLower(name)
	switch {
	case name == "" || strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r > '~' || r == ':' }):
		return []conf.Problem{{Pos: pos, Message: "malformed header field name " + quoted(name)}}
	case strings.HasPrefix(lower, "x-gatepost-") || slices.Contains(ourFields, lower):
		return []conf.Problem{{Pos: pos, Message: "a rule cannot add the field " + name}}
	case strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r > '~' }) || len(value) > 500:
		return []conf.Problem{{Pos: pos, Message: "the value of " + name + " must be one line of at most 500 ASCII characters"}}
	}
	t.headers = append(t.headers, HeaderField{name, value})
	return nil
}

// decodeAddress reads one mailbox.
func decodeAddress(n conf.Node) (string, []conf.Problem) {
	a, err := mail.ParseAddress(n.String())
	if err != nil {
		return "", []conf.Problem{n.Problemf("%q is not an address", n.String())}
	}
	return a.String(), nil
}

// parseAction reads the name of a deciding action.
func parseAction(s string) (Action, bool) { return Action(s), slices.Contains(decidingActions, s) }

// String is what a rule does, in words.
func (t *thenDoc) String() string {
	var out []string
	if t.scores {
		out = append(out, "score "+t.score.String())
	}
	if t.floor != "" {
		out = append(out, "at_least "+string(t.floor))
	}
	if t.route != "" {
		out = append(out, "redirect "+t.route)
	}
	if t.grey {
		out = append(out, greylist)
	}
	if t.strip != nil {
		out = append(out, "strip "+strings.Join(t.strip, " and "))
	}
	for _, a := range t.bcc {
		out = append(out, "bcc "+a)
	}
	for _, h := range t.headers {
		out = append(out, "add_header "+h.Name+": "+h.Value)
	}
	if t.action != "" {
		out = append(out, string(t.action))
	}
	return strings.Join(out, ", ")
}
