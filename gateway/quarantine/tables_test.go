package quarantine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gatepost/gateway/db"
	"gatepost/gateway/disk"
	"gatepost/gateway/spool"
	"gatepost/test/harness"
	"gatepost/test/harness/postgres"
)

// stored is the content of an entry as it is kept.
func stored(t testing.TB, q *Store, sum string) (b []byte, err error) {
	if !q.db.Shared() {
		return os.ReadFile(q.blob(sum))
	}
	err = q.db.QueryRow(t.Context(), `SELECT body FROM pieces WHERE sha256 = ? AND place = 0`, sum).Scan(&b)
	return b, err
}

// TestTheSamePromisesInPostgreSQL: what is promised of the quarantine of one machine holds for one that gateways share.
func TestTheSamePromisesInPostgreSQL(t *testing.T) {
	for name, test := range map[string]func(*testing.T){
		"what was put comes back":           TestWhatWasPutComesBack,
		"one content is stored once":        TestOneContentIsStoredOnce,
		"list selects and pages":            TestListSelectsAndPages,
		"owners see only theirs":            TestOwnersSeeOnlyTheirs,
		"release ten times at once":         TestReleaseTenTimesAtOnce,
		"failed release waits again":        TestFailedReleaseWaitsAgain,
		"expire takes what is over":         TestExpireTakesWhatIsOver,
		"nothing expires that is not told":  TestNothingExpiresThatCannotBeTold,
		"limit is refused softly":           TestLimitIsRefusedSoftly,
		"commands work beside the daemon":   TestCommandsWorkBesideTheDaemon,
		"content is sealed with a key":      TestContentIsSealedWithAKey,
		"a cut-off release is taken by one": TestACutOffReleaseIsTakenOverByOne,
		"entries expire once":               TestEntriesExpireOnceWhoeverAsks,
		"hostile words are kept":            TestHostileWordsAreKept,
		"killed process loses nothing":      TestKilledProcessLosesNothing,
	} {
		t.Run(name, test)
	}
}

// TestHostileWordsAreKept: bytes that are no text do not keep a message from being held.
func TestHostileWordsAreKept(t *testing.T) {
	q := newStore(t)
	e := entry(1, "ann@example.com")
	e.Subject, e.Author, e.Name, e.Helo = "nul \x00, half \xe5\x8f", "\xff@x.example", "'; DROP TABLE entries; --", strings.Repeat("\x00", 300)
	e.Terms = []string{"ter\x00m", "\xf0\x9f"}
	put(t, q, e, []byte("\x00\xff"))
	if list, err := q.List(t.Context(), Query{Text: "half"}); err != nil || len(list) != 1 {
		t.Errorf("%+v, %v", list, err)
	}
	if got := contentOf(t, q.View, e.ID); string(got) != "\x00\xff" {
		t.Errorf("%q", got)
	}
}

// TestEntriesExpireOnceWhoeverAsks: several processes may look after one quarantine.
func TestEntriesExpireOnceWhoeverAsks(t *testing.T) {
	dir := t.TempDir()
	nodes := []*Store{newSite(t, dir).open(t, Config{}), newSite(t, dir).open(t, Config{}), newSite(t, dir).open(t, Config{})}
	for i := range 50 {
		e := entry(i)
		e.Expires = time.Now().Add(-time.Hour)
		put(t, nodes[0], e, message(i))
	}
	var told sync.Map
	var wg sync.WaitGroup
	for _, q := range nodes {
		wg.Go(func() {
			for {
				list, err := q.Expire(context.Background(), time.Now(), func(e Entry) error {
					if _, again := told.LoadOrStore(e.ID, true); again {
						t.Errorf("%s expired twice", e.ID)
					}
					return nil
				})
				if err != nil {
					t.Error(err)
				}
				if n, err := q.List(context.Background(), Query{}); err != nil || len(list) == 0 && len(n) == 0 {
					return
				}
			}
		})
	}
	wg.Wait()
	if n, _ := nodes[1].Used(); n != 0 {
		t.Errorf("%d bytes are left", n)
	}
}

// TestACutOffReleaseIsTakenOverByOne of all who find it, and by nobody while it goes on (P-05, FP-20).
func TestACutOffReleaseIsTakenOverByOne(t *testing.T) {
	dir := t.TempDir()
	nodes := []*Store{newSite(t, dir).open(t, Config{}), newSite(t, dir).open(t, Config{})}
	put(t, nodes[0], entry(1, "ann@example.com", "bob@example.com"), message(1))
	if _, err := nodes[0].Claim(t.Context(), "q00000001", Release{Key: "gone", By: "ann"}); err != nil {
		t.Fatal(err)
	}
	claims, err := nodes[1].Unfinished(t.Context(), 0)
	if err != nil || len(claims) != 2 {
		t.Fatal(claims, err)
	}
	time.Sleep(2 * time.Millisecond)
	var taken atomic.Int64
	var wg sync.WaitGroup
	for i := range 6 {
		wg.Go(func() {
			rcpts, err := nodes[i%2].TakeOver(context.Background(), claims)
			if err != nil {
				t.Error(err)
			}
			taken.Add(int64(len(rcpts)))
		})
	}
	wg.Wait()
	if n := taken.Load(); n != 2 {
		t.Errorf("two copies were taken over %d times", n)
	}
	done := []Outcome{{Address: "ann@example.com", Released: true}, {Address: "bob@example.com", Released: true}}
	if err := nodes[1].MarkReleased(t.Context(), "q00000001", "gone", done); err != nil {
		t.Fatal(err)
	}
	if rcpts, err := nodes[0].TakeOver(t.Context(), claims); err != nil || len(rcpts) != 0 {
		t.Errorf("what was released is taken over: %v, %v", rcpts, err)
	}
}

// TestTheContentOfAGatewayThatIsGone is shown by another, whatever its size, and one copy of it is kept.
func TestTheContentOfAGatewayThatIsGone(t *testing.T) {
	url := postgres.Fresh(t)
	open := func(keys string) *Store {
		d, err := db.Open(url)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = d.Close() })
		sp, err := spool.New(spool.Config{Dir: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		k, err := disk.ParseKeys(keys)
		if err != nil {
			t.Fatal(err)
		}
		q, err := New(t.Context(), Config{}, Deps{DB: d, Spool: sp, Keys: k})
		if err != nil {
			t.Fatal(err)
		}
		return q
	}
	old, fresh := strings.Repeat("0a", 32), strings.Repeat("0b", 32)
	one, two := open(old), open(old)
	big := make([]byte, 3*pieceSize+17)
	rand.New(rand.NewSource(1)).Read(big)
	var wg sync.WaitGroup
	for i, q := range []*Store{one, two, one, two} {
		e := entry(i)
		wg.Go(func() {
			if err := q.Put(context.Background(), e, bytes.NewReader(big)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	var pieces int
	if err := two.db.QueryRow(t.Context(), `SELECT count(*) FROM pieces`).Scan(&pieces); err != nil || pieces != 4 {
		t.Errorf("%d pieces of one content, %v", pieces, err)
	}
	_ = one.db.Close()
	if got := contentOf(t, two.View, "q00000000"); !bytes.Equal(got, big) {
		t.Errorf("%d bytes came back", len(got))
	}
	put(t, open(fresh), entry(9), big) // the key that it is sealed with is not here: it is written anew
	if got := contentOf(t, open(fresh).View, "q00000000"); !bytes.Equal(got, big) {
		t.Errorf("%d bytes came back", len(got))
	}
	if _, err := two.db.Exec(t.Context(), `DELETE FROM pieces WHERE place = 1`); err != nil {
		t.Fatal(err)
	}
	if _, err := open(fresh).Open(t.Context(), "q00000000"); !errors.Is(err, ErrDamaged) {
		t.Errorf("with a piece missing: %v", err)
	}
	if bad, err := open(fresh).Verify(t.Context(), nil); err != nil || len(bad) != 5 {
		t.Errorf("damage: %v, %v", bad, err)
	}
	if _, err := two.db.Exec(t.Context(), `DELETE FROM pieces`); err != nil {
		t.Fatal(err)
	}
	if r, err := open(fresh).Recover(t.Context()); err != nil || len(r.Missing) != 5 {
		t.Errorf("recovery: %+v, %v", r, err)
	}
	put(t, open(fresh), entry(10), big) // and comes again
	if got := contentOf(t, open(fresh).View, "q00000000"); !bytes.Equal(got, big) {
		t.Errorf("%d bytes came back", len(got))
	}
}

// TestWhatIsPutOutlivesADatabaseThatIsKilled: P-01, with kill -9 of the server at any moment, and nothing is half there.
func TestWhatIsPutOutlivesADatabaseThatIsKilled(t *testing.T) {
	s := postgres.Start(t)
	d, err := db.Open(s.Database(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	sp, err := spool.New(spool.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	q, err := New(t.Context(), Config{}, Deps{DB: d, Spool: sp})
	if err != nil {
		t.Fatal(err)
	}
	var kept sync.Map
	var next atomic.Int64
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				n := int(next.Add(1))
				err := q.Put(context.Background(), entry(n), bytes.NewReader(message(n%7)))
				switch {
				case err == nil:
					kept.Store(fmt.Sprintf("q%08d", n), n)
				case !db.Away(err) && !errors.Is(err, db.ErrDoubt):
					t.Errorf("%d: %v", n, err)
				default:
					time.Sleep(time.Millisecond)
				}
			}
		})
	}
	for range 3 {
		time.Sleep(400 * time.Millisecond)
		s.Kill()
		harness.Eventually(t, "the quarantine is known to be away", func() bool { return errors.Is(q.Admit(), db.ErrAway) })
		s.Run(t)
		harness.Eventually(t, "the quarantine is back", func() bool { return q.Admit() == nil })
	}
	close(stop)
	wg.Wait()
	n := 0
	kept.Range(func(id, of any) bool {
		n++
		if got := contentOf(t, q.View, id.(string)); !bytes.Equal(got, message(of.(int)%7)) {
			t.Errorf("%s is not what was put", id)
		}
		return true
	})
	if bad, err := q.Verify(t.Context(), nil); err != nil || len(bad) != 0 || n == 0 {
		t.Errorf("%d kept, damage %v, %v", n, bad, err)
	}
	t.Logf("%d kept of %d", n, next.Load())
}
