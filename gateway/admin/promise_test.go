package admin

import (
	"strings"
	"testing"

	"gatepost/filters/catalog"
)

// What would have let a message pass is said in whole sentences in the reader's language, with what a code means.
func TestPromisesAreSaidInTheReadersLanguage(t *testing.T) {
	texts, err := readTexts()
	if err != nil {
		t.Fatal(err)
	}
	d := &desk{texts: texts, meanings: meaningsOf(catalog.Codes())}
	for s, want := range map[string][2]string{
		"DKIM for bank.example verified":              {"a DKIM signature of bank.example had verified", "bank.example 的 DKIM 签名通过验证"},
		"score below 8":                               {"the score were below 8", "总分低于 8"},
		"rule payment-change had not matched":         {"rule payment-change had not matched", "规则 payment-change 未命中"},
		"clamd had answered":                          {"clamd had answered", "clamd 完成检查"},
		"without the access entry at policy.yaml:22":  {"the access entry at policy.yaml:22 were not there", "没有 policy.yaml:22 处的名单条目"},
		"without attach.executable":                   {"this had not been found: An attachment is a program by its content.", "没有这项发现：" + d.meanings["zh"]["attach.executable"]},
		"without the attachment":                      {"it had come without attachments", "不带附件"},
		"without the 3 attachments":                   {"it had come without attachments", "不带附件"},
		"without site.own-code":                       {"this had not been found: site.own-code", "没有这项发现：site.own-code"},
		"words of a policy that is newer than we are": {"words of a policy that is newer than we are", "words of a policy that is newer than we are"},
	} {
		for i, lang := range []string{"en", "zh"} {
			if got := d.promise(lang, s); got.Text != want[i] || strings.Contains(got.Text, "{") {
				t.Errorf("%q in %s: %q", s, lang, got.Text)
			}
		}
	}
	for s, want := range map[string][2]string{
		"The score 9.1 reaches the quarantine threshold of 8.": {"The score 9.1 reaches the threshold of 8: Held.", "总分 9.1 达到阈值 8：已隔离。"},
		"Malware was found.": {"Malware was found.", "发现恶意软件。"},
		"A site's own words": {"A site's own words", "A site's own words"},
	} {
		for i, lang := range []string{"en", "zh"} {
			if got := d.reason(lang, s); got != want[i] {
				t.Errorf("%q in %s: %q", s, lang, got)
			}
		}
	}
	if got := d.promise("zh", "without attach.executable"); got.Code != "attach.executable" {
		t.Errorf("%+v names no code", got)
	}
}
