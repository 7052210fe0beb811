package mail

import (
	"bytes"
	"io"
	"mime"
	"mime/multipart"
	netmail "net/mail"
	"strings"
	"testing"
)

// benchCorpora are the mail that speed is measured on.
var benchCorpora = []string{"ham-modern-usrp/eml", "spamham-spamassassin/ham", "phishing-pot-300/eml"}

func load(b *testing.B, name string) (list [][]byte, size int64) {
	messages(b, corpora(b, name), func(_ string, data []byte) {
		data = crlf(data)
		list = append(list, data)
		size += int64(len(data))
	}, ".eml")
	return list, size
}

// BenchmarkParse is one pass over each corpus: header, tree, every body decoded or checked, defects.
func BenchmarkParse(b *testing.B) {
	for _, c := range benchCorpora {
		b.Run(strings.Split(c, "/")[0], func(b *testing.B) {
			list, size := load(b, c)
			b.SetBytes(size)
			b.ReportAllocs()
			for b.Loop() {
				for _, data := range list {
					Parse(Memory(data))
				}
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*len(list)), "us/message")
		})
	}
}

// BenchmarkStandardLibrary does with net/mail, mime and mime/multipart what BenchmarkParse does, without defects:
// read the header, walk the tree, decode text.
func BenchmarkStandardLibrary(b *testing.B) {
	for _, c := range benchCorpora {
		b.Run(strings.Split(c, "/")[0], func(b *testing.B) {
			list, size := load(b, c)
			b.SetBytes(size)
			b.ReportAllocs()
			for b.Loop() {
				for _, data := range list {
					standardParse(data)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*len(list)), "us/message")
		})
	}
}

func standardParse(data []byte) {
	m, err := netmail.ReadMessage(bytes.NewReader(data))
	if err != nil {
		return
	}
	netmail.ParseAddressList(m.Header.Get("From"))
	standardWalk(m.Header.Get("Content-Type"), m.Body)
}

func standardWalk(kind string, body io.Reader) {
	t, params, err := mime.ParseMediaType(kind)
	if err != nil || !strings.HasPrefix(t, "multipart/") {
		io.Copy(io.Discard, body)
		return
	}
	r := multipart.NewReader(body, params["boundary"])
	for {
		p, err := r.NextPart()
		if err != nil {
			return
		}
		p.FileName()
		standardWalk(p.Header.Get("Content-Type"), p)
	}
}

// BenchmarkViews is what the content and link filters need beside the parse: text, visible HTML, links.
func BenchmarkViews(b *testing.B) {
	for _, c := range benchCorpora {
		b.Run(strings.Split(c, "/")[0], func(b *testing.B) {
			list, size := load(b, c)
			b.SetBytes(size)
			b.ReportAllocs()
			for b.Loop() {
				for _, data := range list {
					m := Parse(Memory(data))
					m.Text()
					m.Links()
				}
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*len(list)), "us/message")
		})
	}
}
