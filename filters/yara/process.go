package yara

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// maxSaid is how much is kept of what a program writes to standard error.
const maxSaid = 64 << 10

// errFlood is the error of a job whose program writes more than it may.
var errFlood = errors.New("it wrote more than it may")

// A job is one run of a program: with an empty environment, in a process group of its own, within
// limits, and ended together with the gateway.
type job struct {
	path    string
	dir     string // where it runs; empty: in the gateway's working directory
	args    []string
	files   []*os.File // become descriptors 3, 4 and so on
	input   string     // for standard input, at most what a pipe holds; given only once the limits are set
	memory  int64      // most octets of address space
	seconds int        // most of processor time
	write   int64      // largest file that it may write; 0: it can write no file
	line    func([]byte) error
	most    int64 // octets of standard output
}

// read gives every line of standard output to line.
func (j *job) read(r io.Reader) error {
	b := bufio.NewReaderSize(r, maxLine)
	for total := int64(0); ; {
		line, err := b.ReadSlice('\n')
		total += int64(len(line))
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			return fmt.Errorf("it wrote a line of more than %d octets", maxLine)
		case errors.Is(err, io.EOF) && len(line) > 0:
			return errors.New("its last line has no end")
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("read its output: %w", err)
		case total > j.most:
			return errFlood
		}
		if err := j.line(line[:len(line)-1]); err != nil {
			return err
		}
	}
}

// readSome reads to the end and keeps the beginning. Where something is missing, the last line says so.
func readSome(r io.Reader) string {
	var b strings.Builder
	io.CopyN(&b, r, maxSaid)
	if n, _ := io.Copy(io.Discard, r); n > 0 {
		return b.String() + "\n" + tooMuch + "\n"
	}
	return b.String()
}

// tooMuch stands where more was written to standard error than is kept.
const tooMuch = `warning: rule "": too many matches and more warnings than are read`

// firstLine is the first line of a text, or "without a word".
func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	if strings.TrimSpace(line) == "" {
		return "without a word"
	}
	return line
}
