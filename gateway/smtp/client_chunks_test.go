package smtp_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"gatepost/gateway/smtp"
	"gatepost/test/harness/badsink"
)

// chunking are the extensions of a next hop that takes BDAT.
func chunking(pipelining bool) []string {
	if pipelining {
		return []string{"PIPELINING", "SIZE 52428800", "8BITMIME", "SMTPUTF8", "CHUNKING"}
	}
	return []string{"CHUNKING"}
}

// inChunks connects to a next hop that takes BDAT.
func inChunks(t testing.TB, s *badsink.Sink) *smtp.Client {
	t.Helper()
	return connect(t, smtp.ClientOptions{Address: s.Address(), Chunking: true})
}

// large is content of several chunks, whose lines do not end where chunks would.
func large(chunks int) string {
	line := "." + strings.Repeat("x", 1000) + "\r\n"
	return strings.Repeat(line, chunks*(256<<10)/len(line)+5)
}

func TestContentArrivesByteForByteInChunks(t *testing.T) { // P-06, A-10, RFC 3030
	for _, pipelining := range []bool{true, false} {
		s := start(t, badsink.Script{Extensions: chunking(pipelining)})
		c := inChunks(t, s)
		for content, chunks := range map[string]int{
			"": 1, "\r\n": 1, ".\r\n": 1, "..\r\n.x\r\n": 1, "a: b\r\n\r\n.\r\n.": 1, "\xff\x80\x01\r\n": 1,
			large(1): 2, large(5): 6, strings.Repeat("y", 600<<10): 3, strings.Repeat("z", 256<<10-2) + "\r\n": 1,
			strings.Repeat("z", 256<<10-1) + "\r\n.\r\n": 2, strings.Repeat("z", 256<<10-2) + "\r\n\r\n": 2, strings.Repeat(".\r\n", 100_000): 2,
		} {
			for size := range 2 {
				tx := transaction(t, content, "b@b.test")
				tx.Content = chopped{content, size * 1021}
				r, err := c.Send(t.Context(), tx)
				if err != nil || codes(r) != "250" {
					t.Fatalf("%.20q: %s %v", content, codes(r), err)
				}
				want := content
				if content != "" && !strings.HasSuffix(content, "\r\n") {
					want += "\r\n"
				}
				got := s.Messages()
				if m := got[len(got)-1]; string(m.Data) != want || m.Stray || m.Chunks != chunks {
					t.Errorf("sent %.20q (%d), got %.20q (%d) in %d chunks, want %d", content, len(want), m.Data, len(m.Data), m.Chunks, chunks)
				}
			}
		}
		if s.Sessions() != 1 {
			t.Errorf("%d sessions for one connection", s.Sessions())
		}
	}
}

func TestALineEndIsNeverSharedByTwoChunks(t *testing.T) {
	s := start(t, badsink.Script{Extensions: chunking(true)})
	c := inChunks(t, s)
	total := 0
	for _, pad := range []int{-3, -2, -1, 0, 1} {
		content := strings.Repeat("z", 256<<10+pad) + "\r\n" + strings.Repeat("z", 256<<10+pad) + "\r\nend\r\n"
		if _, err := c.Send(t.Context(), transaction(t, content, "b@b.test")); err != nil {
			t.Fatal(err)
		}
		at := 0
		for _, line := range s.Lines()[total:] {
			var n int
			if _, err := fmt.Sscanf(line, "1 BDAT %d", &n); err == nil {
				if at += n; at < len(content) && content[at-1] == '\r' {
					t.Errorf("%d: a chunk ends between CR and LF", pad)
				}
			}
		}
		total = len(s.Lines())
		if at != len(content) {
			t.Errorf("%d: %d bytes in chunks, want %d", pad, at, len(content))
		}
	}
}

func TestWithoutCHUNKINGTheContentGoesByDATA(t *testing.T) {
	for _, c := range []struct {
		offer []string
		asked bool
		want  int
	}{{chunking(true), true, 1}, {chunking(true), false, 0}, {nil, true, 0}} {
		s := start(t, badsink.Script{Extensions: c.offer})
		k := connect(t, smtp.ClientOptions{Address: s.Address(), Chunking: c.asked})
		if r, err := k.Send(t.Context(), transaction(t, ".\r\n", "b@b.test")); err != nil || codes(r) != "250" {
			t.Error(codes(r), err)
		}
		if m := s.Messages(); len(m) != 1 || m[0].Chunks != c.want || string(m[0].Data) != ".\r\n" {
			t.Errorf("offered %v, wanted %v: %+v", c.offer, c.asked, m)
		}
	}
}

func TestNoChunkGoesOutBeforeEveryRecipientIsAnswered(t *testing.T) { // P-04, R-06
	for _, pipelining := range []bool{true, false} {
		s := start(t, badsink.Script{Extensions: chunking(pipelining), On: func(e badsink.Event) *badsink.Action {
			if e.Step == badsink.Rcpt && strings.HasPrefix(e.Rcpt, "gone") {
				return &badsink.Action{Reply: "550 5.1.1 no such user"}
			}
			return nil
		}})
		c := inChunks(t, s)
		tx := transaction(t, "x\r\n", "one@b.test", "gone@b.test", "two@b.test")
		if r, err := c.Send(t.Context(), tx); err != nil || codes(r) != "250 550 250" || s.Messages()[0].Chunks != 1 {
			t.Errorf("%s, %v", codes(r), err)
		}
		tx.Whole = true
		if r, err := c.Send(t.Context(), tx); err != nil || codes(r) != "- 550 -" || r.Begun || s.Count() != 1 {
			t.Errorf("whole: %s, %v, %d messages", codes(r), err, s.Count())
		}
		if r, err := c.Send(t.Context(), transaction(t, "x\r\n", "gone@b.test")); err != nil || codes(r) != "550" || r.Begun {
			t.Errorf("nobody: %s, %v", codes(r), err)
		}
		if c.Broken() {
			t.Error("the connection was not kept")
		}
		if got := strings.Count(strings.Join(s.Lines(), "\n"), "BDAT"); got != 1 {
			t.Errorf("%d chunks went out", got)
		}
	}
}

// TestAChunkThatIsRefusedIsTheEndOfTheMessage: whatever is said of a chunk, and whichever it is, the last does not follow.
func TestAChunkThatIsRefusedIsTheEndOfTheMessage(t *testing.T) { // P-03
	for _, pipelining := range []bool{true, false} {
		for _, which := range []int{1, 2, 4} {
			for reply, want := range map[string]string{
				"452 4.3.1 full": "452 4.3.1 full", "552 5.3.4 too big": "552 5.3.4 too big", "554 5.6.0 content": "554 5.6.0 content",
				"354 what": "451 4.5.0 Next hop replied 354 out of place", "421 4.3.2 leaving": "421 4.3.2 leaving", "502 5.5.1 what": "502 5.5.1 what", "503 5.5.1 x": "503 5.5.1 x",
			} {
				n := 0
				s := start(t, badsink.Script{Extensions: chunking(pipelining), On: func(e badsink.Event) *badsink.Action {
					if e.Step == badsink.Chunk {
						if n++; n == which {
							return &badsink.Action{Reply: reply}
						}
					}
					return nil
				}})
				c := inChunks(t, s)
				r, err := c.Send(t.Context(), transaction(t, large(5), "b@b.test"))
				if err != nil || r.Rcpts[0].Error() != want || r.Dotted || s.Count() != 0 {
					t.Errorf("chunk %d %q: %v, %v, dotted %v", which, reply, r.Rcpts[0], err, r.Dotted)
				}
				if strings.Contains(strings.Join(s.Lines(), "\n"), "LAST") {
					t.Errorf("chunk %d %q: the last chunk was sent", which, reply)
				}
				leaves := strings.HasPrefix(reply, "421") || strings.HasPrefix(reply, "50")
				if c.Broken() != leaves {
					t.Errorf("chunk %d %q: broken %v", which, reply, c.Broken())
				} else if !leaves {
					if r, err := c.Send(t.Context(), transaction(t, "x\r\n", "b@b.test")); err != nil || codes(r) != "250" {
						t.Errorf("chunk %d %q: out of step afterwards: %s %v", which, reply, codes(r), err)
					}
				}
			}
		}
	}
}

func TestTheLastChunkIsAnsweredLikeTheEndOfData(t *testing.T) { // R-09, P-04
	s := start(t, badsink.Script{Extensions: chunking(true), Replies: map[string]string{badsink.Dot: "554 5.6.0 content"}})
	c := inChunks(t, s)
	for _, content := range []string{"x\r\n", large(2)} {
		if r, err := c.Send(t.Context(), transaction(t, content, "b@b.test")); err != nil || r.Rcpts[0].Error() != "554 5.6.0 content" || !r.Dotted || c.Broken() {
			t.Error(codes(r), err, r.Dotted)
		}
	}
	lmtp := start(t, badsink.Script{LMTP: true, Extensions: chunking(true), On: func(e badsink.Event) *badsink.Action {
		if e.Step == badsink.Dot && e.Rcpt == "full@b.test" {
			return &badsink.Action{Reply: "452 4.2.2 full"}
		}
		return nil
	}})
	l := connect(t, smtp.ClientOptions{Address: lmtp.Address(), LMTP: true, Chunking: true})
	if r, err := l.Send(t.Context(), transaction(t, "x\r\n", "one@b.test", "full@b.test")); err != nil || codes(r) != "250 452" || lmtp.Count() != 1 {
		t.Error(codes(r), err, lmtp.Count())
	}
}

// TestContentThatIsNotWholeHasNoLastChunk: content that fails or must not be sent, at every place and at the very end.
func TestContentThatIsNotWholeHasNoLastChunk(t *testing.T) { // P-03, P-07, A-22
	for _, content := range []io.WriterTo{
		failingContent{}, failsAt(0), failsAt(10), failsAt(256 << 10), failsAt(1 << 20),
		again("a\n.\n"), again("a\r"), again("a\rb\r\n"), again("\n"), again("a\r\n\x00\r\n"), again("\r\r\n"),
		again(large(2) + "z\n"), again(large(2) + "z\r"), again(strings.Repeat("z", 256<<10) + "\x00"),
	} {
		s := start(t, badsink.Script{Extensions: chunking(true)})
		c := inChunks(t, s)
		tx := transaction(t, "", "b@b.test")
		tx.Content = content
		r, err := c.Send(t.Context(), tx)
		if !errors.Is(err, smtp.ErrContent) && !errors.Is(err, os.ErrInvalid) || r.Dotted || !c.Broken() {
			t.Errorf("%.20q: %v, dotted %v", content, err, r.Dotted)
		}
		s.Close()
		if s.Count() != 0 || strings.Contains(strings.Join(s.Lines(), "\n"), "LAST") {
			t.Errorf("%.20q: the next hop took a message", content)
		}
	}
}

// failsAt is content that ends with an error after so many bytes.
type failsAt int

func (f failsAt) WriteTo(w io.Writer) (int64, error) {
	n, err := io.WriteString(w, strings.Repeat("x\r\n", int(f)/3+1)[:f/3*3])
	if err == nil {
		err = os.ErrInvalid
	}
	return int64(n), err
}

func TestANextHopThatLeavesAmidChunksHasNoMessage(t *testing.T) { // R-03, P-05
	for _, step := range []string{badsink.Body, badsink.Chunk, badsink.Dot} {
		for name, act := range map[string]badsink.Action{"closes": {Close: true}, "resets": {Reset: true}, "is out of step": {Reply: "250 x\r\n250 y"}} {
			if step == badsink.Body && act.Reply != "" {
				continue
			}
			s := start(t, badsink.Script{Extensions: chunking(true), On: func(e badsink.Event) *badsink.Action {
				if e.Step == step {
					return &act
				}
				return nil
			}})
			c := inChunks(t, s)
			r, err := c.Send(t.Context(), transaction(t, large(3), "b@b.test"))
			taken := step == badsink.Dot && act.Reply != ""
			if (err == nil) != taken || !c.Broken() || r.Dotted != (step == badsink.Dot) {
				t.Errorf("%s at %s: %v, dotted %v, broken %v", name, step, err, r.Dotted, c.Broken())
			}
			if step != badsink.Dot && s.Count() != 0 {
				t.Errorf("%s at %s: it has a message", name, step)
			}
		}
	}
}

// processor is the time that this process has used of processors, for clocks are blurred by other work.
func processor() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkSendInChunks compares BDAT with DATA, at both ends of a connection: for one recipient each takes two round trips, for several of whom all must
// be accepted first DATA takes three.
func BenchmarkSendInChunks(b *testing.B) {
	for _, rcpts := range []int{1, 3} {
		for _, size := range []int{10 << 10, 1 << 20} {
			for _, way := range []string{"DATA", "BDAT"} {
				b.Run(fmt.Sprintf("%d recipients/%d KiB/%s", rcpts, size>>10, way), func(b *testing.B) {
					s := start(b, badsink.Script{Discard: true, Extensions: chunking(true)})
					c := connect(b, smtp.ClientOptions{Address: s.Address(), Chunking: way == "BDAT"})
					line := "A line of text as letters have it, with a dot. And another.\r\n"
					tx := transaction(b, strings.Repeat(line, size/len(line)), []string{"a@b.test", "b@b.test", "c@b.test"}[:rcpts]...)
					tx.Whole = true
					b.SetBytes(int64(size))
					began := processor()
					for b.Loop() {
						if r, err := c.Send(b.Context(), tx); err != nil || r.Rcpts[0].Code != 250 {
							b.Fatal(err)
						}
					}
					b.ReportMetric(float64((processor()-began).Microseconds())/float64(b.N), "cpu-µs/op")
				})
			}
		}
	}
}
