package bayes

import (
	"bytes"
	"context"
	"runtime"
	"slices"
	"strings"
	"testing"

	"gatepost/filters/mail"
)

// Whatever the bytes are, a message has a bounded number of different tokens, and the same ones each time.
func FuzzTokens(f *testing.F) {
	f.Add([]byte("From: Ann <ann@a.example>\r\nTo: b@b.example\r\nSubject: =?utf-8?b?5L2g5aW9?= !!!\r\nContent-Type: text/html\r\n\r\n<p>Win <b>$1,000</b> at <a href=http://x.example/a?b>here</a> 免费领取</p>"))
	f.Add([]byte("\r\n\r\n" + strings.Repeat("a ", 100)))
	f.Add([]byte("Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\nContent-Type: text/html\r\n\r\n<<<<<\r\n--x\r\nContent-Disposition: attachment; filename=\"a.b.c\"\r\n\r\n\xff\xfe\r\n--x--"))
	f.Fuzz(func(t *testing.T, b []byte) {
		m := mail.Parse(mail.Memory(b))
		tokens := Seed(1).Tokens(m)
		if len(tokens) > maxTokens {
			t.Fatalf("%d tokens", len(tokens))
		}
		var r reader
		if again := r.tokens(1, m); !slices.Equal(tokens, again) {
			t.Fatal("not the same tokens again")
		}
		back, err := Unpack(Pack(tokens))
		slices.Sort(tokens)
		if err != nil || !slices.Equal(back, tokens) {
			t.Fatal("packing changed them", err)
		}
		wanted := map[uint32]*word{}
		for _, v := range tokens[:min(len(tokens), shownTokens)] {
			wanted[v] = &word{}
		}
		r.words(1, m, wanted)
		for v, w := range wanted {
			if w.place == 0 {
				t.Fatalf("no words for token %x", v)
			}
		}
	})
}

func FuzzUnpack(f *testing.F) {
	f.Add(Pack([]uint32{0, 1, 500, 1 << 31}))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0x0f, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		tokens, err := Unpack(b)
		if err == nil && (len(tokens) > maxTokens || !slices.IsSorted(tokens) || len(slices.Compact(slices.Clone(tokens))) != len(tokens)) {
			t.Fatalf("%d tokens, not ascending or too many", len(tokens))
		}
	})
}

func FuzzReadModel(f *testing.F) {
	m, err := Fit(context.Background(), 1, school(1, 60))
	if err != nil {
		f.Fatal(err)
	}
	var b bytes.Buffer
	if err := m.Write(&b, 1); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Add(b.Bytes()[:60])
	f.Fuzz(func(t *testing.T, b []byte) {
		m, _, err := ReadModel(b)
		if err != nil {
			return
		}
		if m.Bytes() > 64+4*len(b) {
			t.Fatalf("%d bytes became a model of %d", len(b), m.Bytes())
		}
		if p := m.Probability([]uint32{0, 1, 2, 3}); !(p >= 0 && p <= 1) {
			t.Fatalf("probability %v", p)
		}
	})
}

// A message cannot make the tokenizer take memory beyond the parse: a megabyte of different words, or of markup.
func TestTokensTakeBoundedMemory(t *testing.T) {
	var words strings.Builder
	for i := range 200_000 {
		words.WriteString(string(rune('a'+i%26)) + string(rune('a'+i/26%26)) + string(rune('a'+i/676%26)) + " ")
	}
	for name, text := range map[string]string{
		"words":      "Subject: x\r\n\r\n" + words.String(),
		"ideographs": "Subject: x\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n" + strings.Repeat("免费领取奖品", 50_000),
		"markup":     "Subject: x\r\nContent-Type: text/html\r\n\r\n" + strings.Repeat("<qwx1><a href=http://a.example/b>c</a>", 20_000),
		"one word":   "Subject: x\r\n\r\n" + strings.Repeat("a", 1<<20),
		"addresses":  "Subject: x\r\nTo: " + strings.Repeat("a@a.example, ", 5000) + "\r\n\r\nx",
	} {
		m := mail.Parse(mail.Memory(text))
		m.Text()
		m.Links()
		for p := range m.Parts() {
			p.View()
		}
		var r reader
		r.tokens(1, m)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range 4 {
			r.tokens(1, m)
		}
		runtime.ReadMemStats(&after)
		got := int64(after.TotalAlloc-before.TotalAlloc) / 4
		if got > int64(512<<10+60*len(m.Get("To"))) { // the parse reads addresses anew at each call
			t.Errorf("%s: %d bytes", name, got)
		}
	}
}
