package gateway

import (
	"strconv"
	"strings"

	"gatepost/filters/auth"
	"gatepost/filters/mail"
	"gatepost/gateway/forward"
	"gatepost/policy"
)

// by is how this gateway signs what it writes.
func (g *Gateway) by() forward.By { return forward.By{Hostname: g.Hostname, Instance: g.Instance} }

// delivery is the message for rcpts, whose copies are alike, as it goes on: our fields put first, forged ones left out,
// every other byte as it came.
func (j *job) delivery(rcpts []mail.Address, whole bool) forward.Delivery {
	dec := &j.in.Decision
	v := j.verdict(rcpts[0])
	var b strings.Builder
	b.WriteString(forward.Received(j.env, j.g.by()))
	results := auth.Results(j.env, &j.in.Report, j.g.Hostname)
	b.WriteString(results)
	b.WriteString("X-Gatepost-Id: " + j.env.ID + "\r\n")
	b.WriteString("X-Gatepost-Score: " + dec.Score.String() + "\r\n")
	b.WriteString("X-Gatepost-Action: " + string(v.Action) + "\r\n")
	if v.Action == policy.Tag {
		b.WriteString("X-Spam-Flag: YES\r\n")
	}
	for i, f := range j.in.Report.Failures { // whoever reads it shall know who did not look
		b.WriteString([]string{"X-Gatepost-Not-Run: ", ", "}[min(i, 1)] + f.Filter)
		if i == len(j.in.Report.Failures)-1 {
			b.WriteString("\r\n")
		}
	}
	for _, list := range [][]policy.HeaderField{dec.AddHeaders, v.AddHeaders} {
		for _, f := range list {
			b.WriteString(mail.Printable(f.Name, 78) + ": " + mail.Printable(f.Value, 900) + "\r\n")
		}
	}
	d := forward.Delivery{Envelope: j.env, Rcpts: rcpts, Source: j.content, Sum: j.content.Sum(), Whole: whole}
	if l := j.stripped(v); l != nil && l.err == nil && l.Changed() {
		d.Source, d.Sum = l, l.sum
		b.WriteString("X-Gatepost-Stripped: " + strconv.Itoa(len(l.Names)) + "\r\n")
		d.Edits = forward.Edits{Drop: auth.Forged(mail.Parse(l), j.g.Hostname), Add: j.sealOf(l, results) + b.String()}
		return d
	}
	d.Edits = forward.Edits{Drop: auth.Forged(j.in.Message, j.g.Hostname), Add: j.seal(results) + b.String()}
	return d
}

// seal is the ARC set for the message as it goes on unchanged. It is made once for all copies.
func (j *job) seal(results string) string {
	if j.sealed == nil {
		set := j.sealOf(j.content, results)
		j.sealed = &set
	}
	return *j.sealed
}

// sealOf is the ARC set for a message, where the site seals. Mail whose seal cannot be made goes on without: the seal is a
// kindness to those behind us, and nobody refuses mail for want of it.
func (j *job) sealOf(src mail.Source, results string) string {
	if j.snap.Sealer == nil || j.in.Report.Auth == nil {
		return ""
	}
	set, err := j.snap.Sealer.Seal(src, results, j.in.Report.Auth.ARC.Result, j.g.Now())
	if err != nil {
		j.g.Log.Error("not sealed", "id", j.env.ID, "err", err)
	}
	return set
}
