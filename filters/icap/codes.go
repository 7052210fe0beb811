package icap

import "gatepost/filters"

// Codes lists every finding of this filter.
func Codes() []filters.Code {
	return []filters.Code{
		{Name: "icap.malware", Meaning: "The ICAP server names a threat in it.", Chinese: "ICAP 服务器指出其中有威胁。"},
		{Name: "icap.blocked", Meaning: "The ICAP server would not let it pass as it is.", Chinese: "ICAP 服务器不允许其原样通过。"},
		{Name: "icap.unscannable.limit", Meaning: "It is more than the ICAP server is given, so not all of it was seen.", Chinese: "内容超出 ICAP 服务器的检查限额，未能完整检查。"},
	}
}
