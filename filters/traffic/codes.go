package traffic

import "gatepost/filters"

// Codes lists every finding of this filter.
func Codes() []filters.Code {
	return []filters.Code{
		{Name: "traffic.domain-good", Meaning: "Nearly all that this site got from the author's authenticated domain of late was wanted.", Chinese: "近期来自该已验证发件人域的邮件几乎都是正常邮件。"},
		{Name: "traffic.domain-bad", Meaning: "Most of what this site got from the author's authenticated domain of late was unwanted.", Chinese: "近期来自该已验证发件人域的邮件大多是不受欢迎的邮件。"},
		{Name: "traffic.network-good", Meaning: "Nearly all that this site got from the client's network of late was wanted.", Chinese: "近期来自该客户端网段的邮件几乎都是正常邮件。"},
		{Name: "traffic.network-bad", Meaning: "Most of what this site got from the client's network of late was unwanted.", Chinese: "近期来自该客户端网段的邮件大多是不受欢迎的邮件。"},
		{Name: "traffic.surge", Meaning: "The sender sends many times more this hour than in an hour of the last days.", Chinese: "该发件方本小时的发信量远高于其近日的每小时发信量。"},
		{Name: "traffic.repeated", Meaning: "Nearly the same text came many times within hours.", Chinese: "几乎相同的正文在数小时内多次到达。"},
		{Name: "traffic.repeated-strangers", Meaning: "Nearly the same text came many times within hours, from several networks that no authenticated domain joins.", Chinese: "几乎相同的正文在数小时内从多个互不相关的网段多次到达。"},
	}
}
