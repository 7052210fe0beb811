package config

import (
	"slices"

	"gatepost/rules/conf"
)

// Filters holds one section per filter, for the filter to decode.
type Filters struct {
	node     conf.Node
	sections map[string]section
}

// A section is a filter's own mapping, without the key that turns it off.
type section struct {
	name    conf.Node // the key itself
	node    conf.Node
	enabled bool
}

// UnmarshalConf keeps the sections and reads their enabled keys.
func (f *Filters) UnmarshalConf(n conf.Node) []conf.Problem {
	f.node, f.sections = n, map[string]section{}
	if n.Kind() != conf.Mapping {
		var m map[string]conf.Node
		return n.Decode(&m)
	}
	var problems []conf.Problem
	for _, p := range n.Pairs() {
		s := section{name: p.Key, enabled: true}
		if p.Value.Kind() != conf.Mapping && !p.Value.IsNull() {
			problem := p.Value.Problemf("expected the filter's settings")
			if text := p.Value.String(); text == "false" || text == "off" || text == "no" {
				problem.Message += "; to turn it off write {enabled: false}"
			}
			problems = append(problems, problem)
			continue
		}
		var enabled conf.Node
		enabled, s.node = p.Value.Cut("enabled")
		if !enabled.IsNull() {
			problems = append(problems, enabled.Decode(&s.enabled)...)
		}
		f.sections[p.Key.String()] = s
	}
	return problems
}

// Decode decodes a filter's section into its Config; a filter without a section gets its defaults. Whoever builds the
// filters calls it for each, whether enabled or not.
func (f Filters) Decode(name string, into any) []conf.Problem {
	return f.sections[name].node.Decode(into)
}

// Enabled reports whether a filter is to run; all do that are not turned off.
func (f Filters) Enabled(name string) bool {
	s, ok := f.sections[name]
	return !ok || s.enabled
}

// Unknown reports the sections of filters that do not exist.
func (f Filters) Unknown(known []string) []conf.Problem {
	var out []conf.Problem
	for name, s := range f.sections {
		if !slices.Contains(known, name) {
			out = append(out, f.node.Unknown(s.name, known))
		}
	}
	return conf.Sorted(out)
}

// Pos is where a filter's section stands, for problems that its filter finds.
func (f Filters) Pos(name string) conf.Pos {
	if s, ok := f.sections[name]; ok {
		return s.name.Pos()
	}
	return f.node.Pos()
}

// ConfType says what a document may write.
func (Filters) ConfType() string { return "mapping of filter names to their settings" }

// ConfSchema says what a document may write.
func (Filters) ConfSchema() map[string]any {
	return map[string]any{"type": []string{"object", "null"}, "additionalProperties": map[string]any{
		"type": []string{"object", "null"}, "properties": map[string]any{"enabled": map[string]any{"type": "boolean"}}}}
}
