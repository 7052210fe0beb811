package main

import (
	"bufio"
	"io"
	"iter"
	"runtime"
	"strings"
)

// cores is how much can be done at once.
func cores() int { return runtime.GOMAXPROCS(0) }

// lines yields the lines of r that are not empty, each at most 1 MiB long.
func lines(r io.Reader) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		s := bufio.NewScanner(r)
		s.Buffer(nil, 1<<20)
		for s.Scan() {
			if line := strings.TrimSpace(s.Text()); line != "" && !yield(line, nil) {
				return
			}
		}
		if err := s.Err(); err != nil {
			yield("", err)
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
func inOrder(in iter.Seq2[string, error], workers int, work func(string) ([]byte, error), hand func([]byte, error) error) (failed int, err error) {
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
