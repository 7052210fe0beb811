package admin

import (
	"errors"
	"html/template"
	"io"
	"io/fs"
	"testing"
)

// A page is parsed when somebody first asks for it, so that a mistake in one would meet a reader: here all of them are parsed,
// in every language, and made ready to be shown.
func TestEveryPageCanBeShown(t *testing.T) {
	words, err := readTexts()
	if err != nil {
		t.Fatal(err)
	}
	d := &desk{texts: words}
	all, err := d.readPages()
	if err != nil || len(all) != len(languages()) {
		t.Fatalf("%d languages, %v", len(all), err)
	}
	files, err := fs.Glob(pageFiles, "pages/[^lp]*.html") // neither layout nor parts, among others
	if err != nil {
		t.Fatal(err)
	}
	for lang, set := range all {
		if len(set) < len(files) {
			t.Errorf("%s has %d pages of more than %d", lang, len(set), len(files))
		}
		for name, read := range set {
			parsed, err := read()
			if err != nil {
				t.Errorf("%s: %v", lang, err)
				continue
			}
			wrong := &template.Error{} // what the template itself is guilty of; that it is given nothing to show it is not
			if err := parsed.Execute(io.Discard, page{}); errors.As(err, &wrong) {
				t.Errorf("%s in %s: %v", name, lang, err)
			}
		}
	}
}
