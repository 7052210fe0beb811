package auth

import (
	"sync"

	"gatepost/filters"
)

// tasks runs functions at once and waits for all of them. A crash in one is raised again in the one who waits, so that
// it ends up where the filter chain expects it and never as a fact about the message.
type tasks struct {
	crew   *filters.Crew // who runs them
	wg     sync.WaitGroup
	mu     sync.Mutex
	caught any
}

func (t *tasks) start(f func()) {
	t.wg.Add(1)
	t.crew.Go(func() {
		defer t.wg.Done()
		defer func() {
			if p := recover(); p != nil {
				t.mu.Lock()
				t.caught = p
				t.mu.Unlock()
			}
		}()
		f()
	})
}

func (t *tasks) wait() {
	t.wg.Wait()
	if t.caught != nil {
		panic(t.caught)
	}
}
