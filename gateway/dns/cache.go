package dns

import (
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
)

// The life of a cached answer, whatever its TTL says: TTLs are chosen by the other side (L-09).
const (
	minTTL      = 10 * time.Second
	maxTTL      = time.Hour
	maxNegative = 5 * time.Minute
	tempTTL     = 5 * time.Second
)

// The size of the cache. Answers are bounded by count and by bytes, since one answer may be 64 KiB.
const (
	maxEntries = 1 << 15
	maxBytes   = 32 << 20
)

// A key is one question.
type key struct {
	name  string // canonical
	qtype uint16
}

// An entry is the answer to one question. It is immutable once it is in the cache.
type entry struct {
	expires   int64 // Unix nanoseconds
	txt       []string
	mx        []*net.MX
	addrs     []netip.Addr
	names     []string
	tlsa      []TLSA
	err       *net.DNSError // nil if there are records
	nxdomain  bool          // the name itself does not exist
	authentic bool          // the server says it validated the answer (RFC 6840 section 5.8)
	size      int64
}

// A cache keeps entries until they expire or room is needed.
type cache struct {
	entries *lru.Cache[key, *entry]
	bytes   atomic.Int64
}

func newCache() (*cache, error) {
	c := &cache{}
	var err error
	c.entries, err = lru.NewWithEvict(maxEntries, func(_ key, e *entry) { c.bytes.Add(-e.size) })
	return c, err
}

// entry returns what is known about k at the time now, or nil.
func (c *cache) entry(k key, now int64) *entry {
	e, ok := c.entries.Get(k)
	if !ok || e.expires <= now {
		return nil
	}
	return e
}

// put remembers e, and forgets the longest unused entries when the bytes run out.
func (c *cache) put(k key, e *entry) {
	e.size = int64(len(k.name)) + 256
	for _, s := range e.txt {
		e.size += int64(len(s)) + 16
	}
	for _, s := range e.names {
		e.size += int64(len(s)) + 16
	}
	for _, m := range e.mx {
		e.size += int64(len(m.Host)) + 48
	}
	e.size += int64(len(e.addrs)) * 24
	for _, t := range e.tlsa {
		e.size += int64(len(t.Data)) + 32
	}
	if old, ok := c.entries.Peek(k); ok {
		c.bytes.Add(-old.size)
	}
	c.bytes.Add(e.size)
	c.entries.Add(k, e)
	for c.bytes.Load() > maxBytes {
		if _, _, ok := c.entries.RemoveOldest(); !ok {
			return
		}
	}
}

// clamp bounds a TTL in seconds.
func clamp(ttl uint32, most time.Duration) time.Duration {
	// RFC 2181 section 8: a TTL with the top bit set is zero.
	if ttl > 1<<31-1 {
		ttl = 0
	}
	return min(max(time.Duration(ttl)*time.Second, minTTL), most)
}
