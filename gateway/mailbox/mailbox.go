package mailbox

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// A Letter is one message as it was on the wire: CRLF line ends, without what the mailbox put around it.
type Letter struct {
	Name    string // path of its file; in an mbox with its number from the second on: "inbox#3"
	Content []byte
}

// MaxLetter is the largest message that is read; larger ones are errors.
const MaxLetter = 64 << 20

// ErrLarge is returned for a message of more than MaxLetter bytes.
var ErrLarge = errors.New("message is too large")

// All yields the messages of all paths, in the order of their names. What cannot be read is an error in its place, and
// the walk goes on. Hidden files, empty files, what Maildir keeps in tmp, and files that hold no message are passed over.
func All(paths ...string) iter.Seq2[Letter, error] {
	return func(yield func(Letter, error) bool) {
		for _, path := range paths {
			err := filepath.WalkDir(path, func(name string, d fs.DirEntry, err error) error {
				return visit(path, name, d, err, yield)
			})
			if errors.Is(err, errStop) {
				return
			}
		}
	}
}

// errStop ends a walk whose consumer has enough.
var errStop = errors.New("enough")

// visit reads one entry of a directory, or a file that was named itself.
func visit(root, name string, d fs.DirEntry, err error, yield func(Letter, error) bool) error {
	named := name == root
	switch {
	case err != nil:
		if !yield(Letter{Name: name}, err) {
			return errStop
		}
		if d != nil && d.IsDir() {
			return fs.SkipDir
		}
		return nil
	case !named && strings.HasPrefix(d.Name(), ".") && d.Name() != "." && !maildirFolder(name):
		if d.IsDir() {
			return fs.SkipDir
		}
		return nil
	case d.IsDir():
		if d.Name() == "tmp" && maildir(filepath.Dir(name)) {
			return fs.SkipDir
		}
		return nil
	case !d.Type().IsRegular() && !named:
		return nil
	}
	if !read(name, named, yield) {
		return errStop
	}
	return nil
}

// maildir reports whether dir is a Maildir.
func maildir(dir string) bool {
	for _, sub := range [...]string{"cur", "new"} {
		if st, err := os.Stat(filepath.Join(dir, sub)); err != nil || !st.IsDir() {
			return false
		}
	}
	return true
}

// maildirFolder reports whether dir is a folder inside a Maildir, whose name begins with a dot (Maildir++).
func maildirFolder(dir string) bool { return maildir(dir) && maildir(filepath.Dir(dir)) }

// read yields the messages of one file.
func read(name string, named bool, yield func(Letter, error) bool) bool {
	f, err := os.Open(name)
	if err != nil {
		return yield(Letter{Name: name}, err)
	}
	defer f.Close()
	in := bufio.NewReaderSize(f, 64<<10)
	head, err := in.Peek(5)
	if string(head) == separator {
		return split(name, in, yield)
	}
	if err != nil && err != io.EOF {
		return yield(Letter{Name: name}, err)
	}
	b, err := io.ReadAll(io.LimitReader(in, MaxLetter+1))
	switch {
	case err != nil:
		return yield(Letter{Name: name}, err)
	case len(b) > MaxLetter:
		return yield(Letter{Name: name}, fmt.Errorf("%s: %w", name, ErrLarge))
	case !named && !message(b):
		return true
	}
	return yield(Letter{name, wire(b)}, nil)
}

// separator begins the line that mbox files put before each message.
const separator = "From "

// split yields the messages of an mbox file (RFC 4155).
func split(name string, in *bufio.Reader, yield func(Letter, error) bool) bool {
	var b []byte
	n, blank, large := 0, true, false
	give := func() bool {
		switch {
		case n == 0:
			return true
		case large:
			return yield(Letter{Name: place(name, n)}, fmt.Errorf("%s: %w", place(name, n), ErrLarge))
		}
		return yield(Letter{place(name, n), wire(bytes.TrimSuffix(b, []byte("\n")))}, nil)
	}
	for start := true; ; {
		line, err := in.ReadSlice('\n')
		if start && blank && bytes.HasPrefix(line, []byte(separator)) {
			if !give() {
				return false
			}
			n, b, large = n+1, nil, false
		} else if len(b)+len(line) > MaxLetter {
			large = true
		} else if start {
			b = append(b, unquoted(line)...)
		} else {
			b = append(b, line...)
		}
		if start {
			blank = len(bytes.TrimRight(line, "\r\n")) == 0
		}
		start = err == nil
		if err != nil && err != bufio.ErrBufferFull {
			if err != io.EOF {
				return give() && yield(Letter{Name: name}, err)
			}
			return give()
		}
	}
}

// unquoted takes away the sign that mbox files put before lines that look like separators.
func unquoted(line []byte) []byte {
	if rest := bytes.TrimLeft(line, ">"); len(rest) < len(line) && bytes.HasPrefix(rest, []byte(separator)) {
		return line[1:]
	}
	return line
}

// place names the nth message of an mbox file. The first has the name of the file, for there may be no other.
func place(name string, n int) string {
	if n == 1 {
		return name
	}
	return name + "#" + strconv.Itoa(n)
}

// message reports whether b begins like a message: with lines that are fields, one of them a usual one.
func message(b []byte) bool {
	usual := false
	for range 20 {
		line, rest, more := bytes.Cut(b, []byte("\n"))
		b = rest
		line = bytes.TrimRight(line, "\r")
		if len(line) == 0 {
			break
		}
		if line[0] != ' ' && line[0] != '\t' {
			name, _, ok := bytes.Cut(line, []byte(":"))
			if !ok || len(name) == 0 || bytes.ContainsAny(bytes.TrimRight(name, " "), " \t") {
				return usual
			}
			usual = usual || usualField(strings.ToLower(string(bytes.TrimSpace(name))))
		}
		if !more {
			break
		}
	}
	return usual
}

// usualField reports whether nearly every message has such a field.
func usualField(name string) bool {
	switch name {
	case "from", "to", "subject", "date", "message-id", "received", "return-path", "mime-version", "content-type", "delivered-to":
		return true
	}
	return false
}

// wire gives b the line ends that it had on the wire. A message that has any CRLF is left as it is.
func wire(b []byte) []byte {
	if bytes.Contains(b, []byte("\r\n")) || !bytes.Contains(b, []byte("\n")) {
		return b
	}
	return bytes.ReplaceAll(b, []byte("\n"), []byte("\r\n"))
}

// Half parts mail in two, 0 and 1, by the name of its file alone, so that a message is in the same half everywhere.
func Half(name string) int {
	h := fnv.New32a()
	io.WriteString(h, name)
	return int(h.Sum32()>>7) & 1
}
