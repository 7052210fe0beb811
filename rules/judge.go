package rules

import (
	"cmp"
	"slices"
	"strings"
	"unicode/utf8"
)

// seems is what is known about a condition while no expression is tried.
func (m *matcher) seems(c *condition) verdict {
	out := yes
	if len(c.match) > 0 {
		sure, possible := 0, 0
		for _, n := range c.match {
			switch m.known[n] {
			case yes:
				sure++
			case maybe:
				possible++
			}
		}
		switch {
		case sure+possible < c.least:
			return no
		case sure < c.least:
			out = maybe
		}
	}
	for i := range c.not {
		if out = min(out, yes-m.seems(&c.not[i])); out == no {
			return no
		}
	}
	for i := range c.all {
		if out = min(out, m.seems(&c.all[i])); out == no {
			return no
		}
	}
	if len(c.any) == 0 {
		return out
	}
	some := no
	for i := range c.any {
		some = max(some, m.seems(&c.any[i]))
	}
	return min(out, some)
}

// holds reports whether a condition does. It tries no expression that cannot change the answer, and those of a condition's
// match until enough are there or too few are left.
func (m *matcher) holds(c *condition) bool {
	if v := m.seems(c); v != maybe {
		return v == yes
	}
	if !m.enough(c) {
		return false
	}
	for i := range c.all {
		if !m.holds(&c.all[i]) {
			return false
		}
	}
	for i := range c.not {
		if m.holds(&c.not[i]) {
			return false
		}
	}
	some := len(c.any) == 0
	for i := range c.any {
		some = some || m.holds(&c.any[i])
	}
	return some
}

// enough reports whether enough of what a condition is to match is there.
func (m *matcher) enough(c *condition) bool {
	sure, possible := 0, 0
	for _, n := range c.match {
		switch m.known[n] {
		case yes:
			sure++
		case maybe:
			possible++
		}
	}
	for _, n := range c.match {
		if sure >= c.least || sure+possible < c.least {
			break
		}
		if m.known[n] == maybe {
			possible--
			if m.is(n) {
				sure++
			}
		}
	}
	return len(c.match) == 0 || sure >= c.least
}

// prove adds the patterns by which a condition that holds does, in their order, until there are maxProof.
func (m *matcher) prove(c *condition, proof []int32) []int32 {
	for _, n := range c.match {
		if len(proof) == maxProof {
			return proof
		}
		if m.is(n) {
			proof = append(proof, n)
		}
	}
	for i := range c.all {
		proof = m.prove(&c.all[i], proof)
	}
	for i := range c.any {
		if len(proof) < maxProof && m.holds(&c.any[i]) {
			return m.prove(&c.any[i], proof)
		}
	}
	return proof
}

// show finds what was matched as it is written.
func (m *matcher) show(patterns []int32) []Proof {
	m.proof = patterns
	var list []Proof
	for _, n := range patterns {
		f := m.found[n]
		start, end := int(f.start), int(f.end)
		if !f.exact {
			m.spare = slices.Grow(m.spare[:0], end+pad)
			start, end = unfold(m.spare, clip(m.texts[f.text]), m.before(f), start, end)
		}
		list = append(list, Proof{Text: int(f.text), Start: start, End: end})
	}
	return list
}

// before is the last mark before a place.
func (m *matcher) before(p place) mark {
	n, _ := slices.BinarySearchFunc(m.marks, p, func(m mark, p place) int {
		return cmp.Or(cmp.Compare(m.text, p.text), cmp.Compare(m.folded, int(p.start)+1))
	})
	if n == 0 || m.marks[n-1].text != p.text {
		return mark{}
	}
	return m.marks[n-1]
}

// Quote is what a proof points at, with some of what stands around it.
func (p Proof) Quote(texts []Text) string {
	const around = 30
	s := texts[p.Text].Content
	start, end := max(p.Start-around, 0), min(p.End+around, len(s))
	for start < p.Start && !utf8.RuneStart(s[start]) {
		start++
	}
	for end < len(s) && !utf8.RuneStart(s[end]) {
		end++
	}
	return strings.Join(strings.Fields(s[start:end]), " ")
}
