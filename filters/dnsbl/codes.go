package dnsbl

import (
	"gatepost/filters"
	"gatepost/rules/dnslists"
)

// code is the finding of a list that says something: dnsbl.listed.spamhaus-zen.
func code(m dnslists.Meaning, list string) string { return "dnsbl." + string(m) + "." + list }

// words say what the meanings are, for the list that follows.
var words = map[dnslists.Meaning][2]string{
	dnslists.Listed:  {"The client, a domain or a mailbox of the message is listed as a source or a mark of spam by ", "邮件的客户端、域名或邮箱被列为垃圾邮件来源或标志，列表："},
	dnslists.Policy:  {"The client is an address that should not send mail itself, says ", "该客户端地址不应直接发送邮件，列表："},
	dnslists.Phish:   {"A domain of the message is listed for phishing by ", "邮件中的域名因钓鱼被列入："},
	dnslists.Malware: {"A domain of the message is listed for malware by ", "邮件中的域名因恶意软件被列入："},
	dnslists.Abused:  {"A domain of the message belongs to a site that was broken into, says ", "邮件中的域名属于被入侵的网站，列表："},
	dnslists.Allowed: {"The client has a good name with ", "该客户端信誉良好，列表："},
}

// Codes lists every finding that the shipped lists can cause.
func Codes() []filters.Code {
	lists, err := dnslists.Shipped()
	if err != nil {
		return nil // New says why
	}
	return codesOf(lists)
}

// OwnCodes lists every finding that a site's own lists can cause.
func OwnCodes(c Config) []filters.Code {
	var own []dnslists.List
	for name, l := range c.Lists {
		l.Name = name
		own = append(own, l)
	}
	return codesOf(own)
}

func codesOf(lists []dnslists.List) []filters.Code {
	var out []filters.Code
	for i := range lists {
		for _, m := range lists[i].Means() {
			w := words[m]
			out = append(out, filters.Code{Name: code(m, lists[i].Name), Meaning: w[0] + lists[i].Name + ".", Chinese: w[1] + lists[i].Name + "。"})
		}
	}
	return out
}
