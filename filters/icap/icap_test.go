package icap

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http/httputil"
	"net/textproto"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"gatepost/filters"
	"gatepost/filters/mail"
	"gatepost/test/harness/daemon"
)

// A server speaks ICAP as a test wants it.
type server struct {
	address string
	options string                                            // further fields of the answer to OPTIONS
	early   string                                            // answer to a preview; empty: 100 Continue
	answer  func(heads []byte, at string, body []byte) string // answer to the whole
	refuse  func(conn net.Conn) bool                          // in place of everything else

	mu     sync.Mutex
	bodies []string
	heads  []string
}

func start(t *testing.T, s *server) *server {
	t.Helper()
	s.address = daemon.Serve(t, func(conn net.Conn) {
		if s.refuse == nil || !s.refuse(conn) {
			s.serve(conn)
		}
	})
	return s
}

func (s *server) serve(conn net.Conn) {
	r := textproto.NewReader(bufio.NewReader(conn))
	line, err := r.ReadLine()
	if err != nil {
		return
	}
	fields, err := r.ReadMIMEHeader()
	if err != nil {
		return
	}
	if strings.HasPrefix(line, "OPTIONS ") {
		io.WriteString(conn, "ICAP/1.0 200 OK\r\nMethods: RESPMOD, REQMOD\r\nService: Test/1\r\nISTag: \"1\"\r\n"+s.options+"\r\n")
		return
	}
	at := fields.Get("Encapsulated")
	size, _ := strconv.Atoi(at[strings.LastIndexByte(at, '=')+1:])
	heads := make([]byte, size)
	io.ReadFull(r.R, heads)
	body := s.chunks(r)
	if fields.Get("Preview") != "" && !bytes.HasSuffix(body, []byte("\x00ieof")) {
		if s.early != "" {
			io.WriteString(conn, s.early)
			return
		}
		io.WriteString(conn, "ICAP/1.0 100 Continue\r\n\r\n")
		body = append(body, s.chunks(r)...)
	}
	body = bytes.TrimSuffix(body, []byte("\x00ieof"))
	s.mu.Lock()
	s.bodies, s.heads = append(s.bodies, string(body)), append(s.heads, line+"\r\n"+string(heads))
	s.mu.Unlock()
	io.WriteString(conn, s.answer(heads, at, body))
}

// chunks reads up to the empty chunk; behind one that says ieof stands a mark.
func (s *server) chunks(r *textproto.Reader) (body []byte) {
	for {
		line, err := r.ReadLine()
		if err != nil {
			return body
		}
		digits, extension, _ := strings.Cut(line, ";")
		n, _ := strconv.ParseInt(strings.TrimSpace(digits), 16, 32)
		if n == 0 {
			r.ReadLine()
			if strings.TrimSpace(extension) == "ieof" {
				body = append(body, "\x00ieof"...)
			}
			return body
		}
		chunk := make([]byte, n+2)
		io.ReadFull(r.R, chunk)
		body = append(body, chunk[:n]...)
	}
}

func always(text string) func([]byte, string, []byte) string {
	return func([]byte, string, []byte) string { return text }
}

const clean = "ICAP/1.0 204 No Content\r\nISTag: \"1\"\r\n\r\n"

// echo sends the content back, as a server does that does not know 204.
func echo(heads []byte, at string, body []byte) string {
	var b bytes.Buffer
	w := httputil.NewChunkedWriter(&b)
	w.Write(body)
	w.Close()
	if i := strings.Index(at, "res-hdr="); i >= 0 {
		n := 0
		fmt.Sscanf(at[i:], "res-hdr=%d", &n)
		heads = heads[n:]
		at = fmt.Sprintf("res-hdr=0, res-body=%d", len(heads))
	}
	return "ICAP/1.0 200 OK\r\nEncapsulated: " + at + "\r\n\r\n" + string(heads) + b.String() + "\r\n"
}

func letter(files ...string) *mail.Mail {
	var b strings.Builder
	b.WriteString("From: a@a.example\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nhello\r\n")
	for _, f := range files {
		b.WriteString("--b\r\nContent-Type: application/x-thing; name=f\r\nContent-Transfer-Encoding: base64\r\n\r\n" + base64.StdEncoding.EncodeToString([]byte(f)) + "\r\n")
	}
	b.WriteString("--b--\r\n")
	return &mail.Mail{Message: mail.Parse(mail.Memory(b.String()))}
}

func asked(t *testing.T, s *server, method string, m *mail.Mail) ([]string, error) {
	t.Helper()
	a, err := parseAddress("icap://" + s.address + "/avscan")
	if err != nil {
		t.Fatal(err)
	}
	f := New(Config{Address: a, Method: method, Timeout: 5 * time.Second, Connections: 2, MaxBytes: 1 << 20}, nil)
	facts, err := f.Check(context.Background(), m)
	var list []string
	for _, x := range facts.Findings {
		list = append(list, x.Code+" "+x.Proof[0].Where+": "+x.Proof[0].What)
	}
	return list, err
}

func TestEveryStreamArrivesWholeWithAndWithoutPreview(t *testing.T) {
	large := strings.Repeat("0123456789", 20_000)
	for _, preview := range []string{"", "Preview: 0\r\n", "Preview: 1024\r\n", "Preview: 900000\r\n"} {
		for _, method := range []string{"respmod", "reqmod"} {
			s := start(t, &server{options: preview, answer: always(clean)})
			m := letter("small", large)
			got, err := asked(t, s, method, m)
			if err != nil || len(got) > 0 {
				t.Fatalf("%q %s: %v, %v", preview, method, got, err)
			}
			whole := make([]byte, m.Source.Size())
			m.Source.ReadAt(whole, 0)
			if len(s.bodies) != 3 || s.bodies[0] != string(whole) || s.bodies[1] != "small" || s.bodies[2] != large {
				t.Errorf("%q %s: %d bodies", preview, method, len(s.bodies))
			}
			if !strings.HasPrefix(s.heads[1], strings.ToUpper(method)+" icap://") || !strings.Contains(s.heads[1], "Content-Type: application/x-thing\r\n") {
				t.Errorf("%s: %s", method, s.heads[1])
			}
		}
	}
}

func TestWhatTheServerThinksIsAFinding(t *testing.T) {
	blockPage := func([]byte, string, []byte) string {
		h := "HTTP/1.1 403 Forbidden\r\nContent-Type: text/html\r\n\r\n"
		return fmt.Sprintf("ICAP/1.0 200 OK\r\nEncapsulated: res-hdr=0, res-body=%d\r\n\r\n%s5\r\nsorry\r\n0\r\n\r\n", len(h), h)
	}
	for name, c := range map[string]struct {
		answer func([]byte, string, []byte) string
		want   string
	}{
		"sent back": {echo, ""}, "204": {always(clean), ""},
		"named":            {always("ICAP/1.0 200 OK\r\nX-Infection-Found: Type=0; Resolution=2; Threat=Eicar-Test;\r\nEncapsulated: null-body=0\r\n\r\n"), "icap.malware message: Eicar-Test"},
		"named with 204":   {always("ICAP/1.0 204 No Content\r\nX-Virus-ID: Evil\r\n\r\n"), "icap.malware message: Evil"},
		"named with 403":   {always("ICAP/1.0 403 Forbidden\r\nX-Virus-ID: Evil\x1b[31m<b>\r\n\r\n"), "icap.malware message: Evil?[31m<b>"},
		"a page instead":   {blockPage, "icap.blocked message: HTTP/1.1 403 Forbidden"},
		"another content":  {func(h []byte, at string, b []byte) string { return echo(h, at, append(b, '!')) }, "icap.blocked message: it puts something else in its place"},
		"a shorter one":    {func(h []byte, at string, b []byte) string { return echo(h, at, b[1:]) }, "icap.blocked message: it puts something else in its place"},
		"nothing in place": {always("ICAP/1.0 200 OK\r\nEncapsulated: null-body=0\r\n\r\n"), "icap.blocked message: it takes the content away"},
	} {
		got, err := asked(t, start(t, &server{answer: c.answer}), "respmod", letter())
		if err != nil || strings.Join(got, ";") != c.want {
			t.Errorf("%s: %q, %v; want %q", name, got, err, c.want)
		}
	}
	early := start(t, &server{options: "Preview: 10\r\n", early: "ICAP/1.0 200 OK\r\nX-Infection-Found: Threat=Early;\r\n\r\n"})
	if got, err := asked(t, early, "respmod", letter()); err != nil || len(got) != 1 || got[0] != "icap.malware message: Early" {
		t.Errorf("found in the preview: %q, %v", got, err)
	}
}

// G-16, G-17: an answer that is not a proper answer is no opinion.
func TestAServerThatFailsOrLiesIsNeverClean(t *testing.T) {
	for name, answer := range map[string]string{
		"nothing": "", "cut off": "ICAP/1.0 204", "no end": "ICAP/1.0 204 No Content\r\nX: y\r\n", "error": "ICAP/1.0 500 Oops\r\n\r\n", "busy": "ICAP/1.0 503 Busy\r\n\r\n", "no service": "ICAP/1.0 404 No\r\n\r\n",
		"HTTP": "HTTP/1.1 204 No Content\r\n\r\n", "long": "ICAP/1.0 204 No\r\nX: " + strings.Repeat("a", maxHead) + "\r\n\r\n", "many fields": "ICAP/1.0 204 No\r\n" + strings.Repeat("X: y\r\n", 20_000) + "\r\n",
		"late continue": "ICAP/1.0 100 Continue\r\n\r\n", "odd offsets": "ICAP/1.0 200 OK\r\nEncapsulated: res-hdr=-1\r\n\r\n", "cut body": "ICAP/1.0 200 OK\r\nEncapsulated: res-body=0\r\n\r\n5\r\nFr",
		"huge offset": "ICAP/1.0 200 OK\r\nEncapsulated: res-hdr=0, res-body=99999999\r\n\r\n", "no chunk": "ICAP/1.0 200 OK\r\nEncapsulated: res-body=0\r\n\r\nzz\r\n",
	} {
		if got, err := asked(t, start(t, &server{answer: always(answer)}), "respmod", letter()); err == nil {
			t.Errorf("%s: taken for an answer: %v", name, got)
		}
	}
	hung := start(t, &server{refuse: func(conn net.Conn) bool { io.Copy(io.Discard, conn); return true }})
	a, _ := parseAddress("icap://" + hung.address)
	f := New(Config{Address: a, Method: "respmod", Timeout: 50 * time.Millisecond, MaxBytes: 1 << 20}, nil)
	if _, err := f.Check(context.Background(), letter()); err == nil || !strings.Contains(err.Error(), "timeout after 50ms") {
		t.Errorf("it hangs: %v", err)
	}
	for _, c := range f.Conditions(context.Background()) {
		if c.Err == nil || !c.Down || c.Hint == "" {
			t.Errorf("it hangs: %+v", c)
		}
	}
}

func TestWhatIsTooLargeIsUnscannable(t *testing.T) {
	s := start(t, &server{answer: always(clean)})
	got, err := asked(t, s, "respmod", letter(strings.Repeat("x", 1<<20)))
	if err != nil || len(got) != 1 || !strings.HasPrefix(got[0], "icap.unscannable.limit message") {
		t.Errorf("%v, %v", got, err)
	}
}

func TestConditionsTellHowTheServiceIs(t *testing.T) {
	a, _ := parseAddress("icap://" + start(t, &server{}).address + "/x")
	f := New(Config{Address: a, Method: "respmod", Timeout: time.Second}, nil)
	if c := f.Conditions(context.Background())[0]; c.Err != nil || c.Detail != "Test/1" {
		t.Errorf("%+v", c)
	}
}

func TestAddressesAreChecked(t *testing.T) {
	for text, host := range map[string]string{"icap://h/s": "h:1344", "icaps://h/s": "h:11344", "icap://h:99/s": "h:99", "http://h/": "", "icap:h": "", "": "", "icap://h/a b": ""} {
		a, err := parseAddress(text)
		if (err == nil) != (host != "") || a.host != host {
			t.Errorf("%q: %+v, %v", text, a, err)
		}
	}
}

func FuzzAnswer(f *testing.F) {
	f.Add(clean)
	f.Add("ICAP/1.0 200 OK\r\nX-Infection-Found: Threat=x;\r\n\r\n")
	f.Add("ICAP/1.0 200 OK\r\nEncapsulated: res-hdr=0, res-body=19\r\n\r\nHTTP/1.1 200 OK\r\n\r\n4\r\nbody\r\n0\r\n\r\n")
	f.Fuzz(func(t *testing.T, text string) {
		r := bufio.NewReaderSize(strings.NewReader(text), maxLine)
		h, err := readHead(r)
		v, err := (&Filter{}).judge(h, err, r, filters.Stream{ReaderAt: strings.NewReader("body"), Size: 4})
		if err == nil && v == (verdict{}) && h.code != 204 && !strings.Contains(text, "body") {
			t.Errorf("%q is clean", text)
		}
	})
}
