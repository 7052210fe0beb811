package gateway

import (
	"context"
	"fmt"

	"gatepost/filters/mail"
	"gatepost/gateway/forward"
	"gatepost/gateway/journal"
	"gatepost/policy"
)

// verdict is what was decided for one recipient.
func (j *job) verdict(rcpt mail.Address) *policy.Verdict {
	for i := range j.in.Decision.Recipients {
		if v := &j.in.Decision.Recipients[i]; v.Address == rcpt.String() {
			return v
		}
	}
	return &policy.Verdict{Action: policy.Accept}
}

// alike parts recipients into groups whose copies are the same, in order.
func (j *job) alike(rcpts []mail.Address) [][]mail.Address {
	if len(rcpts) == 1 {
		return [][]mail.Address{rcpts}
	}
	var groups [][]mail.Address
	at := map[string]int{}
	for _, r := range rcpts {
		v := j.verdict(r)
		key := fmt.Sprintf("%s %q %q %q", v.Action, v.Redirect, v.AddHeaders, j.words(v))
		i, ok := at[key]
		if !ok {
			i = len(groups)
			at[key] = i
			groups = append(groups, nil)
		}
		groups[i] = append(groups[i], r)
	}
	return groups
}

// give sends each group of copies. Once nobody has a copy and one must wait, the rest is not tried: the client will come
// again with the whole message.
func (j *job) give(ctx context.Context, rcpts []mail.Address, whole bool) []forward.Outcome {
	var all []forward.Outcome
	taken := false
	for _, group := range j.alike(rcpts) {
		var outcomes []forward.Outcome
		if n := len(all); n > 0 && !taken && all[n-1].Reply.Temporary() {
			outcomes = make([]forward.Outcome, len(group))
			for i := range group {
				outcomes[i] = all[n-1]
			}
		} else {
			outcomes = j.g.Carrier.Send(ctx, j.redirected(j.delivery(group, whole)))
		}
		for i := range outcomes {
			outcomes[i].Rcpt = group[i]
			taken = taken || outcomes[i].Reply.Positive()
		}
		all = append(all, outcomes...)
	}
	return all
}

// redirected puts the address that a rule names in place of the recipients'.
func (j *job) redirected(d forward.Delivery) forward.Delivery {
	to := j.verdict(d.Rcpts[0]).Redirect
	if to == "" {
		return d
	}
	addr, err := mail.ParseAddress(to)
	if err != nil {
		return d // the policy was checked when it was loaded
	}
	elsewhere := make([]mail.Address, len(d.Rcpts))
	for i := range elsewhere {
		elsewhere[i] = addr
	}
	d.Rcpts = elsewhere
	return d
}

// copies sends what rules ask to be copied, once the recipients have theirs. A copy that cannot be sent is recorded; it
// never makes the client send again what was delivered.
func (j *job) copies(ctx context.Context) {
	done := map[string]bool{}
	for _, v := range j.in.Decision.Recipients {
		for _, to := range v.Bcc {
			addr, err := mail.ParseAddress(to)
			if err != nil || done[addr.Canonical()] {
				continue
			}
			done[addr.Canonical()] = true
			d := j.delivery([]mail.Address{addr}, false) // as it came: whoever has copies made wants to see all
			for _, o := range j.g.Carrier.Send(ctx, d) {
				fate := "copied"
				if !o.Reply.Positive() {
					fate = "not copied"
				}
				j.fates = append(j.fates, journal.Fate{Rcpt: addr.String(), Fate: fate, Hop: o.Hop, Reply: o.Reply.Text})
			}
		}
	}
}
