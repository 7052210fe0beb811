package oracle

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"gatepost/test/harness/badsink"
)

// A Copy is one message that arrived at the next hop.
type Copy struct {
	Gid     string // the transaction that it came in, as its X-Gatepost-Id says
	ID      string // its Message-ID
	From    string
	Rcpts   []string
	Data    []byte
	At      time.Time
	Known   bool // whoever sent it went on in the same session afterwards: it had read the reply
	Damaged bool // a bare CR or LF, or a NUL
}

// Moods say how often, in a thousand times, the next hop of a run misbehaves at a step. Nothing of this loses mail.
type Moods struct {
	LostReply int // takes the message and cuts the line instead of saying so
	Cut       int // cuts the line in the middle of the content
	Later     int // 4xx at MAIL, RCPT, DATA or the end of data, each
}

// hop is a next hop that writes down what it took.
type hop struct {
	*badsink.Sink
	Down  atomic.Bool  // resets every connection
	Quiet atomic.Bool  // does not misbehave any more
	Slow  atomic.Int64 // nanoseconds before each reply

	mu    sync.Mutex
	moods Moods
	r     *rand.Rand
	read  map[int]int // by session: the transactions whose replies were read
	times map[[2]int]time.Time
}

func newHop(seed uint64, moods Moods, discard bool) (*hop, error) {
	h := &hop{moods: moods, r: rand.New(rand.NewPCG(seed, 1)), read: map[int]int{}, times: map[[2]int]time.Time{}}
	var err error
	h.Sink, err = badsink.Start(badsink.Script{On: h.on, Discard: discard, Extensions: []string{"PIPELINING", "SIZE 52428800", "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES", "CHUNKING"}})
	return h, err
}

// mood changes how often the next hop misbehaves.
func (h *hop) mood(m Moods) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.moods = m
}

// on is asked at every step of every session.
func (h *hop) on(e badsink.Event) *badsink.Action {
	if d := h.Slow.Load(); d > 0 {
		time.Sleep(time.Duration(d))
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if e.Step == badsink.Connect && h.Down.Load() {
		return &badsink.Action{Reset: true}
	}
	h.read[e.Session] = e.Message
	if e.Step == badsink.Dot {
		h.times[[2]int{e.Session, e.Message}] = time.Now()
	}
	if e.Step == badsink.Rcpt && e.Rcpt == Nobody {
		return &badsink.Action{Reply: "550 5.1.1 no such user"}
	}
	if h.Quiet.Load() {
		return nil
	}
	lot := h.r.IntN(1000)
	switch e.Step {
	case badsink.Dot:
		if lot < h.moods.LostReply {
			return &badsink.Action{Reset: true} // it counts as taken
		}
	case badsink.Body:
		if lot < h.moods.Cut {
			return &badsink.Action{Reset: true}
		}
		return nil
	case badsink.Mail, badsink.Rcpt, badsink.Data:
	default:
		return nil
	}
	if 1000-lot <= h.moods.Later {
		return &badsink.Action{Reply: "451 4.3.0 not now"}
	}
	return nil
}

// copies are what arrived.
func (h *hop) copies() []*Copy {
	var all []*Copy
	messages := h.Messages()
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, m := range messages {
		all = append(all, &Copy{
			Gid: field(m.Data, "X-Gatepost-Id"), ID: strings.Trim(field(m.Data, "Message-ID"), "<>"), From: m.From,
			Rcpts: slices.Clone(m.Rcpts), Data: m.Data, At: h.times[[2]int{m.Session, m.Number}],
			Known: h.read[m.Session] > m.Number, Damaged: m.Stray,
		})
	}
	return all
}

// field is the content of the first field with a name.
func field(data []byte, name string) string {
	for line := range bytes.SplitSeq(data, []byte("\r\n")) {
		if len(line) == 0 {
			return ""
		}
		if len(line) > len(name) && line[len(name)] == ':' && strings.EqualFold(string(line[:len(name)]), name) {
			return strings.TrimSpace(string(line[len(name)+1:]))
		}
	}
	return ""
}
