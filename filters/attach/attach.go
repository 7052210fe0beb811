package attach

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"gatepost/filters"
	"gatepost/filters/mail"
)

// Config is the filter's section.
type Config struct{}

// A Filter is the attach filter. It keeps no state.
type Filter struct{}

// New makes the filter.
func New(Config) *Filter { return &Filter{} }

// Check implements filters.Filter. Facts.Attachments is never nil after it looked.
func (*Filter) Check(ctx context.Context, m *mail.Mail) (filters.Facts, error) {
	facts := filters.Facts{Attachments: []filters.Attachment{}}
	for p := range m.Parts() {
		if err := ctx.Err(); err != nil {
			return facts, err
		}
		look(p, &facts)
	}
	return facts, m.Err()
}

// look examines one leaf in every reading that a mail program could take.
func look(p *mail.Part, facts *filters.Facts) {
	readings := p.Decoded()
	for _, r := range readings {
		if i := indexEICAR(r.Data); i >= 0 {
			facts.Findings = append(facts.Findings, finding(p, "attach.eicar", "The EICAR test file, which every scanner must find.", fmt.Sprintf("%s, read as %s, at byte %d", label(p), r.How, i)))
			break
		}
	}
	if !p.Attachment() && p.Name() == "" && strings.HasPrefix(p.Type, "text/") {
		return
	}
	if len(readings) == 0 {
		return
	}
	a := describe(p, readings[0].Data)
	if kind := executable(readings); kind != "" {
		a.Executable = true
		facts.Findings = append(facts.Findings, finding(p, "attach.executable", "An attachment is a program by its content.", fmt.Sprintf("%s: %s", label(p), kind)))
	}
	if outer, inner, ok := doubleExtension(a.Names); ok {
		facts.Findings = append(facts.Findings, finding(p, "attach.double-extension", "A dangerous file name pretends to be a harmless one.", fmt.Sprintf("%s: .%s behind .%s", label(p), inner, outer)))
	}
	if macros(readings) {
		a.Macro = true
		facts.Findings = append(facts.Findings, finding(p, "attach.macro", "An office document holds macros.", label(p)))
	}
	facts.Attachments = append(facts.Attachments, a)
}

// describe states what a part is.
func describe(p *mail.Part, data []byte) filters.Attachment {
	sum := sha256.Sum256(data)
	a := filters.Attachment{
		Name: mail.Printable(p.Name(), 255), Type: typeOf(data), Declared: mail.Printable(p.Type, 127),
		Size: int64(len(data)), SHA256: hex.EncodeToString(sum[:]),
	}
	for _, n := range p.Names() {
		a.Names = append(a.Names, mail.Printable(n, 255))
	}
	a.Path = []string{a.Name}
	return a
}

// label names a part for people.
func label(p *mail.Part) string {
	if n := p.Name(); n != "" {
		return mail.Printable(n, 100)
	}
	return "part " + p.Path()
}

// finding makes a finding about a part.
func finding(p *mail.Part, code, text, what string) filters.Finding {
	return filters.Finding{Code: code, Text: text, Proof: []filters.Evidence{{
		Where: "part " + p.Path(), At: &[2]int64{p.Body.Start, p.Body.End - p.Body.Start}, What: mail.Printable(what, 200),
	}}}
}

// indexEICAR finds the test file. Its text is put together here so that this program is not taken for it.
func indexEICAR(b []byte) int {
	return bytes.Index(b, []byte(`X5O!P%@AP[4\PZX54(P^)7CC)7}$`+`EICAR-STANDARD-ANTIVIRUS-`+`TEST-FILE!$H+H*`))
}
