package policy

import (
	"slices"
	"strconv"
)

// An Action is what is to be done with one recipient's copy.
type Action string

// The actions, mildest first. Discard is journalled and never a default.
const (
	Accept     Action = "accept"
	Tag        Action = "tag"
	Quarantine Action = "quarantine"
	Defer      Action = "defer"
	Reject     Action = "reject"
	Discard    Action = "discard"
)

// A Class says what kind of trouble a message is; it decides retention and who may release.
type Class string

// The classes. The zero Class is mail without trouble.
const (
	Clean   Class = ""
	Spam    Class = "spam"
	Phish   Class = "phish"
	Malware Class = "malware"
	ByRule  Class = "policy"
)

// Points are thousandths of a point of score: weights add up to the score to the last digit.
type Points int64

// String is the value in points with as many decimals as it needs.
func (p Points) String() string {
	return strconv.FormatFloat(float64(p)/1000, 'f', -1, 64)
}

// MarshalJSON writes a number in points.
func (p Points) MarshalJSON() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalJSON reads a number in points.
func (p *Points) UnmarshalJSON(b []byte) error {
	f, err := strconv.ParseFloat(string(b), 64)
	if err != nil {
		return err
	}
	*p = PointsOf(f)
	return nil
}

// PointsOf rounds a number of points to thousandths.
func PointsOf(f float64) Points {
	if f < 0 {
		return Points(f*1000 - 0.5)
	}
	return Points(f*1000 + 0.5)
}

// A Reply is what the client is told after the message, or at an earlier command.
type Reply struct {
	Code     int    `json:"code"`
	Enhanced string `json:"enhanced"`
	Text     string `json:"text"`
}

// A Reason is one step of a judgment.
type Reason struct {
	Rule   string `json:"rule,omitempty"`   // name of the rule or access entry, if one decided
	At     string `json:"at,omitempty"`     // "policy.yaml:31"; "shipped" for defaults
	Code   string `json:"code,omitempty"`   // finding code, if a finding is the reason
	Weight Points `json:"weight,omitempty"` // what it added to the score
	Text   string `json:"text"`             // one sentence
}

// A Verdict is the outcome for one recipient.
type Verdict struct {
	Address string   `json:"address"`
	Action  Action   `json:"action"`           // what is to be done with this copy
	Wanted  Action   `json:"wanted,omitempty"` // what it would be if this were the only recipient
	Score   Points   `json:"score,omitempty"`
	Because []Reason `json:"because"`
	// Greylist says that the copy is doubtful: it waits, with all others, unless its sender is known.
	Greylist bool `json:"greylist,omitempty"`
	// Redirect, if not empty, replaces the recipient; Bcc adds copies.
	Redirect string   `json:"redirect,omitempty"`
	Bcc      []string `json:"bcc,omitempty"`
	// AddHeaders and Strip are for this copy, beside those of the Decision, which are for all.
	AddHeaders []HeaderField `json:"add_headers,omitempty"`
	Strip      []string      `json:"strip,omitempty"`
}

// A Decision is everything that follows from one report: one reply, one verdict per recipient, each with its reasons.
type Decision struct {
	Action     Action        `json:"action"` // the message's action: the one reply's sense
	Class      Class         `json:"class,omitempty"`
	Score      Points        `json:"score"`
	Reply      Reply         `json:"reply"` // for Accept and Tag the next hop's reply takes its place
	Recipients []Verdict     `json:"recipients"`
	Decided    []string      `json:"decided,omitempty"`       // the smallest set of codes and rules without which the action would differ
	WouldPass  []string      `json:"would_pass_if,omitempty"` // what would have let it pass
	Monitored  []Reason      `json:"monitored,omitempty"`     // rules in monitor mode that matched
	Unknown    []Reason      `json:"unknown,omitempty"`       // rules that could not be decided for want of a fact
	AddHeaders []HeaderField `json:"add_headers,omitempty"`
	Strip      []string      `json:"strip,omitempty"` // what rules said to strip: attachments, dangerous, links
}

// What a rule may take out of a copy.
const (
	StripAttachments = "attachments" // every part that is no readable text
	StripDangerous   = "dangerous"   // the parts that findings of attach, clamd, icap, yara, milter and hashes with a positive weight stand in
	StripLinks       = "links"       // readable text becomes plain text, whose links nobody can click
)

// A HeaderField is one that policy asks the gateway to add.
type HeaderField struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// among reports whether a list of causes, as an explanation names them, has the reason.
func (r *Reason) among(causes []string) bool {
	return slices.ContainsFunc(causes, func(c string) bool { return c == r.Code || c == r.Rule || c == r.Rule+" "+r.At })
}

// Heaviest is the one reason to name where there is room for one: of those that decided, or of all where none of the
// verdicts' reasons did, the one with the most weight, the first of several. It is nil if there is none.
func Heaviest(list []Verdict, decided []string) *Reason {
	var best *Reason
	decisive := false
	for i := range list {
		for j := range list[i].Because {
			b := &list[i].Because[j]
			d := b.among(decided)
			if best == nil || d && !decisive || d == decisive && b.Weight > best.Weight {
				best, decisive = b, d
			}
		}
	}
	return best
}
