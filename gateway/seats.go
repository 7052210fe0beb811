package gateway

import (
	"context"
	"sync"
)

// seats are for the messages that are judged at once, with a line for those that wait. They keep a flood of
// messages from taking more of the processor and of memory than there is; who finds the line full comes again later.
type seats struct {
	mu    sync.Mutex
	most  int
	room  int // in the line
	taken int
	line  []chan struct{} // each is closed when its turn has come
	full  bool
	told  func(full bool)
}

// adjust sets how many seats there are, and how much room in the line.
func (b *seats) adjust(most, room int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.most, b.room = most, room
	b.call()
	b.tell()
}

// sit takes a seat, waiting for one; false means that the line is full, or that ctx ended before. Who sits must rise.
func (b *seats) sit(ctx context.Context) bool {
	b.mu.Lock()
	if b.taken < b.most && len(b.line) == 0 {
		b.taken++
		b.mu.Unlock()
		return true
	}
	if len(b.line) >= b.room {
		b.mu.Unlock()
		return false
	}
	turn := make(chan struct{})
	b.line = append(b.line, turn)
	b.tell()
	b.mu.Unlock()
	select {
	case <-turn:
		return true
	case <-ctx.Done():
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, c := range b.line {
		if c == turn {
			b.line = append(b.line[:i], b.line[i+1:]...)
			b.tell()
			return false
		}
	}
	b.taken-- // the turn came at the same moment
	b.call()
	b.tell()
	return false
}

// rise gives the seat to the next in line.
func (b *seats) rise() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.taken--
	b.call()
	b.tell()
}

// call seats those whose turn it is.
func (b *seats) call() {
	for b.taken < b.most && len(b.line) > 0 {
		b.taken++
		close(b.line[0])
		b.line = b.line[1:]
	}
}

// tell says when the line becomes full, or is full no more.
func (b *seats) tell() {
	if full := b.room > 0 && len(b.line) >= b.room; full != b.full {
		b.full = full
		b.told(full)
	}
}

// load is how many messages are being judged and how many wait for it.
func (b *seats) load() (taken, waiting int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.taken, len(b.line)
}
