package bayes

import "gatepost/filters"

// Codes lists every finding of this filter; a message gets at most one of how likely it is to be spam, and one of a twin.
func Codes() []filters.Code {
	return []filters.Code{
		{Name: "bayes.spam-999", Meaning: "By what was taught here, the message is at least 99.9 % likely to be spam.", Chinese: "根据本站的学习结果，这封邮件是垃圾邮件的可能性不低于 99.9%。"},
		{Name: "bayes.spam-99", Meaning: "By what was taught here, the message is 99 to 99.9 % likely to be spam.", Chinese: "根据本站的学习结果，这封邮件是垃圾邮件的可能性为 99% 至 99.9%。"},
		{Name: "bayes.spam-98", Meaning: "By what was taught here, the message is 98 to 99 % likely to be spam.", Chinese: "根据本站的学习结果，这封邮件是垃圾邮件的可能性为 98% 至 99%。"},
		{Name: "bayes.spam-95", Meaning: "By what was taught here, the message is 95 to 98 % likely to be spam.", Chinese: "根据本站的学习结果，这封邮件是垃圾邮件的可能性为 95% 至 98%。"},
		{Name: "bayes.spam-90", Meaning: "By what was taught here, the message is 90 to 95 % likely to be spam.", Chinese: "根据本站的学习结果，这封邮件是垃圾邮件的可能性为 90% 至 95%。"},
		{Name: "bayes.spam-80", Meaning: "By what was taught here, the message is 80 to 90 % likely to be spam.", Chinese: "根据本站的学习结果，这封邮件是垃圾邮件的可能性为 80% 至 90%。"},
		{Name: "bayes.ham-80", Meaning: "By what was taught here, the message is 80 to 95 % likely to be wanted mail.", Chinese: "根据本站的学习结果，这封邮件是正常邮件的可能性为 80% 至 95%。"},
		{Name: "bayes.ham-95", Meaning: "By what was taught here, the message is 95 to 99 % likely to be wanted mail.", Chinese: "根据本站的学习结果，这封邮件是正常邮件的可能性为 95% 至 99%。"},
		{Name: "bayes.ham-99", Meaning: "By what was taught here, the message is at least 99 % likely to be wanted mail.", Chinese: "根据本站的学习结果，这封邮件是正常邮件的可能性不低于 99%。"},
		{Name: "bayes.twin-spam", Meaning: "The message is nearly the same as one that was taught here as spam.", Chinese: "这封邮件与本站标记为垃圾邮件的某封邮件几乎相同。"},
		{Name: "bayes.twin-ham", Meaning: "The message is nearly the same as one that was taught here as wanted mail.", Chinese: "这封邮件与本站标记为正常邮件的某封邮件几乎相同。"},
	}
}
