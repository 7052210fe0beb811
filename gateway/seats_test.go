package gateway

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
)

func TestSeatsAreTakenInOrderAndTheLineIsBounded(t *testing.T) { // n-1, n, n+1 of verdicts and verdict_queue
	synctest.Test(t, func(t *testing.T) {
		var full []bool
		s := &seats{told: func(f bool) { full = append(full, f) }}
		s.adjust(2, 3)
		for range 2 {
			if !s.sit(t.Context()) {
				t.Fatal("no seat")
			}
		}
		var mu sync.Mutex
		var order []int
		for i := range 3 {
			go func() {
				if s.sit(t.Context()) {
					mu.Lock()
					defer mu.Unlock()
					order = append(order, i)
				}
			}()
			synctest.Wait()
		}
		if s.sit(t.Context()) {
			t.Error("sat down although the line is full")
		}
		for range 3 {
			s.rise()
			synctest.Wait()
		}
		if !slices.Equal(order, []int{0, 1, 2}) || !slices.Equal(full, []bool{true, false}) {
			t.Errorf("order %v, told %v", order, full)
		}
		if now, waiting := s.load(); now != 2 || waiting != 0 {
			t.Errorf("%d judged, %d waiting", now, waiting)
		}
	})
}

func TestWhoGivesUpWaitingTakesNoSeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &seats{told: func(bool) {}}
		s.adjust(1, 5)
		s.sit(t.Context())
		ctx, cancel := context.WithCancel(t.Context())
		gone := make(chan bool)
		go func() { gone <- s.sit(ctx) }()
		synctest.Wait()
		cancel()
		if <-gone {
			t.Error("sat down")
		}
		s.rise()
		if now, waiting := s.load(); now != 0 || waiting != 0 {
			t.Errorf("%d judged, %d waiting", now, waiting)
		}
		s.adjust(0, 0)
		if s.sit(t.Context()) {
			t.Error("a seat where there is none")
		}
		s.adjust(1, 0)
		if !s.sit(t.Context()) {
			t.Error("no seat after more were made")
		}
	})
}
