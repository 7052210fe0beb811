package policy

// doubt marks a copy that would be taken as doubtful: an unknown sender is asked to come again. Whether the sender is
// known is the gateway's memory; the judgment stays a function of the facts. What an entry allows is not doubted.
func (j *judge) doubt(o *outcome, tell bool) {
	if o.action != Accept && o.action != Tag || o.entry != nil {
		o.grey = false
		return
	}
	t := &j.p.greylist
	scored := t.points > 0 && !t.off && o.score >= t.points
	if !scored && !o.grey {
		return
	}
	o.grey = true
	if scored && tell {
		o.because = append(o.because, Reason{At: t.at, Text: "The score " + o.score.String() + " reaches the greylist threshold of " +
			t.points.String() + ": an unknown sender is asked to come again."})
	}
}

// Doubtful reports whether the copy for one of the recipients that get one is to wait unless its sender is known.
func (d *Decision) Doubtful() bool {
	for i := range d.Recipients {
		if d.Recipients[i].Greylist {
			return true
		}
	}
	return false
}

// compileGreylist sets the threshold of doubt.
func (c *compiler) compileGreylist(d *thresholdDoc) {
	if d == nil {
		return
	}
	c.p.greylist = threshold{points: d.points, off: d.off, at: c.at(d.pos)}
	if !d.off && d.points <= 0 {
		c.problem(d.pos, "", "the greylist threshold must be above 0, or off")
	}
}

// checkGreylist reports a threshold of doubt that no score could reach before another decides.
func (c *compiler) checkGreylist(d *thresholdDoc) {
	q := c.p.thresholds[1]
	if g := c.p.greylist; d != nil && !g.off && !q.off && g.points >= q.points {
		c.problem(d.pos, "", "the greylist threshold %s is not below the quarantine threshold %s, and would never be reached", g.points, q.points)
	}
}
