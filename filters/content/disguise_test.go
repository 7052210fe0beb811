package content

import "testing"

func TestDisguisedLettersAreSignsAndHonestOnesAreNot(t *testing.T) {
	f := shipped(t)
	for name, c := range map[string]struct {
		message, code string
		want          bool
	}{
		"a subject of ASCII in base64": {"From: Ann <a@b.example>\nTo: c@d.example\nSubject: =?utf-8?B?WW91ciBhY2NvdW50?=\n\nHello.\n", "content.disguise.encoded", true},
		"a subject that needs it":      {"From: Ann <a@b.example>\nTo: c@d.example\nSubject: =?utf-8?B?w4RuZGVydW5n?=\n\nHello.\n", "content.disguise.encoded", false},
		"Japanese in its own encoding": {"From: Ann <a@b.example>\nTo: c@d.example\nSubject: =?iso-2022-jp?B?GyRCMnE1RBsoQg==?=\n\nHello.\n", "content.disguise.encoded", false},
		"a word behind a gap":          {"From: Ann <a@b.example>\nTo: c@d.example\nSubject: Garden ornaments        mvcmv\n\nHello.\n", "content.form.subject-tail", true},
		"a subject that is folded":     {"From: Ann <a@b.example>\nTo: c@d.example\nSubject: Incas rode dinosaurs, science\n     surrenders\n\nHello.\n", "content.form.subject-tail", false},
		"Cyrillic in English words":    {"From: Ann <a@b.example>\nTo: c@d.example\nContent-Type: text/plain; charset=utf-8\n\nYоur pаsswоrd ехpires\n", "content.disguise.mixed", true},
		"two languages in one text":    {"From: Ann <a@b.example>\nTo: c@d.example\nContent-Type: text/plain; charset=utf-8\n\nСкачайте Windows и Office сегодня\n", "content.disguise.mixed", false},
		"unseen signs within words":    {"From: Ann <a@b.example>\nTo: c@d.example\nContent-Type: text/plain; charset=utf-8\n\nPa\u200bss\u200bwo\u200brd\n", "content.disguise.split", true},
		"unseen signs between words":   {"From: Ann <a@b.example>\nTo: c@d.example\nContent-Type: text/plain; charset=utf-8\n\nOne \u200b\u200b\u200b two \u200b three \u200b four\n", "content.disguise.split", false},
	} {
		if facts := look(t, f, c.message); has(facts, c.code) != c.want {
			t.Errorf("%s: found %v", name, facts.Findings)
		}
	}
}
