package conf

import "strings"

const longestWord = 64 // that suggestions are made from, or for

// Suggest is the known word that was most likely meant by got, or "" if none is near. It knows the usual slips: letters
// swapped, left out, doubled or changed, another case, - for _, a plural, a word cut short.
func Suggest(got string, known []string) string {
	if got == "" || len(got) > longestWord {
		return ""
	}
	g := fold(got)
	best, least := "", max(1, len(g)/3)+1 // what is as far as least is too far
	for _, k := range known {
		if k == got || len(k) > longestWord {
			continue
		}
		f := fold(k)
		d := distance(g, f)
		if len(g) >= 3 && (strings.HasPrefix(f, g) || strings.HasPrefix(g, f) && len(f) >= 3) {
			d = min(d, 1)
		}
		if d < least {
			best, least = k, d
		}
	}
	return best
}

func fold(s string) string { return strings.ReplaceAll(strings.ToLower(s), "-", "_") }

// distance counts the letters of words of at most longestWord bytes to insert, delete, change or swap with their neighbour that make one word the other.
func distance(a, b string) int {
	var rows [3][longestWord + 1]int
	before, last, row := &rows[0], &rows[1], &rows[2]
	for j := range len(b) + 1 {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
