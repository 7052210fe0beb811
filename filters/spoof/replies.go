package spoof

import (
	"slices"
	"strings"

	"gatepost/filters/mail"
	"gatepost/rules/sites"
)

// replies looks at where answers go.
func (c *check) replies() {
	if c.list || c.address == "" {
		return
	}
	to := c.m.Addresses("To")
	for _, r := range c.m.Addresses("Reply-To") {
		org := mail.OrganizationalDomain(r.Domain)
		if org == "" || org == c.domain || Canonical(r) == c.address {
			continue
		}
		if slices.ContainsFunc(to, func(a mail.Mailbox) bool { return Canonical(a) == Canonical(r) }) {
			return // a list that lets answers go to itself
		}
		if c.Sites.Class(r.Domain).Is(sites.Freemail) {
			c.foundAt("spoof.reply-to-freemail", "Answers go to "+Canonical(r)+", a mailbox that anybody can open, and not to the author.", "header Reply-To", r.Span)
		} else {
			c.foundAt("spoof.reply-to", "Answers go to "+r.Domain+", the author writes from "+c.author.Domain+".", "header Reply-To", r.Span)
		}
		return
	}
}

// sums are words of those who ask for money or promise it, in lower case, by what they mean; two meanings make a finding.
var sums = [...][]string{
	{"$", "€", "£", "usd", "eur ", "million", "billion", "dollars", "euros", "美元", "人民币", "万元"},
	{"bank account", "bank details", "wire transfer", "western union", "moneygram", "transfer of", "routing number", "iban", "swift code", "account number", "payment details", "银行账户", "转账", "汇款"},
	{"inherit", "beneficiary", "next of kin", "deceased", "donat", "compensation", "lottery", "jackpot", "your fund", "the fund", "consignment", "遗产", "中奖", "补偿"},
	{"gift card", "itunes card", "steam card", "google play card", "bitcoin", "btc", "礼品卡", "比特币"},
	{"invest", "loan", "project", "business proposal", "partnership", "投资", "贷款"},
	{"confidential", "urgent", "trust", "god bless", "barrister", "attorney", "diplomat", "保密", "紧急"},
}

// minMeanings is how many kinds of words must come together.
const minMeanings = 3

// money looks for sums in mail that comes from, or is to be answered to, mailboxes that anybody can open.
func (c *check) money() {
	free := c.Sites.Class(c.author.Domain).Is(sites.Freemail)
	for _, r := range c.m.Addresses("Reply-To") {
		free = free || c.Sites.Class(r.Domain).Is(sites.Freemail)
	}
	if !free || c.list || c.answers() {
		return
	}
	text := c.m.Text()
	low := strings.ToLower(text[:min(len(text), maxRead)])
	meanings, first := 0, -1
	for _, words := range sums {
		for _, w := range words {
			if n := strings.Index(low, w); n >= 0 {
				meanings++
				if first < 0 {
					first = n
				}
				break
			}
		}
	}
	if meanings < minMeanings {
		return
	}
	at := c.m.BodySpan()
	c.foundAt("spoof.money", "A mailbox that anybody can open speaks of sums of money: "+mail.Printable(low[max(0, first-30):min(len(low), first+60)], 100), "text", at)
}

// maxRead is how much of the text is read for words of money.
const maxRead = 8 << 10

// thread looks at conversations that are claimed.
func (c *check) thread() {
	f := c.m.Fields("Subject")
	if len(f) == 0 || c.list {
		return
	}
	subject := strings.ToLower(strings.TrimSpace(c.m.Subject()))
	reply := begun(subject, "re:", "aw:", "sv:", "antw:", "回复:", "回复：", "答复:", "答复：")
	if !reply && !begun(subject, "fw:", "fwd:", "wg:", "tr:", "rv:", "转发:", "转发：") {
		return
	}
	if reply && !c.answers() {
		c.foundAt("spoof.thread", "The subject claims an answer, and the message names nothing that it answers.", "header Subject", f[0].Span)
	}
	if s := c.facts.Sender; s == nil || !s.Remembered || s.Messages > 0 || c.ours() {
		return
	}
	if who := c.quoted(); who != "" {
		c.foundAt("spoof.thread-stranger", "The message claims a conversation with "+who+", and its author has never written to this site.", "header Subject", f[0].Span)
	}
}

// begun reports whether a subject begins with one of the words.
func begun(subject string, words ...string) bool {
	for _, w := range words {
		if strings.HasPrefix(subject, w) {
			return true
		}
	}
	return false
}

// quoted is the first address of this site that stands in the text, as in the head of a quoted message; empty if there is none.
func (c *check) quoted() string {
	text := c.m.Text()
	text = text[:min(len(text), maxRead)]
	for n := 0; n < maxAddresses; n++ {
		at := strings.IndexByte(text, '@')
		if at < 0 {
			return ""
		}
		end := at + 1
		for end < len(text) && (text[end] == '.' || text[end] == '-' || text[end]|0x20 >= 'a' && text[end]|0x20 <= 'z' || text[end] >= '0' && text[end] <= '9') {
			end++
		}
		domain := strings.ToLower(strings.TrimRight(text[at+1:end], ".-"))
		if c.Ours[domain] {
			start := at
			for start > 0 && at-start < 64 && text[start-1] > ' ' && strings.IndexByte("<>()[]\"':;,", text[start-1]) < 0 {
				start--
			}
			return mail.Printable(text[start:at], 64) + "@" + domain
		}
		text = text[end:]
	}
	return ""
}

// maxAddresses is how many signs that may be of an address are looked at.
const maxAddresses = 100
