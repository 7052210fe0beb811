package strip

import (
	"encoding/base64"
	"regexp"
	"strings"
)

// notice is what a reader finds in the place of a part, in English and Chinese.
func notice(name, reason string, o Order) string {
	var b strings.Builder
	b.WriteString("The mail gateway removed this file from the message: " + name + "\r\n")
	if reason != "" {
		b.WriteString("Why: " + reason + "\r\n")
	}
	b.WriteString("The original is kept for review. To ask for it, write to " + o.Contact + " and name this number: " + o.ID + "\r\n\r\n")
	b.WriteString("邮件网关已从此邮件中移除以下附件：" + name + "\r\n")
	b.WriteString("原件已保留待审。如需取回，请联系 " + o.Contact + "，并提供编号：" + o.ID + "\r\n")
	return b.String()
}

// encode is text in base64, in lines of 76 characters.
func encode(text string) string {
	var b strings.Builder
	for s := base64.StdEncoding.EncodeToString([]byte(text)); s != ""; {
		n := min(76, len(s))
		b.WriteString(s[:n] + "\r\n")
		s = s[n:]
	}
	return strings.TrimSuffix(b.String(), "\r\n") // the line end before a boundary belongs to the boundary (RFC 2046 section 5.1.1)
}

var (
	scheme = regexp.MustCompile(`(?i)\b([a-z][a-z0-9+.-]{1,20})://([^\s/?#]*)`)
	plain  = regexp.MustCompile(`(?i)\b(?:mailto:|tel:|javascript:|data:|www\.)`)
)

// defused is text in which no program finds a link: http://a.example becomes hxxp[://]a[.]example.
func defused(text string) string {
	text = scheme.ReplaceAllStringFunc(text, func(s string) string {
		m := scheme.FindStringSubmatch(s)
		word := strings.NewReplacer("http", "hxxp", "HTTP", "HXXP", "Http", "Hxxp").Replace(m[1])
		return word + "[://]" + strings.ReplaceAll(m[2], ".", "[.]")
	})
	return plain.ReplaceAllStringFunc(text, func(s string) string {
		return s[:len(s)-1] + "[" + s[len(s)-1:] + "]"
	})
}
