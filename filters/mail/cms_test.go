package mail

import (
	"encoding/base64"
	"slices"
	"strings"
	"testing"
)

// tlv writes a value of definite length.
func tlv(tag byte, content string) string {
	switch n := len(content); {
	case n < 0x80:
		return string([]byte{tag, byte(n)}) + content
	default:
		return string([]byte{tag, 0x83, byte(n >> 16), byte(n >> 8), byte(n)}) + content
	}
}

// open writes a value of indefinite length, as programs do that stream.
func open(tag byte, content string) string {
	return string([]byte{tag, 0x80}) + content + "\x00\x00"
}

// cms64 is a ContentInfo of the given type in base64.
func cms64(oid []byte, content string) string {
	return base64.StdEncoding.EncodeToString([]byte(tlv(tagSequence, tlv(tagIdentifier, string(oid))+tlv(tagContent, content))))
}

// signed is SignedData around a message, by the given writer of constructed values; the octets are cut into pieces of 1,000.
func signed(message string, made func(byte, string) string) string {
	var octets string
	for len(message) > 0 {
		n := min(1000, len(message))
		octets += tlv(tagOctets, message[:n])
		message = message[n:]
	}
	data := tlv(tagIdentifier, "\x2a\x86\x48\x86\xf7\x0d\x01\x07\x01")
	content := made(tagSequence, data+made(tagContent, made(tagOctetsMade, octets)))
	body := made(tagSequence, tlv(0x02, "\x01")+tlv(0x31, "")+content+tlv(0x31, ""))
	return made(tagSequence, tlv(tagIdentifier, string(oidSigned))+made(tagContent, body))
}

// E-20: what is only signed is read, whoever wrote the signature and however deep it lies; nothing hides in it.
func TestWhatIsSignedInsideSMIMEIsRead(t *testing.T) {
	const kind = "Content-Type: application/pkcs7-mime; smime-type=signed-data; name=smime.p7m\nContent-Transfer-Encoding: base64\n\n"
	inner := multi("boundary=b") + times(200, "preamble\n") + part("b") + "--b--\n"
	for name, made := range map[string]func(byte, string) string{"definite": tlv, "streamed": open} {
		once := kind + base64.StdEncoding.EncodeToString([]byte(signed(inner, made))) + "\n"
		twice := kind + base64.StdEncoding.EncodeToString([]byte(signed(once, made))) + "\n"
		for _, message := range []string{once, twice} {
			m := parse(message)
			if !slices.Contains(codes(m), "mime.smime-signed") || slices.Contains(codes(m), "mime.smime-broken") {
				t.Errorf("%s: %v", name, codes(m))
			}
			if !finds(m, payload) {
				t.Errorf("%s: the attachment inside the signature was not found", name)
			}
		}
	}
}

// E-20: signatures around signatures end at a bound that is told.
func TestSignaturesInsideSignaturesAreBounded(t *testing.T) {
	message := "Content-Type: text/plain\n\nx\n"
	for range 12 {
		message = "Content-Type: application/pkcs7-mime\nContent-Transfer-Encoding: base64\n\n" + base64.StdEncoding.EncodeToString([]byte(signed(message, tlv))) + "\n"
	}
	if m := parse(message); !slices.Contains(codes(m), "mime.messages-too-deep") {
		t.Error(codes(m))
	}
}

func FuzzCMS(f *testing.F) {
	for _, made := range []func(byte, string) string{tlv, open} {
		f.Add([]byte(signed(strings.Repeat("content ", 300), made)))
	}
	f.Add([]byte("\x30\x80\x30\x80\x30\x80"))
	f.Add([]byte(tlv(tagSequence, tlv(tagIdentifier, string(oidEnveloped)))))
	f.Fuzz(func(t *testing.T, b []byte) {
		kind, content := readCMS(b)
		if kind != cmsSigned && content != nil {
			t.Errorf("kind %d has content", kind)
		}
		if len(content) > len(b) {
			t.Errorf("%d octets came out of %d", len(content), len(b))
		}
	})
}
