package filters_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gatepost/filters"
	"gatepost/filters/mail"
)

// A check is a filter made of a function.
type check func(ctx context.Context) (filters.Facts, error)

func (c check) Check(ctx context.Context, _ *mail.Mail) (filters.Facts, error) { return c(ctx) }

// states finds one thing after a while.
func states(code string, after time.Duration) check {
	return func(ctx context.Context) (filters.Facts, error) {
		select {
		case <-time.After(after):
			return filters.Facts{Findings: []filters.Finding{{Code: code}}}, nil
		case <-ctx.Done():
			return filters.Facts{}, ctx.Err()
		}
	}
}

// deaf takes its time whatever its context says.
func deaf(d time.Duration) check {
	return func(context.Context) (filters.Facts, error) {
		time.Sleep(d)
		return filters.Facts{Findings: []filters.Finding{{Code: "too.late"}}}, nil
	}
}

func chainOf(list ...filters.Link) *filters.Chain {
	for i := range list {
		list[i].Stage = filters.AtMessage
	}
	return filters.NewChain(list)
}

func codesOf(r *filters.Report) (codes []string) {
	for _, f := range r.Findings {
		codes = append(codes, f.Filter+" "+f.Code)
	}
	return codes
}

func failuresOf(r *filters.Report) (list []string) {
	for _, f := range r.Failures {
		list = append(list, f.Filter+": "+f.Error)
	}
	return list
}

func TestReportsAreInChainOrderWhoeverEndsFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		defer time.Sleep(time.Minute) // by then nobody waits for more to do
		c := chainOf(
			filters.Link{Name: "slow", Timeout: 10 * time.Second, Filter: states("a.slow", 3*time.Second)},
			filters.Link{Name: "quick", Timeout: 5 * time.Second, Filter: states("b.quick", 0)},
			filters.Link{Name: "middle", Timeout: 10 * time.Second, Filter: states("c.middle", time.Second)},
		)
		var r filters.Report
		<-c.Run(t.Context(), filters.AtMessage, &mail.Mail{}, &r)
		if got := codesOf(&r); !slices.Equal(got, []string{"slow a.slow", "quick b.quick", "middle c.middle"}) || len(r.Failures) > 0 {
			t.Errorf("found %q, failed %q", got, failuresOf(&r))
		}
	})
}

func TestAFilterThatIgnoresItsDeadlineIsGivenUpAndTheOthersAreWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		defer time.Sleep(time.Minute) // by then nobody waits for more to do
		c := chainOf(
			filters.Link{Name: "deaf", Timeout: time.Second, Filter: deaf(time.Minute)},
			filters.Link{Name: "patient", Timeout: 20 * time.Second, Filter: states("b.patient", 15*time.Second)},
			filters.Link{Name: "late", Timeout: 5 * time.Second, Filter: states("c.late", 6*time.Second)},
		)
		var r filters.Report
		start := time.Now()
		ended := c.Run(t.Context(), filters.AtMessage, &mail.Mail{}, &r)
		if took := time.Since(start); took != 15*time.Second {
			t.Errorf("waited %s", took)
		}
		if got := codesOf(&r); !slices.Equal(got, []string{"patient b.patient"}) {
			t.Errorf("found %q", got)
		}
		if got := failuresOf(&r); !slices.Equal(got, []string{"deaf: timeout after 1s", "late: timeout after 5s"}) {
			t.Errorf("failed %q", got)
		}
		select {
		case <-ended:
			t.Error("ended while a filter still reads the message")
		default:
		}
		<-ended
		if took := time.Since(start); took != time.Minute {
			t.Errorf("ended after %s", took)
		}
	})
}

func TestTheEndOfTheMessagesTimeEndsAllFiltersAndGivesUpTheDeaf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		defer time.Sleep(time.Minute) // by then nobody waits for more to do
		c := chainOf(
			filters.Link{Name: "deaf", Timeout: 10 * time.Second, Filter: deaf(30 * time.Second)},
			filters.Link{Name: "quick", Timeout: 10 * time.Second, Filter: states("b.quick", time.Second)},
			filters.Link{Name: "obedient", Timeout: 25 * time.Second, Filter: states("c.never", time.Hour)},
		)
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		var r filters.Report
		start := time.Now()
		ended := c.Run(ctx, filters.AtMessage, &mail.Mail{}, &r)
		if took := time.Since(start); took > 2200*time.Millisecond {
			t.Errorf("waited %s", took)
		}
		if got := codesOf(&r); !slices.Equal(got, []string{"quick b.quick"}) {
			t.Errorf("found %q", got)
		}
		if len(r.Failures) != 2 {
			t.Errorf("failed %q", failuresOf(&r))
		}
		<-ended
	})
}

func TestACrashOrAnErrorIsAFailureAndNeverAFact(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		defer time.Sleep(time.Minute) // by then nobody waits for more to do
		c := chainOf(
			filters.Link{Name: "crash", Timeout: time.Second, Filter: check(func(context.Context) (filters.Facts, error) { panic("index out of range") })},
			filters.Link{Name: "blind", Timeout: time.Second, Filter: check(func(context.Context) (filters.Facts, error) {
				return filters.Facts{}, errors.New("cannot look")
			})},
			filters.Link{Name: "sound", Timeout: time.Second, Filter: states("c.sound", 0)},
		)
		var r filters.Report
		<-c.Run(t.Context(), filters.AtMessage, &mail.Mail{}, &r)
		if got := strings.Join(failuresOf(&r), "; "); got != "crash: crash: index out of range; blind: cannot look" {
			t.Errorf("failed %q", got)
		}
		if got := codesOf(&r); !slices.Equal(got, []string{"sound c.sound"}) || len(r.Timings) != 3 {
			t.Errorf("found %q, timed %v", got, r.Timings)
		}
	})
}

func TestAStageWithoutFiltersHasEndedAtOnce(t *testing.T) {
	var r filters.Report
	<-filters.NewChain(nil).Run(t.Context(), filters.AtDepth, &mail.Mail{}, &r)
}
