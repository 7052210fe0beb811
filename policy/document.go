package policy

import (
	"strconv"
	"strings"
	"time"

	"gatepost/rules/conf"
)

// Document is the shape of a policy file; the reference and the JSON Schema are made from it.
type Document struct {
	Version    int                `yaml:"version" doc:"Format of this file: 1." default:"1"`
	Lists      map[string]listDoc `yaml:"lists" doc:"Named lists for access entries, matchers and in_list(): domains, addresses, networks, people and words, in place or from a file."`
	Access     []entryDoc         `yaml:"access" doc:"Allow and deny entries; the first that matches decides."`
	Limits     []limitDoc         `yaml:"limits" doc:"Rates; who exceeds one is told to come back later."`
	Thresholds thresholdsDoc      `yaml:"thresholds" doc:"At which score a message is tagged, quarantined and refused; 'off' switches one off."`
	Weights    weightsDoc         `yaml:"weights" doc:"Points by finding code, over the shipped ones; 'dmarc.*' covers a family."`
	Classes    classesDoc         `yaml:"classes" doc:"Which finding codes make a message spam, phish, malware or policy, over the shipped ones."`
	Failures   failuresDoc        `yaml:"failures" doc:"What is done with a message that a filter could not look at: accept, tag, quarantine, defer or reject."`
	Rules      []ruleDoc          `yaml:"rules" doc:"Named rules, in order; the first that decides wins. A rule with a shipped rule's name takes its place."`
	Tests      []testDoc          `yaml:"tests" doc:"What must come of given messages; a policy that fails its tests is not loaded."`
}

// An item is one scalar with its position.
type item struct {
	Value string
	Pos   conf.Pos
}

// UnmarshalConf reads a scalar.
func (i *item) UnmarshalConf(n conf.Node) []conf.Problem {
	if n.Kind() != conf.Scalar || n.IsNull() {
		return []conf.Problem{n.Problemf("expected one value")}
	}
	*i = item{n.String(), n.Pos()}
	return nil
}

// items is one scalar or a list of them.
type items []item

// UnmarshalConf reads a scalar or a list of scalars.
func (l *items) UnmarshalConf(n conf.Node) []conf.Problem {
	nodes := []conf.Node{n}
	switch {
	case n.Kind() == conf.Mapping || n.IsNull():
		return []conf.Problem{n.Problemf("expected one value or a list of values")}
	case n.Kind() == conf.Sequence:
		nodes = n.Items()
	}
	var problems []conf.Problem
	out := make(items, len(nodes))
	for k, node := range nodes {
		problems = append(problems, out[k].UnmarshalConf(node)...)
	}
	*l = out
	return problems
}

// strings are the values alone.
func (l items) strings() []string {
	out := make([]string, len(l))
	for k, i := range l {
		out[k] = i.Value
	}
	return out
}

// A listDoc is one entry of lists.
type listDoc struct {
	Pos       conf.Pos    `yaml:",pos"`
	Domains   items       `yaml:"domains" doc:"example.com, or *.example.com for its subdomains."`
	Addresses items       `yaml:"addresses" doc:"user@example.com, or @example.com for a whole domain."`
	Networks  items       `yaml:"networks" doc:"Addresses and prefixes: 192.0.2.0/24, 2001:db8::/32."`
	People    []personDoc `yaml:"people" doc:"Names, as in From, with the addresses they really use."`
	Words     items       `yaml:"words" doc:"Any other values, compared without regard to case."`
	File      item        `yaml:"file" doc:"A file with one entry a line; # begins a comment. Relative to this file."`
	Owner     string      `yaml:"owner" doc:"Who answers for the list."`
	Reason    string      `yaml:"reason" doc:"What it is for."`
	Expires   dateDoc     `yaml:"expires" doc:"The last day on which the list counts."`
}

// A personDoc is one person of a list.
type personDoc struct {
	Name      string `yaml:"name" doc:"The display name."`
	Addresses items  `yaml:"addresses" doc:"The addresses that are really theirs."`
}

// An entryDoc is one entry of access.
type entryDoc struct {
	Pos   conf.Pos  `yaml:",pos"`
	Allow *whoseDoc `yaml:"allow" doc:"Skips scoring and rules, never malware."`
	Deny  *whoseDoc `yaml:"deny" doc:"Refused, as early in the session as can be."`
}

// A whoseDoc says whose mail an entry is about: every key that is given must match.
type whoseDoc struct {
	Pos       conf.Pos `yaml:",pos"`
	Client    items    `yaml:"client" doc:"Addresses and prefixes of the client, or its confirmed reverse name: *.pool.example."`
	Helo      items    `yaml:"helo" doc:"The HELO name: exact or *.suffix."`
	Sender    items    `yaml:"sender" doc:"Reverse-path or author: user@example.com, @example.com, *.example.com, <> for none."`
	Recipient items    `yaml:"recipient" doc:"A recipient, written as sender is."`
	Country   items    `yaml:"country" doc:"Two-letter codes of the client's country, where that is known."`
	ASN       items    `yaml:"asn" doc:"Numbers of the client's network, AS64496 or 64496, where that is known."`
	Unsafe    bool     `yaml:"unsafe" doc:"Let a sender count although nothing proves it."`
	Reason    string   `yaml:"reason" doc:"Why; kept for people, never told to the client."`
	Owner     string   `yaml:"owner" doc:"Who answers for the entry."`
	From      string   `yaml:"created_from" doc:"The message that it was made from."`
	Expires   dateDoc  `yaml:"expires" doc:"The last day on which the entry counts: 2027-01-31."`
}

// A dateDoc is a day (it lasts to its end, UTC) or a moment in RFC 3339.
type dateDoc struct {
	end time.Time // zero: never
	pos conf.Pos
}

// UnmarshalConf reads 2006-01-02 or RFC 3339.
func (d *dateDoc) UnmarshalConf(n conf.Node) []conf.Problem {
	if t, err := time.Parse(time.DateOnly, n.String()); err == nil {
		*d = dateDoc{t.AddDate(0, 0, 1), n.Pos()}
		return nil
	}
	t, err := time.Parse(time.RFC3339, n.String())
	if err != nil {
		return []conf.Problem{n.Problemf("%q is not a date such as 2027-01-31", n.String())}
	}
	*d = dateDoc{t, n.Pos()}
	return nil
}

// over reports whether the date has passed at now.
func (d dateDoc) over(now time.Time) bool { return !d.end.IsZero() && !now.Before(d.end) }

// A thresholdsDoc is thresholds; nil leaves what is shipped.
type thresholdsDoc struct {
	Greylist   *thresholdDoc `yaml:"greylist" doc:"From this score on a message that would be taken is doubtful: a sender that is not known is asked to come again; shipped: off."`
	Tag        *thresholdDoc `yaml:"tag" doc:"From this score on a message is marked; shipped: 5."`
	Quarantine *thresholdDoc `yaml:"quarantine" doc:"From this score on it is held for people to see; shipped: 8."`
	Reject     *thresholdDoc `yaml:"reject" doc:"From this score on it is refused; shipped: 15."`
}

// A thresholdDoc is a number of points, or off.
type thresholdDoc struct {
	points Points
	off    bool
	pos    conf.Pos
}

// UnmarshalConf reads a number or off.
func (t *thresholdDoc) UnmarshalConf(n conf.Node) []conf.Problem {
	t.pos = n.Pos()
	if n.String() == "off" || n.String() == "false" {
		t.off = true
		return nil
	}
	var problems []conf.Problem
	t.points, problems = decodePoints(n)
	return problems
}

// maxPoints bounds weights and thresholds, so that no sum of them can overflow.
const maxPoints = 1_000_000

// decodePoints reads a number of points with at most three decimals.
func decodePoints(n conf.Node) (Points, []conf.Problem) {
	f, err := strconv.ParseFloat(n.String(), 64)
	switch {
	case n.Kind() != conf.Scalar || err != nil || f != f:
		return 0, []conf.Problem{n.Problemf("expected a number of points, such as 4.5")}
	case f > maxPoints || f < -maxPoints:
		return 0, []conf.Problem{n.Problemf("%s is out of range: at most %d points", n.String(), maxPoints)}
	}
	if _, decimals, _ := strings.Cut(n.String(), "."); len(strings.TrimRight(decimals, "0")) > 3 {
		return 0, []conf.Problem{n.Problemf("%s has more than three decimals", n.String())}
	}
	return PointsOf(f), nil
}

// weightsDoc is weights in the order of the file.
type weightsDoc []weightDoc

type weightDoc struct {
	code   string
	points Points
	pos    conf.Pos
}

// UnmarshalConf reads a mapping of codes to points.
func (w *weightsDoc) UnmarshalConf(n conf.Node) []conf.Problem {
	var problems []conf.Problem
	if n.Kind() != conf.Mapping && !n.IsNull() {
		return []conf.Problem{n.Problemf("expected a mapping of finding codes to points")}
	}
	for _, p := range n.Pairs() {
		points, bad := decodePoints(p.Value)
		problems = append(problems, bad...)
		*w = append(*w, weightDoc{p.Key.String(), points, p.Key.Pos()})
	}
	return problems
}

// classesDoc is classes in the order of the file.
type classesDoc []classDoc

type classDoc struct {
	class item
	codes items
}

// UnmarshalConf reads a mapping of classes to lists of codes.
func (c *classesDoc) UnmarshalConf(n conf.Node) []conf.Problem {
	var problems []conf.Problem
	if n.Kind() != conf.Mapping && !n.IsNull() {
		return []conf.Problem{n.Problemf("expected a mapping of classes to lists of finding codes")}
	}
	for _, p := range n.Pairs() {
		d := classDoc{class: item{p.Key.String(), p.Key.Pos()}}
		problems = append(problems, d.codes.UnmarshalConf(p.Value)...)
		*c = append(*c, d)
	}
	return problems
}

// failuresDoc is failures in the order of the file.
type failuresDoc []failureDoc

type failureDoc struct{ filter, action item }

// UnmarshalConf reads a mapping of filters to actions.
func (f *failuresDoc) UnmarshalConf(n conf.Node) []conf.Problem {
	var problems []conf.Problem
	if n.Kind() != conf.Mapping && !n.IsNull() {
		return []conf.Problem{n.Problemf("expected a mapping of filters to actions")}
	}
	for _, p := range n.Pairs() {
		d := failureDoc{filter: item{p.Key.String(), p.Key.Pos()}}
		problems = append(problems, d.action.UnmarshalConf(p.Value)...)
		*f = append(*f, d)
	}
	return problems
}

// A limitDoc is one entry of limits.
type limitDoc struct {
	Pos   conf.Pos `yaml:",pos"`
	Name  string   `yaml:"name" doc:"Its name in the journal."`
	Key   item     `yaml:"key" doc:"What is counted apart: client, client_net, helo, sender, sender_domain, recipient or user."`
	Count item     `yaml:"count" doc:"What is counted: connections, messages, recipients, bytes or errors."`
	Rate  item     `yaml:"rate" doc:"How many in which time: 600/10m."`
}

// A ruleDoc is one rule: every matcher that is given must match.
type ruleDoc struct {
	Pos        conf.Pos  `yaml:",pos"`
	Name       item      `yaml:"name" doc:"Lower case, digits and hyphens; unique."`
	When       item      `yaml:"when" doc:"A CEL expression over the facts."`
	From       items     `yaml:"from" doc:"The author, from the From field: user@example.com, @example.com, *.example.com, list:NAME."`
	Sender     items     `yaml:"sender" doc:"The reverse-path, written as from is; <> for none."`
	Client     items     `yaml:"client" doc:"Addresses and prefixes of the client, its confirmed reverse name, or list:NAME."`
	Helo       items     `yaml:"helo" doc:"The HELO name: exact or *.suffix."`
	Subject    items     `yaml:"subject" doc:"The subject with * for anything, without regard to case."`
	Attachment items     `yaml:"attachment" doc:"File names, *.exe, or media types by content, application/x-*."`
	Finding    items     `yaml:"finding" doc:"Finding codes; links.* covers a family, class:malware a class, severity:refuse defects by how bad they are."`
	Then       thenDoc   `yaml:"then" doc:"accept, tag, quarantine, defer, reject, discard, {score: 3}, {at_least: quarantine}, {redirect: ADDRESS}, {strip: attachments|dangerous|links}, {bcc: ADDRESS}, {add_header: 'Name: value'}, greylist (doubtful: an unknown sender is asked to come again), or a list of these."`
	Class      item      `yaml:"class" doc:"spam, phish, malware or policy: decides retention and who may release."`
	For        items     `yaml:"for" doc:"Recipients that it is for, written as from is; all by default."`
	Mode       item      `yaml:"mode" doc:"enforce, monitor (recorded, not acted on) or off; enforce by default."`
	Reason     string    `yaml:"reason" doc:"One sentence for people."`
	Reply      *replyDoc `yaml:"reply" doc:"What the client is told when the rule refuses or defers."`
	Owner      string    `yaml:"owner" doc:"Who answers for the rule."`
	Expires    dateDoc   `yaml:"expires" doc:"The last day on which the rule counts."`
}

// A replyDoc is reply.
type replyDoc struct {
	Pos      conf.Pos `yaml:",pos"`
	Code     int      `yaml:"code" doc:"4yz or 5yz."`
	Enhanced string   `yaml:"enhanced" doc:"The enhanced status code, RFC 3463."`
	Text     string   `yaml:"text" doc:"One line of ASCII; a reference is added."`
}
