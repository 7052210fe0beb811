package strip

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"gatepost/filters/mail"
)

const head = "From: Ann <ann@a.example>\r\nTo: bob@b.example\r\nSubject: Files\r\nMIME-Version: 1.0\r\n"

// mixed is a message of text and two files.
const mixed = head + "Content-Type: multipart/mixed; boundary=b\r\n\r\npreamble\r\n--b\r\nContent-Type: text/plain\r\n\r\nRead  this.\t\r\n\r\n--b\r\n" +
	"Content-Type: application/msword; name=\"a.doc\"\r\nContent-Transfer-Encoding: base64\r\nContent-Disposition: attachment\r\n\r\nbWFjcm8=\r\n--b\r\n" +
	"Content-Type: image/png; name=b.png\r\nContent-Transfer-Encoding: base64\r\n\r\ncGljdHVyZQ==\r\n--b--\r\nepilogue\r\n"

func stripped(t *testing.T, text string, o Order) string {
	t.Helper()
	if o.ID == "" {
		o.ID, o.Contact = "01ABC", "postmaster@b.example"
	}
	s, err := New(mail.Parse(mail.Memory(text)), o)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if _, err := io.Copy(&b, io.NewSectionReader(s, 0, s.Size())); err != nil || int64(b.Len()) != s.Size() {
		t.Fatalf("%d of %d octets: %v", b.Len(), s.Size(), err)
	}
	if err := iotest.TestReader(io.NewSectionReader(s, 0, s.Size()), b.Bytes()); err != nil {
		t.Error(err)
	}
	return b.String()
}

// leaves are the parts of a message: type, name, content.
func leaves(text string) (list [][3]string) {
	for p := range mail.Parse(mail.Memory(text)).Parts() {
		list = append(list, [3]string{p.Type, p.Name(), string(p.Decoded()[0].Data)})
	}
	return list
}

func TestAllButTheReadableTextIsReplacedByNotices(t *testing.T) {
	got := stripped(t, mixed, Order{Attachments: true})
	list := leaves(got)
	if len(list) != 5 || list[0][2] != "Read  this.\t\r\n" {
		t.Fatalf("%q", list)
	}
	for i, name := range []string{"a.doc", "b.png"} {
		note := list[i+1]
		for _, want := range []string{name, "01ABC", "postmaster@b.example", "已从此邮件中移除"} {
			if note[0] != "text/plain" || !strings.Contains(note[2], want) {
				t.Errorf("no %q in %q", want, note)
			}
		}
	}
}

func TestEveryOtherByteStays(t *testing.T) {
	got := stripped(t, mixed, Order{Parts: map[string]string{"2": "It holds macros."}})
	before, after, _ := strings.Cut(mixed, "Content-Type: application/msword; name=\"a.doc\"\r\nContent-Transfer-Encoding: base64\r\nContent-Disposition: attachment\r\n\r\nbWFjcm8=")
	if !strings.HasPrefix(got, before) || !strings.HasSuffix(got, after) {
		t.Errorf("%s", got)
	}
	if list := leaves(got); !strings.Contains(list[1][2], "Why: It holds macros.") || list[2][1] != "b.png" {
		t.Errorf("%q", list)
	}
}

func TestAMessageThatIsOneFileBecomesANotice(t *testing.T) {
	got := stripped(t, head+"Content-Type: application/pdf; name=a.pdf\r\nX-Mailer: m\r\nContent-Transfer-Encoding: base64\r\n\r\nJVBERi0=\r\n", Order{Attachments: true})
	list := leaves(got)
	if len(list) != 1 || list[0][0] != "text/plain" || !strings.Contains(list[0][2], "a.pdf") || !strings.Contains(got, "\r\nX-Mailer: m\r\n") || strings.Contains(got, "application/pdf") {
		t.Errorf("%s", got)
	}
	got = stripped(t, strings.Replace(head, "MIME-Version: 1.0\r\n", "", 1)+"Content-Type: application/pdf\r\n\r\n%PDF-\r\n", Order{Attachments: true})
	if !strings.Contains(got, "\r\nMIME-Version: 1.0\r\n") {
		t.Errorf("%s", got)
	}
}

func TestFilesInsideOtherPartsGoWithThem(t *testing.T) {
	inner := "Content-Type: application/zip; name=i.zip\r\n\r\nPK\r\n"
	for name, text := range map[string]string{
		"message":         head + "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nhi\r\n--b\r\nContent-Type: message/rfc822\r\n\r\n" + inner + "\r\n--b--\r\n",
		"encoded message": head + "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nhi\r\n--b\r\nContent-Type: message/rfc822; name=m.eml\r\nContent-Transfer-Encoding: base64\r\n\r\n" + base64.StdEncoding.EncodeToString([]byte(inner)) + "\r\n--b--\r\n",
	} {
		s, err := New(mail.Parse(mail.Memory(text)), Order{Attachments: true, ID: "1", Contact: "c"})
		if errors.Is(err, ErrAmbiguous) { // it may be too odd to be sure; then it is kept
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		b, _ := io.ReadAll(io.NewSectionReader(s, 0, s.Size()))
		if strings.Contains(string(b), "i.zip") || strings.Contains(string(b), "PK") || !strings.Contains(string(b), "\r\nhi\r\n") {
			t.Errorf("%s:\n%s", name, b)
		}
	}
}

// Where mail programs read a message differently, what is taken out for one may still be there for another.
func TestAnAmbiguousMessageIsRefused(t *testing.T) {
	for name, text := range map[string]string{
		"two boundaries": strings.Replace(mixed, "boundary=b", "boundary=b; boundary=c", 1), "two types": strings.Replace(mixed, "MIME-Version", "Content-Type: text/plain\r\nMIME-Version", 1),
		"odd base64": strings.Replace(mixed, "bWFjcm8=", "bWFj=cm8=#", 1),
	} {
		if _, err := New(mail.Parse(mail.Memory(text)), Order{Attachments: true}); !errors.Is(err, ErrAmbiguous) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestLinksBecomeTextThatNobodyCanClick(t *testing.T) {
	text := head + "Content-Type: multipart/alternative; boundary=b\r\n\r\n--b\r\n\r\nGo to http://evil.example/a.b now, or www.evil.example.\r\n--b\r\n" +
		"Content-Type: text/html\r\n\r\n<p>Go to <a href=\"https://evil.example/\">https://bank.example/</a> now</p>\r\n--b--\r\n"
	list := leaves(stripped(t, text, Order{Links: true}))
	if len(list) != 2 || !strings.Contains(list[0][2], "hxxp[://]evil[.]example/a.b") || strings.Contains(list[0][2], "www.evil") {
		t.Errorf("%q", list)
	}
	if list[1][0] != "text/plain" || strings.Contains(list[1][2], "://bank") || strings.Contains(list[1][2], "<") {
		t.Errorf("%q", list[1])
	}
	quiet := head + "\r\nNo links here.\r\n"
	if got := stripped(t, quiet, Order{Links: true}); got != quiet {
		t.Errorf("text without links was changed: %s", got)
	}
}

func FuzzStrip(f *testing.F) {
	f.Add(mixed)
	f.Add(head + "Content-Type: message/rfc822\r\n\r\n" + mixed)
	f.Fuzz(func(t *testing.T, text string) {
		s, err := New(mail.Parse(mail.Memory(text)), Order{Attachments: true, ID: "1", Contact: "c"})
		if err != nil {
			return
		}
		b, err := io.ReadAll(io.NewSectionReader(s, 0, s.Size()))
		if err != nil || int64(len(b)) != s.Size() {
			t.Fatalf("%d of %d octets: %v", len(b), s.Size(), err)
		}
		for p := range mail.Parse(mail.Memory(b)).Parts() {
			if p.Attachment() && p.Name() != "attachment-removed.txt" {
				t.Errorf("%q %q is left", p.Type, p.Name())
			}
		}
	})
}

func BenchmarkStrip(b *testing.B) {
	m := mail.Parse(mail.Memory(mixed))
	for b.Loop() {
		if _, err := New(m, Order{Attachments: true, ID: "1", Contact: "c"}); err != nil {
			b.Fatal(err)
		}
	}
}
