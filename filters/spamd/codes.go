package spamd

import "gatepost/filters"

// Codes lists every finding of this filter.
func Codes() []filters.Code {
	return []filters.Code{
		{Name: "spamd.ham", Meaning: "SpamAssassin does not take it for spam.", Chinese: "SpamAssassin 认为不是垃圾邮件。"},
		{Name: "spamd.spam", Meaning: "SpamAssassin takes it for spam.", Chinese: "SpamAssassin 认为是垃圾邮件。"},
		{Name: "spamd.spam-high", Meaning: "SpamAssassin takes it for spam, with twice the score that it takes.", Chinese: "SpamAssassin 认为是垃圾邮件，得分达到阈值的两倍。"},
		{Name: "spamd.unscannable.limit", Meaning: "It is larger than what SpamAssassin is given, so SpamAssassin did not see it.", Chinese: "邮件超出提交给 SpamAssassin 的大小限制，未经其检查。"},
	}
}
