package people

import (
	"hash/maphash"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"gatepost/filters"
	"gatepost/filters/web"
	"gatepost/rules/lookalike"
	"gatepost/rules/sites"
)

// Limits bound what is remembered. The zero value means the defaults.
type Limits struct {
	Senders  int // authors' addresses; default 200,000
	Contacts int // pairs of author and recipient; default 500,000
	Links    int // registered domains that were linked to; default 200,000
	Ours     int // names of our own people; default 50,000
}

func (l *Limits) defaults() {
	for _, d := range [...]struct {
		n    *int
		most int
	}{{&l.Senders, 200_000}, {&l.Contacts, 500_000}, {&l.Links, 200_000}, {&l.Ours, 50_000}} {
		if *d.n <= 0 {
			*d.n = d.most
		}
	}
}

// When something means something.
const (
	matureDays     = 7   // how long something must have been remembered before anybody is called a stranger
	matureMessages = 200 // and so many messages must have been seen
	partnerDays    = 3   // days on which a partner's domain wrote authenticated mail
	partnerMail    = 5   // and how much of it
	maxPartners    = 5000
	ourMail        = 3 // messages in which our person's name must have stood
	ourSources     = 2 // and from how many domains they came
	writerMail     = 5 // authenticated messages that make a name known at its domain
	maxBearers     = 3 // a name that more bear tells nobody apart
	maxCount       = 10_000
)

// A Book is what is remembered, in memory, for filters to ask while mail passes. Its methods may be called concurrently; a question takes
// a read lock and two map look-ups. A new Book is empty and answers that it knows nothing, until Load or Run filled it.
type Book struct {
	limits Limits
	look   *lookalike.Table
	sites  *sites.Table
	seed   maphash.Seed // nobody outside can choose two addresses that are taken for each other

	mu       sync.RWMutex
	senders  map[uint64]*sender
	contacts map[uint64]day
	links    map[uint64]*linked
	names    map[string][]*bearer // by name key: our people
	writers  map[string][]*writer // by name key: others
	domains  map[string]*partner  // by registered domain
	oldest   day                  // of what is remembered
	newest   day
	messages int
	changed  bool // since the partners were last compiled

	partners atomic.Pointer[web.Kin]

	queue   chan Observation
	dropped atomic.Int64
}

// A day is a date, in days since 1970.
type day int32

func dayOf(t time.Time) day { return day(t.Unix() / 86400) }

func (d day) time() time.Time { return time.Unix(int64(d)*86400, 0).UTC() }

// A sender is one author's address.
type sender struct {
	first, last   day
	count, proven int32 // accepted messages, and those of them whose author was authenticated
}

// A linked is one registered domain that accepted mail linked to.
type linked struct{ first, last day }

// A bearer is one of our addresses under one name.
type bearer struct {
	address string
	source  string // the domain whose mail named it last
	last    day
	count   int32
	sources int32
	own     bool // the bearer's own authenticated mail has the name
}

// A writer is a domain from which somebody of a name writes.
type writer struct {
	domain string
	last   day
	count  int32
}

// A partner is a registered domain that wrote authenticated mail.
type partner struct {
	last  day
	days  int32
	count int32
}

// New makes an empty book.
func New(l Limits, look *lookalike.Table, s *sites.Table) *Book {
	l.defaults()
	b := &Book{limits: l, look: look, sites: s, seed: maphash.MakeSeed(), queue: make(chan Observation, maxQueue)}
	b.clear()
	return b
}

// clear forgets everything in memory. The caller holds the lock, or is alone.
func (b *Book) clear() {
	b.senders, b.contacts, b.links = map[uint64]*sender{}, map[uint64]day{}, map[uint64]*linked{}
	b.names, b.writers, b.domains = map[string][]*bearer{}, map[string][]*writer{}, map[string]*partner{}
	b.oldest, b.newest, b.messages, b.changed = 0, 0, 0, true
}

// take takes over what another book of the same seed remembers. The caller holds the lock of b.
func (b *Book) take(o *Book) {
	b.senders, b.contacts, b.links = o.senders, o.contacts, o.links
	b.names, b.writers, b.domains = o.names, o.writers, o.domains
	b.oldest, b.newest, b.messages, b.changed = o.oldest, o.newest, o.messages, true
}

// key hashes text that identifies somebody.
func (b *Book) key(parts ...string) uint64 {
	var h maphash.Hash
	h.SetSeed(b.seed)
	for _, p := range parts {
		h.WriteString(p)
		h.WriteByte(0)
	}
	return h.Sum64()
}

// mature reports whether enough is remembered for what is not remembered to mean something. The caller holds the lock.
func (b *Book) mature() bool {
	return b.messages >= matureMessages && b.newest-b.oldest >= matureDays
}

// Sender implements spoof.People.
func (b *Book) Sender(address string) *filters.Sender {
	k := b.key(address)
	b.mu.RLock()
	defer b.mu.RUnlock()
	s := &filters.Sender{Remembered: b.mature()}
	if known := b.senders[k]; known != nil {
		s.FirstSeen, s.Messages = known.first.time(), int(known.count)
		s.Authenticated = known.proven*2 > known.count
	}
	return s
}

// Contact implements spoof.People.
func (b *Book) Contact(address, rcpt string) bool {
	k := b.key(address, rcpt)
	b.mu.RLock()
	defer b.mu.RUnlock()
	_, ok := b.contacts[k]
	return ok
}

// Ours implements spoof.People: the addresses whose name was seen often enough, from more than one side.
func (b *Book) Ours(key string) []string {
	if key == "" {
		return nil
	}
	b.mu.RLock()
	defer b.mu.RUnlock()
	var list []string
	for _, n := range b.names[key] {
		if n.sure() {
			list = append(list, n.address)
		}
	}
	if len(list) > maxBearers {
		return nil
	}
	return list
}

// sure reports whether a name may be believed to be the bearer's.
func (n *bearer) sure() bool { return n.own || n.count >= ourMail && n.sources >= ourSources }

// Writers implements spoof.People: the domains from which people of a name often write authenticated mail.
func (b *Book) Writers(key string) []string {
	if key == "" {
		return nil
	}
	b.mu.RLock()
	defer b.mu.RUnlock()
	var list []string
	for _, w := range b.writers[key] {
		if w.count >= writerMail {
			list = append(list, w.domain)
		}
	}
	if len(list) > maxBearers {
		return nil
	}
	return list
}

// Linked implements links.Memory.
func (b *Book) Linked(domain string) (seen, known bool) {
	k := b.key(domain)
	b.mu.RLock()
	defer b.mu.RUnlock()
	_, seen = b.links[k]
	return seen, b.mature()
}

// Partners implements spoof.People and links.Memory. It is compiled in the background.
func (b *Book) Partners() *web.Kin { return b.partners.Load() }

// compile makes the set of partners anew if it may have changed.
func (b *Book) compile() {
	b.mu.Lock()
	if !b.changed {
		b.mu.Unlock()
		return
	}
	b.changed = false
	type ranked struct {
		domain string
		count  int32
	}
	var list []ranked
	for d, p := range b.domains {
		if p.is() && !b.sites.Class(d).Is(sites.Freemail) {
			list = append(list, ranked{d, p.count})
		}
	}
	b.mu.Unlock()
	slices.SortFunc(list, func(x, y ranked) int {
		if x.count != y.count {
			return int(y.count) - int(x.count)
		}
		return strings.Compare(x.domain, y.domain)
	})
	if len(list) > maxPartners {
		list = list[:maxPartners]
	}
	names := make([]string, len(list))
	for i, r := range list {
		names[i] = r.domain
	}
	b.partners.Store(web.NewKin(b.look, names))
}

// is reports whether the domain is one that this site often writes with.
func (p *partner) is() bool { return p.days >= partnerDays && p.count >= partnerMail }
