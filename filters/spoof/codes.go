package spoof

import "gatepost/filters"

// Codes lists every finding of this filter.
func Codes() []filters.Code {
	return []filters.Code{
		{Name: "spoof.person", Meaning: "The author's display name is that of a person of this site, at a foreign address.", Chinese: "发件人显示名与本站人员相同，但地址属于外部。"},
		{Name: "spoof.vip", Meaning: "The author's display name is that of a person whose name is worth most to deceivers, at a foreign address.", Chinese: "发件人显示名与本站重要人员相同，但地址属于外部。"},
		{Name: "spoof.known-name", Meaning: "The author bears the name of somebody who writes to this site, at another domain than ever before.", Chinese: "发件人与常来信者同名，但使用了从未见过的域。"},
		{Name: "spoof.lookalike-own", Meaning: "The author's domain resembles a domain of this site and is another.", Chinese: "发件人域与本站的域相似，但并非同一域。"},
		{Name: "spoof.lookalike-partner", Meaning: "The author's domain resembles one that this site often writes with and is another.", Chinese: "发件人域与常用联系方的域相似，但并非同一域。"},
		{Name: "spoof.lookalike-brand", Meaning: "The author's domain looks like that of a well-known firm and is another.", Chinese: "发件人域与知名公司的域相似，但并非同一域。"},
		{Name: "spoof.homograph", Meaning: "The author's domain mixes alphabets or imitates Latin letters with others.", Chinese: "发件人域混用多种文字或用其他字母冒充拉丁字母。"},
		{Name: "spoof.brand", Meaning: "The author's display name is that of a well-known firm, and the address is not the firm's.", Chinese: "发件人显示名为知名公司，但地址不属于该公司。"},
		{Name: "spoof.brand-address", Meaning: "The author's address bears the name of a well-known firm that does not own its domain.", Chinese: "发件人地址含有知名公司名称，但该域不属于该公司。"},
		{Name: "spoof.brand-subject", Meaning: "The subject speaks of a well-known firm, the address is not the firm's, and the message has links to click.", Chinese: "主题提及知名公司，地址不属于该公司，且邮件含有链接。"},
		{Name: "spoof.letterhead", Meaning: "The text begins with the name of a well-known firm, and the address is not the firm's.", Chinese: "正文以知名公司名称开头，但地址不属于该公司。"},
		{Name: "spoof.mail-button", Meaning: "A link to click writes to a mailbox that anybody can open, without showing it.", Chinese: "可点击的链接会写信给免费邮箱，但未显示其地址。"},
		{Name: "spoof.name-address", Meaning: "The author's display name holds an address of this site or of a well-known firm, and the author's own is another.", Chinese: "发件人显示名中含有本站或知名公司的地址，但实际地址不同。"},
		{Name: "spoof.name-disguised", Meaning: "The author's display name mixes alphabets within a word or imitates letters with others.", Chinese: "发件人显示名在单词内混用多种文字或用其他字符冒充字母。"},
		{Name: "spoof.self", Meaning: "The author's address is that of a recipient, and the message comes from outside.", Chinese: "发件人地址与收件人相同，但邮件来自外部。"},
		{Name: "spoof.reply-to", Meaning: "Answers go to another domain than the author's.", Chinese: "回复地址与发件人不属于同一域。"},
		{Name: "spoof.reply-to-freemail", Meaning: "The author writes from a domain of his own, or from one mailbox for everybody, and answers go to another such mailbox.", Chinese: "回复将发往免费邮箱，而发件人使用的是另一地址。"},
		{Name: "spoof.money", Meaning: "A mailbox that anybody can open speaks of sums of money or asks for payment.", Chinese: "免费邮箱发件人谈及款项或要求付款。"},
		{Name: "spoof.thread", Meaning: "The subject claims an answer, and the message names nothing that it answers.", Chinese: "主题声称是回复，但邮件未指明所回复的内容。"},
		{Name: "spoof.thread-stranger", Meaning: "The message claims a conversation with people of this site, and its author has never written here.", Chinese: "邮件自称是与本站人员的往来，但发件人从未给本站写过信。"},
		{Name: "spoof.recipient-in-subject", Meaning: "The subject speaks to the reader by his address.", Chinese: "主题直接以收件人地址称呼读者。"},
		{Name: "spoof.recipient-in-name", Meaning: "The author's display name holds the recipient's address or name.", Chinese: "发件人显示名含有收件人的地址或名字。"},
		{Name: "spoof.random", Meaning: "The author's address looks made by a machine.", Chinese: "发件人地址看似机器生成。"},
		{Name: "spoof.cheap", Meaning: "The author's domain stands under an ending that is abused far beyond its share.", Chinese: "发件人域属于滥用率很高的顶级域名。"},
		{Name: "spoof.no-such-domain", Meaning: "The author's domain cannot exist in the public DNS.", Chinese: "发件人域不可能存在于公共 DNS 中。"},
		{Name: "spoof.name-adorned", Meaning: "The author's display name is adorned with signs that no person's or firm's name has.", Chinese: "发件人显示名带有人名或公司名中不会出现的装饰符号。"},
		{Name: "spoof.free-mail", Meaning: "The author uses a mailbox that anybody can open.", Chinese: "发件人使用任何人都可开通的免费邮箱。"},
		{Name: "spoof.first-contact", Meaning: "The author has never written to this site before.", Chinese: "发件人此前从未给本站写过信。"},
		{Name: "spoof.known-sender", Meaning: "The author has written to this site before, and it was accepted.", Chinese: "发件人此前给本站写过信并已被接收。"},
	}
}
