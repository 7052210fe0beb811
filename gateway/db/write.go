package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"runtime/debug"
	"sync/atomic"
	"time"
)

// maxBatch is the most transactions that share one commit.
const maxBatch = 64

// A job is one caller's transaction on its way to the writer.
type job struct {
	ctx  context.Context
	do   func(*sql.Tx) error
	err  error
	done chan struct{}
	// taken is set once, by the writer when it begins or by a caller that waits no longer.
	taken atomic.Bool
}

// Write runs do in a transaction and returns nil once the commit is durable. Transactions that wait at the same time
// share one commit, each with a savepoint of its own: an error of do undoes its own changes and no other's. What do reads
// nobody else of its Part changes before it ends. do must not keep tx, and must be quick: all writers of the part wait for
// it, on every gateway.
//
// If ctx ends before the transaction begins, it never does. If it ends later, Write still waits for the outcome, so
// that an error never hides a commit: the wait is bounded by the database's own timeout.
func (d *DB) Write(ctx context.Context, do func(tx *sql.Tx) error) error {
	if err := d.Health(); err != nil {
		return err
	}
	return d.seen(d.enqueue(ctx, do))
}

// Transact runs do in a transaction of its own, which happens beside those of Write: what it must not share it must lock
// itself. With SQLite it is Write. After ErrDoubt the caller has to look whether it happened.
func (d *DB) Transact(ctx context.Context, do func(tx *sql.Tx) error) error {
	if d.server == nil {
		return d.Write(ctx, do)
	}
	if err := d.Health(); err != nil {
		return err
	}
	return d.seen(d.transactAlone(ctx, do))
}

// transactAlone is Transact.
func (d *DB) transactAlone(ctx context.Context, do func(tx *sql.Tx) error) error {
	tx, err := d.writer.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("begin transaction: %w", err)
	}
	if err := attempt(tx, do); err != nil {
		return errors.Join(err, ignoreDone(tx.Rollback()))
	}
	return d.conclude(tx)
}

// conclude commits.
func (d *DB) conclude(tx *sql.Tx) error {
	err := tx.Commit()
	if err == nil {
		return nil
	}
	err = fmt.Errorf("commit: %w", errors.Join(err, ignoreDone(tx.Rollback())))
	if d.server != nil && (sqlState(err) == "" || unreachable(err)) {
		err = fmt.Errorf("%w: %w", ErrDoubt, absence(err))
	}
	return err
}

// enqueue hands do to the writer and waits for it.
func (d *DB) enqueue(ctx context.Context, do func(tx *sql.Tx) error) error {
	j := &job{ctx: ctx, do: do, done: make(chan struct{})}
	select {
	case d.jobs <- j:
	case <-ctx.Done():
		return fmt.Errorf("wait for the database: %w", ctx.Err())
	case <-d.quit:
		return ErrClosed
	}
	select {
	case <-j.done:
		return j.err
	case <-d.done:
	case <-ctx.Done():
		if j.taken.CompareAndSwap(false, true) {
			return fmt.Errorf("wait for the database: %w", ctx.Err())
		}
		<-j.done
		return j.err
	}
	select { // it may have been the last one that was done
	case <-j.done:
		return j.err
	default:
		return ErrClosed
	}
}

// write is the one writer of this process.
func (d *DB) write() {
	defer close(d.done)
	for {
		select {
		case j := <-d.jobs:
			d.commit(d.gather(j))
		case <-d.quit:
			return
		}
	}
}

// gather takes what waits besides first.
func (d *DB) gather(first *job) []*job {
	batch := []*job{first}
	for len(batch) < maxBatch {
		select {
		case j := <-d.jobs:
			batch = append(batch, j)
		default:
			return batch
		}
	}
	return batch
}

// commit runs a batch in one transaction and tells each caller.
func (d *DB) commit(batch []*job) {
	err := d.transact(batch)
	for _, j := range batch {
		if j.err == nil {
			j.err = err
		}
		close(j.done)
	}
}

// patience is how long a commit waits for other processes and the disk before it is given up.
const patience = 30 * time.Second

// transact runs a batch in one transaction. Its error is that of the transaction as a whole; a job's own is in the job.
func (d *DB) transact(batch []*job) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	tx, err := d.writer.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("begin transaction: %w", err)
	}
	if d.server != nil {
		if err := takeTurn(ctx, tx, d.part); err != nil {
			return errors.Join(err, ignoreDone(tx.Rollback()))
		}
	}
	kept := 0
	for _, j := range batch {
		lost, err := step(ctx, tx, j)
		if lost {
			return errors.Join(fmt.Errorf("run transaction: %w", err), ignoreDone(tx.Rollback()))
		}
		if j.err = err; err == nil {
			kept++
		}
	}
	if kept == 0 {
		return tx.Rollback()
	}
	return d.conclude(tx)
}

// step runs one job within its savepoint. lost says that the whole transaction is unusable.
func step(ctx context.Context, tx *sql.Tx, j *job) (lost bool, err error) {
	if !j.taken.CompareAndSwap(false, true) {
		return false, context.Canceled // nobody waits for it
	}
	if err := j.ctx.Err(); err != nil {
		return false, fmt.Errorf("wait for the database: %w", err)
	}
	if _, err := tx.ExecContext(ctx, "SAVEPOINT job"); err != nil {
		return true, err
	}
	err = attempt(tx, j.do)
	if err != nil {
		if _, rerr := tx.ExecContext(ctx, "ROLLBACK TO job"); rerr != nil {
			return true, errors.Join(err, rerr) // the database itself rolled back: disk full, I/O error, connection lost
		}
	}
	if _, rerr := tx.ExecContext(ctx, "RELEASE job"); rerr != nil {
		return true, errors.Join(err, rerr)
	}
	return false, err
}

// attempt calls do and turns a panic into an error, for the writer serves everybody.
func attempt(tx *sql.Tx, do func(*sql.Tx) error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("transaction crashed: %v\n%s", p, debug.Stack())
		}
	}()
	return do(tx)
}

// ignoreDone drops the error that says that a transaction has ended already.
func ignoreDone(err error) error {
	if errors.Is(err, sql.ErrTxDone) {
		return nil
	}
	return err
}
