package learn

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	"gatepost/filters/bayes"
	"gatepost/gateway/disk"
)

// maxFitted bounds the tokens of the lessons that one model is made of, and so the memory that making it takes: about
// 12 bytes each. Of more, the newest lessons count.
const maxFitted = 12 << 20

// pruneEvery is how often old lessons are looked for.
const pruneEvery = 10 * time.Minute

// Refresh shows the model of the lessons as they are now: the one on the slate if it is theirs, else the stored one, else
// one made now, which it stores. What the file cannot take is returned as an error, after the model is shown.
func (b *Book) Refresh(ctx context.Context) error {
	b.making.Lock()
	defer b.making.Unlock()
	if now := b.config.Now(); now.Sub(b.pruned).Abs() > pruneEvery {
		if err := b.prune(ctx); err != nil {
			return fmt.Errorf("refresh model: %w", err)
		}
		b.pruned = now
	}
	generation, err := b.generation(ctx)
	if err != nil {
		return fmt.Errorf("refresh model: %w", err)
	}
	if now := b.slate.now.Load(); now != nil && now.err == nil && now.generation == generation && now.model.Seed() == b.seed {
		return nil
	}
	if m, of, err := readModel(b.config.Dir); err == nil && of == generation && m.Seed() == b.seed {
		b.slate.now.Store(&shown{model: m, generation: of})
		return nil
	}
	lessons, generation, err := b.lessons(ctx)
	if err != nil {
		return fmt.Errorf("refresh model: %w", err)
	}
	m, err := bayes.Fit(ctx, b.seed, lessons)
	if err != nil {
		return fmt.Errorf("refresh model: %w", err)
	}
	b.slate.now.Store(&shown{model: m, generation: generation})
	return b.store(m, generation)
}

// store writes the model file; while another process writes it, that one's is as good.
func (b *Book) store(m *bayes.Model, generation uint64) error {
	unlock, err := b.lockModel()
	if errors.Is(err, disk.ErrLocked) {
		return nil
	}
	if err == nil {
		err = disk.WriteFile(disk.OS{}, modelFile(b.config.Dir), func(w io.Writer) error { return m.Write(w, generation) })
		err = errors.Join(err, unlock())
	}
	if err != nil {
		return fmt.Errorf("store model: %w", err)
	}
	return nil
}

// generation is the number of the lessons' last change.
func (b *Book) generation(ctx context.Context) (n uint64, err error) {
	err = b.db.QueryRow(ctx, `SELECT generation FROM learning`).Scan(&n)
	return n, err
}

// lessons reads all, the newest first, and the generation that they are of.
func (b *Book) lessons(ctx context.Context) (list []bayes.Lesson, generation uint64, err error) {
	rows, err := b.db.Query(ctx, `SELECT (SELECT generation FROM learning), spam, tokens FROM lessons ORDER BY at DESC, seq DESC`)
	if err != nil {
		return nil, 0, err
	}
	defer rows.Close()
	all := 0
	for rows.Next() && all < maxFitted {
		var l bayes.Lesson
		var packed sql.RawBytes
		if err := rows.Scan(&generation, &l.Spam, &packed); err != nil {
			return nil, 0, err
		}
		if l.Tokens, err = bayes.Unpack(packed); err != nil {
			return nil, 0, err
		}
		if all > maxFitted/2 {
			l.Lean()
		}
		all += len(l.Tokens)
		list = append(list, l)
	}
	if err := rows.Err(); err != nil {
		return nil, 0, err
	}
	if len(list) == 0 {
		generation, err = b.generation(ctx)
	}
	return list, generation, err
}

// prune removes lessons that are too old, and the oldest of a kind that has too many.
func (b *Book) prune(ctx context.Context) error {
	oldest := b.config.Now().Add(-b.config.MaxAge).UnixMilli()
	var surplus int
	err := b.db.QueryRow(ctx, `SELECT count(*) FROM lessons WHERE at < ?`, oldest).Scan(&surplus)
	for _, spam := range [...]bool{false, true} {
		var n int
		if err == nil {
			err = b.db.QueryRow(ctx, `SELECT count(*) FROM lessons WHERE spam = ?`, spam).Scan(&n)
			surplus += max(n-b.config.MaxLessons/2, 0)
		}
	}
	if err != nil || surplus == 0 {
		return err
	}
	return b.db.Write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM lessons WHERE at < ?`, oldest)
		for _, spam := range [...]bool{false, true} {
			if err == nil {
				_, err = tx.ExecContext(ctx, `DELETE FROM lessons WHERE seq IN
					(SELECT seq FROM lessons WHERE spam = ? ORDER BY at DESC, seq DESC LIMIT ? OFFSET ?)`, spam, math.MaxInt64, b.config.MaxLessons/2)
			}
		}
		return errors.Join(err, raise(ctx, tx))
	})
}

// How often Run looks for new lessons, and how much longer than making a model it waits before it makes the next: making
// models takes at most a twentieth of one core.
const (
	lookEvery = 2 * time.Second
	restful   = 20
)

// Run keeps the model up with the lessons, whoever teaches them, until ctx ends. Errors are told whenever one comes or
// goes.
func (b *Book) Run(ctx context.Context, told func(error)) {
	wait := time.Duration(0)
	for {
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return
		}
		start := time.Now()
		if err := b.Refresh(ctx); ctx.Err() == nil {
			told(err)
		}
		wait = max(lookEvery, restful*time.Since(start))
	}
}

// A Status is what a site has learnt.
type Status struct {
	Spam       int       `json:"spam"` // lessons of each kind
	Ham        int       `json:"ham"`
	Oldest     time.Time `json:"oldest,omitzero"`
	Newest     time.Time `json:"newest,omitzero"`
	Tokens     int       `json:"tokens"`      // that the model has a weight for
	ModelBytes int       `json:"model_bytes"` // in memory
	Current    bool      `json:"current"`     // the model shown is of these lessons
}

// Status counts.
func (b *Book) Status(ctx context.Context) (Status, error) {
	var s Status
	var oldest, newest sql.NullInt64
	var generation uint64
	err := b.db.QueryRow(ctx, `SELECT count(*) FILTER (WHERE spam <> 0), count(*) FILTER (WHERE spam = 0), min(at), max(at),
		(SELECT generation FROM learning) FROM lessons`).Scan(&s.Spam, &s.Ham, &oldest, &newest, &generation)
	if err != nil {
		return s, fmt.Errorf("count lessons: %w", err)
	}
	if oldest.Valid {
		s.Oldest, s.Newest = time.UnixMilli(oldest.Int64), time.UnixMilli(newest.Int64)
	}
	if now := b.slate.now.Load(); now != nil && now.model != nil {
		s.Tokens, s.ModelBytes, s.Current = now.model.Size(), now.model.Bytes(), now.generation == generation
	}
	return s, nil
}
