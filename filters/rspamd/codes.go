package rspamd

import "gatepost/filters"

// Codes lists every finding of this filter.
func Codes() []filters.Code {
	return []filters.Code{
		{Name: "rspamd.no-action", Meaning: "Rspamd would let it pass.", Chinese: "Rspamd 认为可以放行。"},
		{Name: "rspamd.greylist", Meaning: "Rspamd would have it come back later, as mail from strangers.", Chinese: "Rspamd 建议灰名单延迟。"},
		{Name: "rspamd.add-header", Meaning: "Rspamd would mark it as spam.", Chinese: "Rspamd 建议标记为垃圾邮件。"},
		{Name: "rspamd.rewrite-subject", Meaning: "Rspamd would mark its subject as spam.", Chinese: "Rspamd 建议在主题中标记为垃圾邮件。"},
		{Name: "rspamd.soft-reject", Meaning: "Rspamd would refuse it for now.", Chinese: "Rspamd 建议暂时拒收。"},
		{Name: "rspamd.reject", Meaning: "Rspamd would refuse it.", Chinese: "Rspamd 建议拒收。"},
		{Name: "rspamd.other-action", Meaning: "Rspamd would do something with it that only the site's Rspamd knows.", Chinese: "Rspamd 建议执行本站自定义的动作。"},
		{Name: "rspamd.unscannable.limit", Meaning: "It is larger than what Rspamd is given, so Rspamd did not see it.", Chinese: "邮件超出提交给 Rspamd 的大小限制，未经其检查。"},
	}
}
