package oracle

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"gatepost/gateway/db"
	"gatepost/gateway/disk"
	"gatepost/gateway/journal"
	"gatepost/gateway/quarantine"
	"gatepost/gateway/spool"
)

// A Report is what came of a run.
type Report struct {
	Letters, Accepted, Refused int
	Recipients                 int // of accepted letters
	Delivered, Quarantined     int // recipients whose letter arrived, or stands in the quarantine
	Told                       int // letters whose sender was told that somebody was refused
	Attempts, Unanswered       int // of clients; those whose client cannot know what became of them
	Kills                      map[string]int
	// Doubled by the client's window: it got no 250 and sent again. By the next hop's: its 250 did not come back to us.
	ClientWindow, HopWindow int
	Gap                     time.Duration // the longest time between a copy's arrival and the kill that had it sent again
	Restart                 time.Duration
	Took                    time.Duration
	Lines                   map[string]int // reverse-paths at the next hop
	Wrong                   []string       // what must not be
}

// blame notes something that must not be.
func (r *Report) blame(format string, args ...any) {
	r.Wrong = append(r.Wrong, fmt.Sprintf(format, args...))
}

// String is the report for people.
func (r *Report) String() string {
	var b strings.Builder
	total := 0
	var points []string
	for p, n := range r.Kills {
		total += n
		points = append(points, fmt.Sprintf("%s %d", p, n))
	}
	slices.Sort(points)
	fmt.Fprintf(&b, "%d letters in %s: %d accepted for %d recipients, %d refused; %d attempts, %d of them unanswered\n",
		r.Letters, r.Took.Round(time.Second), r.Accepted, r.Recipients, r.Refused, r.Attempts, r.Unanswered)
	fmt.Fprintf(&b, "%d kills: %s\n", total, strings.Join(points, ", "))
	fmt.Fprintf(&b, "%d delivered, %d quarantined, of %d the sender was told\n", r.Delivered, r.Quarantined, r.Told)
	fmt.Fprintf(&b, "second copies: %d by the client's window, %d by the next hop's (longest time from its reply to the kill: %s)\n",
		r.ClientWindow, r.HopWindow, r.Gap.Round(10*time.Microsecond))
	fmt.Fprintf(&b, "reverse-paths at the next hop: %v\n", r.Lines)
	fmt.Fprintf(&b, "lost, halved, doubled without cause, or not in the journal: %d\n", len(r.Wrong))
	for _, w := range r.Wrong[:min(len(r.Wrong), 20)] {
		fmt.Fprintf(&b, "  %s\n", w)
	}
	return b.String()
}

// evidence is what is there at the end.
type evidence struct {
	stories map[string]*Story             // by Message-ID
	copies  map[string][]*Copy            // likewise
	kept    map[string][]quarantine.Entry // by SHA-256
	records map[string][]*journal.Record  // by transaction
	lives   []Life
}

// judge compares what clients were told with what is there.
func judge(dir string, stories []*Story, copies []*Copy, lives []Life) (*Report, error) {
	e := &evidence{
		stories: map[string]*Story{}, copies: map[string][]*Copy{}, kept: map[string][]quarantine.Entry{},
		records: map[string][]*journal.Record{}, lives: lives,
	}
	r := &Report{Letters: len(stories), Kills: map[string]int{}}
	for _, l := range lives {
		if l.Point == "" {
			l.Point = "at random"
		}
		r.Kills[l.Point]++
	}
	for _, s := range stories {
		e.stories[s.ID] = s
	}
	told := map[string]int{}
	for _, c := range copies {
		s := e.stories[c.ID]
		switch {
		case c.From == "":
			told[strings.Trim(field(c.Data, "In-Reply-To"), "<>")]++
			continue
		case s == nil:
			r.blame("a message that nobody sent arrived: %.200q", c.Data)
			continue
		case !bytes.HasSuffix(c.Data, []byte(s.Content)) || c.Damaged:
			r.blame("letter %s arrived changed or not whole (%d bytes of %d)", c.ID, len(c.Data), len(s.Content))
		case c.Gid == "":
			r.blame("letter %s arrived without our id", c.ID)
		}
		e.copies[c.ID] = append(e.copies[c.ID], c)
	}
	if err := e.readStores(dir, r); err != nil {
		return nil, err
	}
	for id, n := range told {
		e.weighNotice(id, n, r)
	}
	for _, s := range stories {
		e.weigh(s, r)
	}
	return r, nil
}

// weighNotice judges what the sender of a letter was told: once, of a letter that stands in the quarantine. A second copy may
// come by the next hop's window, as of every message.
func (e *evidence) weighNotice(id string, n int, r *Report) {
	s := e.stories[id]
	switch {
	case s == nil:
		r.blame("a notice about %q, which nobody sent", id)
		return
	case len(e.kept[hex.EncodeToString(s.Sum[:])]) == 0:
		r.blame("a notice about %s, which is not in the quarantine", id)
	case n > 2:
		r.blame("%d notices about %s", n, id)
	}
	r.Told++
	r.HopWindow += n - 1
}

// readStores reads quarantine and journal as they are on disk.
func (e *evidence) readStores(dir string, r *Report) error {
	ctx := context.Background()
	data := filepath.Join(dir, "data")
	d, err := db.Open("sqlite:" + filepath.Join(data, "gatepost.db"))
	if err != nil {
		return err
	}
	defer d.Close()
	sp, err := spool.New(spool.Config{Dir: filepath.Join(data, "spool")})
	if err != nil {
		return err
	}
	keys, err := disk.ParseKeys(key)
	if err != nil {
		return err
	}
	q, err := quarantine.New(ctx, quarantine.Config{}, quarantine.Deps{Dir: filepath.Join(data, "quarantine"), DB: d, Spool: sp, Keys: keys})
	if err != nil {
		return err
	}
	for query := (quarantine.Query{Limit: 1000}); ; {
		list, err := q.List(ctx, query)
		if err != nil {
			return err
		}
		if len(list) == 0 {
			break
		}
		for _, x := range list {
			e.kept[x.SHA256] = append(e.kept[x.SHA256], x)
		}
		query.Before = list[len(list)-1].ID
	}
	damage, err := q.Verify(ctx, nil)
	if err != nil {
		return err
	}
	for _, x := range damage {
		r.blame("quarantine entry %s: %s", x.ID, x.Error)
	}
	known := map[string]bool{}
	for _, s := range e.stories {
		known[hex.EncodeToString(s.Sum[:])] = true
	}
	for sum, list := range e.kept {
		if !known[sum] {
			r.blame("the quarantine has %s, which nobody sent", list[0].ID)
		}
		if err := readThrough(ctx, q, list[0]); err != nil {
			r.blame("quarantine entry %s: %v", list[0].ID, err)
		}
	}
	return journal.NewReader(filepath.Join(data, "journal")).Scan(ctx, time.Time{}, time.Time{}, func(rec *journal.Record) error {
		e.records[rec.ID] = append(e.records[rec.ID], rec)
		return nil
	})
}

// readThrough opens an entry as a reviewer would.
func readThrough(ctx context.Context, q *quarantine.Store, x quarantine.Entry) error {
	c, err := q.Open(ctx, x.ID)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, io.NewSectionReader(c, 0, c.Size()))
	if cerr := c.Close(); err == nil {
		err = cerr
	}
	return err
}

// weigh judges one letter.
func (e *evidence) weigh(s *Story, r *Report) {
	doubts := 0 // attempts that may have left something behind
	open := 0   // attempts that the gateway answered with "later", which may have left a copy whose reply it did not get
	for _, a := range s.Attempts {
		r.Attempts++
		switch {
		case a.unanswered():
			doubts++
			r.Unanswered++
		case a.Dotted && a.Code/100 == 4:
			open++
		}
	}
	id := s.id()
	if s.last().Code != 250 {
		r.Refused++
	} else {
		r.Accepted++
		if s.Fate == Refused {
			r.blame("letter %s was to be refused, and was accepted", s.ID)
		}
		e.checkRecords(s, id, r)
	}
	entries := e.kept[hex.EncodeToString(s.Sum[:])]
	for _, rcpt := range s.Rcpts {
		e.weighCopy(s, rcpt, id, entries, r)
	}
	// Every transaction beyond the one that was accepted must be one of those that the client knows nothing of.
	others, unread := map[string]bool{}, map[string]bool{}
	for _, c := range e.copies[s.ID] {
		if c.Gid != id {
			others[c.Gid] = true
			unread[c.Gid] = !c.Known
		}
	}
	plain := 0 // those that cannot be explained by a reply of the next hop that was lost
	for gid := range others {
		if !unread[gid] {
			plain++
		}
	}
	if plain > doubts || len(others) > doubts+open {
		r.blame("letter %s arrived in %d transactions beside %q, with %d attempts unanswered and %d put off", s.ID, len(others), id, doubts, open)
	}
}

// weighCopy judges what one recipient of a letter has.
func (e *evidence) weighCopy(s *Story, rcpt, id string, entries []quarantine.Entry, r *Report) {
	byGid := map[string][]*Copy{}
	for _, c := range e.copies[s.ID] {
		if slices.Contains(c.Rcpts, rcpt) {
			byGid[c.Gid] = append(byGid[c.Gid], c)
		}
	}
	held := 0
	for _, x := range entries {
		if slices.ContainsFunc(x.Rcpts, func(q quarantine.Recipient) bool { return q.Address == rcpt && q.State == quarantine.Waiting }) {
			held++
		}
	}
	if id == "" { // refused for good: what is there must come from attempts before, and weigh counts those
		return
	}
	r.Recipients++
	switch {
	case len(byGid[id]) > 0:
		r.Delivered++
		if held > 0 && len(byGid) == 1 && !slices.ContainsFunc(s.Attempts, Attempt.unanswered) {
			r.blame("letter %s is delivered to %s and in the quarantine for it", s.ID, rcpt)
		}
	case held > 0:
		r.Quarantined++
	case len(byGid) > 0:
		r.blame("letter %s reached %s only in a transaction that the client was not told of", s.ID, rcpt)
	default:
		r.blame("letter %s was accepted for %s (transaction %s) and is LOST", s.ID, rcpt, id)
	}
	r.ClientWindow += max(0, len(byGid)-min(1, len(byGid[id])))
	if held > 1 || held > 0 && len(byGid) > 0 {
		r.ClientWindow++
		if n := held + len(byGid) - 1; n > len(s.Attempts)-1 {
			r.blame("letter %s has %d copies for %s after %d attempts", s.ID, n+1, rcpt, len(s.Attempts))
		}
	}
	for gid, list := range byGid {
		for i, c := range list[:len(list)-1] {
			r.HopWindow++
			if c.Known {
				gap, ok := e.killAfter(c.At, list[i+1].At)
				if !ok {
					r.blame("letter %s came again to %s in transaction %s although its reply was read and nothing was killed", s.ID, rcpt, gid)
				}
				r.Gap = max(r.Gap, gap)
			}
		}
	}
	switch s.Fate {
	case Kept:
		if len(byGid) > 0 {
			r.blame("letter %s was to be kept, and was delivered", s.ID)
		}
	case Passes:
		if rcpt == Nobody && len(byGid[id]) > 0 {
			r.blame("letter %s reached nobody", s.ID)
		}
	}
}

// killAfter is how long after a moment the gateway was killed, if that was before another.
func (e *evidence) killAfter(at, before time.Time) (time.Duration, bool) {
	for _, l := range e.lives {
		if l.Ended.After(at) && l.Ended.Before(before) {
			return l.Ended.Sub(at), true
		}
	}
	return 0, false
}

// checkRecords looks whether the journal tells of an accepted letter, and of the end of each recipient's copy.
func (e *evidence) checkRecords(s *Story, id string, r *Report) {
	end := map[string][]string{}
	accepted := 0
	for _, rec := range e.records[id] {
		if rec.Kind == journal.Message {
			accepted++
		}
		for _, f := range rec.Fates {
			end[f.Rcpt] = append(end[f.Rcpt], f.Fate)
		}
	}
	if accepted != 1 {
		r.blame("the journal has %d records of transaction %s, in which letter %s was accepted", accepted, id, s.ID)
	}
	for _, rcpt := range s.Rcpts {
		ends := 0
		for _, f := range slices.Compact(end[rcpt]) {
			if f == "delivered" || f == "quarantined" {
				ends++
			}
		}
		if ends != 1 {
			r.blame("the journal does not tell one end of letter %s for %s: %v", s.ID, rcpt, end[rcpt])
		}
	}
}
