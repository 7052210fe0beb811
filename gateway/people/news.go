package people

import (
	"context"
	"database/sql"
	"slices"
	"strconv"
	"strings"

	"gatepost/filters/mail"
	"gatepost/filters/spoof"
)

// maxShownName bounds the names that are kept, in octets.
const maxShownName = 100

// news is what many observations tell, each thing once.
type news struct {
	senders  map[string]*senderNews
	contacts map[[2]string]day // author, recipient
	names    map[[2]string]*nameNews
	links    map[string]*linkNews
}

// senderNews is what is new of an author.
type senderNews struct {
	name        string
	first, last day
	days        int32 // on which he wrote, counting a change of the day as one
	count       int32
	proven      int32
	ours        bool
}

// nameNews is what is new of a name of ours.
type nameNews struct {
	name        string
	first, last string // the sources
	changes     int32  // of the source
	day         day
	count       int32
	own         bool
}

// linkNews is what is new of a domain that was linked to.
type linkNews struct {
	first, last day
	count       int32
}

// gather folds observations.
func gather(b *Book, list []Observation) *news {
	n := &news{map[string]*senderNews{}, map[[2]string]day{}, map[[2]string]*nameNews{}, map[string]*linkNews{}}
	for i := range list {
		n.observe(b, &list[i])
	}
	return n
}

// observe folds one observation in.
func (n *news) observe(b *Book, o *Observation) {
	today := dayOf(o.Time)
	s := n.senders[o.Author]
	if s == nil {
		s = &senderNews{first: today, last: today, days: 1}
		n.senders[o.Author] = s
	}
	if today > s.last {
		s.days++
	}
	s.first, s.last, s.ours = min(s.first, today), max(s.last, today), o.Ours
	s.count++
	s.proven += one(o.Proven)
	if o.Name != "" {
		s.name = mail.Printable(o.Name, maxShownName)
	}
	org := mail.OrganizationalDomain(o.Author[lastAt(o.Author)+1:])
	for _, r := range o.Rcpts[:min(len(o.Rcpts), maxRcpts)] {
		n.contacts[[2]string{o.Author, r.Address}] = today
		if o.Proven {
			n.name(b, r, org, today, false)
		}
	}
	if o.Proven && o.Ours {
		n.name(b, Reader{o.Author, o.Name}, org, today, true)
	}
	for _, d := range o.Links[:min(len(o.Links), maxLinks)] {
		l := n.links[d]
		if l == nil {
			l = &linkNews{first: today}
			n.links[d] = l
		}
		l.first, l.last = min(l.first, today), max(l.last, today)
		l.count++
	}
}

// name folds a name in.
func (n *news) name(b *Book, r Reader, source string, today day, own bool) {
	key := spoof.Key(b.look, r.Name)
	if key == "" {
		return
	}
	x := n.names[[2]string{r.Address, key}]
	if x == nil {
		x = &nameNews{first: source, last: source}
		n.names[[2]string{r.Address, key}] = x
	}
	if source != x.last {
		x.last = source
		x.changes++
	}
	x.name, x.day, x.own = mail.Printable(r.Name, maxShownName), max(x.day, today), x.own || own
	x.count++
}

// write writes all of it in one transaction.
func (n *news) write(ctx context.Context, tx *sql.Tx) error {
	if err := n.writeSenders(ctx, tx); err != nil {
		return err
	}
	contacts := upsert{into: "people_contacts", tail: `ON CONFLICT (author, rcpt) DO UPDATE SET last = ` + most("people_contacts.last", "excluded.last")}
	for pair, last := range n.contacts {
		contacts.rows = append(contacts.rows, []any{pair[0], pair[1], last})
	}
	if err := contacts.write(ctx, tx); err != nil {
		return err
	}
	links := upsert{into: "people_links", tail: `ON CONFLICT (domain) DO UPDATE SET last = ` + most("people_links.last", "excluded.last") +
		`, first = ` + least("people_links.first", "excluded.first") + `, count = ` + bounded("people_links.count + excluded.count")}
	for domain, l := range n.links {
		links.rows = append(links.rows, []any{domain, l.first, l.last, l.count})
	}
	if err := links.write(ctx, tx); err != nil {
		return err
	}
	return n.writeNames(ctx, tx)
}

// writeNames writes the names of our own people. How often the source of a name changed depends on what was there.
func (n *news) writeNames(ctx context.Context, tx *sql.Tx) error {
	name, err := tx.PrepareContext(ctx, `INSERT INTO people_ours (address, key, name, source, sources, last, count, own) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
		ON CONFLICT (address, key) DO UPDATE SET sources = `+bounded("people_ours.sources + excluded.sources - CASE WHEN people_ours.source = ?9 THEN 1 ELSE 0 END")+
		`, source = excluded.source, last = `+most("people_ours.last", "excluded.last")+`, count = `+bounded("people_ours.count + excluded.count")+
		`, own = `+most("people_ours.own", "excluded.own")+`, name = excluded.name`)
	if err != nil {
		return err
	}
	defer name.Close()
	for who, x := range n.names {
		if _, err := name.ExecContext(ctx, who[0], who[1], x.name, x.last, 1+x.changes, x.day, x.count, one(x.own), x.first); err != nil {
			return err
		}
	}
	return nil
}

func (n *news) writeSenders(ctx context.Context, tx *sql.Tx) error {
	senders := upsert{into: "people_senders", tail: `ON CONFLICT (address) DO UPDATE SET
		days = ` + bounded("people_senders.days + excluded.days - CASE WHEN excluded.first <= people_senders.last THEN 1 ELSE 0 END") +
		`, last = ` + most("people_senders.last", "excluded.last") + `, first = ` + least("people_senders.first", "excluded.first") +
		`, count = ` + bounded("people_senders.count + excluded.count") + `, proven = ` + bounded("people_senders.proven + excluded.proven") +
		`, ours = excluded.ours, name = CASE WHEN excluded.name = '' THEN people_senders.name ELSE excluded.name END`}
	for address, s := range n.senders {
		senders.rows = append(senders.rows, []any{address, s.name, s.first, s.last, s.count, s.proven, s.days, one(s.ours)})
	}
	return senders.write(ctx, tx)
}

// bounded is SQL for a count that does not grow beyond maxCount.
func bounded(count string) string { return least(count, strconv.Itoa(maxCount)) }

// An upsert is rows for all columns of a table, no key twice.
type upsert struct {
	into, tail string
	rows       [][]any
}

// rowsAtOnce is how many rows one statement writes.
const rowsAtOnce = 200

// write writes them.
func (u *upsert) write(ctx context.Context, tx *sql.Tx) error {
	for some := range slices.Chunk(u.rows, rowsAtOnce) {
		row := "(?" + strings.Repeat(",?", len(some[0])-1) + ")"
		_, err := tx.ExecContext(ctx, "INSERT INTO "+u.into+" VALUES "+row+strings.Repeat(","+row, len(some)-1)+" "+u.tail, slices.Concat(some...)...)
		if err != nil {
			return err
		}
	}
	return nil
}
