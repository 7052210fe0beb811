package browser

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"gatepost/filters"
	"gatepost/filters/mail"
	"gatepost/gateway/admin"
	"gatepost/gateway/journal"
	"gatepost/policy"
	"gatepost/test/harness/rooms"
)

// NewHouse returns a house with two dozen held messages, a day of traffic behind it, and the time now.
func NewHouse(now time.Time) *House {
	h := &House{content: make(map[string][]byte), now: now, Rooms: rooms.Furnished(now), Refuse: map[string]string{
		"old@example.com": "550 5.1.1 <old@example.com>: Recipient address rejected: User unknown"}}
	h.put(spoofed)
	h.put(macro)
	h.put(eicar)
	h.put(hostile)
	h.put(long)
	h.put(arabic)
	for i := range 22 {
		l := spam
		l.id = fmt.Sprintf("0m9x%04dk", i)
		l.age = time.Duration(40+i*37) * time.Minute
		l.subject = spamSubjects[i%len(spamSubjects)]
		if i%3 == 1 {
			l.rcpts = []string{"bob@example.com"}
		}
		h.put(l)
	}
	h.records = append(h.records, journal.Record{V: journal.Version, Kind: journal.Refusal, ID: "0m9y0007c", Time: now.Add(-9 * time.Minute),
		Client: netip.MustParseAddr("203.0.113.77"), Helo: "ylmf-pc", Verb: "RCPT", From: "win@lottery.example",
		Rcpts: []string{"victim@elsewhere.example"}, Reply: policy.Reply{Code: 550, Enhanced: "5.7.1", Text: "relaying denied"}})
	h.Checks = []admin.Check{
		{Name: "downstream example.com", OK: true, Severity: admin.Critical, Since: now.Add(-50 * time.Hour)},
		{Name: "clamd", OK: false, Severity: admin.Warning, Since: now.Add(-25 * time.Minute),
			Effect: "Mail is told to come back later, 451 (failures: defer).", Detail: "dial unix /run/clamav/clamd.ctl: connect: connection refused",
			Hint: "Start clamd, and see that filters.clamd.address is where it listens and that the gateway may connect there."},
		{Name: "dns", OK: true, Severity: admin.Critical, Since: now.Add(-50 * time.Hour)},
		{Name: "disk", OK: true, Severity: admin.Critical, Since: now.Add(-50 * time.Hour)},
	}
	return h
}

// Day primes m with a day of traffic: a quiet night and a busy morning, always the same.
func (h *House) Day(m *admin.Meter) {
	shape := [24]int{4, 3, 2, 2, 3, 5, 9, 18, 34, 46, 52, 49, 41, 44, 51, 48, 39, 30, 22, 17, 13, 10, 7, 5}
	for i, n := range shape {
		at := h.now.Add(-time.Duration(23-i) * time.Hour)
		for k := range n {
			r := journal.Record{Kind: journal.Message, Time: at, From: "news@shop.example", Reply: policy.Reply{Code: 250},
				Decision: &policy.Decision{Action: policy.Accept}, Micros: map[string]int64{"total": int64(900 + k*130)}}
			if k%9 != 0 {
				r.TLS = mail.TLS{Version: "TLS 1.3"}
			}
			switch {
			case k%11 == 3:
				r.From, r.Fates = fmt.Sprintf("x@bulk%d.example", k%4), []journal.Fate{{Fate: "quarantined"}}
				r.Decision.Decided = []string{[]string{"content.spam", "dmarc.fail", "dnsbl.listed"}[k%3]}
			case k%7 == 2:
				r.Kind, r.Reply, r.From = journal.Refusal, policy.Reply{Code: 550, Enhanced: "5.7.1"}, "a@botnet.example"
			case k%13 == 5:
				r.Kind, r.Reply, r.From = journal.Refusal, policy.Reply{Code: 451, Enhanced: "4.7.1"}, "b@new.example"
			}
			m.Prime(&r)
		}
	}
}

var spamSubjects = [...]string{"Your parcel is waiting: confirm the address", "Cheap watches, last day", "增值税发票代开，联系电话见正文",
	"RE: RE: Fwd: unpaid invoice #88213", "Meet the team that doubles your traffic"}

var spam = letter{
	from: "bounce-7711@bulk3.example", author: "offers@bulk3.example", name: "Best Offers", helo: "out7.bulk3.example", client: "198.51.100.23",
	rcpts: []string{"alice@example.com"}, class: policy.Spam,
	text: "Dear customer,\n\nonly today: everything must go. Visit https://track.bulk3.example/c?u=88213 now.\n\nUnsubscribe: https://bulk3.example/u\n",
	because: []policy.Reason{
		{Code: "bayes.spam", Weight: 5200, At: "shipped", Text: "The words are those of spam (0.993)."},
		{Code: "dnsbl.listed", Weight: 4000, At: "policy.yaml:22", Text: "The client is on zen.example."},
		{Code: "auth.aligned", Weight: -500, At: "shipped", Text: "The author's domain is authenticated."}},
	decided: []string{"bayes.spam", "dnsbl.listed"},
	findings: []finding{{"dnsbl", "dnsbl.listed", "The client is on zen.example: policy list.", "DNS 23.100.51.198.zen.example", "127.0.0.2", 4000},
		{"bayes", "bayes.spam", "The words are those of spam (0.993).", "body", "everything must go", 5200}},
	auth: &filters.Auth{SPF: filters.SPF{Result: "pass", Domain: "bulk3.example", Mechanism: "ip4:198.51.100.0/24"},
		DKIM:  []filters.DKIM{{Result: "pass", Domain: "bulk3.example", Selector: "s1"}},
		DMARC: filters.DMARC{Result: "pass", From: "bulk3.example", Policy: "none"}},
}

var spoofed = letter{
	id: "0m9xspoofk", from: "noreply@cheap-hosting.example", author: "payments@yourbank.example", name: "Your Bank", helo: "vps-3311.cheap-hosting.example",
	client: "203.0.113.9", rcpts: []string{"alice@example.com", "bob@example.com"}, class: policy.Phish, age: 12 * time.Minute,
	subject: "Your account is locked: confirm within 24 hours", refused: true,
	text: "Dear customer,\n\nwe noticed unusual activity. Confirm your identity:\n\n  https://yourbank.example@login.evil-host.example/confirm?id=99213\n\n" +
		"> This message was sent automatically.\n\nYour Bank \u202emoc.knab\u202c\n",
	html: `<p>Dear customer,</p><p>we noticed <b style="color:#b00">unusual activity</b>. <a href="https://login.evil-host.example/">Confirm your identity</a>.</p>` +
		`<img src="https://track.evil-host.example/p.gif"><script>alert(1)</script><table border="1"><tr><td>Card</td><td>•••• 4411</td></tr></table>`,
	because: []policy.Reason{
		{Code: "dmarc.fail", Weight: 4000, At: "policy.yaml:31", Text: "yourbank.example asks that mail like this be refused (p=reject), and nothing proves that it came from there."},
		{Code: "links.userinfo", Weight: 3500, At: "shipped", Text: "A link shows one host and leads to another."},
		{Code: "spoof.display", Weight: 1800, At: "shipped", Text: "The display name is that of a bank, the sending domain is not."},
		{Rule: "bank-names", At: "policy.yaml:58", Text: "Mail in a bank's name needs an authenticated sender."}},
	decided: []string{"dmarc.fail", "links.userinfo"}, would: []string{"DKIM for yourbank.example verified", "score below 8"},
	findings: []finding{
		{"auth", "dmarc.fail", "DMARC fails for yourbank.example: neither SPF nor DKIM is aligned.", "header From", "payments@yourbank.example", 4000},
		{"links", "links.userinfo", "The link's visible host is a user name; the real host is login.evil-host.example.", "body", "https://yourbank.example@login.evil-host.example/", 3500},
		{"spoof", "spoof.display", "The display name is \"Your Bank\".", "header From", "Your Bank", 1800},
		{"content", "text.bidi", "The text holds a right-to-left override.", "body", "\u202e", 0}},
	auth: &filters.Auth{SPF: filters.SPF{Result: "pass", Domain: "cheap-hosting.example", Mechanism: "+a"},
		DMARC: filters.DMARC{Result: "fail", Policy: "reject", Disposition: "reject", From: "yourbank.example", Domain: "yourbank.example"}, ARC: filters.ARC{Result: "none"}},
	urls: []filters.URL{{URL: "https://yourbank.example@login.evil-host.example/confirm?id=99213", Host: "login.evil-host.example", Text: "Confirm your identity"},
		{URL: "https://track.evil-host.example/p.gif", Host: "track.evil-host.example"}},
	notRun: []filters.Failure{{Filter: "clamd", Error: "timeout after 5s"}},
}

var macro = letter{
	id: "0m9xmacrok", from: "invoice@supplier.example", author: "invoice@supplier.example", name: "Supplier Accounts", helo: "mail.supplier.example",
	client: "198.51.100.7", rcpts: []string{"carol@example.com"}, class: policy.ByRule, age: 31 * time.Minute, subject: "Invoice 2026-1121",
	text:    "Please find attached our invoice.\n\nKind regards\n",
	because: []policy.Reason{{Rule: "macro-from-stranger", At: "policy.yaml:44", Weight: 8000, Code: "attach.macro", Text: "Documents with macros need an authenticated sender."}},
	decided: []string{"macro-from-stranger"}, would: []string{"DMARC for supplier.example passed"},
	findings: []finding{{"attach", "attach.macro", "The document runs a macro when it is opened.", "part 2", "AutoOpen", 8000}},
	attachments: []filters.Attachment{{Name: "Invoice 2026-1121.docm", Type: "application/vnd.ms-word.document.macroenabled.12", Declared: "application/pdf",
		Size: 48211, SHA256: "9f2c1c4b5f0b7a0d5e4f9f0b6e5a4c3d2e1f00112233445566778899aabbccdd", Macro: true}},
}

var eicar = letter{
	id: "0m9xeicark", from: "test@partner.example", author: "test@partner.example", name: "Partner Test", helo: "mx.partner.example",
	client: "192.0.2.40", rcpts: []string{"old@example.com"}, class: policy.Malware, age: 3 * time.Hour, subject: "scanner test",
	text:        "see attachment\n",
	because:     []policy.Reason{{Code: "attach.eicar", Weight: 100000, At: "shipped", Text: "The attachment is the EICAR test file."}},
	decided:     []string{"attach.eicar"},
	findings:    []finding{{"attach", "attach.eicar", "The attachment is the EICAR test file.", "part 2", "see attachment", 100000}},
	attachments: []filters.Attachment{{Name: "eicar.com", Type: "text/plain", Path: []string{"a.zip", "eicar.com"}, Size: 68, Executable: true, SHA256: "275a021bbfb6489e54d471899f7d9d1663fc695ec2fe2a2c4538aabf651fd0f"}},
}

// long has words that no screen is wide enough for.
var long = letter{
	id: "0m9xlongxk", from: "bounces+1794182-5f3a-someone.with.a.very.long.name=example.com@bounce-handling.newsletter-delivery.marketing-cloud.example", helo: "o1.ptr2917.marketing-cloud.example",
	author: "the-department-of-very-long-addresses-and-nothing-else-besides@newsletter-delivery.marketing-cloud.example", name: "The Department of Very Long Names, Division of Names That Do Not End Where One Would Expect",
	client: "2001:db8:85a3:8d3:1319:8a2e:370:7348", rcpts: []string{"someone.with.a.very.long.name.and.more.of.it@example.com", "bob@example.com", "carol@example.com"}, class: policy.Spam, age: 32 * time.Minute,
	subject: "Re: Fwd: Your weekly summary of everything that happened while you were away, including the things that you have seen already: Donaudampfschifffahrtsgesellschaftskapitänsmützenabzeichenverordnung",
	text:    "https://newsletter-delivery.marketing-cloud.example/c/" + strings.Repeat("eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9", 8) + "\n",
	because: []policy.Reason{{Code: "bayes.spam", Weight: 8700, At: "shipped", Text: "The words are those of spam (0.981)."}},
	decided: []string{"bayes.spam"},
}

// arabic is written from right to left.
var arabic = letter{
	id: "0m9xarabik", from: "info@news.example", author: "info@news.example", name: "مركز الأخبار", helo: "mx.news.example",
	client: "198.51.100.9", rcpts: []string{"bob@example.com"}, class: policy.Spam, age: 34 * time.Minute, subject: "عرض خاص: خصم 50% على Windows 11 لمدة 24 ساعة",
	text:    "عزيزي العميل،\n\nالعرض ينتهي اليوم: https://news.example/offer?id=1\n\nThis line is English.\n",
	because: []policy.Reason{{Code: "bayes.spam", Weight: 8700, At: "shipped", Text: "The words are those of spam (0.991)."}},
	decided: []string{"bayes.spam"},
}

var hostile = letter{
	id: "0m9xhostik", from: "x@evil.example", author: "x@evil.example", name: rooms.Evil, helo: "evil.example",
	client: "203.0.113.66", rcpts: []string{"alice@example.com"}, class: policy.Spam, age: 5 * time.Hour, subject: rooms.Evil + "\u202e\u200b",
	text: "\x1b[31mred\x1b[0m " + rooms.Evil + "\n", html: rooms.Evil + `<svg onload=alert(1)><style>*{position:fixed}</style>`,
	because:     []policy.Reason{{Rule: rooms.Evil, Code: rooms.Evil, At: rooms.Evil, Weight: 9000, Text: rooms.Evil}},
	decided:     []string{rooms.Evil},
	would:       []string{rooms.Evil},
	findings:    []finding{{rooms.Evil, rooms.Evil, rooms.Evil, rooms.Evil, rooms.Evil, 9000}},
	attachments: []filters.Attachment{{Name: rooms.Evil + "\u202efdp.exe", Type: rooms.Evil, Size: 1, SHA256: rooms.Evil, Defects: []string{rooms.Evil}}},
	urls:        []filters.URL{{URL: "javascript:alert(1)//" + rooms.Evil, Text: rooms.Evil}},
	notRun:      []filters.Failure{{Filter: rooms.Evil, Error: rooms.Evil}},
}

// extreme has as much of everything as a message may have.
func extreme() letter {
	l := long
	l.id, l.class, l.age = "0m9xextrek", policy.Spam, time.Minute
	l.subject = "👩‍👩‍👧‍👦 " + strings.Repeat("Ж", 140) + " " + strings.Repeat("W", 120) + " xn--80ak6aa92e.example"
	l.name, l.author = strings.Repeat("N", 120), strings.Repeat("a", 64)+"@"+strings.Repeat("b", 60)+".xn--"+strings.Repeat("c", 50)+".example"
	l.from, l.helo = l.author, strings.Repeat("h", 60)+".example"
	l.text = strings.Repeat("x", 5000) + "\nhttps://" + strings.Repeat("a.", 100) + "example/" + strings.Repeat("y", 2000) + "\n"
	l.rcpts = nil
	for i := range 400 {
		l.rcpts = append(l.rcpts, fmt.Sprintf("%s.%03d@example.com", strings.Repeat("r", 50), i))
	}
	for i := range 100 {
		l.attachments = append(l.attachments, filters.Attachment{Name: strings.Repeat("Q", 200) + fmt.Sprint(i) + ".pdf.exe", Type: "application/" + strings.Repeat("t", 80),
			Declared: "image/" + strings.Repeat("d", 80), Size: 1 << 30, SHA256: strings.Repeat("0123456789abcdef", 4), Executable: true, Macro: true, Encrypted: true,
			Defects: []string{strings.Repeat("defect", 30)}, Path: []string{strings.Repeat("z", 90) + ".zip", strings.Repeat("y", 90) + ".7z", strings.Repeat("x", 90)}})
		l.urls = append(l.urls, filters.URL{URL: "https://" + strings.Repeat("u", 60) + ".example/" + strings.Repeat("p", 400), Host: strings.Repeat("u", 60) + ".example", Text: strings.Repeat("T", 300)})
		l.because = append(l.because, policy.Reason{Code: "site." + strings.Repeat("c", 60), Rule: strings.Repeat("r", 60), At: "policy.yaml:1", Weight: 100, Text: strings.Repeat("Long", 60)})
	}
	l.auth = &filters.Auth{SPF: filters.SPF{Result: "permerror", Domain: l.helo, Mechanism: strings.Repeat("m", 200), Explanation: strings.Repeat("e", 200)},
		DMARC: filters.DMARC{Result: "temperror", From: l.helo, Reason: strings.Repeat("q", 200)}, ARC: filters.ARC{Result: "fail", Sealer: l.helo, Reason: strings.Repeat("q", 200)}}
	for range 10 {
		l.auth.DKIM = append(l.auth.DKIM, filters.DKIM{Result: "permerror", Domain: l.helo, Selector: strings.Repeat("s", 60), Reason: strings.Repeat("w", 200)})
	}
	l.notRun = []filters.Failure{{Filter: "clamd", Error: strings.Repeat("E", 200)}}
	return l
}
