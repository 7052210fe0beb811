package clamd

import "gatepost/filters"

// Codes lists every finding of this filter.
func Codes() []filters.Code {
	return []filters.Code{
		{Name: "clamd.malware", Meaning: "ClamAV knows malware in it.", Chinese: "ClamAV 发现恶意软件。"},
		{Name: "clamd.pua", Meaning: "ClamAV calls something in it potentially unwanted.", Chinese: "ClamAV 认为其中有潜在的不受欢迎程序。"},
		{Name: "clamd.phish", Meaning: "ClamAV takes it for phishing.", Chinese: "ClamAV 认为这是钓鱼邮件。"},
		{Name: "clamd.macro", Meaning: "ClamAV found macros in a document.", Chinese: "ClamAV 发现文档含有宏。"},
		{Name: "clamd.heuristic", Meaning: "ClamAV finds something in it suspicious.", Chinese: "ClamAV 发现可疑内容。"},
		{Name: "clamd.encrypted", Meaning: "ClamAV found something encrypted.", Chinese: "ClamAV 发现加密内容。"},
		{Name: "clamd.stale", Meaning: "ClamAV's signatures are old.", Chinese: "ClamAV 的特征库已过时。"},
		{Name: "clamd.unscannable.limit", Meaning: "It is more than ClamAV looks through, so not all of it was seen.", Chinese: "内容超出 ClamAV 的检查限额，未能完整检查。"},
	}
}
