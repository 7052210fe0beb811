package bayes

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"gatepost/filters/mail"
)

// realMail reads some public messages; it needs the corpora beside the project.
func realMail(b *testing.B) []*mail.Mail {
	b.Helper()
	dir, err := os.Getwd()
	if err != nil {
		b.Fatal(err)
	}
	for ; filepath.Dir(dir) != dir; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			break
		}
	}
	files, _ := filepath.Glob(filepath.Join(dir, "../shared/corpora/phishing-pot-300/eml/*1*.eml"))
	if len(files) == 0 {
		b.Skip("the corpora are not beside the project")
	}
	var list []*mail.Mail
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			b.Fatal(err)
		}
		m := mail.Parse(mail.Memory(text))
		m.Text()
		m.Links()
		list = append(list, &mail.Mail{Envelope: &mail.Envelope{}, Message: m})
	}
	return list
}

// BenchmarkCheck judges phishing mail, most of it HTML, whose texts other filters have decoded already.
func BenchmarkCheck(b *testing.B) {
	list := realMail(b)
	m, err := Fit(context.Background(), 1, school(1, 400))
	if err != nil {
		b.Fatal(err)
	}
	f := New(Config{}, fixed{m: m})
	size := int64(0)
	for _, x := range list {
		size += x.Size()
	}
	b.SetBytes(size / int64(len(list)))
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if _, err := f.Check(context.Background(), list[i%len(list)]); err != nil {
			b.Fatal(err)
		}
		i++
	}
}

// BenchmarkFit makes a model of two thousand lessons.
func BenchmarkFit(b *testing.B) {
	lessons := school(1, 2000)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Fit(context.Background(), 1, lessons); err != nil {
			b.Fatal(err)
		}
	}
}
