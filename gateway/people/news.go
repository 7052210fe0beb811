package people

import (
	"context"
	"database/sql"

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
	contact, err := tx.PrepareContext(ctx, `INSERT INTO people_contacts VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET last = max(last, excluded.last)`)
	if err != nil {
		return err
	}
	defer contact.Close()
	for pair, last := range n.contacts {
		if _, err := contact.ExecContext(ctx, pair[0], pair[1], last); err != nil {
			return err
		}
	}
	name, err := tx.PrepareContext(ctx, `INSERT INTO people_ours VALUES (?1, ?2, ?3, ?4, 1 + ?5, ?6, ?7, ?8) ON CONFLICT DO UPDATE SET
		sources = min(sources + ?5 + (source <> ?9), ?10), source = excluded.source, last = max(last, excluded.last),
		count = min(count + excluded.count, ?10), own = max(own, excluded.own), name = excluded.name`)
	if err != nil {
		return err
	}
	defer name.Close()
	for who, x := range n.names {
		if _, err := name.ExecContext(ctx, who[0], who[1], x.name, x.last, x.changes, x.day, x.count, one(x.own), x.first, maxCount); err != nil {
			return err
		}
	}
	link, err := tx.PrepareContext(ctx, `INSERT INTO people_links VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO UPDATE SET
		last = max(last, excluded.last), first = min(first, excluded.first), count = min(count + excluded.count, ?5)`)
	if err != nil {
		return err
	}
	defer link.Close()
	for domain, l := range n.links {
		if _, err := link.ExecContext(ctx, domain, l.first, l.last, l.count, maxCount); err != nil {
			return err
		}
	}
	return nil
}

func (n *news) writeSenders(ctx context.Context, tx *sql.Tx) error {
	sender, err := tx.PrepareContext(ctx, `INSERT INTO people_senders VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT (address) DO UPDATE SET
		days = min(days + excluded.days - (excluded.first <= last), ?9), last = max(last, excluded.last), first = min(first, excluded.first),
		count = min(count + excluded.count, ?9), proven = min(proven + excluded.proven, ?9), ours = excluded.ours,
		name = CASE WHEN excluded.name = '' THEN name ELSE excluded.name END`)
	if err != nil {
		return err
	}
	defer sender.Close()
	for address, s := range n.senders {
		if _, err := sender.ExecContext(ctx, address, s.name, s.first, s.last, s.count, s.proven, s.days, one(s.ours), maxCount); err != nil {
			return err
		}
	}
	return nil
}
