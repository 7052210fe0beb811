package attach

import (
	"bytes"
	"context"
	"strings"
	"time"

	"gatepost/filters"
	"gatepost/filters/mail"
)

// Each gives out every file of a message for somebody else to look at, as Check walks through them and within the same budget:
// each part in every reading that a mail program could take, what containers and documents hold, and the text of macros. A
// Stream's Where is the part and its Name the way to the file, "a.zip > b.exe". Its bytes may be read until give returns, and the
// time that give takes costs nothing of the budget. An error of give ends the walk and is returned.
//
// blind are the findings of Check that say what could not be opened, attach.unscannable.* and the like: nobody was given that.
func (f *Filter) Each(ctx context.Context, m *mail.Message, give func(filters.Stream) error) (blind []filters.Finding, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	w := &walk{m: m, table: f.table, guess: f.cfg.Passwords, slots: f.slots, budget: budget{ctx: ctx, until: time.Now().Add(maxWall)}}
	defer w.leave()
	w.give = func(s filters.Stream) {
		if ctx.Err() != nil {
			return
		}
		begin := time.Now()
		if err := give(s); err != nil {
			cancel(err)
		}
		w.budget.until = w.budget.until.Add(time.Since(begin))
	}
	for p := range m.Parts() {
		w.handPart(p)
		if ctx.Err() != nil {
			break
		}
	}
	for _, x := range w.facts.Findings {
		if strings.HasPrefix(x.Code, "attach.unscannable.") || x.Code == "attach.archive-overlap" || x.Code == "attach.archive-corrupt" {
			blind = append(blind, x)
		}
	}
	if ctx.Err() != nil {
		return blind, context.Cause(ctx)
	}
	return blind, m.Err()
}

// handPart hands out one leaf in every reading, and what is in it.
func (w *walk) handPart(p *mail.Part) {
	readings := p.Decoded()
	for i, r := range readings {
		if i > 0 && bytes.Equal(r.Data, readings[0].Data) {
			continue
		}
		it := &item{part: p, names: p.Names(), declared: p.Type, path: []string{mail.Printable(p.Name(), 255)}, data: r.Data}
		if isProse(p) {
			w.handOver(it, it.path, p.Type, r.Data)
			continue
		}
		w.hand(it)
	}
}

// isProse reports whether a part is the text of a message, which nobody opens as a file.
func isProse(p *mail.Part) bool {
	return !p.Attachment() && p.Name() == "" && strings.HasPrefix(p.Type, "text/")
}

// hand gives out an item and all that is in it. Documents are examined as well: the files in PDF and RTF come to light there.
func (w *walk) hand(it *item) {
	w.handOver(it, it.path, it.declared, it.data)
	if w.budget.ctx.Err() != nil {
		return
	}
	w.activeSafely(it)
	w.open(it)
}

// handOver gives out data that stands at, or in, an item.
func (w *walk) handOver(it *item, path []string, kind string, data []byte) {
	if w.give == nil || len(data) == 0 {
		return
	}
	w.give(filters.Stream{
		Where: place(it.part), Name: mail.Printable(strings.Join(path, " > "), 255), Type: mail.Printable(kind, 127),
		ReaderAt: bytes.NewReader(data), Size: int64(len(data)),
	})
}
