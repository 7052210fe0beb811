package hook

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"gatepost/filters"
	"gatepost/filters/mail"
	"gatepost/filters/peer"
)

// version is the form of the documents; it grows when something in them ceases to mean what it did.
const version = 1

// A document is what the service is given. README.md explains it.
type document struct {
	Version  int           `json:"version"`
	Probe    bool          `json:"probe,omitempty"` // it is about no message
	ID       string        `json:"id,omitempty"`
	Time     *time.Time    `json:"time,omitempty"`
	Envelope *envelope     `json:"envelope,omitempty"`
	Size     int64         `json:"size"`
	Header   []headerField `json:"header,omitempty"`
	Omitted  bool          `json:"message_omitted,omitempty"`
	Cut      bool          `json:"cut,omitempty"` // some list is longer than what of it stands here

	About       *filters.MessageFacts `json:"about,omitempty"`
	Auth        *filters.Auth         `json:"auth,omitempty"`
	Attachments []filters.Attachment  `json:"attachments,omitzero"`
	URLs        []filters.URL         `json:"urls,omitzero"`
	Text        *filters.Text         `json:"text,omitempty"`
	Sender      *filters.Sender       `json:"sender,omitempty"`
	Findings    []filters.Finding     `json:"findings,omitempty"`
	NotRun      []filters.Failure     `json:"not_run,omitempty"`
}

type envelope struct {
	Client     string         `json:"client,omitempty"`
	ClientName string         `json:"client_name,omitempty"`
	Helo       string         `json:"helo,omitempty"`
	MailFrom   mail.Address   `json:"mail_from"`
	Rcpt       []mail.Address `json:"rcpt"`
	TLS        mail.TLS       `json:"tls"`
	SMTPUTF8   bool           `json:"smtputf8,omitempty"`
}

type headerField struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// The bounds of a document beside those of the facts themselves.
const (
	maxListed = 500        // elements of one list
	maxHeader = 256 << 10  // octets of fields
	pieceSize = 3 * 16_384 // octets that are encoded at once; a multiple of three
)

// describe puts together what is known of a message.
func describe(m *mail.Mail, before filters.Report, header bool) document {
	d := document{
		Version: version, Size: m.Source.Size(), About: before.Message, Auth: before.Auth, Text: before.Text, Sender: before.Sender,
		Attachments: before.Attachments, URLs: before.URLs, Findings: before.Findings, NotRun: before.Failures,
	}
	d.Attachments, d.URLs, d.Findings = cut(&d, d.Attachments), cut(&d, d.URLs), cut(&d, d.Findings)
	if e := m.Envelope; e != nil {
		d.ID, d.Time = e.ID, &e.Time
		d.Envelope = &envelope{ClientName: e.RemoteName, Helo: e.Helo, MailFrom: e.From, Rcpt: append([]mail.Address{}, e.Rcpts...), TLS: e.TLS, SMTPUTF8: e.SMTPUTF8}
		if e.Remote.IsValid() {
			d.Envelope.Client = e.Remote.String()
		}
	}
	total := 0
	for _, f := range m.Header {
		if !header {
			break
		}
		if total += len(f.Name) + len(f.Value); total > maxHeader || len(d.Header) == maxListed {
			d.Cut = true
			break
		}
		d.Header = append(d.Header, headerField{f.Name, strings.TrimSpace(mail.Unfold(f.Value))})
	}
	return d
}

// cut is as much of a list as is sent.
func cut[T any](d *document, list []T) []T {
	if len(list) > maxListed {
		d.Cut = true
		return list[:maxListed]
	}
	return list
}

// ask posts a document, with the message in it if there is one, and reads the findings of the answer. What can be read of
// an answer that breaks the rules counts beside the error.
func (f *Filter) ask(ctx context.Context, d document, raw mail.Source) ([]filters.Finding, error) {
	text, err := json.Marshal(d)
	if err != nil {
		return nil, err
	}
	body, size := compose(text, raw)
	whole, _ := body()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, f.site.URL, whole)
	if err != nil {
		return nil, err
	}
	r.GetBody, r.ContentLength = body, size
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", "Gatepost")
	if !f.cfg.Secret.IsZero() {
		r.Header.Set("Authorization", "Bearer "+f.cfg.Secret.Reveal())
	}
	b, err := peer.Reply(f.client, r, maxReply)
	if err != nil {
		return nil, err
	}
	return f.readAnswer(b)
}

// compose is the body of a request, which can be begun again, and its size: the document, and in it the message, which is
// encoded while it is sent.
func compose(text []byte, raw mail.Source) (body func() (io.ReadCloser, error), size int64) {
	if raw == nil {
		return func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(text)), nil }, int64(len(text))
	}
	const before, after = `,"message":"`, `"}`
	head := append(bytes.TrimSuffix(text, []byte("}")), before...)
	n := raw.Size()
	return func() (io.ReadCloser, error) {
		encoded := &encoder{from: io.NewSectionReader(raw, 0, n), piece: make([]byte, pieceSize)}
		return io.NopCloser(io.MultiReader(bytes.NewReader(head), encoded, strings.NewReader(after))), nil
	}, int64(len(head)+len(after)) + (n+2)/3*4
}

// An encoder reads base64 of what it reads.
type encoder struct {
	from  io.Reader
	piece []byte
	coded []byte
	out   []byte // what of coded was not read yet
	err   error
}

// Read implements io.Reader.
func (e *encoder) Read(p []byte) (int, error) {
	if len(e.out) == 0 && e.err == nil {
		var n int
		n, e.err = io.ReadFull(e.from, e.piece)
		if errors.Is(e.err, io.ErrUnexpectedEOF) {
			e.err = io.EOF
		}
		e.coded = base64.StdEncoding.AppendEncode(e.coded[:0], e.piece[:n])
		e.out = e.coded
	}
	n := copy(p, e.out)
	if e.out = e.out[n:]; n == 0 && len(p) > 0 {
		return 0, e.err
	}
	return n, nil
}

// An answer is what the service says. README.md explains it.
type answer struct {
	Version  int        `json:"version"`
	Findings *[]finding `json:"findings"`
}

type finding struct {
	Code     string   `json:"code"`
	Text     string   `json:"text"`
	Evidence []string `json:"evidence"`
}

// readAnswer reads an answer. Only a list of findings that is there, and empty, is clean; one of a code that nobody declared is
// an error beside the others.
func (f *Filter) readAnswer(b []byte) (list []filters.Finding, err error) {
	var a answer
	if err := peer.Decode(b, &a, true); err != nil {
		return nil, fmt.Errorf("read answer: %w", err)
	}
	switch {
	case a.Version != version:
		return nil, fmt.Errorf("its answer is of version %d, not %d", a.Version, version)
	case a.Findings == nil:
		return nil, errors.New("its answer has no list of findings")
	case len(*a.Findings) > maxFindings:
		return nil, fmt.Errorf("its answer has more than %d findings", maxFindings)
	}
	for _, x := range *a.Findings {
		meaning, declared := f.cfg.Codes[x.Code]
		if !declared {
			err = fmt.Errorf("it found %q, which filters.hook.codes does not declare", peer.ASCII(x.Code, maxName))
			continue
		}
		if x.Text != "" {
			meaning = mail.Printable(x.Text, maxText)
		}
		proof := []filters.Evidence{}
		for _, e := range x.Evidence[:min(len(x.Evidence), maxEvidence)] {
			proof = append(proof, filters.Evidence{Where: "hook", What: mail.Printable(e, maxProof)})
		}
		if len(proof) == 0 {
			proof = append(proof, filters.Evidence{Where: "hook", What: f.site.URL})
		}
		list = append(list, filters.Finding{Code: "hook." + x.Code, Text: meaning, Proof: proof})
	}
	return list, err
}
