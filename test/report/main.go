// Command report reads the output of go test -json and prints what failed, what was skipped and why, and the counts.
// It exits 1 if a test failed, or if one was skipped where CI is set.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"sort"
	"strings"
)

// event is one line of test2json.
type event struct {
	Action, Package, Test, Output string
	Elapsed                       float64
}

// tally is what the events add up to.
type tally struct {
	passed, failed, skipped int
	output                  map[string][]string // by package/test
	failures, skips         []string
	packages                map[string]float64
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: report FILE")
		os.Exit(2)
	}
	f, err := os.Open(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	defer f.Close()
	t := tally{output: map[string][]string{}, packages: map[string]float64{}}
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var e event
		if json.Unmarshal(lines.Bytes(), &e) == nil {
			t.add(e)
		}
	}
	t.print()
	if t.failed > 0 || len(t.failures) > 0 || t.skipped > 0 && os.Getenv("CI") != "" {
		os.Exit(1)
	}
}

// add counts one event.
func (t *tally) add(e event) {
	key := e.Package + " " + e.Test
	switch e.Action {
	case "output", "build-output":
		t.output[key] = append(t.output[key], e.Output)
	case "pass":
		if e.Test == "" {
			t.packages[e.Package] = e.Elapsed
		} else {
			t.passed++
		}
		delete(t.output, key)
	case "fail", "build-fail":
		t.failures = append(t.failures, key)
		if e.Test != "" {
			t.failed++
		}
	case "skip":
		if e.Test != "" {
			t.skipped++
			t.skips = append(t.skips, key+": "+reason(t.output[key]))
		}
	}
}

// reason finds what a skipped test said.
func reason(output []string) string {
	for _, line := range output {
		if _, after, ok := strings.Cut(line, ".go:"); ok {
			if _, words, ok := strings.Cut(after, ": "); ok {
				return strings.TrimSpace(words)
			}
		}
	}
	return "no reason given"
}

// print writes the summary, slowest packages first.
func (t *tally) print() {
	names := make([]string, 0, len(t.packages))
	for name := range t.packages {
		names = append(names, name)
	}
	sort.Slice(names, func(i, j int) bool { return t.packages[names[i]] > t.packages[names[j]] })
	for _, name := range names {
		fmt.Printf("ok   %-40s %6.1fs\n", name, t.packages[name])
	}
	for _, key := range t.failures {
		fmt.Printf("FAIL %s\n%s", key, strings.Join(t.output[key], ""))
	}
	for _, key := range t.skips {
		fmt.Println("SKIP " + key)
	}
	fmt.Printf("%d passed, %d failed, %d skipped\n", t.passed, t.failed, t.skipped)
}
