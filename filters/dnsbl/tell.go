package dnsbl

import (
	"fmt"
	"net/netip"
	"slices"

	"gatepost/filters"
	"gatepost/filters/mail"
	"gatepost/rules/dnslists"
)

// maxProofs bounds the evidence of one finding.
const maxProofs = 5

// tell turns answers into findings, one for each list and meaning, and says which questions have none.
func tell(questions []question) (facts filters.Facts, errs []error) {
	for i := range questions {
		q := &questions[i]
		if q.res.err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", q.list.Name, q.res.err))
			continue
		}
		addrs := slices.Clone(q.res.addrs)
		slices.SortFunc(addrs, netip.Addr.Compare) // the DNS keeps no order; reports do
		for _, a := range slices.Compact(addrs) {
			reading, answers := q.list.Read(a)
			if reading != dnslists.Word {
				continue
			}
			for _, w := range answers {
				if w.Means != dnslists.Nothing {
					facts.Findings = add(facts.Findings, q, a, w)
				}
			}
		}
	}
	return facts, errs
}

// add puts a word of a list to the findings.
func add(list []filters.Finding, q *question, a netip.Addr, w dnslists.Answer) []filters.Finding {
	code := code(w.Means, q.list.Name)
	proof := filters.Evidence{Where: q.ask.where(), What: mail.Printable(fmt.Sprintf("%s: %s says %s, %s", q.ask.name, q.list.Name, a, w.Text), 200)}
	if i := slices.IndexFunc(list, func(f filters.Finding) bool { return f.Code == code }); i >= 0 {
		if p := &list[i].Proof; len(*p) < maxProofs && !slices.Contains(*p, proof) {
			*p = append(*p, proof)
		}
		return list
	}
	text := fmt.Sprintf("%s is listed by %s: %s.", q.ask.name, q.list.Name, w.Text)
	return append(list, filters.Finding{Code: code, Text: mail.Printable(text, 300), Proof: []filters.Evidence{proof}})
}
