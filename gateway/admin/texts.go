package admin

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// texts are the sentences of the pages in every language we speak.
type texts struct {
	byLang map[string]map[string]text
	words  map[string]string // what other rooms say, in Chinese
}

// A text is one sentence, with {names} to fill in. One is used for exactly one where the language has such a form.
type text struct{ one, other string }

// UnmarshalJSON reads a plain sentence or {"one": …, "other": …}.
func (t *text) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '"' {
		return json.Unmarshal(b, &t.other)
	}
	var forms struct{ One, Other string }
	if err := json.Unmarshal(b, &forms); err != nil {
		return err
	}
	t.one, t.other = forms.One, forms.Other
	return nil
}

// languages lists what we speak, with each one's own name for itself, long and short.
func languages() [][3]string { return [][3]string{{"en", "English", "EN"}, {"zh", "中文", "中文"}} }

func readTexts() (*texts, error) {
	t := &texts{byLang: make(map[string]map[string]text)}
	for _, l := range languages() {
		b, err := textFiles.ReadFile("texts/" + l[0] + ".json")
		if err != nil {
			return nil, err
		}
		m := make(map[string]text)
		if err := json.Unmarshal(b, &m); err != nil {
			return nil, fmt.Errorf("read texts/%s.json: %w", l[0], err)
		}
		t.byLang[l[0]] = m
	}
	b, err := textFiles.ReadFile("texts/words.zh.json")
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(b, &t.words); err != nil {
		return nil, fmt.Errorf("read texts/words.zh.json: %w", err)
	}
	return t, nil
}

// word is a word or sentence of another room, such as an action of the journal or the effect of a failing check, in the
// language of the reader. One that is not known is shown as it is.
func (t *texts) word(lang, s string) string {
	if w, ok := t.words[s]; ok && lang == "zh" {
		return w
	}
	return s
}

// say is the sentence of key with its {names} filled from pairs of name and value; a pair named n chooses the plural.
// A key that is missing in lang is said in English, and one missing there is shown itself.
func (t *texts) say(lang, key string, pairs ...any) string {
	s, ok := t.byLang[lang][key]
	if !ok {
		if s, ok = t.byLang["en"][key]; !ok {
			return key
		}
	}
	out := s.other
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i] == "n" && s.one != "" && fmt.Sprint(pairs[i+1]) == "1" {
			out = s.one
		}
	}
	if len(pairs) == 0 {
		return out
	}
	fill := make([]string, 0, len(pairs))
	for i := 0; i+1 < len(pairs); i += 2 {
		fill = append(fill, "{"+fmt.Sprint(pairs[i])+"}", fmt.Sprint(pairs[i+1]))
	}
	return strings.NewReplacer(fill...).Replace(out)
}

// languageCookie holds the language that a person chose.
const languageCookie = "gatepost-language"

// choose finds the language for a request: chosen by the person, else the first acceptable one, else fallback.
func (t *texts) choose(r *http.Request, fallback string) string {
	if c, err := r.Cookie(languageCookie); err == nil {
		if _, ok := t.byLang[c.Value]; ok {
			return c.Value
		}
	}
	best, weight := fallback, 0.0
	for i, item := range strings.Split(r.Header.Get("Accept-Language"), ",") {
		tag, params, _ := strings.Cut(item, ";")
		primary, _, _ := strings.Cut(strings.ToLower(strings.TrimSpace(tag)), "-")
		q := 1.0
		if v, ok := strings.CutPrefix(strings.TrimSpace(params), "q="); ok {
			q, _ = strconv.ParseFloat(v, 64)
		}
		if _, ok := t.byLang[primary]; ok && q > weight {
			best, weight = primary, q
		}
		if i == 20 {
			break
		}
	}
	return best
}
