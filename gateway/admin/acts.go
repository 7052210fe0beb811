package admin

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"

	"gatepost/gateway/quarantine"
	"gatepost/policy"
)

// This file is what people decide about held mail: asked once more, done in one step, and told what came of it.

type confirmView struct {
	Act      string // "release" or "delete"
	Messages []confirmMessage
	Bulk     bool
	Malware  bool // it is to be let out
	Password bool // to be given again
	Skipped  int  // chosen, and not the visitor's to do
	Error    string
	Problem  string        // in the words of the check
	Sender   *senderChoice // who may be allowed or denied in the same step
	Reason   string        // for that
	Teach    string        // what may be taught in the same step: spam or ham
}

// A confirmMessage is one message that is about to be acted on.
type confirmMessage struct {
	heldRow
	Result  *result
	Waiting []string
}

func (d *desk) confirm(v *visit, act string) (confirmView, error) {
	e, res, err := d.entry(v.r.Context(), v.visitor, v.r.PathValue("id"))
	if err != nil {
		return confirmView{}, err
	}
	if act == "release" && !v.visitor.mayRelease(e.Class) {
		return confirmView{}, errNoRelease
	}
	m := confirmMessage{heldRows([]quarantine.Entry{*e})[0], res, waiting(e, nil)}
	if len(m.Waiting) == 0 {
		return confirmView{}, errNothing
	}
	if err := d.free(v, e.ID); err != nil {
		return confirmView{}, err
	}
	p := confirmView{Act: act, Messages: []confirmMessage{m}, Malware: act == "release" && e.Class == policy.Malware, Reason: v.r.PostForm.Get("reason")}
	p.Password = p.Malware && v.visitor.account.Subject == ""
	verb, teach := "deny", "spam"
	if act == "release" {
		verb, teach = "allow", "ham"
	}
	if hasEntries(&d.deps) && v.visitor.may(RightEntries) && cmp.Or(e.Author, e.MailFrom) != "" {
		c := d.senderOf(v, e, res, verb)
		p.Sender = &c
	}
	if hasTeacher(&d.deps) && v.visitor.may(RightTeach) && e.Class != policy.Malware {
		p.Teach = teach
	}
	return p, nil
}

// besides does what was ticked beside a release or a deletion: the sender is allowed or denied, and the message taught.
// It comes first, so that nothing has left yet when it is refused.
func (d *desk) besides(v *visit, p *confirmView, done *act) error {
	form := v.r.PostForm
	if p.Sender != nil && form.Get("who") != "" {
		e, err := d.deps.Quarantine.Entry(v.r.Context(), done.ID)
		if err != nil {
			return fmt.Errorf("read quarantine entry: %w", err)
		}
		entry, ok := d.entryFrom(v, e, *p.Sender)
		if !ok {
			return errBadForm
		}
		if err := d.addEntry(v, entry); err != nil {
			return err
		}
		done.Entry = &entry
	}
	if p.Teach != "" && form.Get("teach") != "" {
		if err := d.teach(v, done.ID, p.Teach); err != nil {
			return err
		}
		done.Taught = p.Teach
	}
	return nil
}

// besideError shows the page again with what stood in the way, if that is the person's to mend.
func (d *desk) besideError(v *visit, p confirmView, err error) error {
	key, words, theirs := entryError(err)
	if !theirs {
		return err
	}
	p.Error, p.Problem = key, words
	return d.render(v, http.StatusBadRequest, "confirm", p)
}

func confirmRelease(d *desk, v *visit) error {
	p, err := d.confirm(v, "release")
	if err != nil {
		return err
	}
	return d.render(v, http.StatusOK, "confirm", p)
}

func confirmDelete(d *desk, v *visit) error {
	p, err := d.confirm(v, "delete")
	if err != nil {
		return err
	}
	return d.render(v, http.StatusOK, "confirm", p)
}

// An act is what was done to one message.
type act struct {
	ID       string
	Subject  string
	Outcomes []ReleaseOutcome
	Deleted  []string
	Entry    *policy.Entry // that was made
	Taught   string        // spam or ham
	Error    string        // catalogue key: it was not done, and why
}

type doneView struct {
	Act  string
	Acts []act
	Next string // id of the next message that waits
}

// showDone tells what came of it, and leads to the next message that waits.
func (d *desk) showDone(v *visit, name string, acts ...act) error {
	next, err := d.next(v.r.Context(), v.visitor, acts[len(acts)-1].ID)
	if err != nil {
		return err
	}
	return d.render(v, http.StatusOK, "done", doneView{name, acts, next})
}

// confirmed does what was asked for on the page of one message, with what was ticked beside it, and tells what came of it.
func (d *desk) confirmed(v *visit, name string, do func(done *act, rcpts []string) error) error {
	p, err := d.confirm(v, name)
	if err != nil {
		return err
	}
	if p.Malware {
		if err := d.proveMalware(v); err != nil {
			if p.Error = errorKey(err); p.Error == "" {
				return err
			}
			return d.render(v, http.StatusForbidden, "confirm", p)
		}
	}
	rcpts := v.r.PostForm["rcpt"]
	if len(rcpts) == 0 {
		p.Error = "error.nobody"
		return d.render(v, http.StatusBadRequest, "confirm", p)
	}
	done := act{ID: p.Messages[0].ID, Subject: p.Messages[0].Subject}
	if err := d.besides(v, &p, &done); err != nil {
		return d.besideError(v, p, err)
	}
	if err := do(&done, rcpts); err != nil {
		if done.Entry == nil && done.Taught == "" {
			return err
		}
		done.Error = d.explainFailure(v, name, err) // what came before it stands, and is told
	}
	return d.showDone(v, name, done)
}

// proveMalware has whoever lets malware out show who they are: by the password, each time, or by a login of a moment ago
// at the provider who vouches for them.
func (d *desk) proveMalware(v *visit) error {
	if v.visitor.account.Subject != "" && v.visitor.fresh(d.now()) {
		return nil
	}
	return d.checkPassword(v)
}

func release(d *desk, v *visit) error {
	return d.confirmed(v, "release", func(done *act, rcpts []string) (err error) {
		done.Outcomes, err = d.release(v, done.ID, rcpts)
		return err
	})
}

func deleteCopies(d *desk, v *visit) error {
	return d.confirmed(v, "delete", func(done *act, rcpts []string) (err error) {
		done.Deleted, err = d.discard(v, done.ID, rcpts)
		return err
	})
}

const maxBulk = 100

// bulk first asks, then does: the same form with "sure" in it acts.
func bulk(d *desk, v *visit) error {
	form := v.r.PostForm
	name := form.Get("act")
	ids := form["id"]
	if name != "release" && name != "delete" || len(ids) > maxBulk {
		return errBadForm
	}
	if name == "release" && !v.visitor.may(RightRelease) || name == "delete" && !v.visitor.may(RightDelete) {
		return errForbidden
	}
	p := confirmView{Act: name, Bulk: true}
	for _, id := range ids {
		e, res, err := d.entry(v.r.Context(), v.visitor, id)
		if err == nil && len(waiting(e, nil)) > 0 && (name == "delete" || e.Class != policy.Malware && v.visitor.mayRelease(e.Class)) {
			p.Messages = append(p.Messages, confirmMessage{heldRows([]quarantine.Entry{*e})[0], res, waiting(e, nil)})
			continue
		}
		if err != nil && !errors.Is(err, errNotFound) {
			return err
		}
		p.Skipped++
	}
	if form.Get("sure") == "" || len(p.Messages) == 0 {
		return d.render(v, http.StatusOK, "confirm", p)
	}
	var acts []act
	for _, m := range p.Messages {
		a := act{ID: m.ID, Subject: m.Subject}
		var err error
		if name == "release" {
			a.Outcomes, err = d.release(v, m.ID, nil)
		} else {
			a.Deleted, err = d.discard(v, m.ID, nil)
		}
		if err != nil {
			a.Error = d.explainFailure(v, "bulk "+name, err)
		}
		acts = append(acts, a)
	}
	return d.showDone(v, name, acts...)
}
