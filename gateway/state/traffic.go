package state

import (
	"context"
	"math"
	"slices"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"gatepost/filters/traffic"
)

// Bounds of what is remembered of traffic. Keys that were met once go before those that were met again (HOSTILE I-08).
const (
	maxSenders = 1 << 17
	maxBands   = 1 << 16
	maxSum     = 1000 // messages that count for a sender at once: who was good for years can still turn bad
	maxHours   = 24   // hours that make what is usual
	lives      = 4    // half-lives after which a sender who sends nothing is forgotten
)

// A sender is what is remembered of one key.
type sender struct {
	traffic.Standing
	first, at time.Time // when it was first seen, and what the sums are aged to
	hour      int64     // that Hour is about, since 1970
}

// age brings s to now.
func (s *sender) age(now time.Time, half time.Duration) {
	if s.at.IsZero() {
		*s = sender{first: now, at: now, hour: hourOf(now)}
		return
	}
	if past := now.Sub(s.at); past > 0 && half > 0 {
		f := math.Exp2(-float64(past) / float64(half))
		s.Wanted, s.Unwanted, s.at = s.Wanted*f, s.Unwanted*f, now
	}
	s.Known = max(now.Sub(s.first), 0)
	if h := hourOf(now); h > s.hour {
		if s.Hour > 0 {
			s.Hours++
			s.Usual += (float64(s.Hour) - s.Usual) / float64(min(s.Hours, maxHours))
		}
		s.Hour, s.hour = 0, h
	}
}

// add adds to s, which is aged.
func (s *sender) add(w traffic.Weight) {
	s.Wanted, s.Unwanted, s.Hour = s.Wanted+w.Wanted, s.Unwanted+w.Unwanted, min(s.Hour+w.Messages, maxTries)
	if sum := s.Wanted + s.Unwanted; sum > maxSum {
		s.Wanted, s.Unwanted = s.Wanted*maxSum/sum, s.Unwanted*maxSum/sum
	}
}

func hourOf(t time.Time) int64 { return t.Unix() / 3600 }

// twoQueues makes a cache of a positive size that keeps what was met again longer than what was met once.
func twoQueues[V any](size int) *lru.TwoQueueCache[string, V] {
	c, err := lru.New2Q[string, V](max(size, 4))
	if err != nil {
		panic("state: a positive number of keys is needed") // a programmer's mistake, not input
	}
	return c
}

// Weigh adds w to what is remembered of every sender.
func (l *Local) Weigh(_ context.Context, senders []string, w traffic.Weight) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	for _, key := range senders {
		s, found := l.senders.Get(key)
		if !found {
			s = &sender{}
			l.senders.Add(key, s)
		}
		s.age(now, w.HalfLife)
		s.add(w)
	}
	return nil
}

// Ask tells what is remembered of senders and of a body, and notes that the body was seen. There is always an answer.
func (l *Local) Ask(_ context.Context, q traffic.Question) (traffic.Answer, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	a := traffic.Answer{Senders: make([]traffic.Standing, len(q.Senders)), Bands: make([][]traffic.Sighting, len(q.Bands))}
	for i, key := range q.Senders {
		if s, found := l.senders.Get(key); found {
			s.age(now, q.HalfLife)
			a.Senders[i] = s.Standing
		}
	}
	q.Sighting.At = now
	for i, key := range q.Bands {
		list, _ := l.bands.Get(key)
		list = slices.DeleteFunc(list, func(s traffic.Sighting) bool { return now.Sub(s.At) >= q.Window })
		if !slices.ContainsFunc(list, func(s traffic.Sighting) bool { return s.Letter == q.Sighting.Letter }) {
			if len(list) >= traffic.MaxSightings {
				list = slices.Delete(list, 0, len(list)-traffic.MaxSightings+1)
			}
			list = append(list, q.Sighting)
		}
		l.bands.Add(key, list)
		a.Bands[i] = slices.Clone(list)
	}
	return a, nil
}
