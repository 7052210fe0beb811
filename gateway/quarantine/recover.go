package quarantine

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"gatepost/gateway/db"
	"gatepost/gateway/disk"
)

// A Recovery is what Recover found and did. Ids and names are ours, never the sender's.
type Recovery struct {
	Entries  int      `json:"entries"`            // in the index afterwards
	Rebuilt  []string `json:"rebuilt,omitempty"`  // ids whose files were there and whose index rows were not
	Missing  []string `json:"missing,omitempty"`  // ids whose content is not there any more
	Mended   []string `json:"mended,omitempty"`   // ids whose record was missing and was written again, without result
	Corrupt  []string `json:"corrupt,omitempty"`  // files that were moved to corrupt/
	Unneeded int      `json:"unneeded,omitempty"` // files removed that no 250 was ever given for, or that were deleted
}

// Recover brings files and index together after whatever ended the last process (P-01, P-03, FP-06 to FP-12, FP-19).
// Only the daemon calls it, holding the lock of the data directory, before anything is put.
func (s *Store) Recover(ctx context.Context) (*Recovery, error) {
	r := &Recovery{}
	if err := s.sweep(ctx); err != nil {
		return nil, fmt.Errorf("recover quarantine: %w", err)
	}
	if err := s.recover(ctx, r); err != nil {
		return nil, fmt.Errorf("recover quarantine: %w", err)
	}
	if err := s.db.QueryRow(ctx, `SELECT count(*) FROM entries`).Scan(&r.Entries); err != nil {
		return nil, fmt.Errorf("recover quarantine: %w", err)
	}
	return r, s.count(ctx)
}

// recoverFiles puts every directory in order.
func (s *Store) recoverFiles(ctx context.Context, r *Recovery) error {
	for i := range 256 {
		if err := s.recoverShard(ctx, fmt.Sprintf("%02x", i), r); err != nil {
			return err
		}
	}
	return nil
}

// A shard is what one directory holds, and what the index says it should.
type shard struct {
	blobs   map[string]bool   // by hash
	records map[string]string // hash by id
	rows    map[string]string // hash by id
}

// recoverShard puts one directory in order.
func (s *Store) recoverShard(ctx context.Context, dir string, r *Recovery) error {
	sh, err := s.readShard(ctx, dir, r)
	if err != nil {
		return err
	}
	needed := map[string]bool{}
	for id, sum := range sh.rows {
		needed[sum] = true
		switch {
		case !sh.blobs[sum]:
			r.Missing = append(r.Missing, id)
		case sh.records[id] == "":
			if err := s.mend(ctx, id); err != nil {
				return err
			}
			r.Mended = append(r.Mended, id)
		}
	}
	for id, sum := range sh.records {
		if sh.rows[id] != "" {
			continue
		}
		if !sh.blobs[sum] { // its content was removed before it: the end of an undone Put
			if err := s.fs.Remove(s.recordFile(sum, id)); err != nil {
				return err
			}
			r.Unneeded++
			continue
		}
		ok, err := s.rebuild(ctx, sum, id, r)
		if err != nil {
			return err
		}
		needed[sum] = needed[sum] || ok
	}
	for sum := range sh.blobs {
		if needed[sum] {
			continue
		}
		if err := s.db.Write(ctx, func(tx *sql.Tx) error { return s.dropBlob(ctx, tx, sum) }); err != nil {
			return err
		}
		r.Unneeded++
	}
	return nil
}

// readShard lists a directory and its part of the index. Unfinished files go; what is not ours goes to corrupt/.
func (s *Store) readShard(ctx context.Context, dir string, r *Recovery) (*shard, error) {
	sh := &shard{blobs: map[string]bool{}, records: map[string]string{}, rows: map[string]string{}}
	names, err := s.fs.ReadDir(filepath.Join(s.dir, dir))
	if err != nil {
		return nil, err
	}
	for _, e := range names {
		name := filepath.Join(s.dir, dir, e.Name())
		sum, id, ok := parseName(dir, e.Name())
		switch {
		case e.Type().IsRegular() && strings.HasSuffix(e.Name(), disk.Unfinished):
			if err := s.fs.Remove(name); err != nil {
				return nil, err
			}
			r.Unneeded++
		case !ok || !e.Type().IsRegular():
			if err := s.setAside(name, r); err != nil {
				return nil, err
			}
		case id == "":
			sh.blobs[sum] = true
		default:
			sh.records[id] = sum
		}
	}
	next := dir + "g" // after every hash that begins with dir
	rows, err := s.db.Query(ctx, `SELECT id, sha256 FROM entries WHERE sha256 >= ? AND sha256 < ?`, dir, next)
	if err != nil {
		return nil, err
	}
	for rows.Next() {
		var id, sum string
		if err := rows.Scan(&id, &sum); err != nil {
			return nil, errors.Join(err, rows.Close())
		}
		sh.rows[id] = sum
	}
	return sh, errors.Join(rows.Err(), rows.Close())
}

// setAside moves a file that is not ours, or not readable, to corrupt/. A link is moved, never followed.
func (s *Store) setAside(name string, r *Recovery) error {
	to := filepath.Base(filepath.Dir(name)) + "-" + filepath.Base(name)
	if err := s.fs.Rename(name, filepath.Join(s.dir, corruptDir, to)); err != nil {
		return fmt.Errorf("set file aside: %w", err)
	}
	r.Corrupt = append(r.Corrupt, to)
	return nil
}

// rebuild indexes an entry from its files (FP-19), if they are whole.
func (s *Store) rebuild(ctx context.Context, sum, id string, r *Recovery) (bool, error) {
	e, err := s.readRecord(sum, id)
	if errors.Is(err, ErrDamaged) || errors.Is(err, disk.ErrNotRegular) {
		return false, s.setAside(s.recordFile(sum, id), r)
	}
	if err != nil {
		return false, err
	}
	stored, err := s.verifyBlob(sum, e.Size)
	if errors.Is(err, disk.ErrNoKey) {
		return false, err // it may well be whole
	}
	if err != nil {
		return false, errors.Join(s.setAside(s.recordFile(sum, id), r), s.setAsideBlob(ctx, sum, r))
	}
	for i := range e.Rcpts {
		if e.Rcpts[i].State == Releasing { // whoever released it is gone
			e.Rcpts[i].State = Waiting
		}
	}
	known := false
	err = s.db.Write(ctx, func(tx *sql.Tx) error {
		var n int
		if err := tx.QueryRowContext(ctx, `SELECT count(*) FROM entries WHERE id = ?`, id).Scan(&n); err != nil {
			return err
		}
		if known = n > 0; known {
			return nil // the id belongs to other content: a Put that failed for that reason left this
		}
		_, err := insert(ctx, tx, e, stored)
		return err
	})
	if err != nil {
		return false, fmt.Errorf("index message: %w", err)
	}
	if known {
		r.Unneeded++
		return false, removeIfThere(s.fs, s.recordFile(sum, id))
	}
	r.Rebuilt = append(r.Rebuilt, id)
	return true, nil
}

// setAsideBlob moves unreadable content to corrupt/, unless an entry needs it: then Verify tells.
func (s *Store) setAsideBlob(ctx context.Context, sum string, r *Recovery) error {
	var n int
	if err := s.db.QueryRow(ctx, `SELECT count(*) FROM entries WHERE sha256 = ?`, sum).Scan(&n); err != nil || n > 0 {
		return err
	}
	err := s.setAside(s.blob(sum), r)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// mend writes the record of an indexed entry again.
func (s *Store) mend(ctx context.Context, id string) error {
	e, err := s.find(ctx, id)
	if err != nil {
		return err
	}
	if err := s.writeRecord(e); err != nil {
		return err
	}
	return s.fs.SyncDir(s.shard(e.SHA256))
}

// A Damage is an entry whose files are not what was put.
type Damage struct {
	ID    string `json:"id"`
	Error string `json:"error"`
}

// Verify reads every entry through, content and record, and returns those that are damaged. It runs beside the daemon;
// what is deleted meanwhile is not damaged. each, if not nil, is called after every entry.
func (s *Store) Verify(ctx context.Context, each func()) ([]Damage, error) {
	var bad []Damage
	q := Query{Limit: 1000}
	for {
		list, err := s.List(ctx, q)
		if err != nil {
			return bad, fmt.Errorf("verify quarantine: %w", err)
		}
		if len(list) == 0 {
			return bad, nil
		}
		for _, e := range list {
			err := s.verify(ctx, &e)
			if db.Away(err) {
				return bad, fmt.Errorf("verify quarantine: %w", err)
			}
			if err != nil {
				bad = append(bad, Damage{ID: e.ID, Error: err.Error()})
			}
			if each != nil {
				each()
			}
		}
		q.Before = list[len(list)-1].ID
	}
}

// verify reads one entry through.
func (s *Store) verify(ctx context.Context, e *Entry) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	_, err := s.verifyContent(ctx, e.SHA256, e.Size)
	if err == nil {
		_, err = s.record(ctx, e)
	}
	if err == nil {
		return nil
	}
	if _, ferr := s.find(ctx, e.ID); errors.Is(ferr, ErrNotFound) {
		return nil
	}
	return err
}
