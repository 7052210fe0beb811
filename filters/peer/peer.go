package peer

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"gatepost/filters"
	"gatepost/rules/conf"
)

// Addresses are where programs listen; a document writes one or a list.
type Addresses []string

// UnmarshalConf reads one address or a list of them.
func (a *Addresses) UnmarshalConf(n conf.Node) []conf.Problem {
	list, problems := oneOrMore(n, "unix:/path or HOST:PORT", func(s string) error { _, _, err := Place(s); return err })
	*a = append(*a, list...)
	return problems
}

// oneOrMore reads one text or a list of them, each of which must be what is expected.
func oneOrMore(n conf.Node, expected string, check func(string) error) (list []string, problems []conf.Problem) {
	nodes := []conf.Node{n}
	if n.Kind() == conf.Sequence {
		nodes = n.Items()
	}
	for _, item := range nodes {
		if item.Kind() != conf.Scalar || item.String() == "" {
			problems = append(problems, item.Problemf("expected %s", expected))
			continue
		}
		if err := check(item.String()); err != nil {
			problems = append(problems, item.Problemf("%v", err))
			continue
		}
		list = append(list, item.String())
	}
	return list, problems
}

// ConfType says what a document may write.
func (Addresses) ConfType() string { return "unix:/path or HOST:PORT, or a list of them" }

// ConfSchema says what a document may write.
func (Addresses) ConfSchema() map[string]any { return textOrTexts() }

func textOrTexts() map[string]any {
	return map[string]any{"type": []string{"string", "array"}, "items": map[string]any{"type": "string"}}
}

// Place reads an address: unix:/path, /path, tcp:HOST:PORT or HOST:PORT.
func Place(s string) (network, address string, err error) {
	if path, ok := strings.CutPrefix(s, "unix:"); ok {
		s = path
	}
	if strings.HasPrefix(s, "/") {
		return "unix", s, nil
	}
	s = strings.TrimPrefix(s, "tcp:")
	if host, port, err := net.SplitHostPort(s); err != nil || host == "" || port == "" {
		return "", "", fmt.Errorf("expected unix:/path or HOST:PORT, found %q", s)
	}
	return "tcp", s, nil
}

// A Peer is one program and what is remembered of it. All methods may be called concurrently.
type Peer struct {
	name, network, address string // name is as configured, with the kind before it
	slots                  chan struct{}

	mu     sync.Mutex
	failed int       // times in a row that it could not be talked to
	rest   time.Time // nobody asks before
}

// New makes a peer that is asked at most so many questions at once. network and address are as for net.Dial.
func New(name, network, address string, connections int) *Peer {
	return &Peer{name: name, network: network, address: address, slots: make(chan struct{}, max(connections, 1))}
}

// Name is what the peer is called in errors.
func (p *Peer) Name() string { return p.name }

// How long a peer that failed is left alone.
const (
	RestAfter = 3               // failures in a row
	restTime  = 5 * time.Second // then nobody waits for it
)

// ErrResting is the error for a peer that failed several times in a row: for some seconds nobody waits for it.
var ErrResting = errors.New("it failed several times in a row and is not asked for some seconds")

// Enter waits until the peer may be asked one more thing. leave gives the place back.
func (p *Peer) Enter(ctx context.Context) (leave func(), err error) {
	p.mu.Lock()
	resting := time.Now().Before(p.rest)
	p.mu.Unlock()
	if resting {
		return nil, fmt.Errorf("ask %s: %w", p.name, ErrResting)
	}
	select {
	case p.slots <- struct{}{}:
		return func() { <-p.slots }, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for a free connection to %s: %w", p.name, context.Cause(ctx))
	}
}

// Note remembers whether the peer could be talked to.
func (p *Peer) Note(ctx context.Context, err error) {
	if err != nil && errors.Is(ctx.Err(), context.Canceled) {
		return // the message was given up, not the peer
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if err == nil {
		p.failed, p.rest = 0, time.Time{}
		return
	}
	if p.failed++; p.failed >= RestAfter {
		p.rest = time.Now().Add(restTime)
	}
}

// Awake lets the peer be asked at once, whatever was before.
func (p *Peer) Awake() { p.Note(context.Background(), nil) }

// Dial opens a connection that ends with ctx: then every wait for it fails. end closes it.
func (p *Peer) Dial(ctx context.Context) (conn net.Conn, end func(), err error) {
	var d net.Dialer
	conn, err = d.DialContext(ctx, p.network, p.address)
	if err != nil {
		return nil, nil, p.Told(ctx, "connect", err)
	}
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	return conn, func() { stop(); conn.Close() }, nil
}

// Told says what went wrong: why ctx ended, if that is why.
func (p *Peer) Told(ctx context.Context, what string, err error) error {
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return fmt.Errorf("%s %s: %w", what, p.name, err)
}

// ASCII is what a program wrote as it may be shown: printable ASCII, at most so many octets.
func ASCII(s string, most int) string {
	s = s[:min(len(s), 4*most)]
	var b strings.Builder
	for _, r := range s {
		if b.Len() == most {
			break
		}
		if r < ' ' || r > '~' {
			r = '?'
		}
		b.WriteRune(r)
	}
	return b.String()
}

// Within is ctx with a time limit that says so in the words of a result.
func Within(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, d, fmt.Errorf("timeout after %s", conf.Duration(d)))
}

// First asks peers in order until one answers, each within its share of the time, so that a hung one leaves the others theirs.
// What was found counts, whatever happened then. ask is given the number of the peer.
func First(ctx context.Context, peers []*Peer, timeout time.Duration, ask func(ctx context.Context, i int) (filters.Facts, error)) (filters.Facts, error) {
	var errs []error
	share := timeout / time.Duration(max(len(peers), 1))
	for i, p := range peers {
		facts, err := func() (filters.Facts, error) {
			ctx, cancel := Within(ctx, share)
			defer cancel()
			leave, err := p.Enter(ctx)
			if err != nil {
				return filters.Facts{}, err
			}
			defer leave()
			return ask(ctx, i)
		}()
		if err == nil || len(facts.Findings) > 0 {
			return facts, err
		}
		errs = append(errs, err)
		if ctx.Err() != nil {
			break
		}
	}
	return filters.Facts{}, errors.Join(errs...)
}

// Conditions asks every peer at once how it is, within at most five seconds.
func Conditions(ctx context.Context, peers []*Peer, timeout time.Duration, look func(ctx context.Context, i int) filters.Condition) []filters.Condition {
	list := make([]filters.Condition, len(peers))
	ctx, cancel := Within(ctx, min(timeout, 5*time.Second))
	defer cancel()
	var all sync.WaitGroup
	for i, p := range peers {
		all.Go(func() {
			list[i] = look(ctx, i)
			list[i].Name = p.name
		})
	}
	all.Wait()
	return list
}
