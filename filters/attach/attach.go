package attach

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"time"

	"gatepost/filters"
	"gatepost/filters/mail"
	"gatepost/rules/danger"
	"gatepost/rules/hashlist"
)

// Config is the filter's section.
type Config struct {
	Blocked   []hashlist.List `yaml:"block_hashes" default:"[]" doc:"Lists of files that are malware, wherever they stand: in each line a SHA-256 or an ssdeep hash, then a name, then perhaps until=YYYY-MM-DD."`
	Passwords bool            `yaml:"try_passwords" doc:"Try the words of a message's text as passwords of its encrypted archives."`
}

// A Filter is the attach filter. It remembers nothing of messages.
type Filter struct {
	cfg   Config
	table danger.Table
	slots chan struct{} // one for each message whose containers may be open at once: each may take a window and an entry of memory
	err   error
}

// New makes the filter.
func New(cfg Config) *Filter {
	table, err := danger.Shipped()
	return &Filter{cfg, table, make(chan struct{}, max(2, runtime.GOMAXPROCS(0))), err}
}

// Check implements filters.Filter. Facts.Attachments is never nil after it looked.
func (f *Filter) Check(ctx context.Context, m *mail.Mail) (filters.Facts, error) {
	w := &walk{m: m.Message, table: f.table, blocked: f.cfg.Blocked, guess: f.cfg.Passwords, slots: f.slots, budget: budget{ctx: ctx, until: time.Now().Add(maxWall)}}
	defer w.leave()
	w.facts.Attachments = []filters.Attachment{}
	if f.err != nil {
		return w.facts, fmt.Errorf("load dangerous extensions: %w", f.err)
	}
	for p := range m.Parts() {
		if err := ctx.Err(); err != nil {
			return w.facts, err
		}
		w.part(p)
	}
	if err := ctx.Err(); err != nil {
		return w.facts, err
	}
	return w.facts, m.Err()
}

// A walk is the examination of one message.
type walk struct {
	m       *mail.Message
	table   danger.Table
	blocked []hashlist.List
	budget  budget
	facts   filters.Facts
	said    map[string]int // findings by code
	slots   chan struct{}
	inside  bool     // one of slots is taken
	guess   bool     // passwords may be tried
	tried   []string // the words of the text, once they were needed
	tries   int
	give    func(filters.Stream) // for Each: takes every file; nil when the files are examined here
}

// enter waits for its turn to open containers. The wait costs nothing of the message's own time.
func (w *walk) enter() error {
	if w.inside || w.slots == nil {
		return nil
	}
	waiting := time.Now()
	select {
	case w.slots <- struct{}{}:
		w.inside = true
		w.budget.until = w.budget.until.Add(time.Since(waiting))
		return nil
	case <-w.budget.ctx.Done():
		return w.budget.ctx.Err()
	}
}

// leave gives the turn back.
func (w *walk) leave() {
	if w.inside {
		<-w.slots
	}
}

// An item is one thing that a person could open: a part, or a member of a container.
type item struct {
	part     *mail.Part
	names    []string
	declared string
	path     []string // of containers and the item itself
	data     []byte
	office   bool // a member of an office document, which nobody opens by itself
}

// part examines one leaf in every reading that a mail program could take.
func (w *walk) part(p *mail.Part) {
	readings := p.Decoded()
	plain := isProse(p)
	for i, r := range readings {
		it := &item{part: p, names: p.Names(), declared: p.Type, path: []string{mail.Printable(p.Name(), 255)}, data: r.Data}
		if plain {
			w.eicar(it)
			if p.Type != "text/plain" || program(r.Data) != "" {
				w.activeSafely(it)
			}
			continue
		}
		if i > 0 && bytes.Equal(r.Data, readings[0].Data) {
			continue
		}
		if i == 0 {
			w.examineFields(it)
		}
		w.look(it, i == 0)
	}
}

// member examines what a container holds, one level deeper.
func (w *walk) member(outer *item, name string, data []byte) {
	path := append(append([]string{}, outer.path...), mail.Printable(name, 255))
	w.look(&item{part: outer.part, names: []string{name}, path: path, data: data, office: outer.office}, !outer.office)
}

// look examines one item and all that is in it.
func (w *walk) look(it *item, list bool) {
	if w.give != nil {
		w.hand(it)
		return
	}
	sum := sha256.Sum256(it.data)
	a := describe(it, sum)
	w.listed(it, sum)
	bookmark := isBookmark(it.data)
	if class := w.examineNames(it); (class.Runs() || class == danger.Source) && !it.office && !(bookmark && class == danger.Shortcut) {
		w.named(it, class)
	}
	w.eicar(it)
	if kind := program(it.data); kind != "" || bookmark {
		code, text := "attach.executable", "An attachment is a program by its content."
		switch {
		case bookmark:
			code, text = "attach.bookmark", "An attachment is a shortcut to a page of the web."
			kind = "Internet shortcut (URL)"
		case strings.Contains(kind, "shortcut"):
			code, text = "attach.shortcut", "An attachment is a shortcut that runs something."
		case kind == interpreted:
			code, text = "attach.source", "An attachment is the text of a program for an interpreter."
		}
		a.Executable = code != "attach.source" && !bookmark
		w.find(it, code, text, starts(kind, it.data))
	}
	if isISO(it.data) || diskImage(it.data) != "" {
		w.find(it, "attach.disk-image", "An attachment is a disk image, whose files escape the marks of the web.", "by its content")
	}
	w.mismatch(it, a.Type)
	before := maps.Clone(w.said)
	w.activeSafely(it)
	w.open(it)
	for _, code := range slices.Sorted(maps.Keys(w.said)) {
		if w.said[code] == before[code] {
			continue
		}
		d := strings.TrimPrefix(code, "attach.")
		a.Macro = a.Macro || d == "macro" || d == "macro-auto"
		a.Encrypted = a.Encrypted || d == "encrypted"
		if strings.HasPrefix(d, "archive-") || strings.HasPrefix(d, "unscannable") {
			a.Defects = append(a.Defects, d)
		}
	}
	if list && len(w.facts.Attachments) < maxListed {
		w.facts.Attachments = append(w.facts.Attachments, a)
	}
}

// activeSafely is active, and what crashes it could not be looked into.
func (w *walk) activeSafely(it *item) {
	if err := w.guard(func(it *item) error { w.active(it); return nil }, it); err != nil {
		w.blind(it, "document", err)
	}
}

// named states what opening the item would do by its name alone.
func (w *walk) named(it *item, class danger.Class) {
	code := map[danger.Class]string{danger.Program: "attach.executable-name", danger.Script: "attach.script", danger.Shortcut: "attach.shortcut", danger.DiskImage: "attach.disk-image", danger.Source: "attach.source"}[class]
	w.find(it, code, "By its name an attachment is a "+string(class)+".", strings.Join(it.names, " | "))
}

// mismatch compares the content with what the part declares.
func (w *walk) mismatch(it *item, kind string) {
	for _, n := range it.names {
		if !strings.HasSuffix(fold(n), ".zip") {
			continue
		}
		if format, _ := w.container(it.data); format == "" {
			w.find(it, "attach.type-mismatch", "The declared type is not what the content is.", n+" is "+kind)
		}
	}
	declared, _, _ := strings.Cut(it.declared, "/")
	actual, _, _ := strings.Cut(kind, "/")
	if declared == "image" || declared == "audio" || declared == "video" {
		if actual != declared && len(it.data) > 0 && kind != "application/octet-stream" {
			w.find(it, "attach.type-mismatch", "The declared type is not what the content is.", it.declared+" is "+kind)
		}
	}
}

// describe states what an item is.
func describe(it *item, sum [sha256.Size]byte) filters.Attachment {
	a := filters.Attachment{
		Name: it.path[len(it.path)-1], Path: it.path, Type: typeOf(it.data), Declared: mail.Printable(it.declared, 127),
		Size: int64(len(it.data)), SHA256: hex.EncodeToString(sum[:]),
	}
	for _, n := range it.names {
		a.Names = append(a.Names, mail.Printable(n, 255))
	}
	return a
}

// listed looks the content up in the site's lists.
func (w *walk) listed(it *item, sum [sha256.Size]byte) {
	for i := range w.blocked {
		if m, ok := w.blocked[i].Find(sum, it.data, time.Now()); ok {
			w.find(it, "attach.malware", "An attachment is on a list of malware.", m.String())
		}
	}
}

// eicar finds the test file. Its text is put together here so that this program is not taken for it.
func (w *walk) eicar(it *item) {
	if i := bytes.Index(it.data, []byte(`X5O!P%@AP[4\PZX54(P^)7CC)7}$`+`EICAR-STANDARD-ANTIVIRUS-`+`TEST-FILE!$H+H*`)); i >= 0 {
		w.find(it, "attach.eicar", "The EICAR test file, which every scanner must find.", fmt.Sprintf("at byte %d", i))
	}
}

// place names a part for people: a message that has only one has no number for it.
func place(p *mail.Part) string {
	if p.Path() == "" {
		return "body"
	}
	return "part " + p.Path()
}

// find states a finding about an item, at most maxPerCode times per code.
func (w *walk) find(it *item, code, text, what string) {
	if w.said == nil {
		w.said = map[string]int{}
	}
	if w.said[code]++; w.said[code] > maxPerCode {
		return
	}
	label := mail.Printable(strings.Join(it.path, " > "), 100)
	if label == "" {
		label = place(it.part)
	}
	w.facts.Findings = append(w.facts.Findings, filters.Finding{Code: code, Text: text, Proof: []filters.Evidence{{
		Where: place(it.part), At: &[2]int64{it.part.Body.Start, it.part.Body.End - it.part.Body.Start},
		What: mail.Printable(label+": "+what, 200),
	}}})
}

// blind states that something could not be looked into, and why.
func (w *walk) blind(it *item, format string, err error) {
	var limit limitError
	switch {
	case errors.As(err, &limit):
		w.find(it, "attach.unscannable.limit", "An attachment needs more than the gateway spends on one message, so not all of it was seen.", format+": "+err.Error())
	case w.budget.ctx.Err() != nil:
		// The caller hears of it from Check.
	default:
		w.find(it, "attach.unscannable.corrupt", "An attachment is broken, so not all of it was seen.", format+": "+err.Error())
	}
}
