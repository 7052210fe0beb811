package trial

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"gatepost/filters/mail"
	"gatepost/policy"
)

// Print writes the report for people: the table of sets, the operating curve, what findings are worth, and the worst
// wrongs, at most that many.
func (r *Report) Print(w io.Writer, worst int) error {
	var b bytes.Buffer
	r.printSets(&b)
	r.printCurve(&b)
	r.printWorths(&b)
	r.PrintWrongs(&b, worst)
	_, err := w.Write(b.Bytes())
	return err
}

func table(b *bytes.Buffer) *tabwriter.Writer {
	return tabwriter.NewWriter(b, 0, 4, 2, ' ', tabwriter.AlignRight)
}

func (r *Report) printSets(b *bytes.Buffer) {
	t := table(b)
	fmt.Fprintln(t, "mail\tkind\tmessages\ttagged\theld or worse\trefused\tdeferred\t")
	for _, s := range r.Sets {
		kind := "ham"
		if s.Spam {
			kind = "spam"
		}
		fmt.Fprintf(t, "%s\t%s\t%d\t%d\t%d = %.2f %%\t%d\t%d\t\n", s.Name, kind, s.Messages, s.Tagged, s.Held, s.Share, s.Refused, s.Deferred)
	}
	t.Flush()
}

func (r *Report) printCurve(b *bytes.Buffer) {
	fmt.Fprintln(b, "\nheld if the quarantine began at, in percent:")
	t := table(b)
	fmt.Fprint(t, "points\t")
	for _, s := range r.Sets {
		fmt.Fprintf(t, "%s\t", s.Name)
	}
	fmt.Fprintln(t)
	for _, s := range r.Curve {
		fmt.Fprintf(t, "%s\t", s.Threshold)
		for _, p := range s.Percent {
			fmt.Fprintf(t, "%.2f\t", p)
		}
		fmt.Fprintln(t)
	}
	t.Flush()
}

// shownWorths is how many findings are shown of those that speak for either side.
const shownWorths = 25

func (r *Report) printWorths(b *bytes.Buffer) {
	fmt.Fprintln(b, "\nfindings, by how much more of the spam than of the ham has them:")
	t := table(b)
	fmt.Fprintln(t, "weight\tspam %\tham %\tfinding\t")
	list := r.Worths
	if len(list) > 2*shownWorths {
		list = slices.Concat(list[:shownWorths], list[len(list)-shownWorths:])
	}
	for _, w := range list {
		fmt.Fprintf(t, "%s\t%.1f\t%.1f\t%s\t\n", w.Weight, w.Spam, w.Ham, w.Code)
	}
	t.Flush()
}

// PrintWrongs writes the ham that cost most: what was held, then what came nearest to it, at most that many.
func (r *Report) PrintWrongs(w io.Writer, most int) {
	held := 0
	for i := range r.Wrongs {
		if r.Wrongs[i].held() {
			held++
		}
	}
	fmt.Fprintf(w, "\nham that cost most (%d held):\n", held)
	for i := range r.Wrongs[:min(len(r.Wrongs), most)] {
		c := &r.Wrongs[i]
		fmt.Fprintf(w, "%6s  %-10s  %s  %s\n", c.Result.Score, c.Result.Action, c.Name, mail.Printable(c.Subject, 80))
		fmt.Fprintf(w, "        %s\n", reasons(c.Result))
	}
}

// reasons are the rules that decided and the findings with weight, the heaviest first.
func reasons(r *policy.Result) string {
	var list []string
	for _, v := range r.Recipients[:min(len(r.Recipients), 1)] {
		for _, b := range v.Because {
			if b.Rule != "" {
				list = append(list, b.Rule)
			}
		}
	}
	found := slices.Clone(r.Findings)
	slices.SortStableFunc(found, func(a, b policy.ResultFinding) int { return cmp.Compare(b.Weight, a.Weight) })
	for _, f := range found {
		if f.Weight != 0 {
			list = append(list, fmt.Sprintf("%s %+g", f.Code, float64(f.Weight)/1000))
		}
	}
	return strings.Join(list, ", ")
}
