package quarantine

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"strings"

	"gatepost/gateway/db"
	"gatepost/gateway/spool"
	"gatepost/policy"
)

// A View is the quarantine as some owners see it: only entries with a copy of theirs, and of these only their own
// copies. What is not theirs is ErrNotFound like what is not there (P-23).
type View struct {
	s      *Store
	all    bool
	owners []string // canonical addresses, or "@domain"
}

// For is the view of these owners: addresses, or "@example.com" for all of a domain. Without owners it is empty.
func (s *Store) For(owners ...string) View {
	v := View{s: s}
	for _, o := range owners {
		if domain, ok := strings.CutPrefix(o, "@"); ok {
			v.owners = append(v.owners, "@"+strings.ToLower(domain))
			continue
		}
		owner, _ := ownerOf(o)
		v.owners = append(v.owners, owner)
	}
	return v
}

// A cond is SQL with its arguments.
type cond struct {
	sql  []string
	args []any
}

func (c *cond) and(sql string, args ...any) {
	c.sql = append(c.sql, sql)
	c.args = append(c.args, args...)
}

// where is all of c.
func (c *cond) where() string {
	if len(c.sql) == 0 {
		return "TRUE"
	}
	return strings.Join(c.sql, " AND ")
}

// copies restricts r, a row of recipients, to the view.
func (v View) copies() cond {
	var c cond
	if v.all {
		return c
	}
	either := []string{"FALSE"}
	var args []any
	for _, o := range v.owners {
		if domain, ok := strings.CutPrefix(o, "@"); ok {
			either, args = append(either, "r.domain = ?"), append(args, domain)
		} else {
			either, args = append(either, "r.owner = ?"), append(args, o)
		}
	}
	c.and("("+strings.Join(either, " OR ")+")", args...)
	return c
}

// entries restricts e, a row of entries, to the view and the query but for its words.
func (v View) entries(q Query) cond {
	var c cond
	r := v.copies()
	if q.State != "" {
		r.and("r.state = ?", string(q.State))
		if q.State != Waiting {
			r.and("r.state <> 'waiting'") // so that the index of the few is used
		}
	}
	if q.Recipient != "" {
		owner, _ := ownerOf(q.Recipient)
		r.and("r.owner = ?", owner)
	}
	switch {
	case len(r.sql) == 0:
	case q.State == Waiting && v.all && q.Recipient == "": // nearly all are: look at each, do not collect them
		c.and("EXISTS (SELECT 1 FROM recipients r WHERE r.entry = e.seq AND "+r.where()+")", r.args...)
	default:
		c.and("e.seq IN (SELECT r.entry FROM recipients r WHERE "+r.where()+")", r.args...)
	}
	if q.Class != "" {
		c.and("e.class = ?", string(q.Class))
	}
	if !q.Since.IsZero() {
		c.and("e.time >= ?", q.Since.UnixMilli())
	}
	if !q.Until.IsZero() {
		c.and("e.time < ?", q.Until.UnixMilli())
	}
	if q.Before != "" {
		c.and("e.id < ?", q.Before)
	}
	return c
}

// words are the folded words of a search, at most eight.
func words(text string) []string {
	w := strings.Fields(strings.ToLower(text))
	return w[:min(len(w), 8)]
}

const columns = `e.seq, e.id, e.time, e.expires, e.class, e.refused, e.score, e.mail_from, e.author, e.name, e.subject,
	e.size, e.sha256, e.client, e.helo, e.reason, e.code`

// List returns what the query selects, newest first, without results.
func (v View) List(ctx context.Context, q Query) ([]Entry, error) {
	if q.Limit <= 0 {
		q.Limit = 50
	}
	c := v.entries(q)
	if err := v.search(ctx, &c, q.Text); err != nil {
		return nil, fmt.Errorf("list quarantine: %w", err)
	}
	rows, err := v.s.db.Query(ctx, "SELECT "+columns+" FROM entries e WHERE "+c.where()+" ORDER BY e.id DESC LIMIT ?",
		append(c.args, min(q.Limit, 1000))...)
	if err != nil {
		return nil, fmt.Errorf("list quarantine: %w", err)
	}
	list, seqs, err := scan(rows)
	if err == nil {
		err = v.addCopies(ctx, list, seqs)
	}
	if err != nil {
		return nil, fmt.Errorf("list quarantine: %w", err)
	}
	return list, nil
}

// Count is how many entries the query selects, whatever its page, but no more than most: beyond, nobody counts.
func (v View) Count(ctx context.Context, q Query, most int) (n int, err error) {
	q.Before = ""
	c := v.entries(q)
	if err := v.search(ctx, &c, q.Text); err != nil {
		return 0, fmt.Errorf("count quarantine: %w", err)
	}
	err = v.s.db.QueryRow(ctx, "SELECT count(*) FROM (SELECT 1 FROM entries e WHERE "+c.where()+" LIMIT ?) AS newest", append(c.args, most)...).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("count quarantine: %w", err)
	}
	return n, nil
}

// scan reads rows of columns.
func scan(rows *sql.Rows) (list []Entry, seqs []int64, err error) {
	for rows.Next() {
		var e Entry
		var seq, at, expires, score int64
		err := rows.Scan(&seq, &e.ID, &at, &expires, &e.Class, &e.Refused, &score, &e.MailFrom, &e.Author, &e.Name,
			&e.Subject, &e.Size, &e.SHA256, &e.Client, &e.Helo, &e.Reason, &e.Code)
		if err != nil {
			return nil, nil, errors.Join(err, rows.Close())
		}
		e.Time, e.Expires, e.Score = timeOf(at), timeOf(expires), policy.Points(score)
		list, seqs = append(list, e), append(seqs, seq)
	}
	return list, seqs, errors.Join(rows.Err(), rows.Close())
}

// addCopies gives the entries those of their copies that are in view.
func (v View) addCopies(ctx context.Context, list []Entry, seqs []int64) error {
	if len(list) == 0 {
		return nil
	}
	index := make(map[int64]int, len(seqs))
	args := make([]any, len(seqs))
	for i, seq := range seqs {
		index[seq], args[i] = i, seq
		if !v.all {
			list[i].Reason, list[i].Code = "", ""
		}
	}
	c := v.copies()
	rows, err := v.s.db.Query(ctx, `SELECT r.entry, r.address, r.state, r.reply, r.by, r.at FROM recipients r
		WHERE r.entry IN (?`+strings.Repeat(",?", len(args)-1)+`) AND `+c.where()+` ORDER BY r.entry, r.place`,
		append(args, c.args...)...)
	if err != nil {
		return err
	}
	for rows.Next() {
		var r Recipient
		var seq, at int64
		if err := rows.Scan(&seq, &r.Address, &r.State, &r.Reply, &r.By, &at); err != nil {
			return errors.Join(err, rows.Close())
		}
		r.At = timeOf(at)
		e := &list[index[seq]]
		e.Rcpts = append(e.Rcpts, r)
	}
	return errors.Join(rows.Err(), rows.Close())
}

// find is the entry without its result.
func (v View) find(ctx context.Context, id string) (*Entry, error) {
	c := v.entries(Query{})
	rows, err := v.s.db.Query(ctx, "SELECT "+columns+" FROM entries e WHERE e.id = ? AND "+c.where(), append([]any{id}, c.args...)...)
	if err != nil {
		return nil, err
	}
	list, seqs, err := scan(rows)
	if err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, ErrNotFound
	}
	return &list[0], v.addCopies(ctx, list, seqs)
}

// Entry returns one entry with its result. A record that cannot be read leaves Result nil, with ErrDamaged beside the
// entry.
func (v View) Entry(ctx context.Context, id string) (*Entry, error) {
	e, err := v.find(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("find message %q: %w", id, err)
	}
	r, err := v.s.record(ctx, e)
	if db.Away(err) {
		return nil, fmt.Errorf("find message %q: %w", id, err)
	}
	if err != nil {
		return e, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	e.Result, e.Terms = v.own(r.Result, e.Rcpts), r.Terms
	return e, nil
}

// Open returns the content as received; the caller closes it. Content that is not what was put is ErrDamaged.
func (v View) Open(ctx context.Context, id string) (Content, error) {
	e, err := v.find(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("find message %q: %w", id, err)
	}
	return v.s.content(ctx, e)
}

// content expands the content of e into the spool and checks it.
func (s *Store) content(ctx context.Context, e *Entry) (Content, error) {
	var body Content
	_, err := s.expand(ctx, e.SHA256, func(r io.Reader) error {
		b, err := s.spool.Receive(io.LimitReader(r, e.Size+1), e.Size)
		if err != nil {
			return err
		}
		sum, _ := sumOf(b)
		if b.Size() != e.Size || sum != e.SHA256 {
			return errors.Join(ErrDamaged, b.Close())
		}
		body = b
		return nil
	})
	switch {
	case err == nil:
		return body, nil
	case errors.Is(err, spool.ErrFull) || errors.Is(err, spool.ErrStorage) || errors.Is(err, ErrDamaged) || db.Away(err) || ctx.Err() != nil:
		return nil, fmt.Errorf("open message %s: %w", e.ID, err)
	}
	return nil, fmt.Errorf("open message %s: %w: %w", e.ID, ErrDamaged, err)
}

// A Count is how much of one class is held.
type Count struct {
	Class   policy.Class `json:"class"`
	Entries int64        `json:"entries"`
	Waiting int64        `json:"waiting"` // entries of which a copy waits
	Bytes   int64        `json:"bytes"`   // of content, before compression
}

// Counts is what is held in view, by class.
func (v View) Counts(ctx context.Context) ([]Count, error) {
	c, r := v.entries(Query{}), v.copies()
	r.and("r.state = 'waiting'")
	rows, err := v.s.db.Query(ctx, `SELECT e.class, count(*), count(*) FILTER (WHERE EXISTS (SELECT 1 FROM recipients r WHERE r.entry = e.seq AND `+
		r.where()+`)), sum(e.size) FROM entries e WHERE `+c.where()+` GROUP BY e.class ORDER BY e.class`, append(r.args, c.args...)...)
	if err != nil {
		return nil, fmt.Errorf("count quarantine: %w", err)
	}
	var counts []Count
	for rows.Next() {
		var n Count
		if err := rows.Scan(&n.Class, &n.Entries, &n.Waiting, &n.Bytes); err != nil {
			return nil, fmt.Errorf("count quarantine: %w", errors.Join(err, rows.Close()))
		}
		counts = append(counts, n)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return nil, fmt.Errorf("count quarantine: %w", err)
	}
	return counts, nil
}

// Used is the bytes that the content takes on disk, and the limit; 0 is no limit.
func (s *Store) Used() (used, limit int64) { return s.used.Load(), int64(s.cfg.MaxBytes) }
