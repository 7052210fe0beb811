package quarantine

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"gatepost/filters/mail"
	"gatepost/gateway/db"
	"gatepost/gateway/disk"
	"gatepost/gateway/failpoint"
	"gatepost/gateway/spool"
)

// A Store keeps entries: content in files, an index of them in the database; where the gateways of a site share a database,
// all of it there. It is safe for concurrent use, and commands, and those other gateways, may have the same quarantine open.
// The View it embeds sees everything; For restricts.
type Store struct {
	View
	keeper
	cfg     Config
	db      *db.DB
	spool   *spool.Spool
	fs      disk.FS
	dir     string
	codec   disk.Codec
	keys    *disk.Keys
	used    atomic.Int64 // bytes of content, as of the last count and what this process put since
	counted atomic.Int64 // when that count was, in milliseconds since 1970
	gauge   disk.Gauge
	trouble disk.Trouble
}

// Deps is what a Store stands on.
type Deps struct {
	Dir   string       // data_dir/quarantine; made if missing, unless all is in a shared database
	DB    *db.DB       // of the index
	Spool *spool.Spool // takes the content of messages that are opened
	FS    disk.FS      // nil: the operating system's
	Keys  *disk.Keys   // content is sealed with; nil: it is not
}

// New opens the quarantine in d.Dir and brings its tables up to date. The daemon calls Recover before it serves.
func New(ctx context.Context, cfg Config, d Deps) (*Store, error) {
	s := &Store{cfg: cfg, db: d.DB.Part("quarantine"), spool: d.Spool, fs: d.FS, dir: d.Dir, keys: d.Keys}
	s.View = View{s: s, all: true}
	err := s.db.Migrate(ctx, "quarantine", schema)
	if s.db.Shared() {
		s.keeper = inTables{s}
		if err == nil {
			err = s.db.Migrate(ctx, "quarantine content", tables())
		}
	} else {
		s.keeper = inFiles{s}
		if err == nil {
			err = s.db.Migrate(ctx, "quarantine words", wordsSchema())
		}
		err = errors.Join(err, s.openFiles())
	}
	if err == nil {
		err = s.count(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("open quarantine: %w", err)
	}
	return s, nil
}

// openFiles prepares what an inFiles needs.
func (s *Store) openFiles() error {
	if s.fs == nil {
		s.fs = disk.OS{}
		s.gauge.Dir = s.dir
	}
	if err := s.makeDirs(); err != nil {
		return fmt.Errorf("make quarantine directory: %w", err)
	}
	return nil
}

// makeDirs makes all directories at once, durably, so that Put need not.
func (s *Store) makeDirs() error {
	marker := filepath.Join(s.dir, "ff")
	if _, err := s.fs.ReadDir(marker); err == nil {
		return nil
	}
	for i := range 256 {
		if err := s.fs.Mkdir(filepath.Join(s.dir, fmt.Sprintf("%02x", i))); err != nil {
			return err
		}
	}
	if err := s.fs.Mkdir(filepath.Join(s.dir, corruptDir)); err != nil {
		return err
	}
	return s.fs.SyncDir(s.dir)
}

// count asks the database how many bytes of content there are.
func (s *Store) count(ctx context.Context) error {
	var n int64
	if err := s.db.QueryRow(ctx, `SELECT coalesce(sum(stored), 0) FROM blobs`).Scan(&n); err != nil {
		return fmt.Errorf("count content: %w", err)
	}
	s.used.Store(n)
	s.counted.Store(time.Now().UnixMilli())
	return nil
}

// Admit reports whether something can be put now: nil, ErrFull, or why the disk is not trusted. It costs next to
// nothing and is for readiness; Put asks it too.
func (s *Store) Admit() error {
	if limit := int64(s.cfg.MaxBytes); limit > 0 && s.used.Load() >= limit {
		return ErrFull
	}
	return s.room()
}

// Put makes the message durable before it returns nil: content, record, directory, index, each synced, in this order
// (P-01). It sets Size and SHA256, and what else of e is empty and has a default. After an error nothing is kept,
// except perhaps after a crash, when Recover decides; ErrFull is answered with 452 and every other error with 451.
func (s *Store) Put(ctx context.Context, e *Entry, src mail.Source) error {
	if err := s.complete(e, src); err != nil {
		return fmt.Errorf("quarantine message: %w", err)
	}
	if err := s.admit(ctx); err != nil {
		return fmt.Errorf("quarantine message: %w", err)
	}
	err := s.put(ctx, e, src)
	if err == nil {
		return nil
	}
	if disk.Full(err) || db.Full(err) {
		err = fmt.Errorf("%w: %w", ErrFull, err)
	}
	return fmt.Errorf("quarantine message: %w", err)
}

// recount is for how long a count is believed while other gateways put content into the same quarantine.
const recount = 5 * time.Second

// admit is Admit with a fresh count before a no, for commands may have made room.
func (s *Store) admit(ctx context.Context) error {
	if s.cfg.MaxBytes > 0 && s.db.Shared() && time.Since(time.UnixMilli(s.counted.Load())).Abs() > recount {
		if err := s.count(ctx); err != nil {
			return err
		}
	}
	err := s.Admit()
	if err == nil || !errors.Is(err, ErrFull) {
		return err
	}
	return errors.Join(s.count(ctx), s.Admit())
}

// complete fills in what Put promises to.
func (s *Store) complete(e *Entry, src mail.Source) (err error) {
	if !validID(e.ID) {
		return fmt.Errorf("id %q cannot name a file", mail.Printable(e.ID, 80))
	}
	if len(e.Rcpts) == 0 {
		return errors.New("no recipients")
	}
	if e.Time.IsZero() {
		e.Time = time.Now()
	}
	if e.Expires.IsZero() {
		e.Expires = e.Time.Add(s.cfg.Retention.For(e.Class, e.Refused))
	}
	for i := range e.Rcpts {
		if e.Rcpts[i].State == "" {
			e.Rcpts[i].State = Waiting
		}
	}
	if e.Terms == nil {
		e.Terms = termsOf(e.Result)
	}
	if e.Reason == "" && e.Code == "" {
		text, code := Headline(e.Result)
		e.Reason, e.Code = mail.Printable(text, maxReason), mail.Printable(code, maxReason)
	}
	if len(e.Result) > disk.MaxLine/2 || len(e.Result) > 0 && !json.Valid(e.Result) {
		e.Result = fmt.Appendf(nil, `{"omitted":"a result of %d bytes"}`, len(e.Result))
	}
	e.Size = src.Size()
	e.SHA256, err = sumOf(src)
	return err
}

// putFiles is the durable steps.
func (s *Store) putFiles(ctx context.Context, e *Entry, src mail.Source) error {
	for range 3 {
		stored, err := s.writeBlob(e, src)
		if err != nil {
			return fmt.Errorf("store content: %w", err)
		}
		if err := failpoint.Hit(failpoint.BetweenSyncs); err != nil {
			return fmt.Errorf("store content: %w", err)
		}
		if err := s.writeRecord(e); err != nil {
			return fmt.Errorf("store record: %w", err)
		}
		if err := failpoint.Hit(failpoint.BeforeDirSync); err != nil {
			return fmt.Errorf("sync directory: %w", err)
		}
		if err := s.fs.SyncDir(s.shard(e.SHA256)); err != nil {
			return fmt.Errorf("sync directory: %w", err)
		}
		if err := failpoint.Hit(failpoint.BeforeIndex); err != nil {
			return fmt.Errorf("index message: %w", err)
		}
		err = s.index(ctx, e, stored)
		if !errors.Is(err, errSwept) {
			return err
		}
	}
	return errSwept
}

// errSwept means that the content was removed between being found and being indexed: the last entry that had the same
// content was deleted at that moment.
var errSwept = errors.New("content was swept")

// index makes the entry visible. Looking whether the content is still there and noting that it is needed is one
// transaction, as is the opposite in sweep.
func (s *Store) index(ctx context.Context, e *Entry, stored int64) error {
	added := false
	err := s.db.Write(ctx, func(tx *sql.Tx) error {
		f, err := s.fs.Open(s.blob(e.SHA256))
		if errors.Is(err, fs.ErrNotExist) {
			return errSwept
		}
		if err != nil {
			return err
		}
		if err := f.Close(); err != nil {
			return err
		}
		added, err = insert(ctx, tx, e, stored)
		return err
	})
	if err != nil {
		return fmt.Errorf("index message: %w", err)
	}
	if added {
		s.used.Add(stored)
	}
	return nil
}

// insert adds the rows of an entry and its content, and reports whether that was not there before.
func insert(ctx context.Context, tx *sql.Tx, e *Entry, stored int64) (added bool, err error) {
	seq, owners, err := insertEntry(ctx, tx, e)
	if err == nil {
		err = indexWords(ctx, tx, seq, found(e), owners)
	}
	if err != nil {
		return false, err
	}
	r, err := tx.ExecContext(ctx, `INSERT INTO blobs (sha256, stored) VALUES (?,?) ON CONFLICT DO NOTHING`, e.SHA256, stored)
	if err != nil {
		return false, err
	}
	n, err := r.RowsAffected()
	return n > 0, err
}

// insertEntry adds the rows of an entry, and gives the owners of its copies.
func insertEntry(ctx context.Context, tx *sql.Tx, e *Entry) (seq int64, owners []string, err error) {
	err = tx.QueryRowContext(ctx, `INSERT INTO entries (id, time, expires, class, refused, score, mail_from, author, name,
		subject, size, sha256, client, helo, found, reason, code) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?) RETURNING seq`,
		e.ID, e.Time.UnixMilli(), e.Expires.UnixMilli(), string(e.Class), e.Refused, int64(e.Score), e.MailFrom, e.Author,
		e.Name, e.Subject, e.Size, e.SHA256, e.Client, e.Helo, found(e), e.Reason, e.Code).Scan(&seq)
	if err != nil {
		return 0, nil, err
	}
	owners = make([]string, len(e.Rcpts))
	for i, c := range e.Rcpts {
		owner, domain := ownerOf(c.Address)
		owners[i] = owner
		_, err := tx.ExecContext(ctx, `INSERT INTO recipients (entry, place, address, owner, domain, state, reply, by, at, key)
			VALUES (?,?,?,?,?,?,?,?,?,'')`, seq, i, c.Address, owner, domain, string(c.State), c.Reply, c.By, millis(c.At))
		if err != nil {
			return 0, nil, err
		}
	}
	return seq, owners, nil
}

// undo removes what a failed Put may have left. Content that another entry needs stays.
func (s *Store) undo(e *Entry) error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return s.db.Write(ctx, func(tx *sql.Tx) error {
		var n int
		if err := tx.QueryRowContext(ctx, `SELECT count(*) FROM entries WHERE id = ?`, e.ID).Scan(&n); err != nil || n > 0 {
			return err // it was there before: the id is not new
		}
		err := removeIfThere(s.fs, s.recordFile(e.SHA256, e.ID))
		return errors.Join(err, s.dropBlob(ctx, tx, e.SHA256))
	})
}

// dropBlob removes content that no entry needs.
func (s *Store) dropBlob(ctx context.Context, tx *sql.Tx, sum string) error {
	var n int
	if err := tx.QueryRowContext(ctx, `SELECT count(*) FROM entries WHERE sha256 = ?`, sum).Scan(&n); err != nil || n > 0 {
		return err
	}
	if err := removeIfThere(s.fs, s.blob(sum)); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, `DELETE FROM blobs WHERE sha256 = ?`, sum)
	return err
}

// removeIfThere removes a file; one that is not there is no error.
func removeIfThere(fsys disk.FS, name string) error {
	if err := fsys.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove file: %w", err)
	}
	return nil
}

// found is the text that Query.Text searches: folded, without recipients, which only their owners may search.
func found(e *Entry) string {
	words := append([]string{e.Subject, e.MailFrom, e.Author, e.Name, e.Client, e.Helo, e.ID}, e.Terms...)
	return strings.ToLower(mail.Printable(strings.Join(words, " "), maxFound))
}

// maxFound bounds the searchable text of one entry, in bytes.
const maxFound = 4096

// maxReason bounds a reason in the index, in bytes.
const maxReason = 500

// ownerOf is the canonical form of a recipient, and its domain: one function for storage, ownership and search.
func ownerOf(address string) (owner, domain string) {
	a, err := mail.ParseAddress(address)
	if err != nil {
		return strings.ToLower(address), ""
	}
	return a.Canonical(), a.Domain()
}

// millis is t for the database; 0 is the zero time.
func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// timeOf is the reverse of millis.
func timeOf(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}
