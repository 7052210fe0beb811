package rules

import (
	"fmt"
	"slices"
	"strings"

	"gatepost/rules/conf"
)

// A packDoc is one file of rules.
type packDoc struct {
	Node    conf.Node `yaml:",node"`
	Version int       `yaml:"version" default:"1" doc:"Format of this file."`
	Rules   []ruleDoc `yaml:"rules" required:"true" doc:"The rules, in any order."`
}

// A ruleDoc is one rule as it is written.
type ruleDoc struct {
	Node conf.Node `yaml:",node"`

	Name   string       `yaml:"name" required:"true" doc:"Lower-case words, joined by - and in families by dots: the finding is content.NAME."`
	In     []string     `yaml:"in" default:"[subject, body]" doc:"Where the patterns are looked for: places, or header:NAME."`
	Match  []textDoc    `yaml:"match" doc:"Phrases, or regular expressions between slashes; one is enough, unless at_least says otherwise."`
	Least  int          `yaml:"at_least" default:"1" min:"1" max:"100" doc:"How many different patterns of match must be there."`
	Exact  bool         `yaml:"exact" doc:"Compare letters as written. Only in short places."`
	All    []conditions `yaml:"all" doc:"Conditions that must all hold as well."`
	Any    []conditions `yaml:"any" doc:"Conditions of which one must hold as well."`
	Not    []conditions `yaml:"not" doc:"Conditions of which none may hold."`
	Why    why          `yaml:"why" required:"true" doc:"What the finding says: {en: …, zh: …}, or one English sentence."`
	Weight float64      `yaml:"weight" default:"1" doc:"Points that the policy adds, unless it says otherwise itself."`
	Hits   []example    `yaml:"hits" required:"true" doc:"Texts that the rule must find."`
	Misses []example    `yaml:"misses" required:"true" doc:"Texts that come near, and that it must not find."`
}

// conditions are what a rule asks for: a list item of all, any and not.
type conditions struct {
	Node  conf.Node    `yaml:",node"`
	In    []string     `yaml:"in" doc:"As in the rule; where it is left out, as in what stands around it."`
	Match []textDoc    `yaml:"match"`
	Least int          `yaml:"at_least" default:"1" min:"1" max:"100"`
	Exact bool         `yaml:"exact"`
	All   []conditions `yaml:"all"`
	Any   []conditions `yaml:"any"`
	Not   []conditions `yaml:"not"`
}

// A textDoc is one pattern and where it stands.
type textDoc struct {
	Value string
	Node  conf.Node
}

// UnmarshalConf reads a pattern.
func (t *textDoc) UnmarshalConf(n conf.Node) []conf.Problem {
	t.Node = n
	return n.Decode(&t.Value)
}

// UnmarshalConf reads a mapping, or one pattern alone.
func (c *conditions) UnmarshalConf(n conf.Node) []conf.Problem {
	if n.Kind() == conf.Scalar {
		var one textDoc
		problems := one.UnmarshalConf(n)
		*c = conditions{Node: n, Match: []textDoc{one}, Least: 1}
		return problems
	}
	type plain conditions // without this method
	var p plain
	problems := n.Decode(&p)
	*c = conditions(p)
	return problems
}

// why is the sentence of a rule in the languages of the program.
type why struct{ English, Chinese string }

// UnmarshalConf reads {en: …, zh: …}, or one sentence for both.
func (w *why) UnmarshalConf(n conf.Node) []conf.Problem {
	if n.Kind() == conf.Scalar {
		problems := n.Decode(&w.English)
		w.Chinese = w.English
		return problems
	}
	var doc struct {
		English string `yaml:"en" required:"true"`
		Chinese string `yaml:"zh" required:"true"`
	}
	problems := n.Decode(&doc)
	*w = why{doc.English, doc.Chinese}
	return problems
}

// An example is a text, or texts by place.
type example struct {
	texts []Text
	plain string // one text for the first place of the rule
	node  conf.Node
}

// UnmarshalConf reads a text, or a mapping of places to texts.
func (e *example) UnmarshalConf(n conf.Node) []conf.Problem {
	e.node = n
	if n.Kind() == conf.Scalar {
		return n.Decode(&e.plain)
	}
	if n.Kind() != conf.Mapping {
		return []conf.Problem{n.Problemf("expected a text, or a mapping of places to texts")}
	}
	var problems []conf.Problem
	for _, p := range n.Pairs() {
		if problem := checkPlace(p.Key); problem != nil {
			problems = append(problems, *problem)
			continue
		}
		list := []conf.Node{p.Value}
		if p.Value.Kind() == conf.Sequence {
			list = p.Value.Items()
		}
		for _, v := range list {
			var text string
			problems = append(problems, v.Decode(&text)...)
			e.texts = append(e.texts, Text{Place: placeName(p.Key.String()), Content: text})
		}
	}
	return problems
}

// A Place is a kind of text.
type Place struct {
	Name    string
	Short   bool // its texts are cut at maxShort octets; patterns may ask for their beginning and end
	Meaning string
}

// Places lists the places that a rule may name, beside header:NAME.
func Places() []Place {
	return []Place{
		{"subject", true, "the subject as a reader sees it"},
		{"from", true, "the author's display name and address"},
		{"body", false, "the words that a reader sees"},
		{"html", false, "the source of HTML texts"},
		{"hidden", false, "words of HTML that a reader does not see: styled away, in comments, in scripts"},
		{"url", true, "each address that the message leads to"},
		{"link", true, "the words of each link"},
		{"file", true, "the name of each attachment"},
		{"type", true, "the media type of each part"},
		{"sign", true, "what the filter noticed about the form of the message, a word each"},
	}
}

// placeName is the one spelling of a place.
func placeName(s string) string { return strings.ToLower(s) }

// checkPlace reports a place that does not exist.
func checkPlace(n conf.Node) *conf.Problem {
	name := placeName(n.String())
	if h, ok := strings.CutPrefix(name, "header:"); ok {
		if h != "" && len(h) <= 76 && !strings.ContainsFunc(h, func(r rune) bool { return r <= ' ' || r > '~' || r == ':' }) {
			return nil
		}
		p := n.Problemf("header: needs the name of a field, as in header:X-Mailer")
		return &p
	}
	var names []string
	for _, p := range Places() {
		if p.Name == name {
			return nil
		}
		names = append(names, p.Name)
	}
	p := n.Problemf("there is no place %q; the places are %s and header:NAME", n.String(), strings.Join(names, ", "))
	p.Hint = conf.Suggest(name, names)
	return &p
}

// shortPlace reports whether texts of the place are short.
func shortPlace(name string) bool {
	return strings.HasPrefix(name, "header:") || slices.ContainsFunc(Places(), func(p Place) bool { return p.Name == name && p.Short })
}

// maxWeight bounds the points of a rule: no rule alone should judge a message, and none may excuse one.
const (
	maxWeight = 20
	minWeight = -5
)

// CheckConf checks what does not need the patterns.
func (r *ruleDoc) CheckConf(n conf.Node) []conf.Problem {
	var problems []conf.Problem
	if !goodName(r.Name) {
		problems = append(problems, n.Key("name").Problemf("a name is lower-case words joined by - or . as in parcel.redelivery-fee, at most 60 letters"))
	}
	if r.Weight < minWeight || r.Weight > maxWeight {
		problems = append(problems, n.Key("weight").Problemf("a weight is between %d and %d", minWeight, maxWeight))
	}
	if len(r.Why.English) > 300 || len(r.Why.Chinese) > 300 {
		problems = append(problems, n.Key("why").Problemf("why is one sentence of at most 300 octets"))
	}
	for key, list := range map[string][]example{"hits": r.Hits, "misses": r.Misses} {
		if len(list) == 0 {
			problems = append(problems, n.Key(key).Problemf("needs at least one example"))
		}
	}
	return problems
}

// goodName reports whether a rule may be called so.
func goodName(s string) bool {
	if s == "" || len(s) > 60 {
		return false
	}
	for _, word := range strings.FieldsFunc(s+"-", func(r rune) bool { return r == '-' || r == '.' }) {
		for _, r := range word {
			if (r < 'a' || r > 'z') && (r < '0' || r > '9') {
				return false
			}
		}
	}
	return s[0] >= 'a' && s[0] <= 'z' && !strings.Contains(s, "..") && !strings.Contains(s, "--") && !strings.HasSuffix(s, ".") && !strings.HasSuffix(s, "-")
}

// atPlaces are the places of a list, checked.
func atPlaces(n conf.Node, in []string) ([]string, []conf.Problem) {
	var names []string
	var problems []conf.Problem
	items := n.Key("in").Items()
	for i, name := range in {
		if i < len(items) {
			if p := checkPlace(items[i]); p != nil {
				problems = append(problems, *p)
				continue
			}
		}
		names = append(names, placeName(name))
	}
	if len(names) == 0 && len(problems) == 0 {
		problems = append(problems, n.Problemf("in names no place"))
	}
	return names, problems
}

// describe is a rule's name for messages.
func (r *ruleDoc) describe() string { return fmt.Sprintf("rule %s", r.Name) }
