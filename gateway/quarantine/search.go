package quarantine

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"strings"
	"unicode"

	"gatepost/policy"
)

// This file is how lists are searched by words: SQLite's full-text index names the candidates, and these alone are looked
// at. A database that gateways share has no such index; there the entries are looked through, newest first, until a page is
// full, and a word is found within others, too.

// wordsSchema makes the index, of what is there as well. Its first column is entries.found, its second the owners of the
// copies, which only a View that sees everything may search.
func wordsSchema() []string {
	return []string{`
CREATE VIRTUAL TABLE entry_words USING fts5 (found, owners, content = '', contentless_delete = 1, tokenize = 'unicode61 remove_diacritics 0');
INSERT INTO entry_words (rowid, found, owners) SELECT e.seq, e.found,
	(SELECT coalesce(group_concat(r.owner, ' '), '') FROM recipients r WHERE r.entry = e.seq) FROM entries e;
`}
}

// fewCandidates is how many entries the index may name for them to be collected; with more, entries are walked through
// from the newest until a page is full, which is soon.
const fewCandidates = 1000

// indexWords makes an entry findable.
func indexWords(ctx context.Context, tx *sql.Tx, seq int64, found string, owners []string) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO entry_words (rowid, found, owners) VALUES (?,?,?)`, seq, spread(found), spread(strings.Join(owners, " ")))
	return err
}

// forgetWords is the reverse of indexWords.
func forgetWords(ctx context.Context, tx *sql.Tx, seq int64) error {
	_, err := tx.ExecContext(ctx, `DELETE FROM entry_words WHERE rowid = ?`, seq)
	return err
}

// search restricts e, a row of entries, to those that have every word of text in view. What counts is that the words stand
// there; the index only says where to look, and for words that stand in many entries it is quicker to look at the newest.
func (v View) search(ctx context.Context, c *cond, text string) error {
	own := v.copies()
	var few, many []string
	for _, w := range words(text) {
		c.and("(instr(e.found, ?) > 0 OR EXISTS (SELECT 1 FROM recipients r WHERE r.entry = e.seq AND "+own.where()+" AND instr(r.owner, ?) > 0))",
			append(append([]any{w}, own.args...), w)...)
		p := phrase(w)
		if p == "" || !v.all || v.s.db.Shared() { // one's own entries are few, and the index knows of others' recipients
			continue
		}
		some, err := v.s.few(ctx, p)
		if err != nil {
			return err
		}
		if some {
			few = append(few, p)
		} else {
			many = append(many, p)
		}
	}
	if len(few) == 0 && len(many) > 1 { // perhaps they seldom meet
		some, err := v.s.few(ctx, strings.Join(many, " AND "))
		if err != nil {
			return err
		}
		if some {
			few = many
		}
	}
	if len(few) > 0 {
		c.and("e.seq IN (SELECT rowid FROM entry_words WHERE entry_words MATCH ?)", strings.Join(few, " AND "))
	}
	return nil
}

// few reports whether no more than fewCandidates entries match.
func (s *Store) few(ctx context.Context, match string) (bool, error) {
	var n int
	err := s.db.QueryRow(ctx, `SELECT count(*) FROM (SELECT 1 FROM entry_words WHERE entry_words MATCH ? LIMIT ?)`, match, fewCandidates+1).Scan(&n)
	if err != nil {
		return false, fmt.Errorf("look up words: %w", err)
	}
	return n <= fewCandidates, nil
}

// phrase is a word of a search as the index is asked for it: its parts one after the other, the last one perhaps only
// begun. It is empty for a word that the index knows nothing of, or splits in its own way: one with combining marks.
func phrase(w string) string {
	if strings.ContainsFunc(w, unicode.IsMark) {
		return ""
	}
	p := strings.Map(func(r rune) rune {
		if inWord(r) {
			return r
		}
		return ' '
	}, w)
	if p = strings.Join(strings.Fields(spread(p)), " "); p == "" {
		return ""
	}
	return `"` + p + `"*`
}

// inWord reports whether the index takes r for part of a word.
func inWord(r rune) bool {
	return unicode.IsLetter(r) || unicode.IsNumber(r) || unicode.Is(unicode.Co, r)
}

// spread sets apart the characters of scripts that write words without spaces, so that each is a word to the index.
func spread(s string) string {
	if !strings.ContainsFunc(s, spaceless) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if spaceless(r) {
			b.WriteString(" " + string(r) + " ")
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

func spaceless(r rune) bool {
	return r >= 0x0e00 && unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Thai, unicode.Lao, unicode.Khmer, unicode.Myanmar)
}

// Headline is the reason to name of a result in a list, that which decided: its words and its code.
func Headline(result []byte) (text, code string) {
	var r struct {
		Recipients []policy.Verdict
		Decided    []string
		Findings   []struct{ Code, Text string }
	}
	if json.Unmarshal(result, &r) != nil {
		return "", ""
	}
	best := policy.Heaviest(r.Recipients, r.Decided)
	if best == nil {
		return "", ""
	}
	text = best.Text
	for _, f := range r.Findings {
		if f.Code == best.Code && text == "" {
			text = f.Text
		}
	}
	return text, best.Code
}
