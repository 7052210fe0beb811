package icap

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"

	"gatepost/filters"
	"gatepost/filters/mail"
)

// The wire's bounds.
const (
	maxHead    = 64 << 10 // octets of one header block
	maxLine    = 8 << 10
	chunkSize  = 64 << 10
	maxPreview = 1 << 20
	optionsAge = 5 * time.Minute // how long an answer to OPTIONS is believed, if it does not say less
)

// options are what a service says of itself (RFC 3507 section 4.10.2).
type options struct {
	methods string
	service string
	preview int // octets; -1: it wants none
	age     time.Duration
}

// allows reports whether the service takes a method. One that names none is believed to.
func (o options) allows(method string) bool {
	return o.methods == "" || strings.Contains(o.methods, method)
}

// A verdict is what the server thinks of one stream.
type verdict struct {
	threat  string // the name of what it found
	blocked string // why it would not let it pass, if it names no threat
}

// dial opens a connection that ends with ctx.
func (f *Filter) dial(ctx context.Context) (net.Conn, func(), error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", f.cfg.Address.host)
	if err == nil && f.cfg.Address.secure {
		c := f.roots.Clone()
		if c == nil {
			c = &tls.Config{}
		}
		c.ServerName, _, _ = net.SplitHostPort(f.cfg.Address.host)
		secured := tls.Client(conn, c)
		if err = secured.HandshakeContext(ctx); err != nil {
			conn.Close()
		}
		conn = secured
	}
	if err != nil {
		return nil, nil, f.told(ctx, "connect", err)
	}
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	return conn, func() { stop(); conn.Close() }, nil
}

// told says what went wrong: why ctx ended, if that is why.
func (f *Filter) told(ctx context.Context, what string, err error) error {
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return fmt.Errorf("%s ICAP server %s: %w", what, f.cfg.Address.host, err)
}

// knows is what the server can do, as it said of late.
func (f *Filter) knows(ctx context.Context) (options, error) {
	f.mu.Lock()
	o, asked := f.options, f.asked
	f.mu.Unlock()
	if !asked.IsZero() && time.Since(asked) < o.age {
		return o, nil
	}
	o, err := f.askOptions(ctx)
	if err != nil {
		return o, err
	}
	f.mu.Lock()
	f.options, f.asked = o, time.Now()
	f.mu.Unlock()
	return o, nil
}

// askOptions asks the service what it can do.
func (f *Filter) askOptions(ctx context.Context) (o options, err error) {
	conn, end, err := f.dial(ctx)
	if err != nil {
		return o, err
	}
	defer end()
	if _, err := io.WriteString(conn, "OPTIONS "+f.cfg.Address.URL+" ICAP/1.0\r\nHost: "+f.cfg.Address.host+"\r\nEncapsulated: null-body=0\r\n\r\n"); err != nil {
		return o, f.told(ctx, "ask", err)
	}
	head, err := readHead(bufio.NewReaderSize(conn, maxLine))
	if err == nil && head.code != 200 {
		err = fmt.Errorf("it said %q to OPTIONS", head.status)
	}
	if err != nil {
		return o, f.told(ctx, "ask", err)
	}
	o = options{methods: strings.ToUpper(head.fields["methods"]), service: head.fields["service"], preview: -1, age: optionsAge}
	if n, err := strconv.Atoi(head.fields["preview"]); err == nil && n >= 0 {
		o.preview = min(n, maxPreview)
	}
	if n, err := strconv.Atoi(head.fields["options-ttl"]); err == nil && n >= 0 {
		o.age = min(time.Duration(n)*time.Second, optionsAge)
	}
	return o, nil
}

// ask shows the server one stream.
func (f *Filter) ask(ctx context.Context, s filters.Stream) (verdict, error) {
	o, err := f.knows(ctx)
	if err != nil {
		return verdict{}, err
	}
	conn, end, err := f.dial(ctx)
	if err != nil {
		return verdict{}, err
	}
	defer end()
	v, err := f.exchange(conn, s, o)
	if err != nil {
		return verdict{}, f.told(ctx, "scan by", err)
	}
	return v, nil
}

// request is the head of a request with what it encapsulates up to the body (RFC 3507 section 4.4.1). Nothing of the message's
// names stands in it.
func (f *Filter) request(s filters.Stream, o options) string {
	content := fmt.Sprintf("Content-Type: %s\r\nContent-Length: %d\r\n\r\n", mediaType(s.Type), s.Size)
	encapsulated := ""
	http := "GET http://gatepost.invalid/attachment HTTP/1.1\r\nHost: gatepost.invalid\r\n\r\n"
	if f.method() == "REQMOD" {
		http = "POST http://gatepost.invalid/attachment HTTP/1.1\r\nHost: gatepost.invalid\r\n" + content
		encapsulated = fmt.Sprintf("req-hdr=0, req-body=%d", len(http))
	} else {
		answer := "HTTP/1.1 200 OK\r\n" + content
		encapsulated = fmt.Sprintf("req-hdr=0, res-hdr=%d, res-body=%d", len(http), len(http)+len(answer))
		http += answer
	}
	head := f.method() + " " + f.cfg.Address.URL + " ICAP/1.0\r\nHost: " + f.cfg.Address.host + "\r\nUser-Agent: Gatepost\r\nAllow: 204\r\nConnection: close\r\nEncapsulated: " + encapsulated + "\r\n"
	if o.preview >= 0 {
		head += fmt.Sprintf("Preview: %d\r\n", min(int64(o.preview), s.Size))
	}
	return head + "\r\n" + http
}

// mediaType is a declared type that can stand in a header.
func mediaType(s string) string {
	if s == "" || len(s) > 100 || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "application/octet-stream"
	}
	return s
}

// exchange sends the stream, first as much as the server wants to see before it decides, and reads what it thinks.
func (f *Filter) exchange(conn io.ReadWriter, s filters.Stream, o options) (verdict, error) {
	w, r := bufio.NewWriterSize(conn, 4<<10), bufio.NewReaderSize(conn, maxLine)
	io.WriteString(w, f.request(s, o))
	sent := int64(0)
	if o.preview >= 0 {
		sent = min(int64(o.preview), s.Size)
		if err := writeChunks(w, io.NewSectionReader(s, 0, sent)); err != nil {
			return verdict{}, err
		}
		last := "0\r\n\r\n"
		if sent == s.Size {
			last = "0; ieof\r\n\r\n" // RFC 3507 section 4.5: there is no more
		}
		io.WriteString(w, last)
		if err := w.Flush(); err != nil {
			return verdict{}, err
		}
		head, err := readHead(r)
		if err != nil || head.code != 100 {
			return f.judge(head, err, r, s)
		}
		if sent == s.Size {
			return verdict{}, errors.New("it wants more than there is")
		}
	}
	writeErr := writeChunks(w, io.NewSectionReader(s, sent, s.Size-sent))
	io.WriteString(w, "0\r\n\r\n")
	if err := w.Flush(); writeErr == nil {
		writeErr = err
	}
	head, err := readHead(r) // the server may have answered before it had the whole, and not have read the rest
	if err != nil && writeErr != nil {
		return verdict{}, writeErr
	}
	v, err := f.judge(head, err, r, s)
	if err == nil && writeErr != nil && v == (verdict{}) {
		return v, writeErr
	}
	return v, err
}

// writeChunks writes in the chunked coding, without its end.
func writeChunks(w io.Writer, r io.Reader) error {
	buf := make([]byte, chunkSize)
	for {
		n, err := io.ReadFull(r, buf)
		if n > 0 {
			if _, err := fmt.Fprintf(w, "%x\r\n%s\r\n", n, buf[:n]); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read message: %w", err)
		}
	}
}

// A head is a status line with its fields.
type head struct {
	status string
	code   int
	fields map[string]string // by lower-case name
}

// readHead reads the head of an answer.
func readHead(r *bufio.Reader) (head, error) {
	h := head{fields: map[string]string{}}
	total := 0
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return h, fmt.Errorf("read answer: %w", err)
		}
		if total += len(line); total > maxHead {
			return h, fmt.Errorf("the answer's head is longer than %d bytes", maxHead)
		}
		text := strings.TrimRight(string(line), "\r\n")
		switch {
		case h.status == "":
			h.status = mail.Printable(text, 100)
			if words := strings.Fields(text); len(words) >= 2 && strings.HasPrefix(words[0], "ICAP/1.") {
				h.code, _ = strconv.Atoi(words[1])
			}
			if h.code == 0 {
				return h, fmt.Errorf("it said %q", h.status)
			}
		case text == "":
			return h, nil
		default:
			name, value, _ := strings.Cut(text, ":")
			h.fields[strings.ToLower(strings.TrimSpace(name))] = strings.TrimSpace(value)
		}
	}
}

// judge reads an answer. Only 204, and 200 with the very content that was sent, are clean.
func (f *Filter) judge(h head, err error, r *bufio.Reader, s filters.Stream) (verdict, error) {
	if err != nil {
		return verdict{}, err
	}
	if threat := threatOf(h.fields); threat != "" {
		return verdict{threat: threat}, nil
	}
	switch h.code {
	case 204:
		return verdict{}, nil
	case 200:
		return changed(h, r, s)
	}
	return verdict{}, fmt.Errorf("it said %q", h.status)
}

// threatOf is the name of what was found, in the fields that scanners use (draft-stecher-icap-subid).
func threatOf(fields map[string]string) string {
	if v := fields["x-infection-found"]; v != "" {
		for _, p := range strings.Split(v, ";") {
			if name, ok := strings.CutPrefix(strings.TrimSpace(p), "Threat="); ok && name != "" {
				return mail.Printable(name, 80)
			}
		}
		return mail.Printable(v, 80)
	}
	for _, name := range []string{"x-virus-id", "x-violations-found", "x-virus-name"} {
		if v := fields[name]; v != "" && !strings.EqualFold(v, "no threats") && v != "0" {
			return mail.Printable(v, 80)
		}
	}
	return ""
}

// changed compares what came back with what was sent: a server without 204 sends the content back, one that blocks sends
// something else.
func changed(h head, r *bufio.Reader, s filters.Stream) (verdict, error) {
	size, body, status := 0, false, false
	for _, p := range strings.Split(h.fields["encapsulated"], ",") {
		name, at, _ := strings.Cut(strings.TrimSpace(p), "=")
		n, err := strconv.Atoi(at)
		if err != nil || n < 0 || n > maxHead {
			return verdict{}, errors.New("its Encapsulated field cannot be read")
		}
		status = status || name == "res-hdr"
		body = body || name == "res-body" || name == "req-body"
		size = max(size, n)
	}
	heads := make([]byte, size)
	if _, err := io.ReadFull(r, heads); err != nil {
		return verdict{}, fmt.Errorf("read answer: %w", err)
	}
	line, _, _ := bytes.Cut(heads, []byte("\r\n"))
	if status && !bytes.Contains(line, []byte(" 200")) {
		return verdict{blocked: mail.Printable(string(line), 100)}, nil
	}
	if !body {
		return verdict{blocked: "it takes the content away"}, nil
	}
	same, err := compare(r, io.NewSectionReader(s, 0, s.Size))
	if err != nil || same {
		return verdict{}, err
	}
	return verdict{blocked: "it puts something else in its place"}, nil
}

// compare reads a chunked body as far as it is what was sent.
func compare(r *bufio.Reader, sent io.Reader) (same bool, err error) {
	want := bufio.NewReaderSize(sent, chunkSize)
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return false, fmt.Errorf("read answer: %w", err)
		}
		digits, _, _ := strings.Cut(strings.TrimSpace(string(line)), ";")
		n, err := strconv.ParseInt(digits, 16, 63)
		if err != nil || n < 0 {
			return false, errors.New("a chunk has no length")
		}
		if n == 0 {
			_, err := want.ReadByte()
			return errors.Is(err, io.EOF), nil
		}
		for ; n > 0; n-- {
			got, err := r.ReadByte()
			if err != nil {
				return false, fmt.Errorf("read answer: %w", err)
			}
			if c, err := want.ReadByte(); err != nil || c != got {
				return false, nil
			}
		}
		if _, err := r.Discard(2); err != nil {
			return false, fmt.Errorf("read answer: %w", err)
		}
	}
}
