package filters_test

import (
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gatepost/filters"
)

// All that a crew is given runs at once, however many wait for more to do.
func TestACrewRunsAllAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		defer time.Sleep(time.Minute)
		crew := filters.NewCrew()
		for round := range 3 {
			var all sync.WaitGroup
			start := time.Now()
			for range 10 * (round + 1) {
				all.Add(1)
				crew.Go(func() {
					defer all.Done()
					time.Sleep(time.Second)
				})
			}
			all.Wait()
			if took := time.Since(start); took != time.Second {
				t.Errorf("round %d took %s", round, took)
			}
		}
	})
}

// Who has nothing to do for long goes home.
func TestACrewGoesHome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		crew := filters.NewCrew()
		before := runtime.NumGoroutine()
		var all sync.WaitGroup
		for range 50 {
			all.Add(1)
			crew.Go(all.Done)
		}
		all.Wait()
		time.Sleep(time.Minute)
		synctest.Wait()
		if now := runtime.NumGoroutine(); now > before {
			t.Errorf("%d goroutines are still there", now-before)
		}
	})
}
