package learn

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"gatepost/filters/bayes"
	"gatepost/filters/mail"
	"gatepost/gateway/db"
	"gatepost/gateway/disk"
)

// Config says where the model is kept and what the lessons are bounded by.
type Config struct {
	Dir        string        // for the model file
	MaxLessons int           // of both kinds together; the oldest go first
	MaxAge     time.Duration // of a lesson
	Now        func() time.Time
}

// A Book holds the lessons of a site. It is safe for concurrent use, and several processes may have the same one open:
// a command teaches beside the running gateway, which takes the change over by itself.
type Book struct {
	config Config
	db     *db.DB
	seed   bayes.Seed
	slate  *Slate
	making sync.Mutex // one model at a time
	pruned time.Time  // under making
}

// Errors of teaching.
var (
	// ErrTooMany means that the teacher taught as much as one may within a day.
	ErrTooMany = errors.New("taught too many messages today")
	// ErrNothing means that there is nothing in the message to learn from.
	ErrNothing = errors.New("nothing to learn from")
	// ErrNotTaught means that the message was never taught, or is forgotten.
	ErrNotTaught = errors.New("not taught")
)

// Open opens the lessons in d and shows the stored model on slate if it is of these lessons; Refresh makes one that is
// missing.
func Open(ctx context.Context, c Config, d *db.DB, slate *Slate) (*Book, error) {
	if c.Now == nil {
		c.Now = time.Now
	}
	d = d.Part("learn")
	b := &Book{config: c, db: d, slate: slate}
	if err := d.Migrate(ctx, "learn", schema); err != nil {
		return nil, fmt.Errorf("open lessons: %w", err)
	}
	var key [8]byte
	if _, err := rand.Read(key[:]); err != nil {
		return nil, fmt.Errorf("open lessons: %w", err)
	}
	_, err := d.Exec(ctx, `INSERT INTO learning VALUES (1, ?, 0) ON CONFLICT DO NOTHING`, int64(binary.LittleEndian.Uint64(key[:])))
	var seed int64
	if err == nil {
		err = d.QueryRow(ctx, `SELECT seed FROM learning`).Scan(&seed)
	}
	if err != nil {
		return nil, fmt.Errorf("open lessons: %w", err)
	}
	b.seed = bayes.Seed(seed)
	return b, nil
}

// Secret is a key that all gateways of the site make of the same secret, one for each purpose. Nobody outside knows it.
func (b *Book) Secret(purpose string) (key [2]uint64) {
	sum := sha256.Sum256(binary.LittleEndian.AppendUint64([]byte(purpose+"\x00"), uint64(b.seed)))
	return [2]uint64{binary.LittleEndian.Uint64(sum[:8]), binary.LittleEndian.Uint64(sum[8:16])}
}

// Model is the model of the moment; nil while there is none. It implements bayes.Source.
func (b *Book) Model() (*bayes.Model, error) { return b.slate.Model() }

// A Lesson is one message to be taught.
type Lesson struct {
	Content mail.Source
	Kind    bayes.Kind
	By      string // who teaches it: an account's name, an operator
	Daily   int    // the most that By may teach within a day; 0: no bound
}

// Teach remembers a message as spam or ham; it is durable when Teach returns, and the model follows with the next
// Refresh. A message that is known as the other kind is known as this one from now on. taught is false if nothing
// changed.
func (b *Book) Teach(ctx context.Context, l Lesson) (taught bool, err error) {
	digest, tokens, err := b.read(l.Content)
	if err != nil {
		return false, fmt.Errorf("teach message: %w", err)
	}
	now := b.config.Now()
	err = b.db.Write(ctx, func(tx *sql.Tx) error {
		taught = false
		var was bool
		err := tx.QueryRowContext(ctx, `SELECT spam FROM lessons WHERE digest = ?`, digest).Scan(&was)
		if err == nil && was == (l.Kind == bayes.Spam) {
			return nil
		}
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		if err := allowed(ctx, tx, l, now); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO lessons (digest, spam, at, by, tokens) VALUES (?, ?, ?, ?, ?)
			ON CONFLICT (digest) DO UPDATE SET spam = excluded.spam, at = excluded.at, by = excluded.by, tokens = excluded.tokens`,
			digest, l.Kind == bayes.Spam, now.UnixMilli(), mail.Printable(l.By, 200), bayes.Pack(tokens))
		taught = err == nil
		return errors.Join(err, raise(ctx, tx))
	})
	if err != nil {
		return false, fmt.Errorf("teach message: %w", err)
	}
	return taught, nil
}

// allowed bounds what one teacher can do to the model in a day.
func allowed(ctx context.Context, tx *sql.Tx, l Lesson, now time.Time) error {
	if l.Daily <= 0 {
		return nil
	}
	var n int
	err := tx.QueryRowContext(ctx, `SELECT count(*) FROM lessons WHERE by = ? AND at > ?`, mail.Printable(l.By, 200), now.Add(-24*time.Hour).UnixMilli()).Scan(&n)
	if err == nil && n >= l.Daily {
		err = fmt.Errorf("%w: %d", ErrTooMany, n)
	}
	return err
}

// raise notes that the lessons changed.
func raise(ctx context.Context, tx *sql.Tx) error {
	_, err := tx.ExecContext(ctx, `UPDATE learning SET generation = generation + 1`)
	return err
}

// Forget takes a lesson back as if it had never been taught. A message that is not taught is ErrNotTaught.
func (b *Book) Forget(ctx context.Context, content mail.Source) error {
	digest, _, err := b.read(content)
	if err != nil {
		return fmt.Errorf("forget message: %w", err)
	}
	err = b.db.Write(ctx, func(tx *sql.Tx) error {
		r, err := tx.ExecContext(ctx, `DELETE FROM lessons WHERE digest = ?`, digest)
		if err != nil {
			return err
		}
		if n, err := r.RowsAffected(); err != nil || n == 0 {
			return errors.Join(err, ErrNotTaught)
		}
		return raise(ctx, tx)
	})
	if err != nil {
		return fmt.Errorf("forget message: %w", err)
	}
	return nil
}

// A Taught is what is known of a taught message.
type Taught struct {
	Kind bayes.Kind
	At   time.Time
	By   string
}

// Taught finds what a message was taught as; ErrNotTaught if it was not.
func (b *Book) Taught(ctx context.Context, content mail.Source) (Taught, error) {
	digest, _, err := b.read(content)
	if err != nil {
		return Taught{}, fmt.Errorf("look up lesson: %w", err)
	}
	var t Taught
	var spam bool
	var at int64
	err = b.db.QueryRow(ctx, `SELECT spam, at, by FROM lessons WHERE digest = ?`, digest).Scan(&spam, &at, &t.By)
	if errors.Is(err, sql.ErrNoRows) {
		err = ErrNotTaught
	}
	if err != nil {
		return Taught{}, fmt.Errorf("look up lesson: %w", err)
	}
	t.Kind, t.At = kindOf(spam), time.UnixMilli(at)
	return t, nil
}

func kindOf(spam bool) bayes.Kind {
	if spam {
		return bayes.Spam
	}
	return bayes.Ham
}

// read takes the digest and the tokens of a message.
func (b *Book) read(content mail.Source) (digest []byte, tokens []uint32, err error) {
	m := mail.Parse(content)
	tokens = b.seed.Tokens(m)
	digest = contentDigest(m)
	if err := m.Err(); err != nil {
		return nil, nil, err
	}
	if len(m.Header) == 0 || len(tokens) == 0 {
		return nil, nil, ErrNothing
	}
	return digest, tokens, nil
}

// contentDigest names a message by what its author wrote: author, subject and body, with line ends of any kind. The
// fields that servers write do not change it.
func contentDigest(m *mail.Message) []byte {
	h := sha256.New()
	fmt.Fprintf(h, "%q %q\n", m.Get("From"), m.Subject())
	body := m.Bytes(m.BodySpan())
	for len(body) > 0 && (body[len(body)-1] == '\n' || body[len(body)-1] == '\r') {
		body = body[:len(body)-1]
	}
	from := 0
	for i, c := range body {
		if c == '\r' {
			h.Write(body[from:i])
			from = i + 1
		}
	}
	h.Write(body[from:])
	return h.Sum(nil)
}

// lockModel takes the right to write the model file, from other processes too.
func (b *Book) lockModel() (unlock func() error, err error) {
	f, err := os.OpenFile(filepath.Join(b.config.Dir, "bayes.lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := disk.TryLock(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f.Close, nil
}
