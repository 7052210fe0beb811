package dns

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
)

// budgetKey finds a message's budget in a context.
type budgetKey struct{}

// A budget is what one message may spend on questions to the servers. Answers from the cache are free.
type budget struct {
	left     atomic.Int64
	deadline time.Time
}

// WithBudget bounds what lookups under the returned context may cost together: n questions to the servers, and
// total time from now on. What is asked beyond it fails as temporary.
func WithBudget(ctx context.Context, n int, total time.Duration) context.Context {
	b := &budget{deadline: time.Now().Add(total)}
	b.left.Store(int64(n))
	return context.WithValue(ctx, budgetKey{}, b)
}

// spend takes one question from the budget of ctx, if it has one.
func spend(ctx context.Context) (deadline time.Time, ok bool) {
	b, _ := ctx.Value(budgetKey{}).(*budget)
	if b == nil {
		return time.Time{}, true
	}
	return b.deadline, b.left.Add(-1) >= 0
}

// A limiter counts the questions about each registered domain, a minute at a time: SPF macros of one sender must
// not make this site a hose that points at somebody else's servers (L-10).
type limiter struct {
	perMinute int
	mu        sync.Mutex
	zones     *lru.Cache[string, *window]
}

// A window is one domain's count in one minute.
type window struct {
	minute int64
	count  int
}

func newLimiter(perMinute int) (*limiter, error) {
	zones, err := lru.New[string, *window](4096)
	return &limiter{perMinute: perMinute, zones: zones}, err
}

// allow counts a question about name and reports whether it may be asked. Reverse names are not counted: they follow
// from who connects, not from what a sender writes, and a large site hears from many addresses of one network.
func (l *limiter) allow(name string, now int64) bool {
	if l == nil || strings.HasSuffix(name, ".arpa") {
		return true
	}
	zone, minute := zoneOf(name), now/int64(time.Minute)
	l.mu.Lock()
	defer l.mu.Unlock()
	w, ok := l.zones.Get(zone)
	if !ok || w.minute != minute {
		w = &window{minute: minute}
		l.zones.Add(zone, w)
	}
	w.count++
	return w.count <= l.perMinute
}
