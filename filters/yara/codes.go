package yara

import "gatepost/filters"

// Codes lists every finding of this filter.
func Codes() []filters.Code {
	return []filters.Code{
		{Name: codeMatch, Meaning: "A YARA rule of the site knows it.", Chinese: "本站的一条 YARA 规则匹配。"},
		{Name: codeSuspicious, Meaning: "A YARA rule of the site finds something suspicious in it.", Chinese: "本站的一条 YARA 规则发现可疑内容。"},
		{Name: codeInfo, Meaning: "A YARA rule of the site notes something of it.", Chinese: "本站的一条 YARA 规则作了标注。"},
		{Name: codeLimit, Meaning: "It is more than YARA looks through, so not all of it was seen.", Chinese: "内容超出 YARA 的检查限额，未能完整检查。"},
		{Name: codeClosed, Meaning: "Something in it could not be opened for YARA, so not all of it was seen.", Chinese: "部分内容无法为 YARA 打开，未能完整检查。"},
	}
}

// The findings.
const (
	codeMatch      = "yara.match"
	codeSuspicious = "yara.suspicious"
	codeInfo       = "yara.info"
	codeLimit      = "yara.unscannable.limit"
	codeClosed     = "yara.unscannable.closed"
)
