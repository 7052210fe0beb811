package journal

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"gatepost/filters"
	"gatepost/filters/mail"
	"gatepost/gateway/disk"
	"gatepost/policy"
)

func open(t testing.TB, dir string, o Options) *Journal {
	t.Helper()
	j, err := Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = j.Close() })
	return j
}

var start = time.Now().Add(-time.Hour).UTC().Truncate(time.Millisecond)

// sample is the record of an ordinary message with much to say.
func sample(n int) *Record {
	span := [2]int64{212, 31}
	report := &filters.Report{}
	for range 10 {
		report.Findings = append(report.Findings, filters.Finding{
			Filter: "auth", Code: "dmarc.fail", Text: "The author domain example.com asks to refuse mail that does not authenticate.",
			Proof: []filters.Evidence{{Where: "header From", At: &span, What: "Boss <boss@example.com>"}},
		})
	}
	report.Message = &filters.MessageFacts{
		From: "boss@example.com", FromDomain: "example.com", FromName: "The Boss", To: []string{"ann@example.com"},
		Subject: "Invoice 12345", Date: "2026-11-23T09:00:00Z", MessageID: "<abc@example.com>", Size: 13000,
	}
	report.Auth = &filters.Auth{
		SPF:   filters.SPF{Result: "pass", Domain: "bulk.example", Explanation: "192.0.2.7 matches ip4:192.0.2.0/24"},
		DKIM:  []filters.DKIM{{Result: "pass", Domain: "bulk.example", Selector: "s1", Bits: 2048}},
		DMARC: filters.DMARC{Result: "fail", Policy: "reject"},
	}
	for range 8 {
		report.URLs = append(report.URLs, filters.URL{URL: "https://www.example.com/some/path?with=query", Host: "www.example.com", Domain: "example.com", Text: "click here"})
	}
	v := policy.Verdict{Address: "ann@example.com", Action: policy.Quarantine}
	for range 10 {
		v.Because = append(v.Because, policy.Reason{Code: "dmarc.fail", Weight: 930, Text: "The author domain disowns it."})
	}
	d := &policy.Decision{
		Action: policy.Quarantine, Class: policy.Spam, Score: 9300, Recipients: []policy.Verdict{v},
		Reply: policy.Reply{Code: 250, Enhanced: "2.6.0", Text: "held"},
	}
	return &Record{
		Kind: Message, ID: fmt.Sprintf("q%08d", n), Time: start.Add(time.Duration(n) * time.Millisecond),
		Client: netip.AddrFrom4([4]byte{192, 0, byte(n >> 8), byte(n)}), Name: "mail.bulk.example", Helo: "mail.bulk.example",
		TLS: mail.TLS{Version: "TLS 1.3", Cipher: "TLS_AES_128_GCM_SHA256"}, From: fmt.Sprintf("Sender%d@bulk.example", n),
		Rcpts: []string{fmt.Sprintf("ann%d@example.com", n%10)}, Subject: "Invoice 12345", Author: "boss@example.com",
		MsgID: fmt.Sprintf("<Message.%d@example.com>", n), Size: 13000, SHA256: strings.Repeat("0123456789abcdef", 4),
		Reply: d.Reply, Fates: []Fate{{Rcpt: "ann@example.com", Fate: "quarantined"}}, Decision: d, Report: report,
		Micros: map[string]int64{"auth": 812, "total": 2210, "headers": 12, "links": 44},
	}
}

func add(t testing.TB, j *Journal, r *Record) {
	t.Helper()
	if err := j.Append(r); err != nil {
		t.Fatal(err)
	}
}

func sync1(t testing.TB, j *Journal) {
	t.Helper()
	if err := j.Sync(); err != nil {
		t.Fatal(err)
	}
}

// all is the ids of a scan.
func all(t testing.TB, r *Reader) []string {
	t.Helper()
	var ids []string
	if err := r.Scan(t.Context(), time.Time{}, time.Time{}, func(r *Record) error {
		ids = append(ids, r.ID)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return ids
}

func TestWhatWasAppendedComesBack(t *testing.T) {
	j := open(t, t.TempDir(), Options{})
	want := sample(1)
	add(t, j, want)
	sync1(t, j)
	got, err := j.Lookup(t.Context(), want.ID)
	if err != nil {
		t.Fatal(err)
	}
	a, _ := json.Marshal(want)
	b, _ := json.Marshal(got)
	if !bytes.Equal(a, b) {
		t.Errorf("came back as\n%s\nwant\n%s", b, a)
	}
	if _, err := j.Lookup(t.Context(), "other"); !errors.Is(err, ErrNotFound) {
		t.Errorf("an unknown id: %v", err)
	}
	env, err := got.Envelope()
	if err != nil || env.From.String() != want.From || env.Rcpts[0].String() != want.Rcpts[0] || env.Remote != want.Client {
		t.Errorf("envelope: %+v, %v", env, err)
	}
}

// TestTraceFindsByEveryWord: in sealed segments and in the one being written.
func TestTraceFindsByEveryWord(t *testing.T) {
	j := open(t, t.TempDir(), Options{SegmentBytes: 1 << 20})
	for i := range 1000 {
		add(t, j, sample(i))
		if i%100 == 0 {
			sync1(t, j) // lets segments end where they should
		}
	}
	r := &Record{Kind: Disposal, ID: "q00000500", Time: start.Add(time.Minute), Action: "released", Fates: []Fate{{Rcpt: "new@example.org", Fate: "delivered"}}}
	add(t, j, r)
	sync1(t, j)
	j.sealing.Wait()
	list, err := segments(j.fs, j.dir)
	if err != nil || len(list) < 3 || !list[0].sealed || list[len(list)-1].sealed {
		t.Fatalf("segments: %+v, %v", list, err)
	}
	for _, c := range []struct {
		word string
		n    int
	}{
		{"q00000007", 1}, {"Q00000500", 2}, {"<message.3@EXAMPLE.com>", 1}, {"Message.999@example.com", 1}, {"192.0.1.5", 1}, {"::ffff:192.0.1.5", 1},
		{"sender12@BULK.example", 1}, {"ann3@example.com", 100}, {"@bulk.example", 1000}, {"new@example.org", 1}, {"@example.org", 1},
		{"bulk.example", 0}, {"nobody@example.com", 0}, {"boss@example.com", 1000}, {"q0000000", 0},
	} {
		got, err := j.Trace(t.Context(), Query{Word: c.word, Limit: 2000})
		if err != nil || len(got) != c.n {
			t.Errorf("%s: %d records, want %d, %v", c.word, len(got), c.n, err)
		}
	}
	got, err := j.Trace(t.Context(), Query{Word: "@bulk.example", Limit: 10})
	if err != nil || len(got) != 10 || got[9].ID != "q00000999" || got[0].ID != "q00000990" {
		t.Errorf("the newest ten: %d, %v", len(got), err)
	}
	got, err = j.Trace(t.Context(), Query{Word: "@bulk.example", Since: start.Add(10 * time.Millisecond), Until: start.Add(20 * time.Millisecond)})
	if err != nil || len(got) != 10 || got[0].ID != "q00000010" {
		t.Errorf("ten milliseconds: %d, %v", len(got), err)
	}
	if n := len(all(t, j.Reader)); n != 1001 {
		t.Errorf("scan gives %d records", n)
	}
	// without an index everything is still found
	names, _ := filepath.Glob(filepath.Join(j.dir, "*"+indexSuffix))
	for _, n := range names {
		if err := os.Remove(n); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := j.Trace(t.Context(), Query{Word: "q00000007"}); err != nil || len(got) != 1 {
		t.Errorf("without an index: %d records, %v", len(got), err)
	}
}

// TestTornTailIsCut: a journal cut at any byte gives every record that was whole, and is sealed so.
func TestTornTailIsCut(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir, Options{})
	var ends []int64
	name := ""
	for i := range 3 {
		add(t, j, &Record{Kind: Refusal, ID: fmt.Sprint("r", i), Verb: "RCPT", Reply: policy.Reply{Code: 550}})
		sync1(t, j)
		names, _ := filepath.Glob(filepath.Join(dir, "*"+rawSuffix))
		name = filepath.Base(names[0])
		st, _ := os.Stat(names[0])
		ends = append(ends, st.Size())
	}
	whole, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	for cut := range len(whole) + 1 {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, name), whole[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		want := 0
		for want < 3 && ends[want] <= int64(cut) {
			want++
		}
		r := NewReader(dir)
		if n := len(all(t, r)); n != want {
			t.Fatalf("cut at %d: %d records, want %d", cut, n, want)
		}
		if cut%7 > 0 {
			continue
		}
		s := sealer{fs: disk.OS{}, dir: dir, codec: &disk.Codec{}}
		if err := s.seal(strings.TrimSuffix(name, rawSuffix), nil); err != nil {
			t.Fatal(err)
		}
		if n := len(all(t, r)); n != want {
			t.Fatalf("cut at %d, then sealed: %d records, want %d", cut, n, want)
		}
	}
}

// TestDamagedLineIsPassedOver: one flipped byte loses one record, not the rest.
func TestDamagedLineIsPassedOver(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir, Options{})
	for i := range 3 {
		add(t, j, sample(i))
	}
	sync1(t, j)
	names, _ := filepath.Glob(filepath.Join(dir, "*"+rawSuffix))
	b, _ := os.ReadFile(names[0])
	second := bytes.IndexByte(b, '\n') + 1
	for _, at := range []int{second, second + 10, second + 20, second + 300} {
		bad := bytes.Clone(b)
		bad[at] ^= 4
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(names[0])), bad, 0o600); err != nil {
			t.Fatal(err)
		}
		r := NewReader(dir)
		if got := all(t, r); fmt.Sprint(got) != "[q00000000 q00000002]" || r.Damaged() != 1 {
			t.Errorf("flipped at %d: %v, %d damaged", at, got, r.Damaged())
		}
		sealed := open(t, dir, Options{Daemon: true}) // what it finds is sealed, and the damaged file kept
		sync1(t, sealed)
		if err := sealed.Close(); err != nil {
			t.Fatal(err)
		}
		if kept, err := r.DamagedFiles(); err != nil || len(kept) != 1 || fmt.Sprint(all(t, r)) != "[q00000000 q00000002]" {
			t.Errorf("flipped at %d, sealed: %v, kept %v, %v", at, all(t, r), kept, err)
		}
	}
}

// TestLogsCannotBeForged: P-26, each hostile text in every field: one line, nothing invisible, and it comes back.
func TestLogsCannotBeForged(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir, Options{})
	evil := []string{"a\r\n{\"v\":1,\"kind\":\"management\"}", "nul\x00", "esc\x1b[2J", "bidi\u202etxt", "line\u2028sep", "bad\xff\xfeutf8",
		"c1\u0085\u009b", "del\x7f", "zero\u200bwidth\ufeff", "tag\U000e0041", `quote"\`, "new\u2066iso"}
	for i, s := range evil {
		r := sample(i)
		r.Helo, r.From, r.Subject, r.Author, r.MsgID, r.Name, r.Note = s, s, s, s, s, s, s
		r.Rcpts, r.Reply.Text, r.Fates[0].Reply, r.Report.Findings[0].Proof[0].What = []string{s}, s, s, s
		add(t, j, r)
		for _, a := range LogLine(r) {
			if v := a.Value.String(); mail.Printable(v, 1000) != v {
				t.Errorf("log line shows %s=%q", a.Key, v)
			}
		}
	}
	sync1(t, j)
	names, _ := filepath.Glob(filepath.Join(dir, "*"+rawSuffix))
	b, err := os.ReadFile(names[0])
	if err != nil || bytes.Count(b, []byte("\n")) != len(evil) {
		t.Fatalf("%d lines for %d records, %v", bytes.Count(b, []byte("\n")), len(evil), err)
	}
	for _, line := range strings.Split(strings.TrimSuffix(string(b), "\n"), "\n") {
		if mail.Printable(line, len(line)) != line {
			t.Errorf("not printable: %q", line)
		}
		if !json.Valid([]byte(line)) {
			t.Errorf("not JSON: %q", line)
		}
	}
	for i, s := range evil {
		r, err := j.Lookup(t.Context(), sample(i).ID)
		if err != nil || r.Subject != strings.ToValidUTF8(strings.ReplaceAll(strings.ReplaceAll(s, "\xff", "\ufffd"), "\xfe", "\ufffd"), "") {
			t.Errorf("%q came back as %q, %v", s, r.Subject, err)
		}
	}
}

// TestAuditNoticesEveryChange: P-27.
func TestAuditNoticesEveryChange(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir, Options{})
	for i := range 4 {
		add(t, j, &Record{Kind: Management, ID: fmt.Sprint("m", i), Actor: "ann", Action: "view", Note: strings.Repeat("x", 50)})
		add(t, j, &Record{Kind: Management, ID: fmt.Sprint("reload", i), Action: "reload"})             // nobody did it: not chained
		add(t, j, &Record{Kind: Disposal, ID: fmt.Sprint("held", i), Actor: Itself, Action: "deliver"}) // no person did it
	}
	if n, err := j.VerifyAudit(); n != 4 || err != nil {
		t.Fatalf("%d lines, %v", n, err)
	}
	name := filepath.Join(dir, auditFile)
	whole, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	lines := bytes.SplitAfter(whole, []byte("\n"))[:4]
	starts := []int{0, len(lines[0]), len(lines[0]) + len(lines[1]), len(whole) - len(lines[3])}
	broken := func(what string, b []byte, offset int) {
		t.Helper()
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
		var e *BrokenError
		if _, err := j.VerifyAudit(); !errors.As(err, &e) || e.Offset != int64(offset) {
			t.Errorf("%s: %v, want offset %d", what, err, offset)
		}
	}
	for i := range whole {
		bad := bytes.Clone(whole)
		bad[i] ^= 1
		at := 0
		for _, s := range starts {
			if s <= i {
				at = s
			}
		}
		broken(fmt.Sprintf("byte %d flipped", i), bad, at)
	}
	broken("line deleted", bytes.Join([][]byte{lines[0], lines[2], lines[3]}, nil), starts[1])
	broken("last line deleted", whole[:starts[3]], starts[3])
	broken("all deleted", nil, 0)
	broken("lines swapped", bytes.Join([][]byte{lines[0], lines[2], lines[1], lines[3]}, nil), starts[1])
	var l link
	if err := json.Unmarshal(lines[3], &l); err != nil {
		t.Fatal(err)
	}
	l.Note = "another story"
	b, err := j.enc.encode(l)
	if err != nil {
		t.Fatal(err)
	}
	broken("last line written anew", append(bytes.Clone(whole[:starts[3]]), b.line...), starts[3])
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	var e *BrokenError
	if _, err := j.VerifyAudit(); !errors.As(err, &e) {
		t.Errorf("file deleted: %v", err)
	}
	if err := os.WriteFile(name, append(bytes.Clone(whole), `{"sum":"torn`...), 0o600); err != nil {
		t.Fatal(err)
	}
	add(t, j, &Record{Kind: Management, ID: "m9", Actor: "ann", Action: "view"})
	if n, err := j.VerifyAudit(); n != 5 || err != nil {
		t.Errorf("after a torn tail: %d lines, %v", n, err)
	}
}

// TestProcessesShareAJournal: each writes its own segment; the audit stays one chain.
func TestProcessesShareAJournal(t *testing.T) {
	dir := t.TempDir()
	var wg sync.WaitGroup
	for p := range 3 {
		j := open(t, dir, Options{Daemon: p == 0})
		wg.Go(func() {
			for i := range 20 {
				r := &Record{Kind: Management, ID: fmt.Sprintf("p%dn%d", p, i), Actor: "ann", Action: "view"}
				if err := j.Append(r); err != nil {
					t.Error(err)
				}
			}
			if err := j.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	r := NewReader(dir)
	if n, err := r.VerifyAudit(); n != 60 || err != nil {
		t.Errorf("audit has %d lines, %v", n, err)
	}
	if n := len(all(t, r)); n != 60 {
		t.Errorf("journal has %d records", n)
	}
	j := open(t, dir, Options{Daemon: true})
	add(t, j, sample(1))
	sync1(t, j)
	if err := j.maintain(""); err != nil {
		t.Error(err)
	}
	if n := len(all(t, r)); n != 61 {
		t.Errorf("after sealing what others left: %d records", n)
	}
	if list, err := segments(j.fs, dir); err != nil || len(list) != 4 || !list[0].sealed || list[3].sealed {
		t.Errorf("segments: %+v, %v", list, err)
	}
}

func TestOldSegmentsAreRemoved(t *testing.T) {
	dir := t.TempDir()
	for i := range 3 {
		j := open(t, dir, Options{})
		r := sample(i)
		r.Time = time.Now().Add(-time.Duration(i) * 40 * 24 * time.Hour)
		add(t, j, r)
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
	}
	j := open(t, dir, Options{})
	if err := j.maintain(""); err != nil {
		t.Fatal(err)
	}
	list, err := segments(j.fs, dir)
	if err != nil {
		t.Fatal(err)
	}
	for i := range list {
		list[i].began = time.Time{} // names say today: only the records are old
	}
	if err := j.expire(list, time.Now().Add(-60*24*time.Hour)); err != nil {
		t.Fatal(err)
	}
	if got := all(t, j.Reader); fmt.Sprint(got) != "[q00000000 q00000001]" {
		t.Errorf("left: %v", got)
	}
}

func TestCountersFollowRecords(t *testing.T) {
	j := open(t, t.TempDir(), Options{})
	for i := range 3 {
		add(t, j, sample(i))
	}
	add(t, j, &Record{Kind: Refusal, ID: "r", Verb: "RCPT", Reply: policy.Reply{Code: 550, Enhanced: "5.7.1"}})
	got := fmt.Sprint(j.Counters.Records())
	if got != "[{{message quarantine spam 250 2.6.0} 3} {{refusal RCPT  550 5.7.1} 1}]" {
		t.Error(got)
	}
	if got := fmt.Sprint(j.Counters.Findings(), j.Counters.Fates(), j.Counters.Failures()); got != "[{dmarc.fail 30}] [{quarantined 3}] []" {
		t.Error(got)
	}
	if n := j.Counters.Totals(); n.Bytes != 39000 || n.Messages != 3 || n.Within[1] != 3 {
		t.Errorf("%+v", n)
	}
	for i := range 2 * maxNames {
		j.Counters.Add(&Record{Kind: Refusal, Verb: fmt.Sprint(i)})
	}
	if n := len(j.Counters.Records()); n > maxNames+1 {
		t.Errorf("%d names are kept", n)
	}
}

func FuzzDecode(f *testing.F) {
	var e encoder
	r := sample(1)
	r.V = Version
	b, err := e.encode(r)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b.line)
	f.Add([]byte("{\"v\":1}"))
	f.Fuzz(func(t *testing.T, b []byte) {
		line, _ := disk.AppendLine(nil, bytes.TrimSuffix(b, []byte("\n")))
		for _, in := range [][]byte{b, line} {
			r, err := decode(in)
			if err != nil {
				continue
			}
			var e encoder
			if _, err := e.encode(r); err != nil {
				t.Fatalf("what was read cannot be written: %v", err)
			}
			_ = LogLine(r)
			appendKeys(nil, r, 0)
		}
		n := 0
		got, err := eachLine(bytes.NewReader(b), func(at int64, line []byte) error {
			n++
			if !bytes.Equal(b[at:at+int64(len(line))], line) {
				t.Fatal("offset is not where the line stands")
			}
			return nil
		})
		if err != nil || n != got.whole {
			t.Fatal(got, err)
		}
	})
}

func FuzzDecodeIndex(f *testing.F) {
	x := &index{first: 1, last: 2, offsets: []int64{0, 10, 20}, entries: entriesOf(appendKeys(nil, sample(1), 300000))}
	f.Add(x.encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		if x, err := decodeIndex(b); err == nil {
			x.blocks("word")
			if !bytes.Equal(x.encode(), b) {
				t.Fatal("written again it differs")
			}
		}
	})
}

func BenchmarkEncode(b *testing.B) {
	var e encoder
	r := sample(1)
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		l, err := e.encode(r)
		if err != nil {
			b.Fatal(err)
		}
		n = len(l.line)
		e.put(l)
	}
	b.ReportMetric(float64(n), "bytes/record")
}

func BenchmarkAppend(b *testing.B) {
	j := open(b, b.TempDir(), Options{})
	r := sample(1)
	b.ReportAllocs()
	for b.Loop() {
		if err := j.Append(r); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkTrace(b *testing.B) {
	j := open(b, b.TempDir(), Options{SegmentBytes: 16 << 20})
	for i := range 20000 {
		add(b, j, sample(i))
		if i%500 == 0 {
			sync1(b, j)
		}
	}
	sync1(b, j)
	j.sealing.Wait()
	for b.Loop() {
		got, err := j.Trace(context.Background(), Query{Word: "sender77@bulk.example"})
		if err != nil || len(got) != 1 {
			b.Fatal(len(got), err)
		}
	}
}
