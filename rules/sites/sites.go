// Package sites knows what is public about certain web and mail domains, such as which shorten links and which give mailboxes away,
// from a data file.
//
// It is not a block list: to have a class is a fact, not a fault, and it knows nothing of mail.
package sites

import (
	_ "embed"
	"fmt"
	"strings"
)

// A Class is one thing that may be known of a domain. A domain may have several: the value is a set of bits.
type Class uint16

// The classes of the data file.
const (
	Shortener  Class = 1 << iota // makes short links for anybody
	Redirector                   // sends on to a target in the link
	Rewriter                     // a gateway's wrapper around the true target
	Tracker                      // counts the clicks of newsletters
	Hosting                      // anybody can put up a page
	Bucket                       // rented storage and machines
	Image                        // anybody can put up a picture
	Dynamic                      // free names for changing addresses
	Freemail                     // anybody can open a mailbox
	Social                       // profile pages
	Machinery                    // leads a reader nowhere
	Cheap                        // a top-level domain, or the like, abused far beyond its share
)

// classes are the words of the data file; read-only.
var classes = map[string]Class{
	"shortener": Shortener, "redirector": Redirector, "rewriter": Rewriter, "tracker": Tracker, "hosting": Hosting, "bucket": Bucket,
	"image": Image, "dynamic": Dynamic, "freemail": Freemail, "social": Social, "machinery": Machinery, "cheap": Cheap,
}

// A Table gives domains their classes. It is immutable.
type Table struct{ names map[string]Class }

//go:embed sites.txt
var shipped string

// Shipped is the table that the program comes with.
func Shipped() (*Table, error) { return Parse(shipped) }

// Parse reads a table: each line a class and its domains in lower-case A-labels; # begins a comment. What stands twice in
// one class, or is no domain name, is an error.
func Parse(text string) (*Table, error) {
	t := &Table{map[string]Class{}}
	for i, line := range strings.Split(text, "\n") {
		line, _, _ = strings.Cut(line, "#")
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		class := classes[words[0]]
		if class == 0 {
			return nil, fmt.Errorf("read line %d: unknown class %q", i+1, words[0])
		}
		for _, w := range words[1:] {
			if !name(w) || class != Cheap && !strings.Contains(w, ".") {
				return nil, fmt.Errorf("read line %d: %q is no domain name in lower case", i+1, w)
			}
			if t.names[w]&class != 0 {
				return nil, fmt.Errorf("read line %d: %q is %s already", i+1, w, words[0])
			}
			t.names[w] |= class
		}
	}
	return t, nil
}

// name reports whether s is written as the table writes names.
func name(s string) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c != '.' && c != '-' && (c < '0' || c > '9') && (c < 'a' || c > 'z') {
			return false
		}
	}
	return s != "" && s[0] != '.' && s[len(s)-1] != '.' && !strings.Contains(s, "..")
}

// Class is what is known of a host in lower-case A-labels: what is known of the longest name that it is or is below of,
// and whether its ending is cheap.
func (t *Table) Class(host string) Class {
	var class Class
	found := false
	for {
		if c, ok := t.names[host]; ok {
			if !found {
				class, found = c&^Cheap, c&^Cheap != 0
			}
			class |= c & Cheap
		}
		_, rest, ok := strings.Cut(host, ".")
		if !ok {
			return class
		}
		host = rest
	}
}

// Is reports whether c has any of the classes in of.
func (c Class) Is(of Class) bool { return c&of != 0 }
