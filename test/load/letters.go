package main

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	mathrand "math/rand/v2"
	"strings"

	"github.com/emersion/go-msgauth/dkim"
)

// domains is how many senders the letters come from.
const domains = 20

// writeLetters makes distinct signed messages of about size bytes from twenty domains, and the DNS that proves them.
func writeLetters(count, size int) ([]letter, string, error) {
	var zone strings.Builder
	keys := make([]*rsa.PrivateKey, domains)
	for i := range keys {
		k, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			return nil, "", err
		}
		der, err := x509.MarshalPKIXPublicKey(&k.PublicKey)
		if err != nil {
			return nil, "", err
		}
		keys[i] = k
		d := domainOf(i)
		fmt.Fprintf(&zone, "%s TXT v=spf1 ip4:127.0.0.0/8 -all\n", d)
		fmt.Fprintf(&zone, "_dmarc.%s TXT v=DMARC1; p=reject\n", d)
		fmt.Fprintf(&zone, "load._domainkey.%s TXT v=DKIM1; k=rsa; p=%s\n", d, base64.StdEncoding.EncodeToString(der))
	}
	random := mathrand.New(mathrand.NewPCG(1, 2))
	letters := make([]letter, count)
	for i := range letters {
		l, err := writeLetter(random, i, size, keys[i%domains])
		if err != nil {
			return nil, "", err
		}
		letters[i] = l
	}
	return letters, zone.String(), nil
}

func domainOf(i int) string { return fmt.Sprintf("sender%02d.example", i) }

// writeLetter makes one message: text and HTML alternatives of pronounceable words, with a few links.
func writeLetter(random *mathrand.Rand, i, size int, key *rsa.PrivateKey) (letter, error) {
	d := domainOf(i % domains)
	text, html := prose(random, size/3), prose(random, size/2)
	var m strings.Builder
	fmt.Fprintf(&m, "From: Sender %d <news@%s>\r\nTo: <bob@example.com>\r\nSubject: Report %d of the week\r\nDate: Mon, 23 Nov 2026 09:00:00 +0000\r\nMessage-ID: <%d.load@%s>\r\n", i, d, i, i, d)
	m.WriteString("MIME-Version: 1.0\r\nContent-Type: multipart/alternative; boundary=\"=_load\"\r\n\r\n--=_load\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n")
	m.WriteString(text + "\r\n--=_load\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<html><body><p>")
	m.WriteString(strings.ReplaceAll(html, "\r\n", "</p>\r\n<p>"))
	fmt.Fprintf(&m, "<a href=\"https://www.%s/report/%d\">Read more</a></p></body></html>\r\n--=_load--\r\n", d, i)
	var signed bytes.Buffer
	err := dkim.Sign(&signed, strings.NewReader(m.String()), &dkim.SignOptions{
		Domain: d, Selector: "load", Signer: key,
		HeaderCanonicalization: dkim.CanonicalizationRelaxed, BodyCanonicalization: dkim.CanonicalizationRelaxed,
	})
	if err != nil {
		return letter{}, err
	}
	signed.WriteString(".\r\n")
	return letter{from: "news@" + d, ip: fmt.Sprintf("127.1.%d.%d", i%200, 1+i%250), wire: signed.Bytes()}, nil
}

// prose is about n bytes of lines of made-up words.
func prose(random *mathrand.Rand, n int) string {
	const vowels, consonants = "aeiou", "bcdfghklmnprstvw"
	var b strings.Builder
	for line := 0; b.Len() < n; {
		for range 1 + random.IntN(4) {
			b.WriteByte(consonants[random.IntN(len(consonants))])
			b.WriteByte(vowels[random.IntN(len(vowels))])
			line += 2
		}
		if line > 64 {
			b.WriteString(".\r\n")
			line = 0
		} else {
			b.WriteByte(' ')
			line++
		}
	}
	b.WriteString("end.\r\n")
	return b.String()
}
