package mail

import (
	"fmt"
	"os"
	"sort"
	"testing"
)

func TestSurvey(t *testing.T) {
	for _, c := range []string{"ham-modern-usrp", "spamham-spamassassin/ham", "spamham-spamassassin/hardham", "spamham-spamassassin/spam", "phishing-pot-300", "mime-corpus", "spoof-espoofer"} {
		counts := map[string][]string{}
		n, bad := 0, 0
		messages(t, corpora(t, c), func(name string, data []byte) {
			n++
			m := Parse(Memory(crlf(data)))
			for p := range m.Parts() {
				p.View()
			}
			m.Text()
			m.Links()
			worst := Note
			seen := map[string]bool{}
			for _, d := range m.Defects {
				if s := SeverityOf(d.Code); s > worst {
					worst = s
				}
				if !seen[d.Code] {
					counts[fmt.Sprint(SeverityOf(d.Code))+" "+d.Code] = append(counts[fmt.Sprint(SeverityOf(d.Code))+" "+d.Code], name)
					seen[d.Code] = true
				}
			}
			if worst > Note {
				bad++
			}
		}, ".eml", ".raw", ".txt")
		fmt.Println("==", c, n, "bad", bad)
		keys := []string{}
		for k := range counts {
			keys = append(keys, k)
		}
		sort.Strings(keys)
		for _, k := range keys {
			l := counts[k]
			if len(l) > 5 && os.Getenv("ALL") == "" {
				l = l[:5]
			}
			fmt.Println("  ", k, len(counts[k]), l)
		}
	}
}
