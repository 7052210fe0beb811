package filters_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"gatepost/filters"
	"gatepost/filters/mail"
)

// finds is a filter that finds one thing.
type finds string

func (s finds) Check(context.Context, *mail.Mail) (filters.Facts, error) {
	return filters.Facts{Findings: []filters.Finding{{Code: string(s)}}}, nil
}

// follows is a filter that tells what it was told.
type follows struct {
	finds
	told chan filters.Report
}

func (f follows) Follow(_ context.Context, _ *mail.Mail, before filters.Report) (filters.Facts, error) {
	f.told <- before
	return filters.Facts{}, errors.New("could not look")
}

func TestAFollowerIsToldWhatEarlierStagesFoundAndNoMore(t *testing.T) {
	f := follows{"x", make(chan filters.Report, 1)}
	chain := filters.NewChain([]filters.Link{
		{Name: "early", Stage: filters.AtMessage, Timeout: time.Minute, Filter: finds("early.code")},
		{Name: "beside", Stage: filters.AtDepth, Timeout: time.Minute, Filter: finds("beside.code")},
		{Name: "follower", Stage: filters.AtDepth, Timeout: time.Minute, Filter: f},
	})
	var r filters.Report
	m := &mail.Mail{Message: mail.Parse(mail.Memory(""))}
	<-chain.Run(t.Context(), filters.AtMessage, m, &r)
	<-chain.Run(t.Context(), filters.AtDepth, m, &r)
	before := <-f.told
	if len(before.Findings) != 1 || before.Findings[0].Code != "early.code" || before.Findings[0].Filter != "early" {
		t.Errorf("%+v", before)
	}
	if len(r.Findings) != 2 || len(r.Failures) != 1 || r.Failures[0].Filter != "follower" {
		t.Errorf("%+v", r)
	}
}
