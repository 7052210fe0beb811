package mail

import (
	"bytes"
	"encoding/base64"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	netmail "net/mail"
	"strings"
	"syscall"
	"testing"
	"time"
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

// overCorpora runs do over all messages of each corpus, and reports megabytes and messages per second, and how many
// octets are allocated for each octet of mail.
func overCorpora(b *testing.B, do func(data []byte)) {
	for _, c := range benchCorpora {
		b.Run(strings.Split(c, "/")[0], func(b *testing.B) {
			list, size := load(b, c)
			b.SetBytes(size)
			b.ReportAllocs()
			start := heapAllocs()
			for b.Loop() {
				for _, data := range list {
					do(data)
				}
			}
			n := float64(b.N)
			b.ReportMetric(float64(b.Elapsed().Microseconds())/n/float64(len(list)), "us/message")
			b.ReportMetric(float64(heapAllocs()-start)/n/float64(size), "B/octet")
		})
	}
}

// BenchmarkParse is one pass over each corpus: header, authors, tree, every text decoded and searched for files, every
// other body checked, defects.
func BenchmarkParse(b *testing.B) { overCorpora(b, func(data []byte) { Parse(Memory(data)) }) }

// BenchmarkStandardLibrary does with net/mail, mime and mime/multipart the least that a gateway needs of it: it reads
// the header and the author, walks all parts and asks each for its file name, and decodes the text parts. It finds no
// defects, has one reading of everything, gives up at the first error, throws decoded text away, and leaves attachments
// encoded; BenchmarkParse keeps what it decodes for the filters.
func BenchmarkStandardLibrary(b *testing.B) { overCorpora(b, standardParse) }

// BenchmarkBesideStandardLibrary runs the two by turns and compares the processor time of the process, so that what
// else the machine does blurs the ratio little. Run it with -cpu 1: the collector's work is then in both times.
func BenchmarkBesideStandardLibrary(b *testing.B) {
	for _, c := range benchCorpora {
		b.Run(strings.Split(c, "/")[0], func(b *testing.B) {
			list, size := load(b, c)
			var ours, theirs time.Duration
			for b.Loop() {
				start := processorTime()
				for _, data := range list {
					Parse(Memory(data))
				}
				middle := processorTime()
				for _, data := range list {
					standardParse(data)
				}
				ours, theirs = ours+middle-start, theirs+processorTime()-middle
			}
			mega := float64(size) * float64(b.N) / 1e6
			b.ReportMetric(mega/ours.Seconds(), "MB/s-ours")
			b.ReportMetric(mega/theirs.Seconds(), "MB/s-theirs")
			b.ReportMetric(theirs.Seconds()/ours.Seconds(), "times-faster")
		})
	}
}

// processorTime is what the process has used of all processors.
func processorTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func standardParse(data []byte) {
	m, err := netmail.ReadMessage(bytes.NewReader(data))
	if err != nil {
		return
	}
	netmail.ParseAddressList(m.Header.Get("From"))
	standardWalk(m.Header.Get("Content-Type"), m.Header.Get("Content-Transfer-Encoding"), m.Body)
}

func standardWalk(kind, encoding string, body io.Reader) {
	t, params, err := mime.ParseMediaType(kind)
	if err != nil || !strings.HasPrefix(t, "multipart/") {
		switch {
		case strings.EqualFold(encoding, "base64") && strings.HasPrefix(t, "text/"):
			body = base64.NewDecoder(base64.StdEncoding, body)
		case strings.EqualFold(encoding, "quoted-printable"): // of a part, multipart.Reader has decoded it and removed the field
			body = quotedprintable.NewReader(body)
		}
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
		standardWalk(p.Header.Get("Content-Type"), p.Header.Get("Content-Transfer-Encoding"), p)
	}
}

// BenchmarkViews is what the content and link filters need beside the parse: text, visible HTML, links.
func BenchmarkViews(b *testing.B) {
	overCorpora(b, func(data []byte) {
		m := Parse(Memory(data))
		m.Text()
		m.Links()
	})
}
