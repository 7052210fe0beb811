package admin

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"gatepost/gateway/quarantine"
)

// This file keeps two reviewers from working on one message: who looked at it, and who has taken it. Owners of mail see
// nothing of it, and nothing of it keeps them from their own copies.

// claimLife is how long a claim holds without being made again: long enough to look into a message, short enough that
// nobody waits for one who went home.
const claimLife = 30 * time.Minute

// seenLife is how long it is shown who looked at a message.
const seenLife = 30 * 24 * time.Hour

// A claim says who works on a message.
type claim struct {
	By    string    `json:"by"`
	Until time.Time `json:"until"`
}

// A look says who opened a message, and when last.
type look struct {
	By string    `json:"by"`
	At time.Time `json:"at"`
}

// A work is what reviewers do about one message.
type work struct {
	Claim *claim // nil: free
	Seen  []look // newest first
	Mine  bool   // the claim is the visitor's own
}

// Others are those of Seen who are not name.
func (w work) Others(name string) []string {
	var out []string
	for _, l := range w.Seen {
		if l.By != name {
			out = append(out, l.By)
		}
	}
	return out
}

var errClaimed = &problem{status: http.StatusConflict, key: "error.claimed"}

// reviewing reports whether the visitor is one of those who share the work.
func (who *visitor) reviewing() bool {
	_, all := who.scope()
	return all
}

// works finds what reviewers do about these messages; nothing, for one who is no reviewer.
func (d *desk) works(ctx context.Context, who *visitor, ids ...string) (map[string]work, error) {
	if !who.reviewing() || len(ids) == 0 {
		return nil, nil
	}
	out := make(map[string]work)
	claims, err := d.deps.Accounts.shelf.ListOf(ctx, kindClaim, ids)
	if err != nil {
		return nil, fmt.Errorf("read claims: %w", err)
	}
	for _, doc := range claims {
		var c claim
		if err := json.Unmarshal(doc.Body, &c); err != nil {
			return nil, fmt.Errorf("read claim: %w", err)
		}
		if d.now().Before(c.Until) {
			out[doc.Owner] = work{Claim: &c, Mine: c.By == who.account.Name}
		}
	}
	looks, err := d.deps.Accounts.shelf.ListOf(ctx, kindSeen, ids)
	if err != nil {
		return nil, fmt.Errorf("read who looked: %w", err)
	}
	for _, doc := range looks {
		var l look
		if err := json.Unmarshal(doc.Body, &l); err != nil {
			return nil, fmt.Errorf("read who looked: %w", err)
		}
		w := out[doc.Owner]
		w.Seen = append(w.Seen, l)
		out[doc.Owner] = w
	}
	for _, w := range out {
		slices.SortFunc(w.Seen, func(a, b look) int { return cmp.Or(b.At.Compare(a.At), cmp.Compare(a.By, b.By)) })
	}
	return out, nil
}

// noteLook remembers that a person opened a message, once an hour. A program that reads is no person.
func (d *desk) noteLook(v *visit, id string) error {
	name := v.visitor.account.Name
	if !v.visitor.reviewing() || v.visitor.session == nil || v.r.Method == http.MethodHead || d.read.again("look "+name+" "+id, d.now()) {
		return nil
	}
	body, err := json.Marshal(look{name, d.now().UTC().Truncate(time.Second)})
	if err != nil {
		return err
	}
	err = d.deps.Accounts.shelf.Put(v.r.Context(), Document{Kind: kindSeen, Key: id + " " + name, Owner: id, Body: body, Expires: d.now().Add(seenLife)})
	if err != nil {
		return fmt.Errorf("note who looked: %w", err)
	}
	return nil
}

// claim takes a message for the visitor, or holds it for longer. One that another has taken is errClaimed, unless it is
// to be taken over.
func (d *desk) claim(v *visit, id string, takeOver bool) (claim, error) {
	ctx, shelf := v.r.Context(), d.deps.Accounts.shelf
	if _, _, err := d.entry(ctx, v.visitor, id); err != nil {
		return claim{}, err
	}
	if !v.visitor.reviewing() {
		return claim{}, errForbidden
	}
	ws, err := d.works(ctx, v.visitor, id)
	if err != nil {
		return claim{}, err
	}
	c := claim{v.visitor.account.Name, d.now().Add(claimLife).UTC().Truncate(time.Second)}
	body, err := json.Marshal(c)
	if err != nil {
		return claim{}, err
	}
	doc := Document{Kind: kindClaim, Key: id, Owner: id, Body: body, Expires: c.Until}
	was := ws[id].Claim
	action := "claimed"
	if was != nil && was.By != c.By {
		if !takeOver {
			return *was, errClaimed
		}
		action = "claim taken over"
	}
	if err := d.audit(v, action, id, ""); err != nil {
		return claim{}, err
	}
	if was != nil {
		err = shelf.Put(ctx, doc)
	} else {
		var first bool
		if first, err = shelf.Swap(ctx, doc, nil); err == nil && !first { // somebody was faster
			err = errClaimed
		}
	}
	if err != nil && !errors.Is(err, errClaimed) {
		err = fmt.Errorf("store claim: %w", err)
	}
	return c, err
}

// unclaim gives a message back; another's claim stays.
func (d *desk) unclaim(v *visit, id string) error {
	ctx := v.r.Context()
	if _, _, err := d.entry(ctx, v.visitor, id); err != nil {
		return err
	}
	if !v.visitor.reviewing() {
		return errForbidden
	}
	ws, err := d.works(ctx, v.visitor, id)
	if err != nil {
		return err
	}
	if ws[id].Claim == nil {
		return nil
	}
	if !ws[id].Mine {
		return errClaimed
	}
	if err := d.audit(v, "claim given back", id, ""); err != nil {
		return err
	}
	return d.settleClaim(ctx, id)
}

// settled ends the visitor's claim once what it was for is done. That it cannot be ended is no reason to hide what was
// done: it lapses.
func (d *desk) settled(v *visit, id string) {
	if !v.visitor.reviewing() {
		return
	}
	if err := d.settleClaim(v.r.Context(), id); err != nil {
		d.log.Warn("claim outlives the work", "request", v.id, "error", err.Error())
	}
}

// settleClaim ends a claim.
func (d *desk) settleClaim(ctx context.Context, id string) error {
	if _, err := d.deps.Accounts.shelf.Delete(ctx, kindClaim, id); err != nil {
		return fmt.Errorf("end claim: %w", err)
	}
	return nil
}

// free is nil unless another reviewer has taken the message.
func (d *desk) free(v *visit, id string) error {
	ws, err := d.works(v.r.Context(), v.visitor, id)
	if err == nil && ws[id].Claim != nil && !ws[id].Mine {
		return errClaimed
	}
	return err
}

func claimMessage(d *desk, v *visit) error {
	id := v.r.PathValue("id")
	_, err := d.claim(v, id, v.r.PostForm.Get("over") != "")
	if err != nil && !errors.Is(err, errClaimed) { // the page says who has it
		return err
	}
	v.redirect("/quarantine/" + id)
	return nil
}

func unclaimMessage(d *desk, v *visit) error {
	id := v.r.PathValue("id")
	if err := d.unclaim(v, id); err != nil && !errors.Is(err, errClaimed) {
		return err
	}
	v.redirect("/quarantine/" + id)
	return nil
}

// apiClaimBody is what claiming takes.
type apiClaimBody struct {
	TakeOver bool `json:"take_over"` // from another reviewer
}

// An apiHeld is one entry, with what reviewers do about it.
type apiHeld struct {
	quarantine.Entry
	Claim *claim `json:"claim,omitempty"`
	Seen  []look `json:"seen,omitempty"`
}

// apiHeld adds to entries what reviewers do about them.
func (d *desk) apiHeld(v *visit, entries []quarantine.Entry) ([]apiHeld, error) {
	ids := make([]string, len(entries))
	for i, e := range entries {
		ids[i] = e.ID
	}
	ws, err := d.works(v.r.Context(), v.visitor, ids...)
	if err != nil {
		return nil, err
	}
	out := make([]apiHeld, len(entries))
	for i, e := range entries {
		out[i] = apiHeld{e, ws[e.ID].Claim, ws[e.ID].Seen}
	}
	return out, nil
}

func apiClaim(d *desk, v *visit) error {
	var in apiClaimBody
	if err := v.readBody(&in); err != nil {
		return err
	}
	c, err := d.claim(v, v.r.PathValue("id"), in.TakeOver)
	if err != nil {
		return err
	}
	d.writeJSON(v, http.StatusOK, c)
	return nil
}

func apiUnclaim(d *desk, v *visit) error {
	if err := d.unclaim(v, v.r.PathValue("id")); err != nil {
		return err
	}
	v.w.WriteHeader(http.StatusNoContent)
	return nil
}
