package links

import (
	"bytes"
	"encoding/base64"
	"image"
	"image/color"
	"image/png"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/qrcode"

	"gatepost/filters/mail"
)

// picture is a PNG of a QR code in base64.
func picture(t testing.TB, text string) string {
	t.Helper()
	m, err := qrcode.NewQRCodeWriter().Encode(text, gozxing.BarcodeFormat_QR_CODE, 200, 200, nil)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(b.Bytes())
}

// withFile is a message with a file of that type.
func withFile(t testing.TB, mediaType, content string) *mail.Mail {
	t.Helper()
	rcpt, err := mail.ParseAddress("reader@ours-office.com")
	if err != nil {
		t.Fatal(err)
	}
	text := "From: a@sender.com\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nScan the code\r\n--b\r\nContent-Type: " + mediaType + "; name=\"x\"\r\nContent-Transfer-Encoding: base64\r\n\r\n" + content + "\r\n--b--\r\n"
	return &mail.Mail{Envelope: &mail.Envelope{Time: time.Unix(1.8e9, 0), Rcpts: []mail.Address{rcpt}}, Message: mail.Parse(mail.Memory(text))}
}

func TestACodeInAPictureIsALinkLikeAnyOther(t *testing.T) {
	f := filter(t, nil)
	for name, m := range map[string]*mail.Mail{
		"attached":  withFile(t, "image/png", picture(t, "https://paypal-login.evil.net/x")),
		"untyped":   withFile(t, "application/octet-stream", picture(t, "https://paypal-login.evil.net/x")),
		"in a page": letter(t, "", `<img src="data:image/png;base64,`+picture(t, "https://paypal-login.evil.net/x")+`">`),
	} {
		facts := run(t, f, m)
		if got := codes(facts); !slices.Contains(got, "links.qr") || !slices.Contains(got, "links.brand-name") || !slices.Contains(got, "links.elsewhere") {
			t.Errorf("%s: %v", name, got)
		}
		if len(facts.URLs) == 0 || facts.URLs[0].URL != "https://paypal-login.evil.net/x" {
			t.Errorf("%s: %v", name, facts.URLs)
		}
	}
	for name, m := range map[string]*mail.Mail{
		"a code without a link":  withFile(t, "image/png", picture(t, "WIFI:S:guest;T:WPA;P:secret;;")),
		"a picture without code": withFile(t, "image/png", base64.StdEncoding.EncodeToString([]byte("\x89PNG\r\n\x1a\nxx"))),
	} {
		if got := codes(run(t, f, m)); slices.Contains(got, "links.qr") {
			t.Errorf("%s: %v", name, got)
		}
	}
	off := *f
	off.cfg.QR = false
	if got := codes(run(t, &off, withFile(t, "image/png", picture(t, "https://evil.net/x")))); len(got) != 0 {
		t.Errorf("switched off: %v", got)
	}
}

func TestTheLinksOfADocumentAreExamined(t *testing.T) {
	pdf := "%PDF-1.4\n1 0 obj\n<</S/URI/URI(https://rnicrosoft.com/x)>>\nendobj\n%%EOF\n"
	if got := codes(run(t, filter(t, nil), withFile(t, "application/pdf", base64.StdEncoding.EncodeToString([]byte(pdf))))); !slices.Contains(got, "links.lookalike") {
		t.Errorf("%v", got)
	}
}

// Pictures by the hundred cost what the budget allows.
func TestManyPicturesEnd(t *testing.T) {
	p := picture(t, "https://evil.net/x")
	m := letter(t, "", strings.Repeat(`<img src="data:image/png;base64,`+p+`">`, 500))
	if got := len(run(t, filter(t, nil), m).URLs); got != 1 {
		t.Errorf("%d", got)
	}
}

// A code behind more pictures than are looked at, or in a larger one, may be there: that is told.
func TestPicturesThatWereNotLookedAtAreTold(t *testing.T) {
	blank := func(side int) string {
		var b bytes.Buffer
		if err := png.Encode(&b, image.NewPaletted(image.Rect(0, 0, side, side), color.Palette{color.White, color.Black})); err != nil {
			t.Fatal(err)
		}
		return `<img src="data:image/png;base64,` + base64.StdEncoding.EncodeToString(b.Bytes()) + `">`
	}
	code := `<img src="data:image/png;base64,` + picture(t, "https://evil.net/x") + `">`
	for what, c := range map[string]struct{ shows, near string }{
		"many":  {strings.Repeat(blank(40), 101), strings.Repeat(blank(40), 3) + code},
		"large": {blank(3000), blank(300) + code},
	} {
		if got := codes(run(t, filter(t, nil), letter(t, "", c.shows))); !slices.Contains(got, "links.pictures") {
			t.Errorf("%s: %v", what, got)
		}
		if got := codes(run(t, filter(t, nil), letter(t, "", c.near))); slices.Contains(got, "links.pictures") || !slices.Contains(got, "links.qr") {
			t.Errorf("%s, which only comes near: %v", what, got)
		}
	}
}
