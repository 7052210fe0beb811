package clamd

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"gatepost/filters"
	"gatepost/filters/mail"
	"gatepost/filters/peer"
	"gatepost/rules/conf"
	daemonkit "gatepost/test/harness/daemon"
)

// A daemon is a clamd whose answers a test writes.
type daemon struct {
	address string
	stream  func(conn net.Conn, content []byte) // answers INSTREAM
	version string
	refuse  func(conn net.Conn) bool // answers in place of everything else

	mu      sync.Mutex
	streams [][]byte
}

func startDaemon(t *testing.T, d *daemon) *daemon {
	t.Helper()
	return startDaemonAt(t, filepath.Join(t.TempDir(), "c"), d)
}

func startDaemonAt(t *testing.T, path string, d *daemon) *daemon {
	t.Helper()
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	daemonkit.ServeOn(t, l, d.serve)
	d.address = "unix:" + path
	if d.version == "" {
		d.version = "ClamAV 1.4.6"
	}
	return d
}

func (d *daemon) serve(conn net.Conn) {
	if d.refuse != nil && d.refuse(conn) {
		return
	}
	r := bufio.NewReader(conn)
	word, err := r.ReadString(0)
	if err != nil {
		return
	}
	switch word {
	case "zPING\x00":
		io.WriteString(conn, "PONG\x00")
	case "zVERSION\x00":
		io.WriteString(conn, d.version+"\x00")
	case "zINSTREAM\x00":
		var content []byte
		for {
			var size [4]byte
			if _, err := io.ReadFull(r, size[:]); err != nil {
				return
			}
			n := binary.BigEndian.Uint32(size[:])
			if n == 0 {
				break
			}
			chunk := make([]byte, n)
			if _, err := io.ReadFull(r, chunk); err != nil {
				return
			}
			content = append(content, chunk...)
		}
		d.mu.Lock()
		d.streams = append(d.streams, content)
		d.mu.Unlock()
		d.stream(conn, content)
	}
}

// says is a daemon that answers every stream with the same bytes.
func says(text string) func(net.Conn, []byte) {
	return func(conn net.Conn, _ []byte) { io.WriteString(conn, text) }
}

func settings(addresses ...string) Config {
	return Config{Address: addresses, Timeout: 5 * time.Second, Connections: 2, MaxBytes: 1 << 20, Warn: 24 * time.Hour, Stale: 72 * time.Hour}
}

func letter(files ...string) *mail.Mail {
	var b strings.Builder
	b.WriteString("From: a@a.example\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nhello\r\n")
	for _, f := range files {
		b.WriteString("--b\r\nContent-Type: application/octet-stream; name=f\r\nContent-Transfer-Encoding: base64\r\n\r\n" + base64.StdEncoding.EncodeToString([]byte(f)) + "\r\n")
	}
	b.WriteString("--b--\r\n")
	return &mail.Mail{Message: mail.Parse(mail.Memory(b.String()))}
}

func codes(f filters.Facts) (list []string) {
	for _, x := range f.Findings {
		list = append(list, x.Code)
	}
	return list
}

func TestTheWholeMessageAndEveryFileInItAreStreamed(t *testing.T) {
	d := startDaemon(t, &daemon{stream: says("stream: OK\x00")})
	m := letter("first file", strings.Repeat("x", 200_000))
	facts, err := New(settings(d.address)).Check(context.Background(), m)
	if err != nil || len(facts.Findings) > 0 {
		t.Fatalf("%v, %v", facts.Findings, err)
	}
	whole := make([]byte, m.Source.Size())
	m.Source.ReadAt(whole, 0)
	if len(d.streams) != 3 || !bytes.Equal(d.streams[0], whole) || string(d.streams[1]) != "first file" || len(d.streams[2]) != 200_000 {
		t.Errorf("%d streams", len(d.streams))
	}
}

func TestWhatIsFoundIsSaidInOurWords(t *testing.T) { // G-17
	for reply, want := range map[string]string{
		"stream: Win.Test.EICAR_HDB-1 FOUND": "clamd.malware", "instream(local): X.UNOFFICIAL FOUND": "clamd.malware", "stream: PUA.Win.Tool-1 FOUND": "clamd.pua",
		"stream: Heuristics.Encrypted.Zip FOUND": "clamd.encrypted", "stream: Heuristics.Limits.Exceeded.MaxFileSize FOUND": "clamd.unscannable.limit",
		"stream: Heuristics.OLE2.ContainsMacros.VBA FOUND": "clamd.macro", "stream: Heuristics.Phishing.Email.SpoofedDomain FOUND": "clamd.phish",
		"stream: Heuristics.Broken.Media FOUND": "clamd.heuristic", "INSTREAM size limit exceeded. ERROR": "clamd.unscannable.limit",
		"stream: <b>\r\nX-Evil: \u202e1\x1b[31m" + strings.Repeat("a", 300) + " FOUND": "clamd.malware",
	} {
		d := startDaemon(t, &daemon{stream: says(reply + "\x00")})
		facts, err := New(settings(d.address)).Check(context.Background(), letter())
		if err != nil || len(facts.Findings) != 1 || facts.Findings[0].Code != want {
			t.Errorf("%.60q: %v, %v", reply, facts.Findings, err)
			continue
		}
		what := facts.Findings[0].Proof[0].What
		if len(what) > 80 || strings.ContainsFunc(what, func(r rune) bool { return r < ' ' || r > '~' }) {
			t.Errorf("%.60q: shown as %q", reply, what)
		}
	}
}

// G-16, G-17: an answer that is not a proper answer is no opinion.
func TestAClamdThatLiesIsNeverClean(t *testing.T) {
	for name, reply := range map[string]string{
		"nothing": "", "cut off": "stream: O", "no NUL": "stream: OK", "line end": "stream: OK\n", "error": "stream: Can't allocate memory ERROR\x00",
		"other": "HELLO\x00", "two": "stream: OK\x00stream: Evil FOUND\x00", "no name": "stream:  FOUND\x00", "long": strings.Repeat("a", maxReply+10) + "\x00",
		"OK with more": "stream: OK really\x00", "unknown": "UNKNOWN COMMAND\x00", "empty": "\x00", "path": "/etc/passwd: OK\x00",
	} {
		d := startDaemon(t, &daemon{stream: says(reply)})
		if facts, err := New(settings(d.address)).Check(context.Background(), letter()); err == nil {
			t.Errorf("%s: taken for an answer: %v", name, codes(facts))
		}
	}
}

// G-16
func TestAnOKBeforeTheWholeWasSentIsNoAnswer(t *testing.T) {
	d := startDaemon(t, &daemon{refuse: func(conn net.Conn) bool {
		if word, _ := bufio.NewReader(conn).ReadString(0); word != "zINSTREAM\x00" {
			io.WriteString(conn, "ClamAV 1.4.6\x00")
			return true
		}
		io.WriteString(conn, "stream: OK\x00")
		io.CopyN(io.Discard, conn, 100) // and never the rest
		return true
	}})
	facts, err := New(settings(d.address)).Check(context.Background(), letter(strings.Repeat("x", 700_000)))
	if err == nil || strings.Contains(err.Error(), "timeout") {
		t.Fatalf("taken for an answer: %v, %v", codes(facts), err)
	}
}

// G-16
func TestAClamdThatHangsIsGivenUpAfterItsTime(t *testing.T) {
	gate := make(chan struct{})
	d := startDaemon(t, &daemon{stream: func(net.Conn, []byte) { <-gate }})
	t.Cleanup(func() { close(gate) })
	cfg := settings(d.address)
	cfg.Timeout = 50 * time.Millisecond
	_, err := New(cfg).Check(context.Background(), letter())
	if err == nil || !strings.Contains(err.Error(), "timeout after 50ms") {
		t.Errorf("%v", err)
	}
}

// G-16
func TestAClamdThatIsNotThereIsAnErrorAndSoonNobodyWaitsForIt(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c")
	f := New(settings("unix:" + path))
	for i := range peer.RestAfter + 1 {
		_, err := f.Check(context.Background(), letter())
		if err == nil {
			t.Fatal("taken for an answer")
		}
		if rests := strings.Contains(err.Error(), peer.ErrResting.Error()); rests != (i == peer.RestAfter) {
			t.Errorf("try %d: %v", i, err)
		}
	}
	f.peers[0].Awake() // as if the time were over
	startDaemonAt(t, path, &daemon{stream: says("stream: OK\x00")})
	if _, err := f.Check(context.Background(), letter()); err != nil {
		t.Errorf("it is back: %v", err)
	}
}

func TestTheSecondClamdAnswersWhereTheFirstIsNotThere(t *testing.T) {
	d := startDaemon(t, &daemon{stream: says("stream: Evil FOUND\x00")})
	facts, err := New(settings("unix:"+filepath.Join(t.TempDir(), "none"), d.address)).Check(context.Background(), letter())
	if err != nil || len(facts.Findings) != 1 {
		t.Errorf("%v, %v", facts.Findings, err)
	}
}

func TestWhatIsTooLargeIsUnscannable(t *testing.T) {
	d := startDaemon(t, &daemon{stream: says("stream: OK\x00")})
	cfg := settings(d.address)
	for size, want := range map[int64]int{0: 0, 1: 1} { // at the limit, one octet beyond
		m := letter()
		cfg.MaxBytes = conf.Size(m.Source.Size() - size)
		facts, err := New(cfg).Check(context.Background(), m)
		if err != nil || len(facts.Findings) != want {
			t.Errorf("%d beyond: %v, %v", size, facts.Findings, err)
		}
	}
	many := make([]string, maxStreams)
	for i := range many {
		many[i] = "x"
	}
	facts, err := New(settings(d.address)).Check(context.Background(), letter(many...))
	if err != nil || len(facts.Findings) != 1 || facts.Findings[0].Code != "clamd.unscannable.limit" {
		t.Errorf("%v, %v", facts.Findings, err)
	}
}

func TestOldSignaturesAreMarkedAndVeryOldOnesAreNoScanner(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.Local)
	for age, want := range map[time.Duration]string{time.Hour: "well", 23 * time.Hour: "well", 25 * time.Hour: "marked", 71 * time.Hour: "marked", 73 * time.Hour: "failed"} {
		d := startDaemon(t, &daemon{stream: says("stream: OK\x00"), version: "ClamAV 1.4.6/27999/" + now.Add(-age).Format(time.ANSIC)})
		f := New(settings(d.address))
		f.now = func() time.Time { return now }
		facts, err := f.Check(context.Background(), letter())
		got := map[bool]string{true: "well", false: "marked"}[len(facts.Findings) == 0]
		if err != nil {
			got = "failed"
		}
		if got != want {
			t.Errorf("%s old: %s, want %s (%v)", age, got, want, err)
		}
		c := f.Conditions(context.Background())[0]
		if (c.Err != nil) != (want != "well") || c.Down != (want == "failed") {
			t.Errorf("%s old: %+v", age, c)
		}
	}
}

func TestConditionsTellHowEveryDaemonIs(t *testing.T) {
	d := startDaemon(t, &daemon{})
	hung := startDaemon(t, &daemon{refuse: func(conn net.Conn) bool { io.Copy(io.Discard, conn); return true }})
	cfg := settings(d.address, hung.address, "unix:"+filepath.Join(t.TempDir(), "none"))
	cfg.Timeout = 100 * time.Millisecond
	list := New(cfg).Conditions(context.Background())
	if list[0].Err != nil || list[0].Down || !strings.HasPrefix(list[0].Detail, "ClamAV 1.4.6") {
		t.Errorf("%+v", list[0])
	}
	for _, c := range list[1:] {
		if c.Err == nil || !c.Down || c.Hint == "" {
			t.Errorf("%+v", c)
		}
	}
}

func TestNoMoreStreamsThanConnectionsAreUnderWay(t *testing.T) {
	var mu sync.Mutex
	now, most := 0, 0
	d := startDaemon(t, &daemon{stream: func(conn net.Conn, _ []byte) {
		mu.Lock()
		now++
		most = max(most, now)
		mu.Unlock()
		io.WriteString(conn, "stream: OK\x00")
		mu.Lock()
		now--
		mu.Unlock()
	}})
	f := New(settings(d.address))
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if _, err := f.Check(context.Background(), letter("x")); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if most > 2 {
		t.Errorf("%d at once", most)
	}
}

func TestNoAddressIsNoFilter(t *testing.T) {
	if New(Config{}) != nil {
		t.Error("a filter without a daemon")
	}
}

func FuzzVerdict(f *testing.F) {
	for _, s := range []string{"stream: OK\x00", "stream: Evil FOUND\x00", "INSTREAM size limit exceeded. ERROR\x00", "ClamAV 1.4.6/27999/Mon Nov 23 08:00:00 2026\x00"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		reply, err := readReply(bytes.NewReader(b))
		if err != nil {
			return
		}
		name, err := verdict(reply)
		if err == nil && name == "" && reply != "stream: OK" && !strings.HasPrefix(reply, "instream(") {
			t.Errorf("%q is clean", reply)
		}
		if len(name) > 80 {
			t.Errorf("%d octets of name", len(name))
		}
		readVersion(reply)
	})
}
