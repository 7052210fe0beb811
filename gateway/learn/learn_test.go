package learn

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"gatepost/filters/bayes"
	"gatepost/filters/mail"
	"gatepost/gateway/db"
	"gatepost/test/harness/postgres"
)

func TestMain(m *testing.M) { os.Exit(postgres.Around(m)) }

// What is taught does not depend on where it is kept.
func TestTheSameLessonsInPostgreSQL(t *testing.T) {
	for name, test := range map[string]func(*testing.T){
		"a message counts once":      TestAMessageCountsOnceHoweverOftenItIsTaughtAndWhateverServersWroteAboveIt,
		"forgetting":                 TestForgettingIsTheExactInverseOfTeaching,
		"restart":                    TestAModelIsShownAgainAfterARestart,
		"another process is noticed": TestAnotherProcessIsNoticed,
		"teachers are bounded":       TestTeachersAreBoundedByTheDay,
		"old lessons go":             TestOldLessonsGo,
		"run takes over":             TestRunTakesOverWhatIsTaught,
	} {
		t.Run(name, test)
	}
}

// A site is a book with its directory and a clock that tests move.
type site struct {
	*Book
	dir string
	db  *db.DB
	now time.Time
}

func open(t *testing.T, dir string, c Config) *site {
	t.Helper()
	d, err := db.Open(postgres.For(t, dir))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	s := &site{dir: dir, db: d, now: time.Now()}
	c.Dir, c.Now = dir, func() time.Time { return s.now }
	if c.MaxLessons == 0 {
		c.MaxLessons = 1000
	}
	if c.MaxAge == 0 {
		c.MaxAge = 365 * 24 * time.Hour
	}
	if s.Book, err = Open(context.Background(), c, d, Read(dir)); err != nil {
		t.Fatal(err)
	}
	return s
}

func letter(n int, text string) mail.Memory {
	return mail.Memory(fmt.Sprintf("From: a@a.example\r\nTo: b@b.example\r\nSubject: %s\r\n\r\n%s, number %s\r\n", text, text, strings.Repeat("i", n+1)))
}

func (s *site) teach(t *testing.T, m mail.Memory, kind bayes.Kind) bool {
	t.Helper()
	taught, err := s.Teach(context.Background(), Lesson{Content: m, Kind: kind, By: "ann"})
	if err != nil {
		t.Fatal(err)
	}
	return taught
}

func (s *site) refresh(t *testing.T) []byte {
	t.Helper()
	if err := s.Refresh(context.Background()); err != nil {
		t.Fatal(err)
	}
	m, err := s.Model()
	if err != nil || m == nil {
		t.Fatal("no model", err)
	}
	var b bytes.Buffer
	if err := m.Write(&b, 0); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func (s *site) status(t *testing.T) Status {
	t.Helper()
	st, err := s.Status(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return st
}

func (s *site) fill(t *testing.T, n int) {
	for i := range n {
		s.teach(t, letter(i, "cheap pills here"), bayes.Spam)
		s.teach(t, letter(i, "minutes of our meeting"), bayes.Ham)
	}
}

func TestAMessageCountsOnceHoweverOftenItIsTaughtAndWhateverServersWroteAboveIt(t *testing.T) {
	s := open(t, t.TempDir(), Config{})
	m := letter(1, "hello")
	if !s.teach(t, m, bayes.Ham) || s.teach(t, m, bayes.Ham) {
		t.Error("the second time changed something, or the first did not")
	}
	moved := append(mail.Memory("Received: from x by y\r\nX-Spam-Status: Yes\r\n"), bytes.ReplaceAll(m, []byte("\r\n"), []byte("\n"))...)
	if s.teach(t, moved, bayes.Ham) {
		t.Error("other line ends and a Received field made it another message")
	}
	if st := s.status(t); st.Ham != 1 || st.Spam != 0 {
		t.Errorf("%+v", st)
	}
	if !s.teach(t, moved, bayes.Spam) {
		t.Error("it could not be taught as the other kind")
	}
	if st := s.status(t); st.Ham != 0 || st.Spam != 1 {
		t.Errorf("%+v", st)
	}
	if got, err := s.Taught(context.Background(), m); err != nil || got.Kind != bayes.Spam || got.By != "ann" {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestForgettingIsTheExactInverseOfTeaching(t *testing.T) {
	ctx := context.Background()
	s := open(t, t.TempDir(), Config{})
	s.fill(t, 20)
	before := s.refresh(t)
	m := letter(3, "cheap meeting")
	s.teach(t, m, bayes.Spam)
	if bytes.Equal(before, s.refresh(t)) {
		t.Error("a lesson changed nothing")
	}
	if err := s.Forget(ctx, m); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(before, s.refresh(t)) {
		t.Error("the model is not what it was")
	}
	if err := s.Forget(ctx, m); !errors.Is(err, ErrNotTaught) {
		t.Errorf("forgotten twice: %v", err)
	}
	if _, err := s.Taught(ctx, m); !errors.Is(err, ErrNotTaught) {
		t.Errorf("still known: %v", err)
	}
}

func TestAModelIsShownAgainAfterARestart(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Config{})
	s.fill(t, 20)
	want := s.refresh(t)
	s.db.Close()
	again := open(t, dir, Config{})
	m, err := again.Model()
	if err != nil || m == nil {
		t.Fatal("no model right after the start", err)
	}
	if !bytes.Equal(want, again.refresh(t)) {
		t.Error("it is another model")
	}
}

func TestADamagedModelFileIsAnErrorUntilItIsMadeAgain(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Config{})
	s.fill(t, 20)
	want := s.refresh(t)
	if err := os.WriteFile(modelFile(dir), []byte("gpbayes1 and then nonsense, long enough for a header of the file"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(dir).Model(); !errors.Is(err, bayes.ErrModel) {
		t.Errorf("read as %v", err)
	}
	if again := open(t, dir, Config{}); !bytes.Equal(want, again.refresh(t)) {
		t.Error("not made again")
	}
	if _, err := Read(dir).Model(); err != nil {
		t.Errorf("after it was made again: %v", err)
	}
}

func TestAnotherProcessIsNoticed(t *testing.T) {
	dir := t.TempDir()
	gateway, command := open(t, dir, Config{}), open(t, dir, Config{})
	gateway.fill(t, 20)
	before := gateway.refresh(t)
	command.teach(t, letter(1, "cheap meeting"), bayes.Spam)
	command.refresh(t)
	if after := gateway.refresh(t); bytes.Equal(before, after) {
		t.Error("the gateway did not take over what the command taught")
	}
	if st := gateway.status(t); !st.Current || st.Spam != 21 {
		t.Errorf("%+v", st)
	}
}

func TestTeachersAreBoundedByTheDay(t *testing.T) {
	ctx := context.Background()
	s := open(t, t.TempDir(), Config{})
	for i := range 5 {
		_, err := s.Teach(ctx, Lesson{Content: letter(i, "hello"), Kind: bayes.Ham, By: "bob", Daily: 3})
		if (i >= 3) != errors.Is(err, ErrTooMany) {
			t.Errorf("lesson %d: %v", i, err)
		}
	}
	if _, err := s.Teach(ctx, Lesson{Content: letter(9, "hello"), Kind: bayes.Ham, By: "ann", Daily: 3}); err != nil {
		t.Errorf("another teacher: %v", err)
	}
	s.now = s.now.Add(25 * time.Hour)
	if _, err := s.Teach(ctx, Lesson{Content: letter(8, "hello"), Kind: bayes.Ham, By: "bob", Daily: 3}); err != nil {
		t.Errorf("the next day: %v", err)
	}
}

func TestOldLessonsGo(t *testing.T) {
	s := open(t, t.TempDir(), Config{MaxLessons: 20, MaxAge: 10 * 24 * time.Hour})
	s.fill(t, 15)
	s.refresh(t)
	if st := s.status(t); st.Spam != 10 || st.Ham != 10 {
		t.Errorf("of 15 each, 10 should stay: %+v", st)
	}
	s.now = s.now.Add(9 * 24 * time.Hour)
	s.teach(t, letter(40, "minutes of our meeting"), bayes.Ham)
	s.now = s.now.Add(2 * 24 * time.Hour)
	s.refresh(t)
	if st := s.status(t); st.Spam != 0 || st.Ham != 1 {
		t.Errorf("after ten days: %+v", st)
	}
}

func TestAMessageWithoutContentTeachesNothing(t *testing.T) {
	s := open(t, t.TempDir(), Config{})
	if _, err := s.Teach(context.Background(), Lesson{Content: mail.Memory(""), Kind: bayes.Ham}); !errors.Is(err, ErrNothing) {
		t.Errorf("%v", err)
	}
}

func TestRunTakesOverWhatIsTaught(t *testing.T) {
	s := open(t, t.TempDir(), Config{})
	s.fill(t, 10)
	ctx, cancel := context.WithCancel(context.Background())
	ended, looked := make(chan struct{}), make(chan error, 100)
	go func() {
		s.Run(ctx, func(err error) { looked <- err })
		close(ended)
	}()
	if err := <-looked; err != nil {
		t.Error(err)
	}
	cancel()
	<-ended
	if m, err := s.Model(); m == nil || err != nil {
		t.Errorf("model %v, %v", m, err)
	}
}
