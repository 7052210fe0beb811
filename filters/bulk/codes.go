package bulk

import "gatepost/filters"

// Codes lists every finding of this filter.
func Codes() []filters.Code {
	return []filters.Code{
		{Name: "bulk.list", Meaning: "The message came through a mailing list.", Chinese: "邮件来自邮件列表。"},
		{Name: "bulk.newsletter", Meaning: "The message says how to unsubscribe, as newsletters do.", Chinese: "邮件提供退订方式，属于新闻邮件。"},
		{Name: "bulk.one-click", Meaning: "The message can be unsubscribed from by one click (RFC 8058).", Chinese: "邮件支持一键退订（RFC 8058）。"},
		{Name: "bulk.unsubscribe-elsewhere", Meaning: "The way to unsubscribe leads to neither the author's domain nor a known mailing service.", Chinese: "退订地址既不属于发件人域，也不属于已知的群发服务。"},
		{Name: "bulk.precedence", Meaning: "The message calls itself bulk or junk.", Chinese: "邮件自称为群发邮件。"},
		{Name: "bulk.mailer", Meaning: "A known mailing service sent the message.", Chinese: "邮件由已知的群发服务发送。"},
		{Name: "bulk.verp", Meaning: "The reverse-path names the recipient, as senders to many do to recognise bounces.", Chinese: "信封发件人编码了收件人地址，以便识别退信。"},
		{Name: "bulk.no-way-out", Meaning: "The text tells how to unsubscribe, and the header does not say it as honest senders to many do.", Chinese: "正文提及退订，但邮件头没有相应字段。"},
		{Name: "bulk.auto-reply", Meaning: "The message is an automatic answer.", Chinese: "邮件为自动回复。"},
		{Name: "bulk.bounce", Meaning: "The message is a delivery report.", Chinese: "邮件为投递报告。"},
		{Name: "bulk.bounce-odd", Meaning: "The message has the null reverse-path and is neither a delivery report nor an automatic answer.", Chinese: "邮件的信封发件人为空，但既非投递报告也非自动回复。"},
	}
}
