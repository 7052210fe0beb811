package hook

import (
	"maps"
	"slices"

	"gatepost/filters"
)

// Codes lists the findings of this filter beside those that a site declares.
func Codes() []filters.Code {
	return []filters.Code{
		{Name: "hook.unscannable.limit", Meaning: "The message is larger than what the site's own check is given, so that did not see its content.", Chinese: "邮件超出提交给本站自有检查的大小限制，其内容未经检查。"},
	}
}

// OwnCodes lists the findings that a site declares.
func OwnCodes(c Config) []filters.Code {
	var list []filters.Code
	for _, name := range slices.Sorted(maps.Keys(c.Codes)) {
		list = append(list, filters.Code{Name: "hook." + name, Meaning: c.Codes[name], Chinese: c.Codes[name]})
	}
	return list
}
