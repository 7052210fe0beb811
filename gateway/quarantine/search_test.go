package quarantine

import (
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// Searches are answered by the index of words, however many entries there are: no plan walks through entries or
// recipients for a rare word.
func TestSearchesUseTheIndex(t *testing.T) {
	q := newStore(t)
	for i := range 30 {
		put(t, q, entry(i, fmt.Sprintf("user%d@example.com", i)), message(i))
	}
	for _, query := range []Query{{Text: "7"}, {Text: "user7@example.com"}, {Text: "dmarc.fail bulk"}, {Text: "192.0.2.7"}, {State: Released}} {
		c := q.entries(query)
		if err := q.search(t.Context(), &c, query.Text); err != nil {
			t.Fatal(err)
		}
		rows, err := q.db.Query(t.Context(), "EXPLAIN QUERY PLAN SELECT e.id FROM entries e WHERE "+c.where()+" ORDER BY e.id DESC LIMIT 50", c.args...)
		if err != nil {
			t.Fatal(err)
		}
		var plan []string
		for rows.Next() {
			var id, parent, unused int
			var detail string
			if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
				t.Fatal(err)
			}
			plan = append(plan, detail)
		}
		if err := rows.Close(); err != nil {
			t.Fatal(err)
		}
		got := strings.Join(plan, "; ")
		if strings.Contains(got, "SCAN e") && !strings.Contains(got, "SCAN entry_words") || strings.Contains(got, "SCAN r;") || strings.HasSuffix(got, "SCAN r") || !strings.Contains(got, "SEARCH e USING INTEGER PRIMARY KEY") {
			t.Errorf("%+v: %s", query, got)
		}
	}
}

// Words of every script are found, alone and beside others, however they are composed.
func TestWordsOfEveryScriptAreFound(t *testing.T) {
	q := newStore(t)
	subjects := []string{"R\u00e9sum\u00e9 complet", "Re\u0301sume\u0301 d\u00e9compos\u00e9", "नमस्ते दुनिया", "สวัสดีชาวโลก", "ひらがなとカタカナ", "한국어 제목입니다", "عرض خاص اليوم", "Straße nach Köln", "ΟΔΥΣΣΕΥΣ"}
	for i, s := range subjects {
		e := entry(i)
		e.Subject = s
		put(t, q, e, message(i))
	}
	for i, s := range subjects {
		for _, text := range append(strings.Fields(s), s) {
			list, err := q.List(t.Context(), Query{Text: text})
			if err != nil || !slices.ContainsFunc(list, func(e Entry) bool { return e.ID == fmt.Sprintf("q%08d", i) }) {
				t.Errorf("%q is not found by %q: %v", s, text, err)
			}
		}
	}
	for text, want := range map[string]string{"カタ": "4", "ชาว": "3", "ทัก": ""} {
		if list, err := q.List(t.Context(), Query{Text: text}); err != nil || ids(list) != want {
			t.Errorf("%q: %q, %v", text, ids(list), err)
		}
	}
}

// A word that stands in very many entries is looked for in the newest, and finds the same.
func TestCommonWordsAreFound(t *testing.T) {
	q := newStore(t)
	err := q.db.Write(t.Context(), func(tx *sql.Tx) error {
		for i := range fewCandidates + 50 {
			e := entry(i, fmt.Sprintf("user%d@example.com", i))
			e.SHA256, e.Expires, e.Terms = fmt.Sprintf("%064x", i), time.Now().Add(time.Hour), []string{[]string{"even", "odd"}[i%2]}
			e.Rcpts[0].State = Waiting
			if _, err := insert(t.Context(), tx, e, 100); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		q    Query
		want string
	}{
		{Query{Text: "invoice", Limit: 2}, "1049 1048"},
		{Query{Text: "invoice 77", Limit: 2}, "779 778"},
		{Query{Text: "invoice even", Limit: 2}, "1048 1046"},
		{Query{Text: "@example.com", Limit: 1, Before: "q00000500"}, "499"},
		{Query{Text: "invoice user1049@example.com"}, "1049"},
		{Query{Text: "even odd"}, ""},
	} {
		list, err := q.List(t.Context(), c.q)
		var got []string
		for _, e := range list {
			got = append(got, strings.TrimLeft(e.ID, "q0"))
		}
		if err != nil || strings.Join(got, " ") != c.want {
			t.Errorf("%+v: %q, %v", c.q, got, err)
		}
	}
}

// Entries that were there before the index was are found, too.
func TestEntriesOfBeforeAreIndexed(t *testing.T) {
	s := newSite(t, t.TempDir())
	if err := s.db.Migrate(t.Context(), "quarantine", schema[:1]); err != nil {
		t.Fatal(err)
	}
	for _, sql := range []string{
		`INSERT INTO entries (seq, id, time, expires, class, refused, score, mail_from, author, name, subject, size, sha256, client, helo, found)
			VALUES (3, 'old', 1, 9999999999999, 'spam', 0, 9000, 's@sender.example', 's@sender.example', 'S', 'Ancient Invoice', 1, 'aa', '192.0.2.1', 'h', 'ancient invoice')`,
		`INSERT INTO recipients (entry, place, address, owner, domain, state, reply, by, at, key) VALUES (3, 0, 'a@example.com', 'a@example.com', 'example.com', 'waiting', '', '', 0, '')`,
	} {
		if _, err := s.db.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	q := s.open(t, Config{})
	for _, text := range []string{"ancient", "invo", "a@example.com"} {
		if list, err := q.List(t.Context(), Query{Text: text}); err != nil || len(list) != 1 || list[0].ID != "old" {
			t.Errorf("%s: %v, %v", text, list, err)
		}
	}
}
