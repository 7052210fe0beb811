package db

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

func open(t testing.TB, path string) *DB {
	t.Helper()
	d, err := Open("sqlite:" + path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	return d
}

// numbers is a database with a table of distinct numbers.
func numbers(t testing.TB) *DB {
	d := open(t, filepath.Join(t.TempDir(), "sub", "test.db"))
	if err := d.Migrate(t.Context(), "numbers", []string{`CREATE TABLE numbers (n INTEGER PRIMARY KEY)`}); err != nil {
		t.Fatal(err)
	}
	return d
}

func count(t testing.TB, d *DB) (n int) {
	t.Helper()
	if err := d.QueryRow(t.Context(), `SELECT count(*) FROM numbers`).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestURLsThatAreRefused(t *testing.T) {
	for _, c := range []struct{ url, says string }{
		{"postgres://u:secret@db/gatepost?sslmode=prefer", "falls back to clear text"},
		{"postgres://u:secret@127.0.0.1,db/gatepost?sslmode=allow", "falls back to clear text"},
		{"postgres://u:secret@db/gatepost?sslmode=secrecy", "sslmode is invalid"},
		{"postgres://u:secret@db:x/gatepost", "written as %XX"},
		{"postgres://u:sec#ret/secret@db/gatepost", "written as %XX"},
		{"postgres://u:secret@db/d?sslmode=%zz", "cannot be read"},
		{"mysql://root:secret@db/x", "want sqlite:PATH or"},
		{"gatepost.db", "want sqlite:PATH or"},
		{"", "want sqlite:PATH or"},
		{"sqlite:", "plain path"},
		{"sqlite://host/x", "plain path"},
		{"sqlite:x.db?_pragma=synchronous(OFF)", "plain path"},
	} {
		_, err := Open(c.url)
		if !errors.Is(err, ErrURL) || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v", c.url, err)
		}
	}
}

// TestFilesAreOurs: S-05, S-10: nobody else reads them, and links and pipes are not followed.
func TestFilesAreOurs(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	path := filepath.Join(dir, "a b%20&#?.db")
	if _, err := Open("sqlite:" + path); err == nil {
		t.Error("a path that would end early was taken")
	}
	path = filepath.Join(dir, "a b%20&é.db")
	d := open(t, path)
	if _, err := d.Exec(t.Context(), `CREATE TABLE x (y)`); err != nil {
		t.Fatal(err)
	}
	for _, n := range []string{path, path + "-wal", path + "-shm"} {
		st, err := os.Stat(n)
		if err != nil || st.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", n, st, err)
		}
	}
	if st, _ := os.Stat(dir); st.Mode().Perm() != 0o700 {
		t.Errorf("directory: %v", st.Mode())
	}
	link := filepath.Join(dir, "link.db")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	for _, n := range []string{link, dir} {
		if _, err := Open("sqlite:" + n); err == nil {
			t.Errorf("%s was opened", n)
		}
	}
}

// TestEveryConnectionIsDurable: the pragmas hold on the connection that writes.
func TestEveryConnectionIsDurable(t *testing.T) {
	d := numbers(t)
	for pragma, want := range map[string]string{"journal_mode": "wal", "synchronous": "2", "foreign_keys": "1", "busy_timeout": "10000"} {
		err := d.Write(t.Context(), func(tx *sql.Tx) error {
			var got string
			if err := tx.QueryRow("PRAGMA " + pragma).Scan(&got); err != nil {
				return err
			}
			if got != want {
				t.Errorf("%s is %s", pragma, got)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if rows, err := d.Query(t.Context(), `INSERT INTO numbers VALUES (1) RETURNING n`); err == nil {
		if rows.Next() || rows.Err() == nil {
			t.Error("a read connection writes")
		}
		_ = rows.Close()
	}
}

// TestWritersShareCommits: many waiting transactions take few commits.
func TestWritersShareCommits(t *testing.T) {
	d := numbers(t)
	hold, held := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		_ = d.Write(context.Background(), func(*sql.Tx) error {
			close(held)
			<-hold
			return nil
		})
	})
	<-held
	var order atomic.Int64
	for i := range 50 {
		wg.Go(func() {
			if err := d.Write(context.Background(), func(tx *sql.Tx) error {
				order.Add(1)
				_, err := tx.Exec(`INSERT INTO numbers VALUES (?)`, i)
				return err
			}); err != nil {
				t.Error(err)
			}
			if n := order.Load(); n < 50 {
				t.Errorf("returned when %d of 50 had run: it had a commit of its own", n)
			}
		})
	}
	for len(d.jobs) < 50 {
		runtime.Gosched()
	}
	if _, err := d.Exec(canceled(), `INSERT INTO numbers VALUES (99)`); !errors.Is(err, context.Canceled) {
		t.Errorf("a caller that gave up waits: %v", err)
	}
	close(hold)
	wg.Wait()
}

// canceled is a context that is over.
func canceled() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

func TestCanceledWriteChangesNothing(t *testing.T) {
	d := numbers(t)
	for range 50 {
		if _, err := d.Exec(canceled(), `INSERT INTO numbers VALUES (1)`); !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
	}
	if n := count(t, d); n != 0 {
		t.Errorf("%d rows", n)
	}
}

// TestTwoProcessesWrite, here two handles, without either seeing SQLITE_BUSY.
func TestTwoProcessesWrite(t *testing.T) {
	d := numbers(t)
	other := open(t, d.path)
	var wg sync.WaitGroup
	for i := range 40 {
		wg.Go(func() {
			h := d
			if i%2 == 1 {
				h = other
			}
			if _, err := h.Exec(context.Background(), `INSERT INTO numbers VALUES (?)`, i); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := count(t, other); n != 40 {
		t.Errorf("%d rows", n)
	}
	if err := other.Check(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestCloseWhileWriting(t *testing.T) {
	d := numbers(t)
	var wg sync.WaitGroup
	var kept atomic.Int64
	for i := range 100 {
		wg.Go(func() {
			_, err := d.Exec(context.Background(), `INSERT INTO numbers VALUES (?)`, i)
			if err == nil {
				kept.Add(1)
			} else if !errors.Is(err, ErrClosed) {
				t.Error(err)
			}
		})
	}
	_ = d.Close()
	wg.Wait()
	again := open(t, d.path)
	if n := count(t, again); int64(n) != kept.Load() {
		t.Errorf("%d rows, %d were acknowledged", n, kept.Load())
	}
}

func TestDamageIsFound(t *testing.T) {
	d := numbers(t)
	err := d.Write(t.Context(), func(tx *sql.Tx) error {
		_, err := tx.Exec(`WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n+1 FROM c WHERE n < 20000) INSERT INTO numbers SELECT n FROM c`)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	_ = d.Close()
	b, err := os.ReadFile(d.path)
	if err != nil {
		t.Fatal(err)
	}
	copy(b[3*4096:4*4096], make([]byte, 4096))
	if err := os.WriteFile(d.path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := open(t, d.path).Check(t.Context()); err == nil {
		t.Error("a page of zeros is not noticed")
	}
}

func BenchmarkWrite(b *testing.B) {
	for _, writers := range []int{1, 32} {
		b.Run(fmt.Sprintf("%d writers", writers), func(b *testing.B) {
			d := numbers(b)
			var n atomic.Int64
			b.SetParallelism(writers)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if _, err := d.Exec(context.Background(), `INSERT INTO numbers VALUES (?)`, n.Add(1)); err != nil {
						b.Error(err)
					}
				}
			})
		})
	}
}

// S-05: who finds the file damaged at the start is told what can be done.
func TestADamagedFileSaysWhatToDo(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gatepost.db")
	if err := os.WriteFile(path, bytes.Repeat([]byte("no database "), 1000), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := openSQLite(path); err == nil || !strings.Contains(err.Error(), "put a copy of it back") || !strings.Contains(err.Error(), path) {
		t.Errorf("error: %v", err)
	}
}
