package milter

import (
	"maps"
	"slices"

	"gatepost/filters"
)

// Codes lists the findings of this filter beside those of the milters that a site names.
func Codes() []filters.Code {
	return []filters.Code{
		{Name: "milter.unscannable.limit", Meaning: "The message cannot be shown to a milter as it is, so not all of it was seen.", Chinese: "邮件无法原样提交给 milter，未能完整检查。"},
	}
}

// What a milter can ask for: the second part of a code, and the sentence with its name.
var kinds = [...]struct{ name, meaning, chinese string }{
	{"reject", "would refuse it.", "建议拒收。"},
	{"tempfail", "would refuse it for now.", "建议暂时拒收。"},
	{"discard", "would let it vanish.", "建议丢弃。"},
	{"quarantine", "would hold it.", "建议隔离。"},
	{"change", "would change it.", "建议修改邮件。"},
}

// OwnCodes lists the findings of the milters that a site names.
func OwnCodes(c Config) []filters.Code {
	var list []filters.Code
	for _, name := range slices.Sorted(maps.Keys(c.Milters)) {
		list = append(list, codesOf(name)...)
	}
	return list
}

// codesOf are the findings of one milter.
func codesOf(name string) []filters.Code {
	var list []filters.Code
	for _, k := range kinds {
		list = append(list, filters.Code{Name: "milter." + k.name + "." + name, Meaning: "The milter " + name + " " + k.meaning, Chinese: "milter " + name + " " + k.chinese})
	}
	return list
}
