package main

import (
	"testing"
	"time"

	"gatepost/gateway/state"
)

func TestAReplayIsWhatGoesToMoreThanFiftyInTenMinutes(t *testing.T) { // D-22
	clock := time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
	r := &replays{}
	if r.Replayed(t.Context(), "token", 1000) {
		t.Error("a replay, though nobody counts yet")
	}
	r.count(state.NewLocal(100, func() time.Time { return clock }))
	for n := 1; n <= 6; n++ {
		if got := r.Replayed(t.Context(), "token", 10); got != (n > 5) {
			t.Errorf("after %d recipients: %v", 10*n, got)
		}
	}
	if r.Replayed(t.Context(), "other", 10) {
		t.Error("another signature is a replay")
	}
	clock = clock.Add(21 * time.Minute)
	if r.Replayed(t.Context(), "token", 10) {
		t.Error("still a replay long after")
	}
}
