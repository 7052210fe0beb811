package policy

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"gatepost/rules/conf"
)

// A LimitKey is what a limit counts apart.
type LimitKey string

// The keys of limits. ClientNet is the client's /24 or /64.
const (
	ByClient       LimitKey = "client"
	ByClientNet    LimitKey = "client_net"
	ByHelo         LimitKey = "helo"
	BySender       LimitKey = "sender"
	BySenderDomain LimitKey = "sender_domain"
	ByRecipient    LimitKey = "recipient"
	ByUser         LimitKey = "user"
)

// A LimitCount is what a limit counts.
type LimitCount string

// What limits count.
const (
	Connections LimitCount = "connections"
	Messages    LimitCount = "messages"
	Recipients  LimitCount = "recipients"
	Bytes       LimitCount = "bytes"
	Errors      LimitCount = "errors"
)

// A Limit is one rate: at most Most of Count in any Window, for each Key apart. The gateway enforces it.
type Limit struct {
	Name   string
	Key    LimitKey
	Count  LimitCount
	Most   int64
	Window time.Duration
	At     string // "policy.yaml:14"
}

// Limits are the limits in the order of the file.
func (p *Policy) Limits() []Limit { return slices.Clone(p.limits) }

// compileLimits compiles limits.
func (c *compiler) compileLimits(docs []limitDoc) {
	keys := []string{"client", "client_net", "helo", "sender", "sender_domain", "recipient", "user"}
	counts := []string{"connections", "messages", "recipients", "bytes", "errors"}
	seen := map[string]bool{}
	for _, d := range docs {
		l := Limit{Name: d.Name, Key: LimitKey(d.Key.Value), Count: LimitCount(d.Count.Value), At: c.at(d.Pos)}
		switch {
		case !isName(d.Name):
			c.problem(d.Pos, "", "a limit needs a name of lower-case letters, digits and hyphens")
		case seen[d.Name]:
			c.problem(d.Pos, "", "there are two limits named %s", d.Name)
		}
		seen[d.Name] = true
		if !slices.Contains(keys, d.Key.Value) {
			c.problem(orPos(d.Key.Pos, d.Pos), conf.Suggest(d.Key.Value, keys), "limit %s: unknown key %s", d.Name, quoted(d.Key.Value))
			continue
		}
		if !slices.Contains(counts, d.Count.Value) {
			c.problem(orPos(d.Count.Pos, d.Pos), conf.Suggest(d.Count.Value, counts), "limit %s: cannot count %s", d.Name, quoted(d.Count.Value))
			continue
		}
		atConnect := l.Key == ByClient || l.Key == ByClientNet
		if (l.Count == Connections || l.Count == Errors) && !atConnect {
			c.problem(d.Key.Pos, "", "limit %s: %s are counted by client or client_net, for nothing else is known of them", d.Name, l.Count)
		}
		var ok bool
		if l.Most, l.Window, ok = parseRate(d.Rate.Value, l.Count == Bytes); !ok {
			c.problem(orPos(d.Rate.Pos, d.Pos), "", "limit %s: %s is not a rate such as 600/10m", d.Name, quoted(d.Rate.Value))
		}
		c.p.limits = append(c.p.limits, l)
	}
}

// orPos is the first position that is known.
func orPos(a, b conf.Pos) conf.Pos {
	if a.Line == 0 {
		return b
	}
	return a
}

// parseRate reads 600/10m, or 100MiB/1h where sizes are counted.
func parseRate(s string, sizes bool) (most int64, window time.Duration, ok bool) {
	count, per, found := strings.Cut(s, "/")
	if !found {
		return 0, 0, false
	}
	count, per = strings.TrimSpace(count), strings.TrimSpace(per)
	if n, err := strconv.ParseInt(count, 10, 64); err == nil {
		most = n
	} else if size, ok := conf.ParseSize(count); sizes && ok {
		most = int64(size)
	}
	if per != "" && (per[0] < '0' || per[0] > '9') {
		per = "1" + per
	}
	window, ok = conf.ParseDuration(per)
	return most, window, ok && most > 0 && window >= time.Second && window <= 31*24*time.Hour
}
