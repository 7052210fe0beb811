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

// This file is how lists are searched by words: SQLite's full-text index names the candidates, and what the index cannot
// tell (punctuation) is looked at in these alone. Nothing else of the quarantine is SQLite's own.

// searchSchema makes the index, of what is there as well. Its first column is entries.found, its second the owners of the
// copies, which only a View that sees everything may search.
const searchSchema = `
ALTER TABLE entries ADD COLUMN reason TEXT NOT NULL DEFAULT '';
ALTER TABLE entries ADD COLUMN code TEXT NOT NULL DEFAULT '';
CREATE VIRTUAL TABLE entry_words USING fts5 (found, owners, content = '', contentless_delete = 1, tokenize = 'unicode61');
INSERT INTO entry_words (rowid, found, owners) SELECT e.seq, e.found,
	(SELECT coalesce(group_concat(r.owner, ' '), '') FROM recipients r WHERE r.entry = e.seq) FROM entries e;
`

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

// search restricts e, a row of entries, to those that have every word of text in view.
func (v View) search(ctx context.Context, c *cond, text string) error {
	own := v.copies()
	var phrases []string
	for _, w := range words(text) {
		p := phrase(w)
		mine := append(append([]any{}, own.args...), w)
		const copies = "EXISTS (SELECT 1 FROM recipients r WHERE r.entry = e.seq AND %s AND instr(r.owner, ?) > 0)"
		inCopies := fmt.Sprintf(copies, own.where())
		if p != "" && v.all {
			phrases = append(phrases, p)
		} else if p != "" {
			c.and("(e.seq IN (SELECT rowid FROM entry_words WHERE entry_words MATCH ?) OR "+inCopies+")", append([]any{"found : " + p}, mine...)...)
		}
		if p == "" || strings.ContainsFunc(w, func(r rune) bool { return !inWord(r) }) {
			c.and("(instr(e.found, ?) > 0 OR "+inCopies+")", append([]any{w}, mine...)...)
		}
	}
	if len(phrases) == 0 {
		return nil
	}
	match := strings.Join(phrases, " AND ")
	var n int
	err := v.s.db.QueryRow(ctx, `SELECT count(*) FROM (SELECT 1 FROM entry_words WHERE entry_words MATCH ? LIMIT ?)`, match, fewCandidates+1).Scan(&n)
	if err != nil {
		return fmt.Errorf("look up words: %w", err)
	}
	if n <= fewCandidates {
		c.and("e.seq IN (SELECT rowid FROM entry_words WHERE entry_words MATCH ?)", match)
	} else { // the sign keeps them from being collected and sorted
		c.and("+e.seq IN (SELECT rowid FROM entry_words WHERE entry_words MATCH ?)", match)
	}
	return nil
}

// phrase is a word of a search as the index is asked for it: its parts one after the other, the last one perhaps only
// begun. It is empty for a word that the index knows nothing of.
func phrase(w string) string {
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
func inWord(r rune) bool { return unicode.IsLetter(r) || unicode.IsNumber(r) || unicode.IsMark(r) }

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

// Headline is the heaviest reason of a result, for lists: its words and its code.
func Headline(result []byte) (text, code string) {
	var r struct {
		Recipients []policy.Verdict
		Findings   []struct{ Code, Text string }
	}
	if json.Unmarshal(result, &r) != nil {
		return "", ""
	}
	best := policy.Heaviest(r.Recipients)
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
