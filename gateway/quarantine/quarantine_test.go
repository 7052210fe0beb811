package quarantine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gatepost/gateway/db"
	"gatepost/gateway/disk"
	"gatepost/gateway/spool"
	"gatepost/policy"
	"gatepost/test/harness/postgres"
)

// site is a data directory with what a Store stands on.
type site struct {
	dir   string
	db    *db.DB
	spool *spool.Spool
}

func newSite(t testing.TB, dir string) *site {
	t.Helper()
	d, err := db.Open(postgres.For(t, dir))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	sp, err := spool.New(spool.Config{Dir: filepath.Join(dir, "spool")})
	if err != nil {
		t.Fatal(err)
	}
	return &site{dir: dir, db: d, spool: sp}
}

func (s *site) open(t testing.TB, cfg Config) *Store {
	t.Helper()
	q, err := New(t.Context(), cfg, Deps{Dir: filepath.Join(s.dir, "quarantine"), DB: s.db, Spool: s.spool})
	if err != nil {
		t.Fatal(err)
	}
	return q
}

func newStore(t testing.TB) *Store { return newSite(t, t.TempDir()).open(t, Config{}) }

func entry(n int, rcpts ...string) *Entry {
	if len(rcpts) == 0 {
		rcpts = []string{"ann@example.com"}
	}
	e := &Entry{
		ID: fmt.Sprintf("q%08d", n), Time: time.Now().Add(time.Duration(n) * time.Millisecond), Class: policy.Spam, Score: 9300,
		MailFrom: "sender@bulk.example", Author: "boss@example.com", Name: "The Boss", Subject: fmt.Sprintf("Invoice number %d", n),
		Client: "192.0.2.7", Helo: "mail.bulk.example",
		Result: []byte(`{"recipients":[],"findings":[{"code":"dmarc.fail","text":"The author domain disowns it."}],"attachments":[{"name":"Rechnung.zip"}]}`),
	}
	for _, r := range rcpts {
		e.Rcpts = append(e.Rcpts, Recipient{Address: r})
	}
	return e
}

func message(n int) []byte {
	return fmt.Appendf(nil, "Subject: number %d\r\n\r\n%s", n, strings.Repeat(fmt.Sprintf("line of text, %d\r\n", n), 50+n%50))
}

func put(t testing.TB, q *Store, e *Entry, content []byte) {
	t.Helper()
	if err := q.Put(t.Context(), e, bytes.NewReader(content)); err != nil {
		t.Fatal(err)
	}
}

func contentOf(t testing.TB, v View, id string) []byte {
	t.Helper()
	c, err := v.Open(t.Context(), id)
	if err != nil {
		t.Fatalf("open %s: %v", id, err)
	}
	b, err := io.ReadAll(io.NewSectionReader(c, 0, c.Size()))
	if err := errors.Join(err, c.Close()); err != nil {
		t.Fatal(err)
	}
	return b
}

func ids(list []Entry) string {
	var s []string
	for _, e := range list {
		s = append(s, strings.TrimLeft(e.ID, "q0"))
	}
	return strings.Join(s, " ")
}

func TestWhatWasPutComesBack(t *testing.T) {
	q := newStore(t)
	want := entry(1, "ann@example.com", "bob@example.com")
	put(t, q, want, message(1))
	got, err := q.Entry(t.Context(), want.ID)
	if err != nil {
		t.Fatal(err)
	}
	if got.Subject != want.Subject || got.Score != want.Score || got.Class != want.Class || len(got.Rcpts) != 2 || got.Rcpts[1].State != Waiting {
		t.Errorf("entry: %+v", got)
	}
	if !bytes.Equal(got.Result, want.Result) {
		t.Errorf("result: %s", got.Result)
	}
	if d := got.Expires.Sub(got.Time).Round(time.Hour); d != 30*24*time.Hour {
		t.Errorf("spam is kept for %v", d)
	}
	if b := contentOf(t, q.View, want.ID); !bytes.Equal(b, message(1)) {
		t.Errorf("content: %q", b)
	}
	if u := q.spool.Usage(); u != (spool.Usage{}) {
		t.Errorf("the spool still holds %+v", u)
	}
	if q.db.Shared() {
		return
	}
	st, err := os.Stat(q.blob(got.SHA256))
	if err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("mode of content: %v, %v", st, err)
	}
}

// TestRetentionByClass: what is not configured takes the defaults.
func TestRetentionByClass(t *testing.T) {
	r := Retention{Spam: 3 * day}
	for _, c := range []struct {
		class   policy.Class
		refused bool
		days    int
	}{
		{policy.Spam, false, 3}, {policy.Phish, false, 30}, {policy.Malware, false, 14}, {policy.ByRule, false, 30},
		{policy.Clean, false, 30}, {policy.Spam, true, 14}, {policy.Malware, true, 14},
	} {
		if got := r.For(c.class, c.refused); got != time.Duration(c.days)*24*time.Hour {
			t.Errorf("%q, refused %v: %v", c.class, c.refused, got)
		}
	}
}

// TestOneContentIsStoredOnce, and goes with the last entry that needs it.
func TestOneContentIsStoredOnce(t *testing.T) {
	q := newStore(t)
	a, b := entry(1), entry(2)
	put(t, q, a, message(7))
	before, _ := q.Used()
	put(t, q, b, message(7))
	if after, _ := q.Used(); after != before || a.SHA256 != b.SHA256 {
		t.Errorf("content takes %d bytes, then %d", before, after)
	}
	if err := q.Delete(t.Context(), a.ID, "admin", nil); err != nil {
		t.Fatal(err)
	}
	if got := contentOf(t, q.View, b.ID); !bytes.Equal(got, message(7)) {
		t.Error("the other entry lost its content")
	}
	if err := q.Delete(t.Context(), b.ID, "admin", nil); err != nil {
		t.Fatal(err)
	}
	if names, _ := os.ReadDir(filepath.Join(q.dir, a.SHA256[:2])); len(names) != 0 {
		t.Errorf("files remain: %v", names)
	}
	if n, _ := q.Used(); n != 0 {
		t.Errorf("%d bytes are still counted", n)
	}
}

// TestFileNamesAreOurs: P-29.
func TestFileNamesAreOurs(t *testing.T) {
	q := newStore(t)
	for _, id := range []string{"", "../../etc/passwd", "a/b", "a.b", "a\x00", "ä", strings.Repeat("a", 65), "a b"} {
		e := entry(1)
		e.ID = id
		if err := q.Put(t.Context(), e, bytes.NewReader(message(1))); err == nil {
			t.Errorf("took the id %q", id)
		}
	}
}

func TestListSelectsAndPages(t *testing.T) {
	q := newStore(t)
	start := time.Now().Add(-time.Hour)
	for i := range 10 {
		e := entry(i, "ann@example.com", fmt.Sprintf("User%d@Example.COM", i))
		e.Time = start.Add(time.Duration(i) * time.Minute)
		if i%2 == 1 {
			e.Class, e.Result = policy.Malware, []byte(`{"findings":[{"code":"clamd.found","text":"Eicar"}],"attachments":[{"name":"发票通知.exe"}]}`)
		}
		put(t, q, e, message(i))
	}
	end := ""
	if q.db.Shared() {
		end = "9 8 7 6 5 4 3 2 1 "
	}
	for _, c := range []struct {
		name string
		q    Query
		want string
	}{
		{"all, newest first", Query{}, "9 8 7 6 5 4 3 2 1 "},
		{"page", Query{Limit: 2, Before: "q00000005"}, "4 3"},
		{"class", Query{Class: policy.Malware, Limit: 3}, "9 7 5"},
		{"recipient in any case", Query{Recipient: "USER4@example.com"}, "4"},
		{"subject", Query{Text: "invoice NUMBER 6"}, "6"},
		{"finding", Query{Text: "clamd.found"}, "9 7 5 3 1"},
		{"reason", Query{Text: "disowns"}, "8 6 4 2 "},
		{"attachment", Query{Text: "rechnung.ZIP", Limit: 1}, "8"},
		{"attachment, two characters of a Chinese name", Query{Text: "通知", Limit: 1}, "9"},
		{"recipient as text", Query{Text: "user3@"}, "3"},
		{"the beginning of a word", Query{Text: "invo 6"}, "6"},
		{"not its end, where there is an index of words", Query{Text: "voice"}, end},
		{"client", Query{Text: "192.0.2.7", Limit: 2}, "9 8"},
		{"not another client", Query{Text: "192.0.2.71"}, ""},
		{"a whole address", Query{Text: "<user3@example.com>"}, ""},
		{"an address", Query{Text: "user3@example.com"}, "3"},
		{"a domain of senders", Query{Text: "@bulk.example", Limit: 1}, "9"},
		{"one character of a Chinese name", Query{Text: "票", Limit: 1}, "9"},
		{"not in another order", Query{Text: "知通"}, ""},
		{"only punctuation", Query{Text: "@", Limit: 1}, "9"},
		{"quotes", Query{Text: `"invoice" "6`}, ""},
		{"no operators", Query{Text: "invoice NOT 6"}, ""},
		{"no columns", Query{Text: "owners:ann"}, ""},
		{"no wildcard", Query{Text: "inv%ce"}, ""},
		{"no SQL", Query{Text: "' OR 1=1 --"}, ""},
		{"since", Query{Since: start.Add(8 * time.Minute)}, "9 8"},
		{"until", Query{Until: start.Add(2 * time.Minute)}, "1 "},
		{"waiting", Query{State: Waiting, Limit: 1}, "9"},
		{"released", Query{State: Released}, ""},
	} {
		list, err := q.List(t.Context(), c.q)
		if err != nil {
			t.Fatal(err)
		}
		if got := ids(list); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
	for want, query := range map[int]Query{10: {Before: "q00000005"}, 5: {Class: policy.Malware}, 1: {Text: "invoice 6"}, 0: {State: Released}} {
		if n, err := q.Count(t.Context(), query, 100); n != want || err != nil {
			t.Errorf("%+v: %d, %v", query, n, err)
		}
	}
	if n, err := q.Count(t.Context(), Query{}, 4); n != 4 || err != nil {
		t.Errorf("counted beyond the bound: %d, %v", n, err)
	}
	counts, err := q.Counts(t.Context())
	if err != nil || len(counts) != 2 || counts[0].Class != policy.Malware || counts[0].Entries != 5 || counts[1].Waiting != 5 {
		t.Errorf("counts: %+v, %v", counts, err)
	}
}

// TestOwnersSeeOnlyTheirs: P-23, O-05, O-06, O-07.
func TestOwnersSeeOnlyTheirs(t *testing.T) {
	q := newStore(t)
	both, other := entry(1, "ann@example.com", "bob@example.com"), entry(2, "bob@example.com", "eve@other.example")
	both.Result = []byte(`{"recipients":[{"address":"ann@example.com"},{"address":"bob@example.com"}],"rcpt":["bob@example.com"],
		"decision":{"recipients":[{"address":"bob@example.com"}]},"fates":[{"rcpt":"bob@example.com"}]}`)
	put(t, q, both, message(1))
	put(t, q, other, message(2))
	ctx := t.Context()
	ann := q.For("Ann@EXAMPLE.com")

	for _, query := range []Query{{}, {Recipient: "bob@example.com"}, {Text: "bob"}, {Text: "invoice"}, {State: Waiting}} {
		list, err := ann.List(ctx, query)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range list {
			if e.ID != both.ID || len(e.Rcpts) != 1 || e.Rcpts[0].Address != "ann@example.com" {
				t.Errorf("%+v shows %+v", query, e)
			}
		}
		if hit := query.Recipient != "" || query.Text == "bob"; hit != (len(list) == 0) {
			t.Errorf("%+v finds %d entries", query, len(list))
		}
	}
	e, err := ann.Entry(ctx, both.ID)
	if err != nil || bytes.Contains(e.Result, []byte("bob")) || !bytes.Contains(e.Result, []byte("ann")) {
		t.Errorf("result in view: %s, %v", e.Result, err)
	}
	if _, err := ann.Entry(ctx, other.ID); !errors.Is(err, ErrNotFound) {
		t.Errorf("entry of others: %v", err)
	}
	if _, err := ann.Open(ctx, other.ID); !errors.Is(err, ErrNotFound) {
		t.Errorf("content of others: %v", err)
	}
	if _, err := ann.Claim(ctx, both.ID, Release{Key: "k", Rcpts: []string{"bob@example.com"}}); !errors.Is(err, ErrNotFound) {
		t.Errorf("release for others: %v", err)
	}
	if err := ann.Delete(ctx, other.ID, "ann", nil); !errors.Is(err, ErrNotFound) {
		t.Errorf("delete of others: %v", err)
	}
	got, err := ann.Claim(ctx, both.ID, Release{Key: "k"})
	if err != nil || !slices.Equal(got, []string{"ann@example.com"}) {
		t.Errorf("ann's release takes %v, %v", got, err)
	}
	if list, _ := q.For().List(ctx, Query{}); len(list) != 0 {
		t.Error("a view without owners sees something")
	}
	if list, _ := q.For("@Other.Example").List(ctx, Query{}); ids(list) != "2" || len(list[0].Rcpts) != 1 {
		t.Errorf("view of a domain: %+v", list)
	}
	counts, err := ann.Counts(ctx)
	if err != nil || len(counts) != 1 || counts[0].Entries != 1 {
		t.Errorf("ann's counts: %+v, %v", counts, err)
	}
}

// TestReleaseTenTimesAtOnce: P-05, exactly one delivery, whether the clicks share a key or not.
func TestReleaseTenTimesAtOnce(t *testing.T) {
	for _, shared := range []bool{true, false} {
		q := newStore(t)
		put(t, q, entry(1, "ann@example.com", "bob@example.com"), message(1))
		var deliveries atomic.Int64
		var wg sync.WaitGroup
		for i := range 10 {
			key := "click"
			if !shared {
				key = fmt.Sprint("click ", i)
			}
			wg.Go(func() {
				rcpts, err := q.Claim(t.Context(), "q00000001", Release{Key: key, By: "ann"})
				if errors.Is(err, ErrUnderWay) {
					return
				}
				if err != nil {
					t.Error(err)
				}
				var out []Outcome
				for _, r := range rcpts {
					deliveries.Add(1)
					out = append(out, Outcome{Address: r, Released: true, Reply: "250 2.0.0 taken"})
				}
				if err := q.MarkReleased(t.Context(), "q00000001", key, out); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if n := deliveries.Load(); n != 2 {
			t.Errorf("shared key %v: %d deliveries for two recipients", shared, n)
		}
		e, err := q.Entry(t.Context(), "q00000001")
		if err != nil || e.Rcpts[0].State != Released || e.Rcpts[1].Reply != "250 2.0.0 taken" || e.Rcpts[0].By != "ann" {
			t.Errorf("afterwards: %+v, %v", e.Rcpts, err)
		}
	}
}

// TestFailedReleaseWaitsAgain: and a late answer under an old key changes nothing.
func TestFailedReleaseWaitsAgain(t *testing.T) {
	q := newStore(t)
	put(t, q, entry(1), message(1))
	ctx := t.Context()
	rcpts, err := q.Claim(ctx, "q00000001", Release{Key: "a", By: "ann"})
	if err != nil || len(rcpts) != 1 {
		t.Fatal(rcpts, err)
	}
	if err := q.Delete(ctx, "q00000001", "ann", nil); !errors.Is(err, ErrUnderWay) {
		t.Errorf("deleted under a release: %v", err)
	}
	if open, err := q.Unfinished(ctx, 0); err != nil || len(open) != 1 || open[0].Key != "a" {
		t.Errorf("unfinished: %+v, %v", open, err)
	}
	no := []Outcome{{Address: rcpts[0], Reply: "451 4.3.0 later"}}
	if err := q.MarkReleased(ctx, "q00000001", "a", no); err != nil {
		t.Fatal(err)
	}
	if again, err := q.Claim(ctx, "q00000001", Release{Key: "b"}); err != nil || len(again) != 1 {
		t.Errorf("cannot be tried again: %v, %v", again, err)
	}
	if err := q.MarkReleased(ctx, "q00000001", "a", no); err != nil {
		t.Fatal(err)
	}
	if e, _ := q.Entry(ctx, "q00000001"); e.Rcpts[0].State != Releasing {
		t.Errorf("a late answer made it %s", e.Rcpts[0].State)
	}
}

func TestExpireTakesWhatIsOver(t *testing.T) {
	q := newStore(t)
	ctx := t.Context()
	for i := range 100 {
		e := entry(i)
		e.Expires = time.Now().Add(time.Duration(i-90) * time.Hour)
		put(t, q, e, message(i))
	}
	if _, err := q.Claim(ctx, "q00000003", Release{Key: "k"}); err != nil {
		t.Fatal(err)
	}
	gone := 0
	for {
		list, err := q.Expire(ctx, time.Now(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if len(list) == 0 {
			break
		}
		gone += len(list)
		if list[0].Rcpts[0].State != Expired {
			t.Errorf("state %s", list[0].Rcpts[0].State)
		}
	}
	left, err := q.List(ctx, Query{})
	if err != nil || gone != 90 || len(left) != 10 {
		t.Errorf("%d expired, %d left, %v", gone, len(left), err)
	}
	if r, err := q.Recover(ctx); err != nil || r.Entries != 10 || r.Unneeded != 0 || len(r.Rebuilt) != 0 {
		t.Errorf("recovery after expiry: %+v, %v", r, err)
	}
}

// TestNothingExpiresThatCannotBeTold: the record comes before the removal.
func TestNothingExpiresThatCannotBeTold(t *testing.T) { // P-02
	q := newStore(t)
	e := entry(1)
	e.Expires = time.Now().Add(-time.Hour)
	put(t, q, e, message(1))
	full := errors.New("journal cannot be written")
	if _, err := q.Expire(t.Context(), time.Now(), func(Entry) error { return full }); !errors.Is(err, full) {
		t.Errorf("expired with %v", err)
	}
	var told []Entry
	list, err := q.Expire(t.Context(), time.Now(), func(e Entry) error {
		told = append(told, e)
		return nil
	})
	if err != nil || len(list) != 1 || len(told) != 1 || told[0].Rcpts[0].State != Expired {
		t.Errorf("%d expired, told %+v, %v", len(list), told, err)
	}
}

// TestLimitIsRefusedSoftly: 5.1 quarantine store full; deleting makes room.
func TestLimitIsRefusedSoftly(t *testing.T) {
	q := newSite(t, t.TempDir()).open(t, Config{MaxBytes: 1})
	put(t, q, entry(1), message(1))
	if err := q.Put(t.Context(), entry(2), bytes.NewReader(message(2))); !errors.Is(err, ErrFull) {
		t.Errorf("beyond the limit: %v", err)
	}
	if err := q.Delete(t.Context(), "q00000001", "admin", nil); err != nil {
		t.Fatal(err)
	}
	put(t, q, entry(2), message(2))
}

// TestIndexIsRebuiltFromFiles: FP-19, the whole database lost; what was released stays released.
func TestIndexIsRebuiltFromFiles(t *testing.T) {
	dir := t.TempDir()
	s := newSite(t, dir)
	q := s.open(t, Config{})
	ctx := t.Context()
	for i := range 20 {
		put(t, q, entry(i, "ann@example.com", "bob@example.com"), message(i%10))
	}
	if _, err := q.Claim(ctx, "q00000003", Release{Key: "k", Rcpts: []string{"bob@example.com"}}); err != nil {
		t.Fatal(err)
	}
	if err := q.MarkReleased(ctx, "q00000003", "k", []Outcome{{Address: "bob@example.com", Released: true}}); err != nil {
		t.Fatal(err)
	}
	want, err := q.List(ctx, Query{Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	_ = s.db.Close()
	for _, n := range []string{"gatepost.db", "gatepost.db-wal", "gatepost.db-shm"} {
		_ = os.Remove(filepath.Join(dir, n))
	}
	q = newSite(t, dir).open(t, Config{})
	r, err := q.Recover(ctx)
	if err != nil || len(r.Rebuilt) != 20 || len(r.Corrupt)+len(r.Missing)+r.Unneeded != 0 {
		t.Fatalf("recovery: %+v, %v", r, err)
	}
	got, err := q.List(ctx, Query{Limit: 100})
	if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("after recovery:\n%v\nwant\n%v", got, want)
	}
}

// TestRecoveryRefusesWhatIsNotOurs: S-05.
func TestRecoveryRefusesWhatIsNotOurs(t *testing.T) {
	q := newStore(t)
	ctx := t.Context()
	for i := range 3 {
		put(t, q, entry(i), message(i))
	}
	sum := strings.Repeat("ab", 32)
	name := func(n string) string { return filepath.Join(q.dir, "ab", n) }
	for n, content := range map[string]string{
		sum + ".zst.tmp": "unfinished", sum + "x.zst": "a bad name", "README": "hello", sum + ".evil.json": "{}\n", sum + ".zst": "not compressed",
	} {
		if err := os.WriteFile(name(n), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("/etc/passwd", name(strings.Repeat("ab", 31)+"cd.zst")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(name("folder"), 0o700); err != nil {
		t.Fatal(err)
	}
	e, _ := q.Entry(ctx, "q00000001")
	if err := os.Remove(q.blob(e.SHA256)); err != nil {
		t.Fatal(err)
	}
	e, _ = q.Entry(ctx, "q00000002")
	if err := os.Remove(q.recordFile(e.SHA256, e.ID)); err != nil {
		t.Fatal(err)
	}
	r, err := q.Recover(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if r.Entries != 3 || len(r.Corrupt) != 5 || r.Unneeded != 2 || !slices.Equal(r.Missing, []string{"q00000001"}) || !slices.Equal(r.Mended, []string{"q00000002"}) {
		t.Errorf("recovery: %+v", r)
	}
	if names, _ := os.ReadDir(filepath.Join(q.dir, "ab")); len(names) != 0 {
		t.Errorf("left in place: %v", names)
	}
	if _, err := q.Open(ctx, "q00000001"); !errors.Is(err, ErrDamaged) {
		t.Errorf("missing content opens: %v", err)
	}
	if r, err = q.Recover(ctx); err != nil || len(r.Corrupt)+r.Unneeded+len(r.Mended) != 0 {
		t.Errorf("second recovery: %+v, %v", r, err)
	}
}

// TestVerifyFindsEveryFlippedByte: a stored file altered at any place is never shown as the message (P-03, P-08).
func TestVerifyFindsEveryFlippedByte(t *testing.T) {
	q := newStore(t)
	ctx := t.Context()
	put(t, q, entry(1), []byte("Subject: short\r\n\r\nA few words only.\r\n"))
	e, err := q.Entry(ctx, "q00000001")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{q.blob(e.SHA256), q.recordFile(e.SHA256, e.ID)} {
		whole, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for i := range whole {
			for _, bad := range [][]byte{append(append(bytes.Clone(whole[:i]), whole[i]^1), whole[i+1:]...), whole[:i]} {
				if err := os.WriteFile(name, bad, 0o600); err != nil {
					t.Fatal(err)
				}
				if n, _ := q.verifyBlob(e.SHA256, e.Size); n > 0 && strings.HasSuffix(name, blobSuffix) {
					continue // a bit of the frame that means nothing: the content is still the content
				}
				if d, err := q.Verify(ctx, nil); err != nil || len(d) != 1 {
					t.Fatalf("%s, byte %d: damage %v, %v", filepath.Ext(name), i, d, err)
				}
			}
		}
		if err := os.WriteFile(name, whole, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if d, err := q.Verify(ctx, nil); err != nil || len(d) != 0 {
		t.Errorf("whole again, but %v, %v", d, err)
	}
}

// TestCommandsWorkBesideTheDaemon: two processes, here two handles, put, release and delete at once; no content that an
// entry needs is ever swept.
func TestCommandsWorkBesideTheDaemon(t *testing.T) {
	dir := t.TempDir()
	daemon, command := newSite(t, dir).open(t, Config{}), newSite(t, dir).open(t, Config{})
	ctx := context.Background()
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range 30 {
				if err := daemon.Put(ctx, entry(1000*g+i), bytes.NewReader(message(i%3))); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Go(func() {
		for range 60 {
			list, err := command.List(ctx, Query{Limit: 2})
			if err != nil {
				t.Error(err)
			}
			for _, e := range list {
				if err := command.Delete(ctx, e.ID, "admin", nil); err != nil && !errors.Is(err, ErrNotFound) {
					t.Error(err)
				}
			}
		}
	})
	wg.Wait()
	if bad, err := daemon.Verify(ctx, nil); err != nil || len(bad) != 0 {
		t.Errorf("damage: %v, %v", bad, err)
	}
}

func FuzzDecodeRecord(f *testing.F) {
	e := entry(1)
	e.SHA256 = strings.Repeat("ab", 32)
	line, err := encodeRecord(e)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(line)
	f.Add([]byte("{\"sum\":\"0000000000000000\",}\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, line := range [][]byte{b, sealed(b)} {
			e, err := decodeRecord(line)
			if err != nil {
				continue
			}
			again, err := encodeRecord(e)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := decodeRecord(again); err != nil {
				t.Fatalf("written again it cannot be read: %v", err)
			}
		}
	})
}

// sealed gives b a right checksum, so that the fuzzer gets past it.
func sealed(b []byte) []byte {
	line, _ := disk.AppendLine(nil, b)
	return line
}

// TestContentIsSealedWithAKey: nothing of it is legible on disk, an old key still opens, and without its key a message is not
// taken for damaged.
func TestContentIsSealedWithAKey(t *testing.T) {
	ctx := t.Context()
	dir := t.TempDir()
	s := newSite(t, dir)
	withKeys := func(text string) *Store {
		keys, err := disk.ParseKeys(text)
		if err != nil {
			t.Fatal(err)
		}
		q := s.open(t, Config{})
		q.keys = keys
		return q
	}
	old, fresh := strings.Repeat("0a", 32), strings.Repeat("0b", 32)
	put(t, withKeys(old), entry(1), message(1))
	put(t, withKeys(fresh+"\n"+old), entry(2), message(2))
	for i := range 2 {
		e, err := s.open(t, Config{}).Entry(ctx, fmt.Sprintf("q%08d", i+1))
		if err != nil {
			t.Fatal(err)
		}
		b, err := stored(t, s.open(t, Config{}), e.SHA256)
		if err != nil || !bytes.HasPrefix(b, []byte("gatepost-sealed 1\n")) {
			t.Errorf("%.40q, %v", b, err)
		}
	}
	q := withKeys(fresh + "\n" + old)
	if bad, err := q.Verify(ctx, nil); err != nil || len(bad) != 0 {
		t.Errorf("%v, %v", bad, err)
	}
	q = withKeys(fresh)
	if _, err := q.Open(ctx, "q00000001"); !errors.Is(err, disk.ErrNoKey) {
		t.Errorf("without the old key: %v", err)
	}
	c, err := q.Open(ctx, "q00000002")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if b, err := io.ReadAll(io.NewSectionReader(c, 0, c.Size())); err != nil || !bytes.Equal(b, message(2)) {
		t.Errorf("%d bytes, %v", len(b), err)
	}
}
