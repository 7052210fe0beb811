package content

import (
	"strings"
	"testing"

	"gatepost/filters/mail"
)

func TestWordsThatOnlyReadersKnowAreFound(t *testing.T) {
	for _, w := range []string{"V1agra", "VlAGRA", "v.ia.g.ra", "V-i-a-g-r-a", "CIALlS", "Vi@gra,", "R0lex", "rep1ica", "PayPaI", "AppIe", "Micr0soft", "acc0unt", "passw0rd", "(X@nax)"} {
		if wordingOf("buy "+w+" now", rowOfWords).masked == "" {
			t.Errorf("%s is not found", w)
		}
	}
	for _, s := range []string{"Viagra viagra VIAGRA", "iCloud+ and iCloud", "PayPal, Apple's", "APPLE Microsoft-Support", "log-in", "refi-nance", "casino-bar", "Office365 v1.2", "a@gmail.com", "http://v1agra.example/", "pay_pal netflix_id", "all11 ill 1l"} {
		if w := wordingOf(s, rowOfWords).masked; w != "" {
			t.Errorf("%s: %s is taken for a masked word", s, w)
		}
	}
}

func TestSpacedWordsAreFoundAndHeadingsAreNot(t *testing.T) {
	for s, want := range map[string]string{
		"all models of R o l e x, Omega": "R o l e x,", "the 5 day t a r g e t: $1": "t a r g e t:", "I N  T H I S  I S S U E": "", "a b c": "", "x 1 y 2 z 3": "",
		"F R E E money": "", "if a is b or c": "",
	} {
		if got := wordingOf(s, rowOfWords).spaced; got != want {
			t.Errorf("%q: %q, not %q", s, got, want)
		}
	}
}

func TestARowOfWordsIsNoSentence(t *testing.T) {
	if wordingOf("click catalytic dulse oblique maharani stutter brisk agouti cadence filmy horsefly lummox pious vermeil quartz", rowOfWords).row == "" {
		t.Error("a row of words is not found")
	}
	for _, s := range []string{
		"This is how people write when they want to be understood by others, and they use many small words for it.",
		"keywords: spam, filter, mail, gateway, security, network, server, client, message, header, folder, attachment, signature",
		strings.Repeat("Every Word Begins With Capitals Like Headings Often ", 3),
	} {
		if w := wordingOf(s, rowOfWords).row; w != "" {
			t.Errorf("%q is a row of words: %q", s, w)
		}
	}
}

func TestChineseNumbersAreFoundHoweverTheyAreWritten(t *testing.T) {
	for s, want := range map[string][2]string{
		"电话：13512345678 李经理":           {"13512345678", ""},
		"手机 138-0013-8000，谢谢":          {"138-0013-8000", ""},
		"林S 1 3 8 0 0 1 3 8 0 0 0，此信息": {"1 3 8 0 0 1 3 8 0 0 0", "apart"},
		"致电 壹叁捌 0013 8000，额度":          {"壹叁捌 0013 8000", "apart"},
		"增值税票号 12345678，金额 236.00 元":   {},
		"传真 0755-55501234":             {},
		"单号 SF1234567890123 已发":        {},
	} {
		number, apart := chinaPhone(s)
		if number != want[0] || apart != (want[1] != "") {
			t.Errorf("%s: %q %v", s, number, apart)
		}
	}
}

func TestAnAddressOfAnotherOrganisationIsASign(t *testing.T) {
	const head = "From: Ann <ann@b.example>\nTo: c@d.example\nSubject: x\n\n"
	g := &gathered{seen: map[string]bool{}}
	for text, want := range map[string]string{
		"write to oksana@freepost.example soon": "oksana@freepost.example", "write to ann@mail.b.example": "", "your address c@d.example": "", "3 @ $2": "", "@home": "",
		"请联系oksana@freepost.example。": "oksana@freepost.example", "邮箱c@d.example与ann@b.example": "",
	} {
		g.forget()
		g.gather(&mail.Mail{Envelope: &mail.Envelope{}, Message: mail.Parse(mail.Memory(strings.ReplaceAll(head+text+"\n", "\n", "\r\n")))}, nil)
		got := ""
		for i, x := range g.texts {
			if x.Place == "sign" && x.Content == "other_address" {
				got = g.from[i].what
			}
		}
		if got != want {
			t.Errorf("%s: %q, not %q", text, got, want)
		}
	}
}
