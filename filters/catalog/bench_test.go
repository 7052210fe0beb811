package catalog

import (
	"bytes"
	"context"
	"net/netip"
	"os"
	"path/filepath"
	"runtime/metrics"
	"strings"
	"syscall"
	"testing"
	"time"

	"gatepost/filters"
	"gatepost/filters/mail"
	"gatepost/rules"
	"gatepost/rules/conf"
)

// plainSections is a site with nothing configured.
type plainSections struct{}

func (plainSections) Decode(string, any) []conf.Problem { return nil }
func (plainSections) Enabled(string) bool               { return true }

// localFilters are the filters that ask nobody, by name.
func localFilters(b *testing.B) map[string]filters.Filter {
	set, problems := rules.Load(nil, nil)
	if len(problems) > 0 {
		b.Fatal(problems)
	}
	list := map[string]filters.Filter{}
	all := entries()
	for _, name := range []string{"headers", "attach", "links", "spoof", "bulk", "content"} {
		f, problems := all[name].build(plainSections{}, Deps{Rules: set, OurDomains: map[string]bool{"our.example": true}})
		if len(problems) > 0 {
			b.Fatal(problems)
		}
		list[name] = f
	}
	return list
}

// realMail reads a corpus beside the project as it comes over the wire.
func realMail(b *testing.B, name string) (list [][]byte, size int) {
	files, err := filepath.Glob(filepath.Join("../../../shared/corpora", name, "*.eml"))
	if err != nil || len(files) == 0 {
		b.Skipf("corpus %s is missing", name)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			b.Fatal(err)
		}
		text = bytes.ReplaceAll(bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n")), []byte("\n"), []byte("\r\n"))
		if bytes.HasPrefix(text, []byte("From ")) {
			text = text[bytes.IndexByte(text, '\n')+1:]
		}
		list = append(list, text)
		size += len(text)
	}
	return list, size
}

// spent is the processor time of the process and what it has allocated.
func spent() (time.Duration, uint64) {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0, 0
	}
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(sample)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()), sample[0].Value.Uint64()
}

// BenchmarkMessage is what one message costs in each filter that asks nobody, in the order of reports, after the parse
// and the views of its texts that all of them share. The times are of the processor, the octets those allocated for
// each octet of mail.
func BenchmarkMessage(b *testing.B) {
	for _, corpus := range []string{"ham-modern-usrp/eml", "spamham-spamassassin/ham", "spamham-spamassassin/spam", "phishing-pot-300/eml"} {
		b.Run(strings.Split(corpus, "/eml")[0], func(b *testing.B) {
			list, size := realMail(b, corpus)
			local := localFilters(b)
			env := &mail.Envelope{ID: "x", Time: time.Now(), Remote: netip.MustParseAddr("192.0.2.1"), Helo: "mx.example"}
			steps := []string{"parse", "views"}
			for _, name := range order() {
				if local[name] != nil {
					steps = append(steps, name)
				}
			}
			times, octets := map[string]time.Duration{}, map[string]uint64{}
			step := func(name string, do func(m *mail.Mail), mails []*mail.Mail) {
				start, before := spent()
				for _, m := range mails {
					do(m)
				}
				end, after := spent()
				times[name] += end - start
				octets[name] += after - before
			}
			const some = 50 // messages that are in hand at once, as at a busy gateway
			for b.Loop() {
				for from := 0; from < len(list); from += some {
					mails := make([]*mail.Mail, min(some, len(list)-from))
					for i := range mails {
						mails[i] = &mail.Mail{Envelope: env}
					}
					i := from
					step("parse", func(m *mail.Mail) { m.Message = mail.Parse(mail.Memory(list[i])); i++ }, mails)
					step("views", func(m *mail.Mail) { m.Text(); m.Links() }, mails)
					for _, name := range steps[2:] {
						step(name, func(m *mail.Mail) {
							if _, err := local[name].Check(context.Background(), m); err != nil {
								b.Fatal(err)
							}
						}, mails)
					}
				}
			}
			n := float64(b.N)
			for _, name := range steps {
				b.ReportMetric(float64(times[name].Microseconds())/n/float64(len(list)), "us-"+name)
				b.ReportMetric(float64(octets[name])/n/float64(size), "B/B-"+name)
			}
		})
	}
}
