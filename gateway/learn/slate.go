package learn

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"sync/atomic"

	"gatepost/filters/bayes"
	"gatepost/gateway/disk"
)

// A Slate shows the model of the moment to filters. It is a bayes.Source, and safe for concurrent use. The zero value is
// empty.
type Slate struct{ now atomic.Pointer[shown] }

// shown is what a slate shows.
type shown struct {
	model      *bayes.Model
	generation uint64
	err        error
}

// Model implements bayes.Source.
func (s *Slate) Model() (*bayes.Model, error) {
	now := s.now.Load()
	if now == nil {
		return nil, nil
	}
	return now.model, now.err
}

// Show puts a model on the slate that is of no stored lessons, for trials.
func (s *Slate) Show(m *bayes.Model) { s.now.Store(&shown{model: m}) }

// modelFile is the file of the model in a data directory.
func modelFile(dir string) string { return filepath.Join(dir, "bayes.model") }

// Read makes a slate of the model file in a data directory, for programs that judge without a running gateway. Where
// there is none the slate is empty; one that cannot be read is an error for everyone who asks for the model.
func Read(dir string) *Slate {
	s := &Slate{}
	m, generation, err := readModel(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return s
	}
	s.now.Store(&shown{m, generation, err})
	return s
}

func readModel(dir string) (*bayes.Model, uint64, error) {
	f, err := disk.OS{}.Open(modelFile(dir))
	if err != nil {
		return nil, 0, fmt.Errorf("open model: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, bayes.MaxModelFile+1))
	if err != nil {
		return nil, 0, fmt.Errorf("read model: %w", err)
	}
	m, generation, err := bayes.ReadModel(b)
	if err != nil {
		return nil, 0, fmt.Errorf("read model: %w", err)
	}
	return m, generation, nil
}
