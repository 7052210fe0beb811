package auth

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"gatepost/filters"
	"gatepost/filters/mail"
)

// maxSets is how many ARC sets a message may carry (RFC 8617 section 4.2.1; D-29).
const maxSets = 50

// An arcSet is what one forwarder added: its results, its signature, its seal.
type arcSet struct {
	aar, ams, as *field
	sig          *signature // of ams
	seal         *signature // of as: names, b= and t= only
	cv           string     // what the sealer says of the chain before it
}

// A chain is the ARC sets of a message, by instance from 1 on.
type chain struct {
	sets []arcSet
	err  error // why it is no chain
}

// readChain collects the ARC sets (RFC 8617 section 5.2 steps 1 to 3). No crypto is done here.
func readChain(b *block) chain {
	var ch chain
	for i := range b.fields {
		f := &b.fields[i]
		if len(f.name) < 8 || !strings.EqualFold(f.name[:4], "arc-") {
			continue
		}
		var slot func(*arcSet) **field
		var instance int
		var err error
		switch {
		case f.is("arc-authentication-results"):
			slot = func(s *arcSet) **field { return &s.aar }
			instance, _, err = readAAR(f.value())
		case f.is("arc-message-signature"):
			slot = func(s *arcSet) **field { return &s.ams }
			instance, err = tagInstance(f)
		case f.is("arc-seal"):
			slot = func(s *arcSet) **field { return &s.as }
			instance, err = tagInstance(f)
		default:
			continue
		}
		if err != nil {
			ch.err = fmt.Errorf("%s: %w", f.name, err)
			return ch
		}
		for len(ch.sets) < instance {
			ch.sets = append(ch.sets, arcSet{})
		}
		at := slot(&ch.sets[instance-1])
		if *at != nil {
			ch.err = fmt.Errorf("two %s with i=%d", f.name, instance)
			return ch
		}
		*at = f
	}
	ch.err = ch.complete()
	return ch
}

// complete checks that no set has a gap and that every cv= is what a sound chain says.
func (ch *chain) complete() error {
	for i := range ch.sets {
		s := &ch.sets[i]
		if s.aar == nil || s.ams == nil || s.as == nil {
			return fmt.Errorf("set %d is not complete", i+1)
		}
		var err error
		if s.sig, err = parseAMS(s.ams); err != nil {
			return fmt.Errorf("message signature %d: %w", i+1, err)
		}
		if s.seal, s.cv, err = parseSeal(s.as); err != nil {
			return fmt.Errorf("seal %d: %w", i+1, err)
		}
		want := resultPass
		if i == 0 {
			want = resultNone
		}
		if s.cv != want {
			return fmt.Errorf("seal %d says cv=%s", i+1, clip(s.cv))
		}
	}
	return nil
}

// parseInstance reads the value of i=.
func parseInstance(s string) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil || !isDigits(s) || n < 1 || n > maxSets {
		return 0, errors.New("i= is not a number from 1 to 50")
	}
	return n, nil
}

// tagInstance is the instance of a message signature or seal.
func tagInstance(f *field) (int, error) {
	tags, err := parseTags(f.value())
	if err != nil {
		return 0, err
	}
	return parseInstance(tags.value("i"))
}

// readAAR splits ARC-Authentication-Results into its instance and the results behind it. "i=N;" stands first.
func readAAR(v string) (instance int, results string, err error) {
	first, results, ok := strings.Cut(v, ";")
	name, value, eq := strings.Cut(first, "=")
	if !ok || !eq || trimFWS(name) != "i" {
		return 0, "", errors.New("i= does not stand first")
	}
	instance, err = parseInstance(trimFWS(value))
	return instance, results, err
}

// parseAMS reads an ARC-Message-Signature: a DKIM-Signature without v=, whose i= is the instance.
func parseAMS(f *field) (*signature, error) {
	s := &signature{field: f, limit: -1, time: -1, expires: -1}
	tags, err := parseTags(f.value())
	if err != nil {
		return nil, err
	}
	if err := s.names(tags); err != nil {
		return nil, err
	}
	// Without c= the published suite and the sealers in use mean relaxed, as in every seal.
	s.headRelaxed, s.bodyRelaxed = true, true
	if err := s.common(tags); err != nil {
		return nil, err
	}
	for _, n := range s.signed {
		if strings.EqualFold(n, "arc-seal") {
			return nil, errors.New("h= names ARC-Seal") // RFC 8617 section 4.1.2
		}
	}
	s.identity = "@" + s.domain
	return s, nil
}

// parseSeal reads an ARC-Seal.
func parseSeal(f *field) (s *signature, cv string, err error) {
	s = &signature{field: f, limit: -1, time: -1, expires: -1, headRelaxed: true}
	tags, err := parseTags(f.value())
	if err != nil {
		return nil, "", err
	}
	if err := s.names(tags); err != nil {
		return nil, "", err
	}
	for _, bad := range []string{"h", "bh", "l"} {
		if tags.find(bad) != nil {
			return nil, "", fmt.Errorf("%s= has no place in a seal", bad) // RFC 8617 section 4.1.3
		}
	}
	if s.time, err = number(tags, "t", 12); err != nil {
		return nil, "", err
	}
	s.identity = "@" + s.domain
	return s, tags.value("cv"), s.signatureOf(tags)
}

// checkARC validates the chain (RFC 8617 section 5.2). Seals are checked from the newest to the oldest, with all keys
// fetched at once; nothing is fetched for a chain that is broken already.
func (c *dkimCheck) checkARC(ctx context.Context, ch *chain) filters.ARC {
	if ch.err != nil {
		return filters.ARC{Result: resultFail, Reason: mail.Printable(ch.err.Error(), 200), Sets: len(ch.sets)}
	}
	n := len(ch.sets)
	if n == 0 {
		return filters.ARC{Result: resultNone}
	}
	out := filters.ARC{Result: resultPass, Sets: n, Sealer: ch.sets[n-1].seal.domain}
	keys := make([]keyAnswer, n+1)
	tasks := tasks{crew: c.crew}
	fetch := func(to *keyAnswer, s *signature) {
		tasks.start(func() { to.key, to.err = c.fetchKey(ctx, s.selector, s.domain, s.keyKind()) })
	}
	fetch(&keys[n], ch.sets[n-1].sig)
	for i := range ch.sets {
		fetch(&keys[i], ch.sets[i].seal)
	}
	tasks.wait()
	if r, why := c.messageSignature(ch.sets[n-1].sig, keys[n]); r != resultPass {
		out.Result, out.Reason = r, fmt.Sprintf("message signature %d: %s", n, mail.Printable(why, 160))
		return out
	}
	for i := n - 1; i >= 0; i-- {
		if r, why := c.sealed(ch, i, keys[i]); r != resultPass {
			out.Result, out.Reason = r, fmt.Sprintf("seal %d: %s", i+1, mail.Printable(why, 160))
			return out
		}
	}
	return out
}

// A keyAnswer is a key, or why there is none.
type keyAnswer struct {
	key *key
	err *keyError
}

// usable reduces what is wrong with a key or algorithm to the words that ARC has.
func (k keyAnswer) usable(s *signature) (result, reason string) {
	if k.err != nil {
		if k.err.result == resultTemperror {
			return resultTemperror, k.err.reason
		}
		return resultFail, k.err.reason
	}
	if r, why := acceptable(s, k.key); r != "" {
		return resultFail, why
	}
	return resultPass, ""
}

// messageSignature checks the newest ARC-Message-Signature.
func (c *dkimCheck) messageSignature(s *signature, k keyAnswer) (result, reason string) {
	if r, why := k.usable(s); r != resultPass {
		return r, why
	}
	result, reason, err := c.matches(s, k.key)
	if err != nil {
		return resultTemperror, "the message could not be read"
	}
	if result != resultPass {
		return resultFail, reason
	}
	return resultPass, ""
}

// sealed checks the seal of set i: over all sets up to it, its own b= left out (RFC 8617 section 5.1.1).
func (c *dkimCheck) sealed(ch *chain, i int, k keyAnswer) (result, reason string) {
	s := ch.sets[i].seal
	if r, why := k.usable(s); r != resultPass {
		return r, why
	}
	buf := c.scratch.canon[:0]
	for j := 0; j < i; j++ {
		buf = c.appendSet(buf, ch.sets[j].aar.raw, ch.sets[j].ams.raw, ch.sets[j].as.raw)
	}
	bare := s.field.raw[:s.bStart] + s.field.raw[s.bEnd:]
	buf = c.appendSet(buf, ch.sets[i].aar.raw, ch.sets[i].ams.raw, bare)
	sum := sha256Of(buf[:len(buf)-2])
	c.scratch.canon = buf[:0]
	if !k.key.verify(sum, s.sig) {
		return resultFail, "signature does not match"
	}
	return resultPass, ""
}

// appendSet appends the canonical form of one set, each field with its line end.
func (c *dkimCheck) appendSet(buf []byte, fields ...string) []byte {
	for _, raw := range fields {
		buf = headCanon{relaxed: true, unix: c.b.unix}.appendField(buf, raw)
		buf = append(buf, '\r', '\n')
	}
	return buf
}
