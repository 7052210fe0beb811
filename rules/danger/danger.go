// Package danger knows which file name extensions make a desktop run something, from a data file.
//
// It is not a scanner: it never sees a file, and knows nothing of mail.
package danger

import (
	_ "embed"
	"fmt"
	"strings"
)

// A Class is what opening a file of an extension does.
type Class string

// The classes of the data file.
const (
	Program   Class = "program"
	Script    Class = "script"
	Shortcut  Class = "shortcut"
	DiskImage Class = "disk-image"
	Source    Class = "source"   // a program's text, which runs only where somebody has an interpreter run it
	Harmless  Class = "harmless" // what people open without a thought
)

// A Table gives extensions their class. It is immutable; an unknown extension has the class "".
type Table struct{ classes map[string]Class }

//go:embed danger.txt
var shipped string

// Shipped is the table that the program comes with.
func Shipped() (Table, error) { return Parse(shipped) }

// Parse reads a table: each line a class and its extensions in lower case without the dot; # begins a comment.
func Parse(text string) (Table, error) {
	t := Table{map[string]Class{}}
	for i, line := range strings.Split(text, "\n") {
		line, _, _ = strings.Cut(line, "#")
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		class := Class(words[0])
		switch class {
		case Program, Script, Shortcut, DiskImage, Source, Harmless:
		default:
			return Table{}, fmt.Errorf("read line %d: unknown class %q", i+1, words[0])
		}
		for _, w := range words[1:] {
			if old, twice := t.classes[w]; twice {
				return Table{}, fmt.Errorf("read line %d: extension %q is %s already", i+1, w, old)
			}
			t.classes[w] = class
		}
	}
	return t, nil
}

// Class is the class of an extension in any case, without the dot.
func (t Table) Class(ext string) Class { return t.classes[strings.ToLower(ext)] }

// Runs reports whether opening a file of the class may run something.
func (c Class) Runs() bool { return c != "" && c != Source && c != Harmless }
