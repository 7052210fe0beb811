package forward

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"slices"
	"time"

	"gatepost/filters/mail"
	"gatepost/gateway/disk"
	"gatepost/gateway/failpoint"
	"gatepost/gateway/smtp"
)

// A hold file is a magic line and then records: one head, the content, one end, and any number of progress records that
// are appended later, of which the last counts. A record is its kind (one byte), the length of its text, the CRC-32C of
// kind and text (both big-endian, 4 bytes), and the text. The content is not a record: it stands raw between head and
// end, and the end holds its SHA-256. A file without a sound end is no message. Where the content is sealed (see package
// disk) the magic line is another, so that a program that does not know of it takes nothing for content.
const (
	holdMagic   = "gatepost-hold 1\n"
	sealedMagic = "gatepost-hold 2\n" // as long
	kindHead    = 'H'
	kindEnd     = 'E'
	kindDone    = 'P'
	recordHead  = 9
	maxHoldText = 16 << 20 // of one record; 1,000 recipients with every edit need far less
)

// ErrHoldFile is the cause when a hold file is not what was written.
var ErrHoldFile = errors.New("hold file is damaged")

// A holdHead is what is known when a message is put on hold.
type holdHead struct {
	Envelope *mail.Envelope    `json:"envelope"`
	Rcpts    []mail.Address    `json:"rcpts"`
	Drop     []mail.Span       `json:"drop,omitempty"`
	Add      []byte            `json:"add,omitempty"`
	Sum      [sha256.Size]byte `json:"sum"`
	Size     int64             `json:"size"`
	Stored   int64             `json:"stored,omitempty"` // bytes of the content in the file where it is sealed
	Vouched  bool              `json:"vouched,omitempty"`
	Since    time.Time         `json:"since"`
	Until    time.Time         `json:"until"`
}

// holdProgress is what became of a message so far.
type holdProgress struct {
	Done     []int  `json:"done,omitempty"`     // places in holdHead.Rcpts
	Untold   []said `json:"untold,omitempty"`   // of those done: what HoldConfig.Tried may not have been told
	Lost     []said `json:"lost,omitempty"`     // not to be tried any more, and not yet kept elsewhere
	Notice   []said `json:"notice,omitempty"`   // of those done: of whom the sender is still to be told
	Tellings int    `json:"tellings,omitempty"` // attempts to tell the sender
	Attempts int    `json:"attempts"`
	// Cancelled names who gave the message up: it is then only to be recorded and removed.
	Cancelled string    `json:"cancelled,omitempty"`
	Next      time.Time `json:"next"`
	Last      string    `json:"last,omitempty"` // what was said at the last attempt
}

// A said is the last word of the next hop on one recipient. It is noted before anything else is done about it, so that
// after a crash in between it is done again from the note: nobody is delivered to twice, or delivered to and given up.
type said struct {
	Place    int    `json:"place"`
	Hop      string `json:"hop,omitempty"`
	Code     int    `json:"code"`
	Enhanced string `json:"enhanced,omitempty"`
	Text     string `json:"text"`
}

func saidOf(place int, o Outcome) said {
	return said{Place: place, Hop: o.Hop, Code: o.Reply.Code, Enhanced: o.Reply.Enhanced, Text: mail.Printable(o.Reply.Text, 512)}
}

// outcomes are what such words tell of the recipients.
func (h *holdFile) outcomes(list []said) []Outcome {
	out := make([]Outcome, len(list))
	for i, w := range list {
		out[i] = Outcome{Rcpt: h.head.Rcpts[w.Place], Hop: w.Hop, Reply: smtp.Custom(w.Code, w.Enhanced, w.Text)}
	}
	return out
}

// A holdFile is an open file, read whole but for the content.
type holdFile struct {
	File
	head     holdHead
	progress holdProgress
	content  int64 // offset
	sound    int64 // offset of the end of the last sound record
	size     int64
	keys     *disk.Keys
	near     []byte // what was read last, while the file is taken in
	nearAt   int64
}

// nearby is how much is read at once: a start reads hundreds of thousands of these files.
const nearby = 4 << 10

// look is ReadAt by way of what was read last.
func (h *holdFile) look(p []byte, at int64) error {
	if len(p) > nearby {
		if n, err := h.ReadAt(p, at); n < len(p) {
			return err
		}
		return nil
	}
	if at < h.nearAt || at+int64(len(p)) > h.nearAt+int64(len(h.near)) {
		if h.near == nil {
			h.near = make([]byte, 0, nearby)
		}
		n, err := h.ReadAt(h.near[:nearby], at)
		if err != nil && err != io.EOF {
			return err
		}
		h.near, h.nearAt = h.near[:n], at
	}
	if n := copy(p, h.near[at-h.nearAt:]); n < len(p) {
		return io.ErrUnexpectedEOF
	}
	return nil
}

func record(kind byte, v any) ([]byte, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	b := make([]byte, recordHead, recordHead+len(text))
	b[0] = kind
	binary.BigEndian.PutUint32(b[1:], uint32(len(text)))
	binary.BigEndian.PutUint32(b[5:], checksum(kind, text))
	return append(b, text...), nil
}

func checksum(kind byte, text []byte) uint32 {
	table := crc32.MakeTable(crc32.Castagnoli)
	return crc32.Update(crc32.Checksum([]byte{kind}, table), table, text)
}

// writeHold writes a whole file and makes its content durable. The source is checked against head.Sum on the way.
func writeHold(f File, head *holdHead, src mail.Source, keys *disk.Keys) error {
	magic := holdMagic
	if keys != nil {
		magic, head.Stored = sealedMagic, disk.SealedSize(head.Size)
	}
	first, err := record(kindHead, head)
	if err != nil {
		return fmt.Errorf("write head: %w", err)
	}
	if _, err := f.Write(append([]byte(magic), first...)); err != nil {
		return fmt.Errorf("write head: %w", err)
	}
	whole := edited{src: src, sum: head.Sum} // no edits: the source as it is
	err = keys.Seal(f, func(w io.Writer) error {
		n, err := whole.WriteTo(w)
		return errors.Join(err, short(n, head.Size))
	})
	if err != nil {
		return fmt.Errorf("write content: %w", err)
	}
	last, err := record(kindEnd, head.Sum)
	if err == nil {
		err = failpoint.Hit(failpoint.BetweenSyncs) // there is one sync here: before it, the end is missing
	}
	if err == nil {
		_, err = f.Write(last)
	}
	if err != nil {
		return fmt.Errorf("write end: %w", err)
	}
	if err := failpoint.Hit(failpoint.BeforeSync); err != nil {
		return fmt.Errorf("sync: %w", err)
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("sync: %w", err)
	}
	return nil
}

func short(n, size int64) error {
	if n == size {
		return nil
	}
	return io.ErrShortWrite
}

// readHold reads everything but the content.
func readHold(f File, keys *disk.Keys) (*holdFile, error) {
	h := &holdFile{File: f, keys: keys}
	var err error
	if h.size, err = f.Size(); err != nil {
		return nil, err
	}
	magic := make([]byte, len(holdMagic))
	if err := h.look(magic, 0); err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, fmt.Errorf("read hold file: %w", err)
	} else if err != nil || string(magic) != holdMagic && string(magic) != sealedMagic {
		return nil, fmt.Errorf("%w: it does not begin as one", ErrHoldFile)
	}
	at, err := h.read(int64(len(holdMagic)), kindHead, &h.head)
	if err != nil {
		return nil, err
	}
	h.content = at
	if h.sealed() != (string(magic) == sealedMagic) || h.sealed() && h.head.Stored != disk.SealedSize(h.head.Size) {
		return nil, fmt.Errorf("%w: head and seal disagree", ErrHoldFile)
	}
	if h.head.Size < 0 || h.stored() < 0 || h.stored() > h.size-at || h.head.Envelope == nil || len(h.head.Rcpts) == 0 {
		return nil, fmt.Errorf("%w: content is missing", ErrHoldFile)
	}
	var sum [sha256.Size]byte
	if h.sound, err = h.read(at+h.stored(), kindEnd, &sum); err != nil {
		return nil, err
	}
	if sum != h.head.Sum {
		return nil, fmt.Errorf("%w: head and end disagree", ErrHoldFile)
	}
	for { // a crash may have torn the last one; what it said is then said again
		var p holdProgress
		end, err := h.read(h.sound, kindDone, &p)
		if errors.Is(err, ErrHoldFile) {
			h.near = nil
			return h, nil
		}
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(slices.Concat(p.Lost, p.Untold, p.Notice), func(w said) bool { return w.Place < 0 || w.Place >= len(h.head.Rcpts) }) {
			return nil, fmt.Errorf("%w: a recipient is out of place", ErrHoldFile)
		}
		h.progress, h.sound = p, end
	}
}

// settled reports whether nothing is left to do for any recipient.
func (h *holdFile) settled() bool {
	return h.progress.Cancelled != "" || len(h.progress.Lost) == 0 && len(h.progress.Notice) == 0 && len(h.open()) == 0
}

// sealed reports whether the content is.
func (h *holdFile) sealed() bool { return h.head.Stored != 0 }

// stored is how many bytes the content takes in the file.
func (h *holdFile) stored() int64 {
	if h.sealed() {
		return h.head.Stored
	}
	return h.head.Size
}

// read reads the record at an offset and returns the offset behind it.
func (h *holdFile) read(at int64, kind byte, v any) (int64, error) {
	var head [recordHead]byte
	if err := h.look(head[:], at); errors.Is(err, io.ErrUnexpectedEOF) {
		return 0, fmt.Errorf("%w: a record is missing", ErrHoldFile)
	} else if err != nil { // the disk's failure says nothing about the file
		return 0, fmt.Errorf("read record: %w", err)
	}
	n := int64(binary.BigEndian.Uint32(head[1:]))
	if head[0] != kind || n > maxHoldText || n > h.size-at-recordHead {
		return 0, fmt.Errorf("%w: a record is out of place", ErrHoldFile)
	}
	text := make([]byte, n)
	if err := h.look(text, at+recordHead); err != nil {
		return 0, fmt.Errorf("read record: %w", err)
	}
	if checksum(kind, text) != binary.BigEndian.Uint32(head[5:]) {
		return 0, fmt.Errorf("%w: checksum", ErrHoldFile)
	}
	if err := json.Unmarshal(text, v); err != nil {
		return 0, fmt.Errorf("%w: %w", ErrHoldFile, err)
	}
	return at + recordHead + n, nil
}

// note writes a new state down. It outlives the process from then on, and a loss of power after a sync.
func (h *holdFile) note(p holdProgress) error {
	if h.sound < h.size {
		if err := h.Truncate(h.sound); err != nil {
			return fmt.Errorf("drop torn record: %w", err)
		}
		h.size = h.sound
	}
	b, err := record(kindDone, p)
	if err == nil {
		_, err = h.Write(b)
	}
	if err != nil {
		h.size = math.MaxInt64 // there may be a torn record now
		return fmt.Errorf("write progress: %w", err)
	}
	h.progress, h.sound = p, h.sound+int64(len(b))
	h.size = h.sound
	return nil
}

// advance makes a new state durable.
func (h *holdFile) advance(p holdProgress) error {
	was := h.progress
	if err := h.note(p); err != nil {
		return err
	}
	if err := h.Sync(); err != nil {
		h.progress = was
		return fmt.Errorf("sync progress: %w", err)
	}
	return nil
}

// source is the content. Where its key is not here the error is disk.ErrNoKey.
func (h *holdFile) source() (mail.Source, error) {
	raw := io.NewSectionReader(h, h.content, h.stored())
	if !h.sealed() {
		return raw, nil
	}
	return h.keys.UnsealAt(raw, h.head.Size)
}

// open are the places of the recipients to whom delivery is still to be tried.
func (h *holdFile) open() []int {
	done := make([]bool, len(h.head.Rcpts))
	for _, i := range h.progress.Done {
		if i >= 0 && i < len(done) {
			done[i] = true
		}
	}
	for _, l := range h.progress.Lost {
		done[l.Place] = true
	}
	var open []int
	for i := range done {
		if !done[i] {
			open = append(open, i)
		}
	}
	return open
}

// waiting are the recipients to whom delivery is still to be tried.
func (h *holdFile) waiting() (rcpts []mail.Address) {
	for _, i := range h.open() {
		rcpts = append(rcpts, h.head.Rcpts[i])
	}
	return rcpts
}

// delivery is what is still to be sent of a content.
func (h *holdFile) delivery(src mail.Source) Delivery {
	return Delivery{
		Envelope: h.head.Envelope, Rcpts: h.waiting(), Source: src, Sum: h.head.Sum, Edits: Edits{Drop: h.head.Drop, Add: string(h.head.Add)},
	}
}
