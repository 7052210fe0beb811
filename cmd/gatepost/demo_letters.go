package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"strings"
	"time"

	"github.com/emersion/go-msgauth/dkim"
)

// A demoLetter is one message that the demonstration sends, and what it is there to show.
type demoLetter struct {
	shows string
	ip    string // the address on loopback that it comes from
	helo  string
	from  string // envelope sender
	text  string // header and body, LF line ends
	sign  bool   // with the sender's DKIM key
}

// demoRcpt is the one mailbox of the demonstration.
const demoRcpt = "reviewer@shop.example"

// eicarText is the industry's harmless test file, kept apart so that this source is not taken for it.
const eicarText = `X5O!P%@AP[4\PZX54(P^)7CC)7}$` + `EICAR-STANDARD-ANTIVIRUS-` + `TEST-FILE!$H+H*`

// demoLetters is the mail of the demonstration, in the order of the table.
func demoLetters(now time.Time) ([]demoLetter, error) {
	date := now.Format(time.RFC1123Z)
	head := func(from, subject string) string {
		_, domain, _ := strings.Cut(strings.Trim(from[strings.IndexByte(from, '<')+1:], ">"), "@")
		return fmt.Sprintf("From: %s\nTo: <%s>\nSubject: %s\nDate: %s\nMessage-ID: <%x@%s>\nMIME-Version: 1.0\n", from, demoRcpt, subject, date, len(subject)*7919+len(from), domain)
	}
	plain := "Content-Type: text/plain; charset=utf-8\n\n"
	docm, err := macroDocument()
	if err != nil {
		return nil, err
	}
	return []demoLetter{
		{
			shows: "clean: signed and aligned", ip: "127.0.0.10", helo: "mail.supplier.example", from: "anna@supplier.example", sign: true,
			text: head("Anna Berg <anna@supplier.example>", "Order 4711 leaves on Tuesday") + plain + "Good morning,\n\nyour order 4711 leaves our warehouse on Tuesday.\n\nKind regards\nAnna Berg\n",
		},
		{
			shows: "clean: in Chinese, by SPF alone", ip: "127.0.0.10", helo: "mail.supplier.example", from: "li@supplier.example",
			text: head("=?utf-8?B?"+b64("李明")+"?= <li@supplier.example>", "=?utf-8?B?"+b64("会议改到星期三")+"?=") + plain + "您好：\n\n会议改到星期三下午三点。\n\n李明\n",
		},
		{
			shows: "spoofed: a bank that says p=reject", ip: "127.0.0.66", helo: "vps66.hosting.example", from: "bounce@hosting.example",
			text: head("Harbour Bank <security@bank.example>", "Confirm your account within 24 hours") + plain + "Dear customer,\n\nconfirm your account: http://bank.example.login-check.example/\n",
		},
		{
			shows: "spoofed: our own domain from outside", ip: "127.0.0.66", helo: "vps66.hosting.example", from: "office@hosting.example",
			text: head("Managing Director <director@shop.example>", "Quick favour before noon") + plain + "Are you at your desk? I need the figures for a client. Answer by mail only.\n",
		},
		{
			shows: "phishing: a link that shows another", ip: "127.0.0.66", helo: "vps66.hosting.example", from: "notice@hosting.example",
			text: head("Mail Administrator <notice@hosting.example>", "Your mailbox is almost full") + page("<p>Dear user, your mailbox is almost full and will be deactivated within 24 hours. "+
				"Verify your account and password now:</p><p><a href=\"http://127-0-0-66.hosting.example/login\">https://webmail.shop.example/quota</a></p>"),
		},
		{
			shows: "spam: pills", ip: "127.0.0.67", helo: "dsl-67.access.example", from: "offers@access.example",
			text: head("VIAGRA & CIALIS <offers@access.example>", "Cheap V1agra, no prescription needed!!!") + plain + "Buy Viagra and Cialis online, no prescription needed!!!\nLowest price guaranteed, 80% OFF, order now: http://pills.access.example/buy\n" +
				"100% money back guarantee. This is not spam; to be removed from our list, reply with REMOVE in the subject.\n",
		},
		{
			shows: "executable with a picture's name", ip: "127.0.0.67", helo: "dsl-67.access.example", from: "billing@access.example",
			text: head("Billing <billing@access.example>", "Invoice 2231") + attachment("invoice.jpg", "image/jpeg", append([]byte("MZ\x90\x00\x03\x00\x00\x00\x04\x00\x00\x00\xff\xff\x00\x00"), make([]byte, 256)...)),
		},
		{
			shows: "document with a macro", ip: "127.0.0.67", helo: "dsl-67.access.example", from: "orders@access.example",
			text: head("Orders <orders@access.example>", "Purchase order") + attachment("order.docm", "application/vnd.ms-word.document.macroEnabled.12", docm),
		},
		{
			shows: "EICAR test file", ip: "127.0.0.10", helo: "mail.supplier.example", from: "lab@supplier.example", sign: true,
			text: head("Lab <lab@supplier.example>", "Test file") + attachment("eicar.com", "application/octet-stream", []byte(eicarText)),
		},
	}, nil
}

// page is the rest of a message that is nothing but HTML.
func page(body string) string {
	return "Content-Type: text/html; charset=utf-8\n\n<html><body>" + body + "</body></html>\n"
}

func b64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

// attachment is the rest of a message with a line of text and one attachment.
func attachment(name, kind string, data []byte) string {
	var b strings.Builder
	b.WriteString("Content-Type: multipart/mixed; boundary=\"=_demo\"\n\n--=_demo\nContent-Type: text/plain; charset=utf-8\n\nSee attachment.\n\n--=_demo\n")
	fmt.Fprintf(&b, "Content-Type: %s; name=%q\nContent-Disposition: attachment; filename=%q\nContent-Transfer-Encoding: base64\n\n", kind, name, name)
	for s := base64.StdEncoding.EncodeToString(data); s != ""; {
		n := min(76, len(s))
		b.WriteString(s[:n] + "\n")
		s = s[n:]
	}
	b.WriteString("--=_demo--\n")
	return b.String()
}

// demoKey is the key that the demonstration's honest sender signs with.
func demoKey() (ed25519.PrivateKey, string, error) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, "", err
	}
	return private, base64.StdEncoding.EncodeToString(public), nil
}

// demoZone is the DNS of the demonstration.
func demoZone(publicKey string) string {
	return strings.Join([]string{
		"supplier.example TXT v=spf1 ip4:127.0.0.10 -all",
		"supplier.example MX 10 mail.supplier.example",
		"mail.supplier.example A 127.0.0.10",
		"10.0.0.127.in-addr.arpa PTR mail.supplier.example",
		"_dmarc.supplier.example TXT v=DMARC1; p=reject",
		"demo._domainkey.supplier.example TXT v=DKIM1; k=ed25519; p=" + publicKey,
		"bank.example TXT v=spf1 ip4:192.0.2.1 -all",
		"_dmarc.bank.example TXT v=DMARC1; p=reject",
		"hosting.example TXT v=spf1 ip4:127.0.0.66 -all",
		"access.example A 127.0.0.67",
		"shop.example MX 10 mx.shop.example",
	}, "\n") + "\n"
}

// wire makes the letter ready for DATA: CRLF line ends, signed if it should be. It holds no line that begins with a dot.
func (l demoLetter) wire(key ed25519.PrivateKey) ([]byte, error) {
	text := strings.ReplaceAll(l.text, "\n", "\r\n")
	if !l.sign {
		return []byte(text), nil
	}
	_, domain, _ := strings.Cut(l.from, "@")
	var b bytes.Buffer
	err := dkim.Sign(&b, strings.NewReader(text), &dkim.SignOptions{
		Domain: domain, Selector: "demo", Signer: key,
		HeaderCanonicalization: dkim.CanonicalizationRelaxed, BodyCanonicalization: dkim.CanonicalizationRelaxed,
		HeaderKeys: []string{"From", "To", "Subject", "Date", "Message-ID", "MIME-Version", "Content-Type"},
	})
	return b.Bytes(), err
}
