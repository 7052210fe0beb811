package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"iter"
	"runtime"
	"strings"
)

// cores is how much can be done at once.
func cores() int { return runtime.GOMAXPROCS(0) }

// A numbered is a line and its number in its file, from 1.
type numbered struct {
	n    int
	text string
}

// maxLine is the longest line of a batch.
const maxLine = 1 << 20

// lines yields the lines of r that are not empty, each at most maxLine long; name is for errors.
func lines(name string, r io.Reader) iter.Seq2[numbered, error] {
	return func(yield func(numbered, error) bool) {
		s := bufio.NewScanner(r)
		s.Buffer(nil, maxLine)
		n := 1
		for ; s.Scan(); n++ {
			if text := strings.TrimSpace(s.Text()); text != "" && !yield(numbered{n, text}, nil) {
				return
			}
		}
		err := s.Err()
		if errors.Is(err, bufio.ErrTooLong) {
			err = fmt.Errorf("the line is longer than %d bytes", maxLine)
		}
		if err != nil {
			yield(numbered{n: n}, fmt.Errorf("%s:%d: %w", name, n, err))
		}
	}
}

// done is one piece of finished work.
type done struct {
	b   []byte
	err error
}

// inOrder does work over the lines with several workers and hands over the results in the order of the lines. It counts
// the pieces that failed; its error is one of reading or handing over.
func inOrder(in iter.Seq2[numbered, error], workers int, work func(numbered) ([]byte, error), hand func([]byte, error) error) (failed int, err error) {
	queue := make(chan chan done, 2*workers)
	slots := make(chan struct{}, workers)
	stop := make(chan struct{})
	defer close(stop)
	var readErr error
	go func() {
		defer close(queue)
		for line, err := range in {
			if err != nil {
				readErr = err
				return
			}
			result := make(chan done, 1)
			select {
			case queue <- result:
			case <-stop:
				return
			}
			slots <- struct{}{}
			go func() {
				defer func() { <-slots }()
				b, err := work(line)
				result <- done{b, err}
			}()
		}
	}()
	for result := range queue {
		d := <-result
		if d.err != nil {
			failed++
		}
		if err := hand(d.b, d.err); err != nil {
			return failed, err
		}
	}
	return failed, readErr
}
