package admin

import (
	"regexp"
	"strings"

	"gatepost/policy"
)

// A promise is one of the things of which each alone would have let a message pass, as people read it.
type promise struct {
	Text string
	Code string // of the finding that it is about; empty: of none
}

// promise says what the policy promised in its own short words in the reader's language, and what a code means. Words that
// are not known are said as they are.
func (d *desk) promise(lang, s string) promise {
	between := func(before, after string) (string, bool) {
		in, ok := strings.CutPrefix(s, before)
		if !ok {
			return "", false
		}
		in, ok = strings.CutSuffix(in, after)
		return in, ok && in != ""
	}
	for _, w := range []struct{ before, after, key, name string }{
		{"DKIM for ", " verified", "would.dkim", "domain"}, {"score below ", "", "would.score", "points"}, {"rule ", " had not matched", "would.rule", "name"},
		{"without the access entry at ", "", "would.entry", "at"}, {"", " had answered", "would.filter", "name"},
	} {
		if in, ok := between(w.before, w.after); ok {
			return promise{Text: d.texts.say(lang, w.key, w.name, in)}
		}
	}
	what, ok := between("without ", "")
	if !ok {
		return promise{Text: s}
	}
	if strings.HasPrefix(what, "the ") && strings.Contains(what, " attachment") {
		return promise{Text: d.texts.say(lang, "would.attachment")}
	}
	if m := d.meanings[lang][what]; m != "" {
		return promise{Text: d.texts.say(lang, "would.code", "what", m), Code: what}
	}
	return promise{Text: d.texts.say(lang, "would.code", "what", what)}
}

// reached is the reason that policy gives where a threshold decides.
var reached = regexp.MustCompile(`^The score (-?[0-9.]+) reaches the ([a-z]+) threshold of (-?[0-9.]+)\.$`)

// reason is a sentence of the policy in the reader's language, where it is one of ours.
func (d *desk) reason(lang, s string) string {
	if m := reached.FindStringSubmatch(s); m != nil {
		return d.texts.say(lang, "reason.score", "score", m[1], "what", d.texts.say(lang, actionKey(policy.Action(m[2]))), "points", m[3])
	}
	return d.texts.word(lang, s)
}
