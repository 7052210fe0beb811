package headers

import (
	"gatepost/filters"
	"gatepost/filters/mail"
)

// Codes lists every finding of this filter: its own, and one for each defect that the parse records.
func Codes() []filters.Code {
	codes := []filters.Code{
		{Name: "headers.several-authors", Meaning: "The From field names more than one address.", Chinese: "发件人字段包含多个地址。"},
		{Name: "headers.name-is-other-address", Meaning: "The author's display name is an address of another domain.", Chinese: "发件人的显示名是另一个域的地址。"},
		{Name: "headers.hidden-characters", Meaning: "A header that people read holds invisible or direction-changing characters.", Chinese: "可见的邮件头含有不可见字符或改变文字方向的字符。"},
		{Name: "headers.date-unreadable", Meaning: "The Date field cannot be read.", Chinese: "日期字段无法识别。"},
		{Name: "headers.date-future", Meaning: "The Date field is more than a day in the future.", Chinese: "日期字段比当前时间晚一天以上。"},
		{Name: "headers.date-old", Meaning: "The Date field is more than thirty days in the past.", Chinese: "日期字段比当前时间早三十天以上。"},
		{Name: "headers.no-from", Meaning: "There is no From field.", Chinese: "缺少发件人字段。"},
		{Name: "headers.no-date", Meaning: "There is no Date field.", Chinese: "缺少日期字段。"},
		{Name: "headers.no-message-id", Meaning: "There is no Message-ID field.", Chinese: "缺少 Message-ID 字段。"},
		{Name: "headers.no-subject", Meaning: "There is no Subject field.", Chinese: "缺少主题字段。"},
		{Name: "headers.no-recipients", Meaning: "Neither To nor Cc names anybody.", Chinese: "收件人和抄送字段均为空。"},
		{Name: "headers.recipients-undisclosed", Meaning: "The To field names nobody, as of mail to many whose addresses are hidden.", Chinese: "收件人字段未列出任何人，如隐藏收件人的群发邮件。"},
	}
	for _, d := range mail.Defects() {
		codes = append(codes, filters.Code{Name: "defect." + d.Code, Meaning: d.Meaning, Chinese: d.Chinese})
	}
	return codes
}
