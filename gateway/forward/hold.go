package forward

import (
	"container/heap"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"gatepost/filters/mail"
	"gatepost/gateway/disk"
	"gatepost/gateway/failpoint"
)

// HoldConfig is for a Hold. Directory, Sender and GiveUp must be set.
type HoldConfig struct {
	Directory FS
	Sender    Sender
	// GiveUp takes over what cannot be delivered: recipients refused for good, or still waiting after Lifetime. It
	// returns nil only once the message is durable elsewhere, such as in the quarantine; then it is let go here. On an
	// error it is asked again later. Nothing is sent back to the sender from here but by Teller.
	GiveUp func(ctx context.Context, h Held, src mail.Source, why []Outcome) error
	// Tried, if set, is told of every attempt, with the outcome of each recipient. What it notes must outlive the
	// process when it returns: a message that was delivered goes from the queue next.
	Tried func(h Held, out []Outcome)
	// Noted, if set, makes what Tried noted durable. It is called before the removal of a message is.
	Noted func() error
	// Cancelled, if set, is told that somebody gave a message up, before it is removed: its file says so already. After
	// a crash it may be told again.
	Cancelled func(h Held, by string) error
	// Teller, if set, tells senders that a recipient was refused for good.
	Teller Teller
	// Trouble, if set, is told what went wrong with a file: the message is not lost for it, but an operator must know.
	Trouble  func(id string, err error)
	Keys     *disk.Keys    // seal the content; nil: it is not sealed
	Lifetime time.Duration // 5 days
	Parallel int           // attempts at once for one domain: 10
	MaxBytes int64         // of all content on hold; 0: no limit
}

// ErrHoldFull tells that MaxBytes is reached, ErrNotHeld that no such message is on hold, ErrHoldBusy that an attempt to
// deliver it is in progress.
var (
	ErrHoldFull = errors.New("hold queue is full")
	ErrNotHeld  = errors.New("no such message on hold")
	ErrHoldBusy = errors.New("message is being delivered")
)

// Held is one message on hold, as it is on disk.
type Held struct {
	ID       string
	Envelope *mail.Envelope
	Rcpts    []mail.Address // who still wait
	Size     int64
	Since    time.Time
	Until    time.Time
	Next     time.Time // of the next attempt, as far as it is known
	Attempts int
	Last     string // what was said at the last attempt, printable
	Vouched  bool   // see Delivery
	Telling  bool   // only the sender, who is then in Rcpts, is still to be told of a refusal
}

// A Hold keeps accepted mail that its next hop cannot take now, on disk, until it can. Whatever Put took survives a crash,
// and is delivered, given up, or cancelled by an operator; after a crash it may be delivered once more.
type Hold struct {
	cfg HoldConfig

	mu      sync.Mutex
	items   map[string]*item
	lanes   map[string]*lane // by domain
	bytes   int64
	changed chan struct{} // has something when there may be work
	running sync.WaitGroup
}

const (
	holdSuffix    = ".mail"
	tempSuffix    = ".part"
	damagedSuffix = ".damaged"
	keySuffix     = ".key" // an empty file that names a key with which messages may be sealed
)

// Put takes custody of a delivery: when it returns nil, the message is durable. It is tried first after about a minute.
func (h *Hold) Put(ctx context.Context, d Delivery) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if len(d.Rcpts) == 0 || !fileSafe(d.Envelope.ID) {
		return fmt.Errorf("hold message: id %q or recipients cannot be kept", d.Envelope.ID)
	}
	size := d.Source.Size()
	id, err := h.reserve(d.Envelope.ID, size)
	if err != nil {
		return fmt.Errorf("hold message: %w", err)
	}
	now := time.Now()
	if err := h.store(id, d, now); err != nil {
		h.mu.Lock()
		h.forget(id, size)
		h.mu.Unlock()
		return fmt.Errorf("hold message: %w", err)
	}
	h.add(&item{id: id, size: size, loaded: now, next: now.Add(around(retryPauses[0]))}, d.Rcpts[0].Domain())
	h.signal()
	return nil
}

// reserve takes an id and room for a message: the id is that of the envelope, with a number if two deliveries of one
// message are held.
func (h *Hold) reserve(id string, size int64) (string, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.cfg.MaxBytes > 0 && h.bytes+size > h.cfg.MaxBytes {
		return "", ErrHoldFull
	}
	free := id
	for n := 2; h.items[free] != nil; n++ {
		free = fmt.Sprintf("%s-%d", id, n)
	}
	h.items[free] = &item{id: free, size: size, busy: true}
	h.bytes += size
	return free, nil
}

// store writes the file in the order of promise P-01: content, its sync, the name, its sync. What failed is removed.
func (h *Hold) store(id string, d Delivery, now time.Time) error {
	sum := d.Sum
	if sum == [sha256.Size]byte{} {
		hash := sha256.New()
		if _, err := io.Copy(hash, io.NewSectionReader(d.Source, 0, d.Source.Size())); err != nil {
			return fmt.Errorf("read content: %w", err)
		}
		sum = [sha256.Size]byte(hash.Sum(nil))
	}
	head := &holdHead{
		Envelope: d.Envelope, Rcpts: d.Rcpts, Drop: d.Edits.Drop, Add: []byte(d.Edits.Add),
		Sum: sum, Size: d.Source.Size(), Since: now, Until: now.Add(h.cfg.Lifetime), Vouched: d.Vouched,
	}
	dir := h.cfg.Directory
	f, err := dir.Create(id + tempSuffix)
	if err != nil {
		return fmt.Errorf("create: %w", err)
	}
	err = writeHold(f, head, d.Source, h.cfg.Keys)
	if err2 := errors.Join(f.Close(), failpoint.Hit(failpoint.AtClose)); err == nil {
		err = err2
	}
	if err == nil {
		err = failpoint.Hit(failpoint.BeforeRename)
	}
	if err == nil {
		err = dir.Rename(id+tempSuffix, id+holdSuffix)
	}
	if err != nil { // a file that could not be synced is never tried again: its pages may be lost and marked clean
		return errors.Join(err, dir.Remove(id+tempSuffix))
	}
	if err = failpoint.Hit(failpoint.BeforeDirSync); err == nil {
		err = dir.Sync()
	}
	if err != nil {
		return errors.Join(fmt.Errorf("sync directory: %w", err), dir.Remove(id+holdSuffix))
	}
	return nil
}

// fileSafe reports whether an id of ours can be a file name.
func fileSafe(id string) bool {
	for i := range len(id) {
		c := id[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_') {
			return false
		}
	}
	return id != "" && len(id) <= 100
}

// Depth is how many messages are on hold, and their bytes.
func (h *Hold) Depth() (messages int, bytes int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.items), h.bytes
}

// IDs are the ids on hold, oldest first.
func (h *Hold) IDs() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	ids := make([]string, 0, len(h.items))
	for id, it := range h.items {
		if it.lane != nil || it.unread {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// Show is one message on hold with its content; the caller closes it.
func (h *Hold) Show(id string) (Held, mail.Source, io.Closer, error) {
	h.mu.Lock()
	it := h.items[id]
	var next time.Time
	if it != nil {
		next = it.next
	}
	h.mu.Unlock()
	if it == nil || it.lane == nil && !it.unread {
		return Held{}, nil, nil, ErrNotHeld
	}
	f, err := h.open(id)
	if errors.Is(err, fs.ErrNotExist) {
		return Held{}, nil, nil, ErrNotHeld
	}
	if err != nil {
		return Held{}, nil, nil, fmt.Errorf("show held message: %w", err)
	}
	held := f.held(id)
	if !next.IsZero() {
		held.Next = next
	}
	src, err := f.source()
	if err != nil {
		return Held{}, nil, nil, errors.Join(fmt.Errorf("show held message: %w", err), f.Close())
	}
	return held, src, f, nil
}

func (h *holdFile) held(id string) Held {
	held := Held{
		ID: id, Envelope: h.head.Envelope, Rcpts: h.waiting(), Size: h.head.Size, Since: h.head.Since, Until: h.head.Until,
		Next: h.progress.Next, Attempts: h.progress.Attempts, Last: h.progress.Last, Vouched: h.head.Vouched,
	}
	if len(held.Rcpts) == 0 && len(h.progress.Lost) == 0 && len(h.progress.Notice) > 0 {
		held.Telling, held.Rcpts = true, []mail.Address{h.head.Envelope.From}
	}
	return held
}

// Cancel removes a message for good. Who may do that is the caller's to know; by is who did.
func (h *Hold) Cancel(id, by string) error {
	it, err := h.take(id)
	if err != nil {
		return err
	}
	f, err := h.open(id)
	if err != nil {
		h.giveBack(it)
		return fmt.Errorf("cancel held message: %w", err)
	}
	defer f.Close()
	progress := f.progress
	progress.Cancelled = mail.Printable(by, 200)
	if err := f.advance(progress); err != nil { // it may be durable all the same, and is then removed at the next start
		h.giveBack(it)
		return fmt.Errorf("cancel held message: %w", err)
	}
	if err := h.cancelled(id, f); err != nil {
		h.giveBack(it)
		return fmt.Errorf("cancel held message: %w", err)
	}
	return h.release(it)
}

// cancelled has it recorded that a message was given up.
func (h *Hold) cancelled(id string, f *holdFile) error {
	if h.cfg.Cancelled == nil {
		return nil
	}
	return h.cfg.Cancelled(f.held(id), f.progress.Cancelled)
}

// Withdraw removes a message of which nobody was told that it is kept. It is ErrHoldBusy if it is on its way already.
func (h *Hold) Withdraw(id string) error {
	it, err := h.take(id)
	if err != nil {
		return err
	}
	return h.release(it)
}

// take takes a message out of its lane.
func (h *Hold) take(id string) (*item, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	it := h.items[id]
	switch {
	case it == nil:
		return nil, ErrNotHeld
	case it.busy:
		return nil, ErrHoldBusy
	}
	it.busy = true
	it.lane.remove(it)
	return it, nil
}

// giveBack puts a message that was taken back into its lane.
func (h *Hold) giveBack(it *item) {
	h.mu.Lock()
	defer h.mu.Unlock()
	it.busy = false
	heap.Push(&it.lane.waiting, it)
}

// release removes the file of a message whose fate is settled, and forgets it.
func (h *Hold) release(it *item) error {
	err := h.cfg.Directory.Remove(it.id + holdSuffix)
	if err == nil {
		err = failpoint.Hit(failpoint.Noted)
	}
	if err == nil {
		if h.cfg.Noted != nil {
			h.trouble(it.id, h.cfg.Noted())
		}
		err = h.cfg.Directory.Sync()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.forget(it.id, it.size)
	if err != nil {
		return fmt.Errorf("remove held message: %w", err)
	}
	return nil
}

// forget takes a message out of the index; h.mu is held.
func (h *Hold) forget(id string, size int64) {
	delete(h.items, id)
	h.bytes -= size
}

func (h *Hold) trouble(id string, err error) {
	if err != nil && h.cfg.Trouble != nil {
		h.cfg.Trouble(id, err)
	}
}

// around is d, within 20 % at random.
func around(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (0.8 + 0.4*rand.Float64()))
}
