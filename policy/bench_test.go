package policy

import (
	"fmt"
	"strings"
	"testing"
)

// dozen is a policy with a dozen rules of the usual kinds.
const dozen = `
lists: {partners: {domains: [partner.example]}}
rules:
  - {name: macro-from-stranger, when: 'attachments.exists(a, a.macro) && auth.dmarc != "pass"', then: quarantine, class: malware}
  - {name: r2, when: 'envelope.mail_from_domain == "x.example" && envelope.rcpt_count > 10', then: tag}
  - {name: r3, when: 'has("links.listed") && score > 4', then: quarantine}
  - {name: r4, when: 'message.subject.contains("Invoice") && !in_list(message.from_domain, "partners")', then: {score: 1.5}}
  - {name: r5, when: 'urls.exists(u, u.host.endsWith(".zip"))', then: {score: 3}}
  - {name: r6, when: 'text.language == "ru" && auth.spf != "pass"', then: {score: 2}}
  - {name: r7, when: 'message.size > 10000000', then: tag}
  - {name: r8, when: 'message.header("x-mailer").startsWith("Bad")', then: tag}
  - {name: r9, when: 'now - message.date > duration("720h")', then: {score: 1}}
  - {name: r10, from: ["@bad.example"], then: reject}
  - {name: r11, attachment: ["*.exe", "*.scr"], then: reject}
  - {name: r12, client: [203.0.113.0/24], subject: "*lottery*", then: reject}
`

func BenchmarkDecideDozen(b *testing.B) {
	p := parse(b, dozen)
	env, rep := envelope("c@example.com"), report("spf.pass", "dkim.pass", "headers.no-date")
	b.ReportAllocs()
	for b.Loop() {
		p.Decide(env, rep)
	}
}

func BenchmarkDecideRefused(b *testing.B) {
	p := parse(b, dozen)
	env, rep := envelope("c@example.com"), report("spf.fail", "dmarc.fail", "headers.no-date", "links.listed", "bayes.spam-99")
	b.ReportAllocs()
	for b.Loop() {
		p.Decide(env, rep)
	}
}

func BenchmarkDecide200Rules(b *testing.B) {
	var s strings.Builder
	s.WriteString("rules:\n")
	for i := range 200 {
		fmt.Fprintf(&s, "  - {name: r%d, when: 'message.from_domain == \"d%d.example\" && auth.dmarc != \"pass\" && attachments.exists(a, a.macro)', then: {score: 1}}\n", i, i)
	}
	p := parse(b, s.String())
	env, rep := envelope("c@example.com"), report("spf.pass")
	b.ReportAllocs()
	for b.Loop() {
		p.Decide(env, rep)
	}
}
