package policy

import (
	_ "embed"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"cel.dev/cel-go/cel"

	"gatepost/filters"
	"gatepost/rules/conf"
)

// A Policy is a compiled policy. It is immutable and safe for concurrent use.
type Policy struct {
	file       string
	lists      map[string]*list
	people     []Person // of the lists
	access     accessTable
	limits     []Limit
	thresholds [3]threshold // tag, quarantine, reject
	greylist   threshold    // from this score on a message is doubtful; zero: none is
	weights    map[string]weight
	classes    map[string]Class
	failures   map[string]failure
	rules      []*rule
	tests      []testDoc
	headers    []string // fields that rules ask for, in lower case
	relief     Points   // the sum of all negative weights and score rules: how far further findings could bring a score down
}

// A threshold is a score from which on an action is taken.
type threshold struct {
	action Action
	points Points
	off    bool
	at     string
}

// A weight is what a finding code, or a family, adds to the score.
type weight struct {
	points Points
	at     string
}

// A failure is what is done when a filter could not look.
type failure struct {
	action Action
	at     string
}

// Options are what a policy is checked against.
type Options struct {
	Codes    []filters.Code               // every finding code there is; nil: codes are not checked
	Filters  []string                     // every filter that may run; each needs an action for its failure
	ReadFile func(string) ([]byte, error) // nil: conf.ReadFile
	Entries  string                       // file of the entries that people made on the review pages; it need not exist
	Weights  map[string]float64           // points that findings bring along, by code: over the families of the shipped policy, under what it says of a code
}

//go:embed shipped.yaml
var shippedYAML []byte

//go:embed sample.yaml
var sampleYAML []byte

// Sample is a commented policy file to begin with, with its own tests.
func Sample() []byte { return slices.Clone(sampleYAML) }

// ShippedSource is the policy that every other is laid over, as it is written.
func ShippedSource() []byte { return slices.Clone(shippedYAML) }

// Shipped is the policy that works without a file. It is part of the program, so a problem with it is a bug.
func Shipped() (*Policy, error) {
	p, problems := Parse("", nil, Options{})
	if len(problems) > 0 {
		return nil, fmt.Errorf("compile shipped policy: %w", problems[0])
	}
	return p, nil
}

// Load reads a policy file and the files that its lists name. There is a Policy only if there are no problems.
func Load(file string, opts Options) (*Policy, []conf.Problem) {
	if opts.ReadFile == nil {
		opts.ReadFile = conf.ReadFile
	}
	data, err := opts.ReadFile(file)
	if err != nil {
		return nil, []conf.Problem{{Pos: conf.Pos{File: file}, Message: fmt.Sprintf("cannot read the policy: %v", err)}}
	}
	return Parse(file, data, opts)
}

// Parse compiles data, which came from file, over the shipped policy. Paths in it are relative to file.
func Parse(file string, data []byte, opts Options) (*Policy, []conf.Problem) {
	if opts.ReadFile == nil {
		opts.ReadFile = conf.ReadFile
	}
	c := &compiler{opts: opts, file: file, p: &Policy{
		file: file, lists: map[string]*list{}, weights: map[string]weight{}, classes: map[string]Class{}, failures: map[string]failure{},
	}}
	var shipped, own Document
	if problems := conf.Decode("shipped.yaml", shippedYAML, &shipped); len(problems) > 0 {
		return nil, problems
	}
	if problems := conf.Decode(file, data, &own); len(problems) > 0 {
		return nil, problems
	}
	c.compile(&shipped, &own, data)
	if len(c.problems) > 0 {
		return nil, conf.Sorted(c.problems)
	}
	return c.p, nil
}

// A compiler collects a Policy and everything that is wrong with its file.
type compiler struct {
	opts     Options
	file     string
	lines    []string // of the file being compiled, to find places in expressions
	shipped  bool
	env      *cel.Env
	p        *Policy
	problems []conf.Problem
}

// problem notes one thing that is wrong.
func (c *compiler) problem(pos conf.Pos, hint, format string, args ...any) {
	c.problems = append(c.problems, conf.Problem{Pos: pos, Message: fmt.Sprintf(format, args...), Hint: hint})
}

// at is where a reason comes from: the file's name and line, or "shipped".
func (c *compiler) at(p conf.Pos) string {
	if c.shipped {
		return "shipped"
	}
	return fmt.Sprintf("%s:%d", filepath.Base(p.File), p.Line)
}

// path is a path of the file, relative to it.
func (c *compiler) path(p string) string {
	if filepath.IsAbs(p) {
		return p
	}
	return filepath.Join(filepath.Dir(c.file), p)
}

// compile lays the administrator's document over the shipped one.
func (c *compiler) compile(shipped, own *Document, data []byte) {
	var err error
	if c.env, err = c.newEnv(); err != nil {
		c.problem(conf.Pos{File: c.file}, "", "%v", err)
		return
	}
	if own.Version != 1 && own.Version != 0 {
		c.problem(conf.Pos{File: c.file, Line: 1, Col: 1}, "", "version %d is not known: this program reads version 1", own.Version)
	}
	c.shipped = true
	c.lines = strings.Split(string(shippedYAML), "\n")
	c.scores(shipped)
	c.ownWeights()
	theirs := c.compileRules(shipped.Rules, nil)
	c.shipped = false
	c.lines = strings.Split(string(data), "\n")
	c.compileLists(own.Lists)
	c.scores(own)
	c.compileAccess(append(own.Access, c.readEntries()...))
	c.compileLimits(own.Limits)
	c.p.rules = c.compileRules(own.Rules, shipped.Rules)
	for _, r := range theirs {
		if !slices.ContainsFunc(own.Rules, func(d ruleDoc) bool { return d.Name.Value == r.name }) {
			c.p.rules = append(c.p.rules, r)
		}
	}
	c.p.rules = slices.DeleteFunc(c.p.rules, func(r *rule) bool { return r.off })
	for i, r := range c.p.rules {
		r.order = i
		if r.when != nil {
			c.p.headers = append(c.p.headers, r.when.headers...)
		}
	}
	c.compileTests(own.Tests)
	c.checkFailures()
	c.p.relief = c.p.sumRelief(c.opts.Codes)
}

// scores compiles thresholds, weights, classes and failures.
func (c *compiler) scores(d *Document) {
	c.compileThresholds(d.Thresholds)
	for _, w := range d.Weights {
		if c.checkCode(item{w.code, w.pos}) {
			c.p.setWeight(w.code, weight{w.points, c.at(w.pos)})
		}
	}
	for _, k := range d.Classes {
		class, ok := c.class(k.class)
		for _, i := range k.codes {
			if ok && c.checkCode(i) {
				c.p.classes[strings.TrimSuffix(i.Value, "*")] = class
			}
		}
	}
	for _, f := range d.Failures {
		a, ok := parseAction(f.action.Value)
		switch {
		case !ok:
			c.problem(f.action.Pos, conf.Suggest(f.action.Value, decidingActions), "unknown action %s; want one of %s", quoted(f.action.Value), strings.Join(decidingActions[:len(decidingActions)-1], ", "))
		case a == Discard:
			c.problem(f.action.Pos, "", "a message that nobody could look at cannot be discarded")
		case !c.shipped && c.opts.Filters != nil && !slices.Contains(c.opts.Filters, f.filter.Value) && c.p.failures[f.filter.Value].action == "":
			c.problem(f.filter.Pos, conf.Suggest(f.filter.Value, c.opts.Filters), "there is no filter %s", quoted(f.filter.Value))
		default:
			c.p.failures[f.filter.Value] = failure{a, c.at(f.filter.Pos)}
		}
	}
}

// ownWeights gives findings the points that they bring along, unless the shipped policy names them.
func (c *compiler) ownWeights() {
	for code, points := range c.opts.Weights {
		if _, named := c.p.weights[code]; !named {
			c.p.weights[code] = weight{PointsOf(points), "rules"}
		}
	}
}

// setWeight sets a weight; a family's replaces those of its codes.
func (p *Policy) setWeight(code string, w weight) {
	if family, ok := strings.CutSuffix(code, "*"); ok {
		maps.DeleteFunc(p.weights, func(k string, _ weight) bool { return strings.HasPrefix(k, family) })
		code = family
	}
	p.weights[code] = w
}

// checkFailures reports filters for which nobody said what their failure means.
func (c *compiler) checkFailures() {
	for _, f := range c.opts.Filters {
		if _, ok := c.p.failures[f]; !ok {
			c.problem(conf.Pos{File: c.file}, "", "filter %s has no action under failures: say accept, tag, quarantine, defer or reject", f)
		}
	}
}

// compileThresholds sets the three thresholds and checks that they rise.
func (c *compiler) compileThresholds(d thresholdsDoc) {
	t := &c.p.thresholds
	for i, k := range []struct {
		action Action
		doc    *thresholdDoc
	}{{Tag, d.Tag}, {Quarantine, d.Quarantine}, {Reject, d.Reject}} {
		if k.doc == nil {
			continue
		}
		t[i] = threshold{k.action, k.doc.points, k.doc.off, c.at(k.doc.pos)}
		if !k.doc.off && k.doc.points <= 0 {
			c.problem(k.doc.pos, "", "the %s threshold must be above 0, or off", k.action)
		}
	}
	last := -1
	for i := range t {
		if t[i].off || t[i].action == "" {
			continue
		}
		if last >= 0 && t[i].points < t[last].points {
			c.problem(c.thresholdPos(d, i, last), "", "the %s threshold %s is below the %s threshold %s",
				t[i].action, t[i].points, t[last].action, t[last].points)
		}
		last = i
	}
	c.compileGreylist(d.Greylist)
	c.checkGreylist(d.Greylist)
}

// thresholdPos is the place of the first of two thresholds that the file sets.
func (c *compiler) thresholdPos(d thresholdsDoc, which ...int) conf.Pos {
	docs := []*thresholdDoc{d.Tag, d.Quarantine, d.Reject}
	for _, i := range which {
		if docs[i] != nil {
			return docs[i].pos
		}
	}
	return conf.Pos{File: c.file}
}

// class reads the name of a class.
func (c *compiler) class(i item) (Class, bool) {
	known := []string{string(Spam), string(Phish), string(Malware), string(ByRule)}
	if slices.Contains(known, i.Value) {
		return Class(i.Value), true
	}
	c.problem(i.Pos, conf.Suggest(i.Value, known), "unknown class %s", quoted(i.Value))
	return "", false
}

// checkCode reports a finding code that no filter makes.
func (c *compiler) checkCode(i item) bool {
	if strings.Contains(strings.TrimSuffix(i.Value, ".*"), "*") || i.Value == "" {
		c.problem(i.Pos, "", "%s is not a finding code: a family is written as in dmarc.*", quoted(i.Value))
		return false
	}
	hint, ok := c.knownCode(i.Value)
	if !ok {
		c.problem(i.Pos, hint, "there is no finding %s", quoted(i.Value))
	}
	return ok
}

// knownCode reports whether a filter makes a code, or any of a family; if not, it names the nearest.
func (c *compiler) knownCode(code string) (hint string, ok bool) {
	if c.opts.Codes == nil || c.shipped {
		return "", true
	}
	names := make([]string, len(c.opts.Codes))
	for i, k := range c.opts.Codes {
		if covers(code, k.Name) {
			return "", true
		}
		names[i] = k.Name
	}
	return conf.Suggest(code, names), false
}

// suggestKey is the nearest key of a map.
func suggestKey[V any](got string, m map[string]V) string {
	return conf.Suggest(got, slices.Sorted(maps.Keys(m)))
}

// weightOf is what a finding code adds: its own weight, or that of the nearest family.
func (p *Policy) weightOf(code string) weight { return lookUp(p.weights, code) }

// classOf is the class of a finding code.
func (p *Policy) classOf(code string) Class { return lookUp(p.classes, code) }

// lookUp finds a code, or the longest family that covers it.
func lookUp[V any](m map[string]V, code string) V {
	v, ok := m[code]
	for family := code; !ok; {
		dot := strings.LastIndexByte(strings.TrimSuffix(family, "."), '.')
		if dot < 0 {
			break
		}
		family = family[:dot+1]
		v, ok = m[family]
	}
	return v
}

// sumRelief adds up everything that could lower a score: each finding there is that takes points off, one by one, for
// a family's weight counts for each of its findings.
func (p *Policy) sumRelief(codes []filters.Code) Points {
	var sum Points
	for _, c := range codes {
		sum += min(p.weightOf(c.Name).points, 0)
	}
	if codes == nil {
		for _, w := range p.weights {
			sum += min(w.points, 0)
		}
	}
	for _, r := range p.rules {
		if r.then.scores && !r.monitor {
			sum += min(r.then.score, 0)
		}
	}
	return sum
}

// OnFailure is what is done with a message that a filter could not look at.
func (p *Policy) OnFailure(filter string) Action {
	if f, ok := p.failures[filter]; ok {
		return f.action
	}
	return Defer // law 6: what nobody classified is temporary
}

// Threshold is the score from which on an action is taken; ok is false if it is switched off.
func (p *Policy) Threshold(a Action) (points Points, ok bool) {
	for _, t := range p.thresholds {
		if t.action == a {
			return t.points, !t.off
		}
	}
	return 0, false
}

// Rules names the rules in the order in which they are asked.
func (p *Policy) Rules() []string {
	names := make([]string, len(p.rules))
	for i, r := range p.rules {
		names[i] = r.name
	}
	return names
}

// expired lists what no longer counts at now, for warnings: "policy.yaml:12: deny entry".
func (p *Policy) expired(now time.Time) []string {
	var out []string
	for _, e := range p.access.entries {
		if e.expires.over(now) {
			out = append(out, e.at+": "+e.name())
		}
	}
	for _, r := range p.rules {
		if r.expires.over(now) {
			out = append(out, r.at+": rule "+r.name)
		}
	}
	return out
}

// Expired lists entries and rules that no longer count at now, and those that will not in the time after it.
func (p *Policy) Expired(now time.Time, soon time.Duration) (over, ending []string) {
	over = p.expired(now)
	for _, s := range p.expired(now.Add(soon)) {
		if !slices.Contains(over, s) {
			ending = append(ending, s)
		}
	}
	return over, ending
}
