package quarantine

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"gatepost/filters/mail"
	"gatepost/gateway/db"
	"gatepost/gateway/disk"
)

// A keeper holds the content and the records of entries, beside the index. On one machine they are files; where gateways
// share a database they stand in it, so that every gateway can show and release what any of them took.
type keeper interface {
	// room is nil if something can be put now.
	room() error
	// put makes content, record and index of e durable, in this order or at once, or leaves nothing.
	put(ctx context.Context, e *Entry, src mail.Source) error
	// record reads the record of an entry.
	record(ctx context.Context, e *Entry) (*Entry, error)
	// noted follows a change of the copies of an entry, within its transaction.
	noted(e *Entry, copies []held) error
	// expand gives read the content with this hash, and reports the bytes it takes.
	expand(ctx context.Context, sum string, read reading) (stored int64, err error)
	// dropRecord removes the record of an entry that is gone from the index.
	dropRecord(sum, id string) error
	// dropContent removes content that no entry needs, in one transaction with the look, and reports false if it must be
	// looked again, for something is being done to it now.
	dropContent(ctx context.Context, tx *sql.Tx, sum string) (bool, error)
	// dropped makes the removals below a hash durable.
	dropped(sum string) error
	// recover brings what is kept and index together.
	recover(ctx context.Context, r *Recovery) error
}

// inFiles is the keeper of one machine.
type inFiles struct{ *Store }

func (k inFiles) room() error {
	if err := k.trouble.Err(); err != nil {
		return err
	}
	if k.gauge.Dir == "" {
		return nil
	}
	if err := k.gauge.Enough(); err != nil {
		return fmt.Errorf("%w: %w", ErrFull, err)
	}
	return nil
}

func (k inFiles) put(ctx context.Context, e *Entry, src mail.Source) error {
	err := k.putFiles(ctx, e, src)
	if err == nil {
		return nil
	}
	err = errors.Join(err, k.undo(e))
	if disk.Full(err) || db.Full(err) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return k.trouble.Note(err)
}

func (k inFiles) record(_ context.Context, e *Entry) (*Entry, error) {
	return k.readRecord(e.SHA256, e.ID)
}

// noted writes the record again before the commit, so that an index made from the records knows what was released.
func (k inFiles) noted(e *Entry, copies []held) error {
	r, err := k.readRecord(e.SHA256, e.ID)
	if err != nil {
		return nil // damaged already: the index is then the only truth, and Verify tells
	}
	r.Rcpts = r.Rcpts[:0]
	for _, h := range copies {
		r.Rcpts = append(r.Rcpts, h.Recipient)
	}
	return k.writeRecord(r)
}

func (k inFiles) expand(_ context.Context, sum string, read reading) (int64, error) {
	return k.expandFile(sum, read)
}

func (k inFiles) dropRecord(sum, id string) error { return removeIfThere(k.fs, k.recordFile(sum, id)) }

func (k inFiles) dropContent(ctx context.Context, tx *sql.Tx, sum string) (bool, error) {
	return true, k.dropBlob(ctx, tx, sum)
}

func (k inFiles) dropped(sum string) error { return k.fs.SyncDir(k.shard(sum)) }

func (k inFiles) recover(ctx context.Context, r *Recovery) error { return k.recoverFiles(ctx, r) }

// inTables is the keeper of gateways that share a database.
type inTables struct{ *Store }

// pieceSize is how much of a content stands in one row.
const pieceSize = 1 << 20

// tables hold the content and the records. Only PostgreSQL has them; content is compressed already.
func tables() []string {
	return []string{`
CREATE TABLE records (entry BIGINT PRIMARY KEY REFERENCES entries (seq) ON DELETE CASCADE, line BYTEA NOT NULL);
CREATE TABLE pieces (
	sha256 TEXT NOT NULL REFERENCES blobs (sha256) ON DELETE CASCADE,
	place BIGINT NOT NULL,
	body BYTEA NOT NULL,
	PRIMARY KEY (sha256, place)
);
ALTER TABLE pieces ALTER COLUMN body SET STORAGE EXTERNAL;
`}
}

func (k inTables) room() error { return k.db.Health() }

// put is one transaction: there is no content without an entry. The row of the content is locked first, so that nobody
// sweeps it meanwhile and nobody writes it twice.
func (k inTables) put(ctx context.Context, e *Entry, src mail.Source) error {
	var stored int64
	added := false
	err := k.db.Transact(ctx, func(tx *sql.Tx) (err error) {
		stored, added, err = k.putContent(ctx, tx, e, src)
		if err != nil {
			return wrap("store content", err)
		}
		return wrap("index message", k.putEntry(ctx, tx, e))
	})
	if errors.Is(err, db.ErrDoubt) && k.arrived(e) {
		err = nil
	}
	if err == nil && added {
		k.used.Add(stored)
	}
	return err
}

// resolve is how long it is tried to learn what became of a commit.
const resolve = 10 * time.Second

// arrived reports whether the entry is there, although the connection was lost while it was being committed.
func (k inTables) arrived(e *Entry) bool {
	ctx, cancel := context.WithTimeout(context.Background(), resolve)
	defer cancel()
	for {
		var sum string
		err := k.db.QueryRow(ctx, `SELECT sha256 FROM entries WHERE id = ?`, e.ID).Scan(&sum)
		if err == nil || errors.Is(err, sql.ErrNoRows) {
			return err == nil && sum == e.SHA256
		}
		select {
		case <-time.After(200 * time.Millisecond):
		case <-ctx.Done():
			return false
		}
	}
}

func (k inTables) record(ctx context.Context, e *Entry) (*Entry, error) {
	var line []byte
	err := k.db.QueryRow(ctx, `SELECT r.line FROM records r JOIN entries e ON e.seq = r.entry WHERE e.id = ?`, e.ID).Scan(&line)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, wrap("read record", ErrDamaged)
	}
	if err != nil {
		return nil, wrap("read record", err)
	}
	r, err := decodeRecord(line)
	if err == nil && (r.ID != e.ID || r.SHA256 != e.SHA256) {
		return nil, wrap("read record", ErrDamaged)
	}
	return r, err
}

// noted does nothing: the index is the only truth, and the record is of the day the message came.
func (k inTables) noted(*Entry, []held) error { return nil }

// dropRecord does nothing: the record went with the entry.
func (k inTables) dropRecord(string, string) error { return nil }

func (k inTables) dropContent(ctx context.Context, tx *sql.Tx, sum string) (bool, error) {
	var n int
	err := tx.QueryRowContext(ctx, `SELECT 1 FROM blobs WHERE sha256 = ? FOR UPDATE SKIP LOCKED`, sum).Scan(&n)
	if errors.Is(err, sql.ErrNoRows) { // it is not there, or somebody is putting the same content now
		err = tx.QueryRowContext(ctx, `SELECT count(*) FROM blobs WHERE sha256 = ?`, sum).Scan(&n)
		return n == 0, err
	}
	if err == nil {
		err = tx.QueryRowContext(ctx, `SELECT count(*) FROM entries WHERE sha256 = ?`, sum).Scan(&n)
	}
	if err != nil || n > 0 {
		return true, err
	}
	_, err = tx.ExecContext(ctx, `DELETE FROM blobs WHERE sha256 = ?`, sum)
	return true, err
}

func (k inTables) dropped(string) error { return nil }

// recover has nothing to bring together; it tells what is missing.
func (k inTables) recover(ctx context.Context, r *Recovery) error {
	rows, err := k.db.Query(ctx, `SELECT e.id FROM entries e WHERE NOT EXISTS
		(SELECT 1 FROM pieces p WHERE p.sha256 = e.sha256 AND p.place = 0) ORDER BY e.id`)
	if err != nil {
		return err
	}
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return errors.Join(err, rows.Close())
		}
		r.Missing = append(r.Missing, id)
	}
	return errors.Join(rows.Err(), rows.Close())
}
