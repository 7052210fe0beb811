package quarantine

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	"gatepost/filters/mail"
	"gatepost/gateway/failpoint"
)

// wrap says what failed, if anything did.
func wrap(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}

// putContent writes the content of e, unless it is there whole, and reports the bytes it takes.
func (k inTables) putContent(ctx context.Context, tx *sql.Tx, e *Entry, src mail.Source) (stored int64, added bool, err error) {
	err = tx.QueryRowContext(ctx, `INSERT INTO blobs (sha256, stored) VALUES (?, 0)
		ON CONFLICT (sha256) DO UPDATE SET stored = blobs.stored RETURNING stored`, e.SHA256).Scan(&stored)
	if err != nil {
		return 0, false, err
	}
	if stored > 0 {
		if k.intact(ctx, tx, e) {
			return stored, false, nil
		}
		if _, err := tx.ExecContext(ctx, `DELETE FROM pieces WHERE sha256 = ?`, e.SHA256); err != nil {
			return 0, false, err
		}
	}
	w := &pieceWriter{ctx: ctx, tx: tx, sum: e.SHA256}
	h := sha256.New()
	if err := k.keys.Seal(w, func(w io.Writer) error { return k.compress(w, h, src) }); err != nil {
		return 0, false, err
	}
	if hex.EncodeToString(h.Sum(nil)) != e.SHA256 { // P-08
		return 0, false, fmt.Errorf("%w: content changed since it was received", ErrDamaged)
	}
	if err := w.flush(); err != nil {
		return 0, false, err
	}
	_, err = tx.ExecContext(ctx, `UPDATE blobs SET stored = ? WHERE sha256 = ?`, w.written, e.SHA256)
	return w.written, stored == 0, err
}

// intact reports whether the content of e is there whole, and can be read with our keys.
func (k inTables) intact(ctx context.Context, tx *sql.Tx, e *Entry) bool {
	h := sha256.New()
	var n int64
	_, err := k.expandRows(func() (*sql.Rows, error) { return tx.QueryContext(ctx, selectPieces, e.SHA256) }, func(r io.Reader) (err error) {
		n, err = io.Copy(h, io.LimitReader(r, e.Size+1))
		return err
	})
	return err == nil && n == e.Size && hex.EncodeToString(h.Sum(nil)) == e.SHA256
}

// putEntry writes index and record of e.
func (k inTables) putEntry(ctx context.Context, tx *sql.Tx, e *Entry) error {
	if err := failpoint.Hit(failpoint.BeforeIndex); err != nil {
		return err
	}
	line, err := encodeRecord(e)
	if err != nil {
		return err
	}
	seq, _, err := insertEntry(ctx, tx, e)
	if err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, `INSERT INTO records (entry, line) VALUES (?, ?)`, seq, line); err != nil {
		return err
	}
	return failpoint.Hit(failpoint.BeforeDirSync)
}

// A pieceWriter writes content as rows.
type pieceWriter struct {
	ctx     context.Context
	tx      *sql.Tx
	sum     string
	piece   []byte
	place   int
	written int64
}

// Write implements io.Writer.
func (w *pieceWriter) Write(p []byte) (int, error) {
	total := len(p)
	for len(p) > 0 {
		n := min(len(p), pieceSize-len(w.piece))
		w.piece = append(w.piece, p[:n]...)
		p = p[n:]
		if len(w.piece) == pieceSize {
			if err := w.flush(); err != nil {
				return total - len(p), err
			}
		}
	}
	return total, nil
}

// flush writes what is left.
func (w *pieceWriter) flush() error {
	if len(w.piece) == 0 {
		return nil
	}
	_, err := w.tx.ExecContext(w.ctx, `INSERT INTO pieces (sha256, place, body) VALUES (?, ?, ?)`, w.sum, w.place, w.piece)
	if err == nil {
		err = failpoint.Hit(failpoint.BetweenSyncs)
	}
	w.written, w.place, w.piece = w.written+int64(len(w.piece)), w.place+1, w.piece[:0]
	return err
}

// selectPieces reads content.
const selectPieces = `SELECT place, body FROM pieces WHERE sha256 = ? ORDER BY place`

func (k inTables) expand(ctx context.Context, sum string, read reading) (int64, error) {
	return k.expandRows(func() (*sql.Rows, error) { return k.db.Query(ctx, selectPieces, sum) }, read)
}

// expandRows gives read the content that stands in rows.
func (k inTables) expandRows(query func() (*sql.Rows, error), read reading) (int64, error) {
	rows, err := query()
	if err != nil {
		return 0, fmt.Errorf("open content: %w", err)
	}
	p := &pieceReader{rows: rows}
	plain, err := k.keys.Unseal(p)
	if err == nil {
		err = k.codec.Expand(plain, read)
	}
	if p.err != nil && !errors.Is(p.err, io.EOF) {
		err = p.err // whatever was made of what came before it
	}
	return p.n, errors.Join(err, rows.Close())
}

// A pieceReader reads rows as one content.
type pieceReader struct {
	rows  *sql.Rows
	piece []byte
	next  int
	n     int64
	err   error
}

// Read implements io.Reader. Pieces that are not there end the content with ErrDamaged.
func (p *pieceReader) Read(b []byte) (int, error) {
	for len(p.piece) == 0 && p.err == nil {
		p.err = p.step()
	}
	if p.err != nil {
		return 0, p.err
	}
	n := copy(b, p.piece)
	p.piece = p.piece[n:]
	return n, nil
}

// step reads one row.
func (p *pieceReader) step() error {
	if !p.rows.Next() {
		switch err := p.rows.Err(); {
		case err != nil:
			return err
		case p.next == 0:
			return fmt.Errorf("%w: content is missing", ErrDamaged)
		}
		return io.EOF
	}
	var place int
	if err := p.rows.Scan(&place, &p.piece); err != nil {
		return err
	}
	if place != p.next {
		return fmt.Errorf("%w: piece %d is missing", ErrDamaged, p.next)
	}
	p.next++
	p.n += int64(len(p.piece))
	return nil
}
