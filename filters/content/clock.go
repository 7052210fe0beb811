package content

import (
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Outlook writes the time, as Windows counts it, into what it makes up: <0008 01c24bd9 $ 1d3a5a20 $ 0a00a8c0@host> and
// ----=_NextPart_000_0009_01C24BD9.1D3A5A20.
var (
	outlookID       = regexp.MustCompile(`^[0-9a-f]{4}(01[bcd][0-9a-f]{5})\$([0-9a-f]{8})\$[0-9a-f]{8}@`)
	outlookBoundary = regexp.MustCompile(`_NextPart_[0-9A-F]{3}_[0-9A-F]{4}_(01[BCD][0-9A-F]{5})\.([0-9A-F]{8})`)
)

// wrongClock is how far the two times may be apart: a draft may lie for a while, and clocks are wrong.
const wrongClock = 15 * 24 * time.Hour

// clock compares the times of Outlook's inventions with the date.
func (g *gathered) clock() {
	for _, c := range [...]struct {
		in, where, mark string // mark stands in what form matches
		form            *regexp.Regexp
	}{{strings.ToLower(g.m.MessageID()), "header Message-ID", "$", outlookID}, {g.m.Get("Content-Type"), "header Content-Type", "_NextPart_", outlookBoundary}} {
		if !strings.Contains(c.in, c.mark) {
			continue
		}
		m := c.form.FindStringSubmatch(c.in)
		if m == nil {
			continue
		}
		date := g.m.Date()
		if date.IsZero() || g.answers {
			return
		}
		if t, ok := fileTime(m[1], m[2]); ok && (t.Sub(date) > wrongClock || date.Sub(t) > wrongClock) {
			g.sign("outlook_clock", c.where, m[0]+" tells "+t.Format(time.DateOnly))
			return
		}
	}
}

// fileTime is a time in units of 100 ns since 1601 by its two halves.
func fileTime(high, low string) (time.Time, bool) {
	n, err := strconv.ParseInt(high+low, 16, 64)
	if err != nil {
		return time.Time{}, false
	}
	const since1601 = 11_644_473_600
	return time.Unix(n/1e7-since1601, 0).UTC(), true
}

// saysAnswered reports whether the message says which one it answers. What is too long for that says nothing.
func (g *gathered) saysAnswered() bool {
	return g.m.Has("In-Reply-To", "References") && !oversize(strings.TrimSpace(g.m.Get("In-Reply-To")))
}
