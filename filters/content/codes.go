package content

import (
	"gatepost/filters"
	"gatepost/rules"
)

// Prefix stands before a rule's name in the code of its finding.
const Prefix = "content."

// Codes lists the findings of this filter that are not a rule's.
func Codes() []filters.Code {
	return []filters.Code{
		{Name: "content.limit", Meaning: "Rules would have cost too much, so some were not applied to all of the message.", Chinese: "规则匹配的计算量超出上限，部分规则未应用于整封邮件。"},
		{Name: "content.long", Meaning: "The message is longer than rules look at, so they were applied to its beginning.", Chinese: "邮件长度超过规则检查上限，规则仅应用于其开头部分。"},
	}
}

// RuleCodes lists a finding for each rule.
func RuleCodes(set *rules.Set) []filters.Code {
	var codes []filters.Code
	for _, r := range set.Rules() {
		codes = append(codes, filters.Code{Name: Prefix + r.Name, Meaning: r.English, Chinese: r.Chinese})
	}
	return codes
}

// Weights are the points that rules bring along, by finding code.
func Weights(set *rules.Set) map[string]float64 {
	weights := map[string]float64{}
	for _, r := range set.Rules() {
		weights[Prefix+r.Name] = r.Weight
	}
	return weights
}
