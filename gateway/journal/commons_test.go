package journal

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"gatepost/gateway/db"
	"gatepost/test/harness"
	"gatepost/test/harness/postgres"
)

func TestMain(m *testing.M) { os.Exit(postgres.Around(m)) }

// A node is a gateway with a journal of its own, and what it shares.
type node struct {
	*Journal
	dir     string
	commons *Commons
}

func newNode(t testing.TB, url, name string, o Options) *node {
	t.Helper()
	d, err := db.Open(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	n := &node{dir: t.TempDir()}
	n.Journal = open(t, n.dir, o)
	if n.commons, err = OpenCommons(t.Context(), d, name, 0); err != nil {
		t.Fatal(err)
	}
	return n
}

// ship ships what was appended.
func (n *node) ship(t testing.TB) {
	t.Helper()
	if err := n.Sync(); err != nil {
		t.Fatal(err)
	}
	if err := n.commons.Ship(t.Context(), NewReader(n.dir)); err != nil {
		t.Fatal(err)
	}
}

// view reads what the node and the others have recorded.
func (n *node) view() *Reader { return NewReader(n.dir).Join(n.commons) }

// Each gateway reads the records of all, each once, in order of time, by time and by every word.
func TestGatewaysReadEachOthersRecords(t *testing.T) {
	url := postgres.Fresh(t)
	one, two := newNode(t, url, "one", Options{}), newNode(t, url, "two", Options{})
	for i := range 1300 {
		n := one
		if i%3 == 0 {
			n = two
		}
		add(t, n.Journal, sample(i))
		if i%400 == 0 {
			n.ship(t)
		}
	}
	one.ship(t)
	two.ship(t)
	for _, n := range []*node{one, two} {
		got := all(t, n.view())
		if len(got) != 1300 {
			t.Errorf("%s reads %d records", n.commons.node, len(got))
		}
		for i, id := range got {
			if !strings.HasPrefix(id, fmt.Sprintf("q%08d", i)) {
				t.Fatalf("%s: record %d is %s", n.commons.node, i, id)
			}
		}
		for _, word := range []string{"q00000006", "q00000007", "<message.6@EXAMPLE.com>", "sender7@bulk.example", "192.0.0.6"} {
			if list, err := n.view().Trace(t.Context(), Query{Word: word}); err != nil || len(list) != 1 {
				t.Errorf("%s: %s: %d records, %v", n.commons.node, word, len(list), err)
			}
		}
		list, err := n.view().Trace(t.Context(), Query{Word: "@bulk.example", Limit: 10})
		if err != nil || len(list) != 10 || list[9].ID != "q00001299" || list[0].ID != "q00001290" {
			t.Errorf("the newest: %d, %v", len(list), err)
		}
		if _, err := n.view().Lookup(t.Context(), "q00000004"); err != nil {
			t.Error(err)
		}
		if list, err := n.view().Trace(t.Context(), Query{Word: "boss@example.com", Since: start.Add(1000 * time.Millisecond), Until: start.Add(1010 * time.Millisecond)}); err != nil || len(list) != 10 {
			t.Errorf("a span: %d, %v", len(list), err)
		}
	}
	act := sample(5000)
	act.Kind, act.Action = Disposal, "release"
	add(t, one.Journal, act)
	one.ship(t)
	for _, n := range []*node{one, two} {
		var got []string
		err := n.view().ScanKind(t.Context(), Disposal, time.Time{}, time.Time{}, func(r *Record) error {
			got = append(got, r.ID)
			return nil
		})
		if err != nil || len(got) != 1 || got[0] != "q00005000" {
			t.Errorf("disposals: %v, %v", got, err)
		}
	}
	stop := errors.New("enough")
	if err := one.view().Scan(t.Context(), time.Time{}, time.Time{}, func(*Record) error { return stop }); !errors.Is(err, stop) {
		t.Error(err)
	}
}

// A record is shipped once, whether its segment is being written, is sealed meanwhile, or the gateway is started anew.
func TestARecordIsShippedOnceWhateverBecomesOfItsSegment(t *testing.T) {
	url := postgres.Fresh(t)
	n := newNode(t, url, "one", Options{SegmentBytes: 100 << 10})
	other := newNode(t, url, "two", Options{})
	for i := range 300 {
		add(t, n.Journal, sample(i))
		if i%37 == 0 {
			n.ship(t)
		}
	}
	n.ship(t)
	harness.Eventually(t, "segments are sealed", func() bool {
		list, err := segments(n.fs, n.dir)
		return err == nil && len(list) > 3 && list[0].sealed && list[len(list)-3].sealed
	})
	fresh, err := OpenCommons(t.Context(), n.commons.db, "one", 0) // as after a restart
	if err != nil {
		t.Fatal(err)
	}
	n.commons = fresh
	add(t, n.Journal, sample(300))
	n.ship(t)
	n.ship(t)
	if got := all(t, other.view()); len(got) != 301 {
		t.Errorf("the other gateway reads %d records", len(got))
	}
	var rows, left int
	if err := n.commons.db.QueryRow(t.Context(), `SELECT (SELECT count(*) FROM journal_records), (SELECT count(*) FROM journal_segments WHERE shipped >= 0)`).Scan(&rows, &left); err != nil || rows != 301 || left == 0 {
		t.Errorf("%d records are kept, %d segments are open, %v", rows, left, err)
	}
}

// What could not be shipped while the database was away is shipped when it is back, and mail's own record never waits.
func TestRecordsAreShippedOnceTheDatabaseIsBack(t *testing.T) {
	s := postgres.Start(t)
	url := s.Database(t)
	n, other := newNode(t, url, "one", Options{}), newNode(t, url, "two", Options{})
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { n.commons.Run(ctx, NewReader(n.dir), func(error) {}) })
	defer wg.Wait()
	defer cancel()
	add(t, n.Journal, sample(0))
	harness.Eventually(t, "a record is shipped", func() bool { return len(all(t, other.view())) == 1 })
	s.Kill()
	for i := range 500 {
		add(t, n.Journal, sample(i+1))
	}
	harness.Eventually(t, "the lag is known", func() bool { return n.commons.Lag() > 3*shipEvery })
	if got := all(t, n.Reader); len(got) != 501 {
		t.Errorf("%d records stand on the disk", len(got))
	}
	s.Run(t)
	harness.Eventually(t, "all are shipped", func() bool {
		c := 0
		err := other.view().Scan(t.Context(), time.Time{}, time.Time{}, func(*Record) error { c++; return nil })
		return err == nil && c == 501
	})
	harness.Eventually(t, "nothing lags", func() bool { return n.commons.Lag() < 3*shipEvery })
}

// Old records go, young ones stay.
func TestOldSharedRecordsAreRemoved(t *testing.T) {
	n := newNode(t, postgres.Fresh(t), "one", Options{})
	old, young := sample(1), sample(2)
	old.Time = time.Now().Add(-defaultKeep - time.Hour)
	add(t, n.Journal, old)
	add(t, n.Journal, young)
	n.ship(t)
	if err := n.commons.prune(t.Context(), time.Now()); err != nil || !n.commons.pruned.IsZero() {
		t.Errorf("a clock that nobody knows yet is believed: %v", err)
	}
	if err := n.commons.remove(t.Context(), time.Now().Add(-defaultKeep)); err != nil {
		t.Fatal(err)
	}
	var rows int
	if err := n.commons.db.QueryRow(t.Context(), `SELECT count(*) FROM journal_records`).Scan(&rows); err != nil || rows != 1 {
		t.Errorf("%d records, %v", rows, err)
	}
}
