package quarantine

import (
	"bufio"
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatepost/gateway/db"
	"gatepost/gateway/spool"
	"gatepost/test/harness/postgres"
)

// A test that needs a process of its own runs this binary again with the role in the environment.
const role = "GATEPOST_TEST_ROLE"

func TestMain(m *testing.M) {
	if r := os.Getenv(role); r != "" {
		if err := play(r, os.Getenv("GATEPOST_TEST_DIR")); err != nil {
			fmt.Println("error:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(postgres.Around(m))
}

// play is the other process: it puts messages and says the id of each once Put returned nil.
func play(role, dir string) error {
	if role == "small disk" {
		if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=2m,nr_inodes=400,mode=700", "tmpfs", dir).CombinedOutput(); err != nil {
			return fmt.Errorf("mount: %w: %s", err, out)
		}
	}
	ctx := context.Background()
	url := os.Getenv("GATEPOST_TEST_STORE")
	if url == "" {
		url = "sqlite:" + filepath.Join(dir, "gatepost.db")
	}
	d, err := db.Open(url)
	if err != nil {
		return err
	}
	sp, err := spool.New(spool.Config{Dir: filepath.Join(dir, "spool")})
	if err != nil {
		return err
	}
	q, err := New(ctx, Config{}, Deps{Dir: filepath.Join(dir, "quarantine"), DB: d, Spool: sp})
	if err != nil {
		return err
	}
	q.gauge.Dir = "" // meet the end of the disk itself, not the reserve before it
	for i := range 100000 {
		e := entry(i, "ann@example.com")
		e.ID = fmt.Sprintf("p%dn%06d", os.Getpid(), i)
		content := bytes.NewReader(message(i))
		err := q.Put(ctx, e, content)
		if role == "small disk" && err != nil {
			return full(ctx, q, i, err)
		}
		if err != nil {
			return err
		}
		fmt.Println(e.ID)
	}
	return nil
}

// full looks whether a quarantine that met the end of the disk is in order.
func full(ctx context.Context, q *Store, stored int, err error) error {
	if !errors.Is(err, ErrFull) {
		return fmt.Errorf("the end of the disk is not called so: %w", err)
	}
	list, lerr := q.List(ctx, Query{Limit: 1000})
	bad, verr := q.Verify(ctx, nil)
	if lerr != nil || verr != nil || len(list) != stored || len(bad) > 0 || stored == 0 {
		return fmt.Errorf("%d stored, %d listed, %d damaged: %w", stored, len(list), len(bad), errors.Join(lerr, verr))
	}
	fmt.Println("full after", stored)
	return nil
}

// TestKilledProcessLosesNothing: P-01, P-02, P-03 with kill -9 at any moment.
func TestKilledProcessLosesNothing(t *testing.T) {
	dir := t.TempDir()
	var acked []string
	for round := range 5 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), role+"=put", "GATEPOST_TEST_DIR="+dir, "GATEPOST_TEST_STORE="+postgres.For(t, dir))
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for n := 0; lines.Scan(); n++ {
			if strings.HasPrefix(lines.Text(), "error:") {
				t.Fatal(lines.Text())
			}
			acked = append(acked, lines.Text())
			if n == 20+7*round {
				time.Sleep(time.Duration(round) * 300 * time.Microsecond)
				_ = cmd.Process.Kill()
			}
		}
		_ = cmd.Wait()
		q := newSite(t, dir).open(t, Config{})
		if _, err := q.Recover(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, id := range acked {
			c, err := q.Open(t.Context(), id)
			if err != nil {
				t.Fatalf("round %d: acknowledged, then lost: %v", round, err)
			}
			_ = c.Close()
		}
		if bad, err := q.Verify(t.Context(), nil); err != nil || len(bad) > 0 {
			t.Fatalf("round %d: %v, %v", round, bad, err)
		}
	}
	t.Logf("%d acknowledged over five kills", len(acked))
}

// TestRealDiskFull: S-01 on a small tmpfs in a namespace of its own.
func TestRealDiskFull(t *testing.T) {
	cmd := exec.Command("unshare", "-Urnm", os.Args[0])
	cmd.Env = append(os.Environ(), role+"=small disk", "GATEPOST_TEST_DIR="+t.TempDir())
	out, err := cmd.CombinedOutput()
	if bytes.Contains(out, []byte("mount:")) || errors.Is(err, exec.ErrNotFound) || bytes.Contains(out, []byte("unshare:")) {
		t.Logf("no namespaces here (%v): test/fault covers the same with a model", err)
		return
	}
	if err != nil || !bytes.Contains(out, []byte("full after")) {
		t.Errorf("%v: %s", err, out[max(0, len(out)-500):])
	}
}

// fill indexes n entries without files, for questions about speed.
func fill(b *testing.B, q *Store, n int) {
	b.Helper()
	for from := 0; from < n; from += 1000 {
		err := q.db.Write(b.Context(), func(tx *sql.Tx) error {
			for i := from; i < min(from+1000, n); i++ {
				e := entry(i, fmt.Sprintf("user%d@example.com", i%5000))
				e.SHA256, e.Expires, e.Terms = fmt.Sprintf("%064x", i), time.Now().Add(time.Hour), termsOf(e.Result)
				e.Rcpts[0].State = Waiting
				if _, err := insert(b.Context(), tx, e, 100); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkHundredThousand: T-13, lists and searches over 100,000 entries.
func BenchmarkHundredThousand(b *testing.B) {
	q := newStore(b)
	fill(b, q, 100000)
	for _, c := range []struct {
		name string
		v    View
		q    Query
	}{
		{"newest page", q.View, Query{}},
		{"page in the middle", q.View, Query{Before: "q00050000"}},
		{"class", q.View, Query{Class: "spam"}},
		{"class without entries", q.View, Query{Class: "malware"}},
		{"waiting", q.View, Query{State: Waiting}},
		{"released", q.View, Query{State: Released}},
		{"one recipient", q.View, Query{Recipient: "user77@example.com"}},
		{"view of one", q.For("user77@example.com"), Query{}},
		{"view of a domain", q.For("@example.com"), Query{}},
		{"word that is common", q.View, Query{Text: "invoice"}},
		{"word that is rare", q.View, Query{Text: "number 4711"}},
		{"word that is nowhere", q.View, Query{Text: "nowhere"}},
	} {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				if _, err := c.v.List(b.Context(), c.q); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("counts", func(b *testing.B) {
		for b.Loop() {
			if _, err := q.Counts(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkPut(b *testing.B) {
	q := newStore(b)
	content := bytes.Repeat([]byte("An ordinary line of text, as in mail.\r\n"), 340)
	n := 0
	for b.Loop() {
		content[n%100] ^= 1
		content[100+n/100%1000] ^= 2
		if err := q.Put(b.Context(), entry(n), bytes.NewReader(content)); err != nil {
			b.Fatal(err)
		}
		n++
	}
}
