package people

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"gatepost/filters/spoof"
	"gatepost/gateway/db"
	"gatepost/rules/lookalike"
	"gatepost/rules/sites"
	"gatepost/test/harness/postgres"
)

func TestMain(m *testing.M) { os.Exit(postgres.Around(m)) }

// What is remembered does not depend on where it is written down.
func TestTheSameMemoryInPostgreSQL(t *testing.T) {
	for name, test := range map[string]func(*testing.T){
		"known at once and after a restart": TestWhatIsLearntIsKnownAtOnceAndAfterARestart,
		"forgetting":                        TestForgettingReachesABookThatRuns,
		"bounds":                            TestMemoryIsBoundedInBothPlaces,
		"age":                               TestWhatIsNotSeenAgainIsForgotten,
		"lists":                             TestListsShowWhoIsKnownAndWhetherItCounts,
		"a running book":                    TestARunningBookWritesDownWhatItWasTold,
		"counts age once a day":             TestCountsAgeOnceADayHoweverManyLetThem,
	} {
		t.Run(name, test)
	}
}

// Several gateways look after one memory, each once a day.
func TestCountsAgeOnceADayHoweverManyLetThem(t *testing.T) {
	s, b := store(t), book(t, Limits{})
	var list []Observation
	for range 8 {
		list = append(list, letter(0, "li@supplier.com", "Li Wei", Reader{"anna@ours.com", "Anna Schmidt"}))
	}
	both(t, b, s, list...)
	for range 3 {
		if err := s.prune(t.Context(), b, now.AddDate(0, 0, 180)); err != nil {
			t.Fatal(err)
		}
	}
	if n := b.Sender("li@supplier.com").Messages; n != 4 {
		t.Errorf("8 messages count as %d after one quiet time", n)
	}
}

var now = time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)

func book(t testing.TB, l Limits) *Book {
	t.Helper()
	look, err := lookalike.Shipped()
	if err != nil {
		t.Fatal(err)
	}
	s, err := sites.Shipped()
	if err != nil {
		t.Fatal(err)
	}
	return New(l, look, s)
}

func store(t testing.TB) *Store {
	t.Helper()
	d, err := db.Open(postgres.For(t, t.TempDir()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	s, err := Open(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// letter is one observed message.
func letter(day int, author, name string, rcpts ...Reader) Observation {
	return Observation{Time: now.AddDate(0, 0, day), Author: author, Name: name, Proven: true, Rcpts: rcpts, Links: []string{"linked.net"}}
}

// both observes in memory and in the store, as Run does.
func both(t testing.TB, b *Book, s *Store, list ...Observation) {
	t.Helper()
	for i := range list {
		b.learn(&list[i])
	}
	if err := s.Add(t.Context(), b, list); err != nil {
		t.Fatal(err)
	}
	b.compile()
}

// What a book answers must be the same whether it saw the mail itself or read it from the store.
func TestWhatIsLearntIsKnownAtOnceAndAfterARestart(t *testing.T) {
	s, seen := store(t), book(t, Limits{})
	anna := Reader{"anna@ours.com", "Anna Schmidt"}
	var list []Observation
	for i := range 60 {
		list = append(list, letter(i%10, "li@supplier.com", "Li Wei", anna), letter(i%10, "bo@northwind.com", "Bo Ek", anna), letter(i%10, "joe@gmail.com", "Joe Free", anna),
			letter(i%10, "joe@gmail.com", "Joe Free", Reader{"otto@ours.com", ""}))
	}
	both(t, seen, s, list...)
	read := book(t, Limits{})
	if err := s.Load(t.Context(), read); err != nil {
		t.Fatal(err)
	}
	look, _ := lookalike.Shipped()
	for name, b := range map[string]*Book{"which saw the mail": seen, "which read the store": read} {
		li, joe, nobody := b.Sender("li@supplier.com"), b.Sender("joe@gmail.com"), b.Sender("nobody@x.net")
		switch {
		case !li.Remembered || li.Messages != 60 || !li.Authenticated || !li.FirstSeen.Equal(now.Truncate(24*time.Hour)):
			t.Errorf("a book %s: sender %+v", name, li)
		case joe.Messages != 120 || nobody.Messages != 0 || !nobody.Remembered || !nobody.FirstSeen.IsZero():
			t.Errorf("a book %s: %+v, %+v", name, joe, nobody)
		case !b.Contact("li@supplier.com", "anna@ours.com") || b.Contact("li@supplier.com", "otto@ours.com"):
			t.Errorf("a book %s does not know who wrote to whom", name)
		case !slices.Equal(b.Ours(spoof.Key(look, "Schmidt, Anna")), []string{"anna@ours.com"}):
			t.Errorf("a book %s: ours %v", name, b.Ours(spoof.Key(look, "Schmidt, Anna")))
		case !slices.Equal(b.Writers(spoof.Key(look, "Wei Li")), []string{"supplier.com"}) || b.Writers(spoof.Key(look, "Joe Free")) != nil:
			t.Errorf("a book %s: writers %v", name, b.Writers(spoof.Key(look, "Wei Li")))
		case b.Partners() == nil || !b.Partners().Has("supplier.com") || !b.Partners().Has("northwind.com") || b.Partners().Has("gmail.com"):
			t.Errorf("a book %s does not know the partners", name)
		}
		if linked, known := b.Linked("linked.net"); !linked || !known {
			t.Errorf("a book %s: linked %v %v", name, linked, known)
		}
		if linked, _ := b.Linked("other.net"); linked {
			t.Errorf("a book %s knows a domain that nobody linked to", name)
		}
	}
}

func TestAYoungBookCallsNobodyAStranger(t *testing.T) {
	b := book(t, Limits{})
	for i := range matureMessages {
		o := letter(0, fmt.Sprintf("a%d@x.com", i), "")
		b.learn(&o)
	}
	if b.Sender("new@x.net").Remembered {
		t.Error("after one day")
	}
	o := letter(matureDays, "late@x.com", "")
	b.learn(&o)
	if !b.Sender("new@x.net").Remembered {
		t.Error("not after a week")
	}
}

// One message, or many from one side, make no name believed: who would plant a name must write from several domains.
func TestANameIsBelievedOnlyFromSeveralSidesOrItsBearer(t *testing.T) {
	look, _ := lookalike.Shipped()
	key := spoof.Key(look, "Anna Schmidt")
	b := book(t, Limits{})
	anna := Reader{"anna@ours.com", "Anna Schmidt"}
	for range 10 {
		o := letter(0, "x@one.com", "x", anna)
		b.learn(&o)
	}
	if got := b.Ours(key); got != nil {
		t.Errorf("from one side: %v", got)
	}
	unproven := letter(0, "y@two.com", "y", anna)
	unproven.Proven = false
	b.learn(&unproven)
	if got := b.Ours(key); got != nil {
		t.Errorf("from a second side that proves nothing: %v", got)
	}
	o := letter(0, "y@two.com", "y", anna)
	b.learn(&o)
	if got := b.Ours(key); len(got) != 1 {
		t.Errorf("from two sides: %v", got)
	}
	own := letter(0, "otto@ours.com", "Otto Ours")
	own.Ours = true
	b.learn(&own)
	if got := b.Ours(spoof.Key(look, "Otto Ours")); len(got) != 1 {
		t.Errorf("by the bearer: %v", got)
	}
}

func TestForgettingReachesABookThatRuns(t *testing.T) {
	s, b := store(t), book(t, Limits{})
	both(t, b, s, letter(0, "li@supplier.com", "Li Wei", Reader{"anna@ours.com", "Anna Schmidt"}), letter(0, "bo@supplier.com", "Bo Ek"), letter(0, "x@other.com", ""))
	if err := s.Load(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		who  string
		n    int64
		gone []string
	}{{"LI@supplier.com", 2, []string{"li@supplier.com"}}, {"@supplier.com", 1, []string{"li@supplier.com", "bo@supplier.com"}}, {"nobody@x.net", 0, nil}} {
		n, err := s.Forget(t.Context(), c.who)
		if err != nil || n != c.n {
			t.Errorf("%s: %d forgotten, %v", c.who, n, err)
		}
		if err := s.follow(t.Context(), b); err != nil {
			t.Fatal(err)
		}
		for _, a := range c.gone {
			if b.Sender(a).Messages != 0 {
				t.Errorf("%s is still known", a)
			}
		}
	}
	if b.Sender("x@other.com").Messages != 1 {
		t.Error("somebody else was forgotten")
	}
}

func TestMemoryIsBoundedInBothPlaces(t *testing.T) {
	s, b := store(t), book(t, Limits{Senders: 10, Contacts: 10, Links: 10, Ours: 10})
	var list []Observation
	for i := range 50 {
		o := letter(i, fmt.Sprintf("a%d@x%d.com", i, i), fmt.Sprintf("Name%d Some", i), Reader{fmt.Sprintf("r%d@ours.com", i), fmt.Sprintf("Reader%d Some", i)})
		o.Links = []string{fmt.Sprintf("l%d.net", i)}
		list = append(list, o)
	}
	both(t, b, s, list...)
	if len(b.senders) > 10 || len(b.contacts) > 10 || len(b.links) > 10 || len(b.names) > 10 || len(b.domains) > 10 || len(b.writers) > 10 {
		t.Errorf("%d %d %d %d %d %d", len(b.senders), len(b.contacts), len(b.links), len(b.names), len(b.domains), len(b.writers))
	}
	if err := s.prune(t.Context(), b, now.AddDate(0, 0, 50)); err != nil {
		t.Fatal(err)
	}
	for _, k := range []Kind{Senders, Ours, Links} {
		left, err := s.List(t.Context(), Query{Kind: k, Limit: 100})
		if err != nil || len(left) == 0 || len(left) > 11 {
			t.Errorf("%s: %d left, %v", k, len(left), err)
		}
	}
	if b.Sender("a49@x49.com").Messages != 1 || b.Sender("a0@x0.com").Messages != 0 {
		t.Error("not the newest were kept")
	}
}

func TestWhatIsNotSeenAgainIsForgotten(t *testing.T) {
	s, b := store(t), book(t, Limits{})
	both(t, b, s, letter(0, "li@supplier.com", "Li Wei", Reader{"anna@ours.com", "Anna Schmidt"}))
	if err := s.prune(t.Context(), b, now.Add(keep-48*time.Hour)); err != nil || b.Sender("li@supplier.com").Messages == 0 {
		t.Errorf("too early: %v", err)
	}
	if err := s.prune(t.Context(), b, now.Add(keep+48*time.Hour)); err != nil || b.Sender("li@supplier.com").Messages != 0 || b.Contact("li@supplier.com", "anna@ours.com") {
		t.Errorf("not at all: %v", err)
	}
}

func TestListsShowWhoIsKnownAndWhetherItCounts(t *testing.T) {
	s, b := store(t), book(t, Limits{})
	var list []Observation
	for i := range 6 {
		list = append(list, letter(i, "li@supplier.com", "Li Wei", Reader{"anna@ours.com", "Anna Schmidt"}))
	}
	list = append(list, letter(0, "bo@once.com", "Bo Ek", Reader{"anna@ours.com", "Anna Schmidt"}), letter(0, "50%_@odd.com", ""))
	both(t, b, s, list...)
	for _, c := range []struct {
		q    Query
		want []string // "who used"
	}{
		{Query{Kind: Ours}, []string{"anna@ours.com true"}},
		{Query{Kind: Senders, Word: "li w"}, []string{"li@supplier.com true"}},
		{Query{Kind: Senders, Word: "%_"}, []string{"50%_@odd.com true"}},
		{Query{Kind: Partners, Limit: 1}, []string{"supplier.com true"}},
		{Query{Kind: Partners, Word: "once"}, []string{"once.com false"}},
		{Query{Kind: Links}, []string{"linked.net true"}},
		{Query{Kind: Links, Word: "nothing"}, nil},
	} {
		entries, err := s.List(t.Context(), c.q)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, e := range entries {
			got = append(got, fmt.Sprint(e.Who, " ", e.Used))
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%+v: %v, want %v", c.q, got, c.want)
		}
	}
	if _, err := s.List(t.Context(), Query{Kind: "friends"}); !errors.Is(err, ErrKind) {
		t.Error(err)
	}
}

// Mail never waits: what the queue cannot take is dropped and counted.
func TestObservingNeverBlocks(t *testing.T) {
	b := book(t, Limits{})
	for range maxQueue + 10 {
		b.Observe(letter(0, "a@x.com", ""))
	}
	b.Observe(Observation{})
	if b.Dropped() != 10 {
		t.Errorf("%d dropped", b.Dropped())
	}
}

func TestARunningBookWritesDownWhatItWasTold(t *testing.T) {
	s, b := store(t), book(t, Limits{})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var wg sync.WaitGroup
	wg.Go(func() {
		b.Run(ctx, s, func(err error) {
			if err != nil {
				t.Error(err)
			}
		})
	})
	b.Observe(letter(0, "li@supplier.com", "Li Wei"))
	for b.Sender("li@supplier.com").Messages == 0 { // known at once, written down later
		runtime.Gosched()
	}
	cancel()
	wg.Wait()
	if list, err := s.List(t.Context(), Query{Kind: Senders}); err != nil || len(list) != 1 {
		t.Errorf("%v, %v", list, err)
	}
}

func BenchmarkSender(b *testing.B) {
	k := book(b, Limits{})
	for i := range 100_000 {
		o := letter(0, fmt.Sprintf("a%d@x%d.com", i, i%1000), "")
		k.learn(&o)
	}
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			k.Sender("a77777@x777.com")
		}
	})
}

func BenchmarkAdd500(b *testing.B) {
	s, k := store(b), book(b, Limits{})
	list := make([]Observation, 500)
	for b.Loop() {
		for i := range list {
			list[i] = letter(0, fmt.Sprintf("a%d@x%d.com", i, i%100), "Some Name", Reader{"anna@ours.com", "Anna Schmidt"})
		}
		if err := s.Add(b.Context(), k, list); err != nil {
			b.Fatal(err)
		}
	}
}
