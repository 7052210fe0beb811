package content

import (
	"fmt"
	"strings"

	"gatepost/filters/web"
)

// maxAnswered is how many octets a Message-ID has that a program writes; RFC 5322 section 2.1.1 allows a line 998.
const maxAnswered = 400

// nonsense looks for what is there to make each copy of a message another one.
func (g *gathered) nonsense() {
	if tail := nonsenseTail(g.subject); tail != "" {
		g.sign("subject_nonsense", "header Subject", tail)
	}
	if id := strings.TrimSpace(g.m.Get("In-Reply-To")); oversize(id) {
		g.sign("odd_answer", "header In-Reply-To", fmt.Sprintf("%d octets: %s", len(id), id))
	}
}

// oversize reports whether what should be one Message-ID is longer than programs write them.
func oversize(id string) bool {
	return len(id) > maxAnswered && strings.Count(id, "<") < 2
}

// nonsenseTail is the last word of a subject, if it is no word and stands apart from the rest; empty otherwise.
func nonsenseTail(subject string) string {
	s := strings.TrimSpace(subject)
	at := strings.LastIndexByte(s, ' ')
	if at < 4 {
		return ""
	}
	before, word := strings.TrimRight(s[:at], " "), s[at+1:]
	bare := strings.Trim(word, "()[]{}<>#*.,;:!?-|_~")
	if len(bare) < 3 || len(bare) > 16 || !ascii(bare) {
		return ""
	}
	if word[0] == '(' || word[0] == '[' || word[0] == '{' {
		if jumbled(bare) {
			return word
		}
		return ""
	}
	switch before[len(before)-1] {
	case '|', '-', '.', '_', '~', '*':
	default:
		return ""
	}
	if jumbled(bare) || unsayable(bare) {
		return word
	}
	return ""
}

// jumbled reports whether letters of both cases, or letters and digits, follow each other as in no name: SimUgQ, 6117kFvc5.
func jumbled(w string) bool {
	changes, last := 0, byte(0)
	for i := range len(w) {
		kind := letterKind(w[i])
		if kind == '-' {
			return false
		}
		if i > 0 && kind != last && !(last == 'A' && kind == 'a') {
			changes++
		}
		last = kind
	}
	return changes >= 2 && len(w) >= 5 && !hexadecimal(w)
}

// unsayable reports whether a word of lower-case letters is none in any language.
func unsayable(w string) bool {
	for i := range len(w) {
		if w[i] < 'a' || w[i] > 'z' {
			return false
		}
	}
	return len(w) >= 4 && !strings.ContainsAny(w, "aeiouy") || web.Random(w)
}
