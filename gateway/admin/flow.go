package admin

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// This file is mail and senders on their way: the hold queue, first-time senders, who sends without TLS, whom we know,
// and what is taught.

const flowLimit = 200

type holdView struct {
	List  []HeldMail
	All   int
	Sure  string // id of the message that is about to be removed
	Error string
	Done  string
}

func (d *desk) showHold(v *visit, status int, p holdView) error {
	var err error
	if p.List, p.All, err = d.deps.Holds.Held(v.r.Context(), flowLimit); err != nil {
		return fmt.Errorf("list hold queue: %w", err)
	}
	return d.render(v, status, "hold", p)
}

func holdPage(d *desk, v *visit) error { return d.showHold(v, http.StatusOK, holdView{}) }

// retry tries delivery of some held messages now, or of all.
func (d *desk) retry(v *visit, ids []string) error {
	what := strings.Join(ids, " ")
	if len(ids) == 0 {
		what = "all"
	}
	if err := d.audit(v, "hold retried", "", what); err != nil {
		return err
	}
	if err := d.deps.Holds.Retry(v.r.Context(), ids, v.visitor.account.Name); err != nil && !errors.Is(err, ErrNoMail) {
		return fmt.Errorf("retry held mail: %w", err)
	}
	return nil
}

func holdRetry(d *desk, v *visit) error {
	var ids []string
	if id := v.r.PostForm.Get("id"); id != "" {
		ids = []string{id}
	}
	if err := d.retry(v, ids); err != nil {
		return err
	}
	return d.showHold(v, http.StatusOK, holdView{Done: "hold.tried"})
}

// cancel removes a held message for good.
func (d *desk) cancel(v *visit, id string) error {
	if !validID(id) {
		return errNotFound
	}
	if err := d.audit(v, "hold cancelled", id, ""); err != nil {
		return err
	}
	err := d.deps.Holds.Cancel(v.r.Context(), id, v.visitor.account.Name)
	if errors.Is(err, ErrNoMail) {
		return errNotFound
	}
	if err != nil {
		return fmt.Errorf("cancel held mail: %w", err)
	}
	return nil
}

// holdCancel first asks, then does.
func holdCancel(d *desk, v *visit) error {
	id := v.r.PostForm.Get("id")
	if v.r.PostForm.Get("sure") == "" {
		return d.showHold(v, http.StatusOK, holdView{Sure: id})
	}
	if err := d.cancel(v, id); err != nil {
		return err
	}
	return d.showHold(v, http.StatusOK, holdView{Done: "hold.cancelled"})
}

type waitingView struct {
	List []Waiter
	Done string // the sender that was let through
}

func (d *desk) showWaiting(v *visit, p waitingView) error {
	var err error
	if p.List, err = d.deps.Waiters.Waiting(v.r.Context(), flowLimit); err != nil {
		return fmt.Errorf("list waiting senders: %w", err)
	}
	return d.render(v, http.StatusOK, "waiting", p)
}

func waitingPage(d *desk, v *visit) error { return d.showWaiting(v, waitingView{}) }

// letThrough takes a sender's next attempt at once.
func (d *desk) letThrough(v *visit, key string) error {
	if key == "" || len(key) > 1000 {
		return errNotFound
	}
	if err := d.audit(v, "sender let through", "", key); err != nil {
		return err
	}
	err := d.deps.Waiters.LetThrough(v.r.Context(), key)
	if errors.Is(err, ErrNoWaiter) {
		return errNotFound
	}
	if err != nil {
		return fmt.Errorf("let sender through: %w", err)
	}
	return nil
}

func waitingLet(d *desk, v *visit) error {
	if err := d.letThrough(v, v.r.PostForm.Get("key")); err != nil {
		return err
	}
	return d.showWaiting(v, waitingView{Done: clip(v.r.PostForm.Get("sender"), 320)})
}

type tlsView struct {
	TLSReport
	Since time.Time
}

// Percent is how much came over TLS.
func (p tlsView) Percent() int {
	if p.Messages == 0 {
		return 0
	}
	return (p.Messages - p.Clear) * 100 / p.Messages
}

func (d *desk) tlsView(v *visit) (tlsView, error) {
	p := tlsView{Since: d.now().Add(-replaySpan)}
	var err error
	if p.TLSReport, err = d.deps.TLS.Readiness(v.r.Context(), p.Since); err != nil {
		return p, fmt.Errorf("read TLS readiness: %w", err)
	}
	return p, nil
}

func tlsPage(d *desk, v *visit) error {
	p, err := d.tlsView(v)
	if err != nil {
		return err
	}
	return d.render(v, http.StatusOK, "tls", p)
}

// knownKinds are what is learnt, the most asked for first.
func knownKinds() []string { return []string{"senders", "ours", "partners", "links"} }

// knownKind is the kind that a request asks for.
func (v *visit) knownKind() string {
	if kind := v.r.FormValue("kind"); slices.Contains(knownKinds(), kind) {
		return kind
	}
	return knownKinds()[0]
}

type knownView struct {
	Kind   string
	Query  string
	List   []Acquaintance
	Forget bool
	Sure   string // who is about to be forgotten
	Done   string
}

func (d *desk) showKnown(v *visit, p knownView) error {
	p.Query = clip(strings.TrimSpace(v.r.FormValue("q")), 200)
	p.Forget, p.Kind = v.visitor.may(RightChange), v.knownKind()
	var err error
	if p.List, err = d.deps.Known.Known(v.r.Context(), p.Kind, p.Query, flowLimit); err != nil {
		return fmt.Errorf("list learnt people: %w", err)
	}
	return d.render(v, http.StatusOK, "known", p)
}

func knownPage(d *desk, v *visit) error { return d.showKnown(v, knownView{}) }

// forget removes someone who was learnt.
func (d *desk) forget(v *visit, address string) error {
	if err := d.audit(v, "acquaintance forgotten", "", address); err != nil {
		return err
	}
	err := d.deps.Known.Forget(v.r.Context(), address)
	if errors.Is(err, ErrNoneSuch) {
		return errNotFound
	}
	if err != nil {
		return fmt.Errorf("forget %s: %w", clip(address, 320), err)
	}
	return nil
}

// knownForget first asks, then does.
func knownForget(d *desk, v *visit) error {
	address := v.r.PostForm.Get("address")
	if v.r.PostForm.Get("sure") == "" {
		return d.showKnown(v, knownView{Sure: address})
	}
	if err := d.forget(v, address); err != nil {
		return err
	}
	return d.showKnown(v, knownView{Done: clip(address, 320)})
}

var (
	errTaught         = &problem{status: http.StatusBadRequest, key: "error.taught"}
	errTaughtEnough   = &problem{status: http.StatusTooManyRequests, key: "error.taughtenough"}
	errNothingToLearn = &problem{status: http.StatusConflict, key: "error.nothingtolearn"}
)

// teach says what a held message is.
func (d *desk) teach(v *visit, id, as string) error {
	if !slices.Contains([]string{"spam", "ham"}, as) {
		return errTaught
	}
	if d.deps.Teacher == nil {
		return errNotWired
	}
	e, _, err := d.entry(v.r.Context(), v.visitor, id)
	if err != nil {
		return err
	}
	if err := d.audit(v, "taught "+as, e.ID, ""); err != nil {
		return err
	}
	src, err := d.open(v.r.Context(), v.visitor, e.ID)
	if err != nil {
		return err
	}
	defer src.Close()
	err = d.deps.Teacher.Teach(v.r.Context(), Lesson{ID: e.ID, Content: src, Spam: as == "spam", By: v.visitor.account.Name})
	switch {
	case errors.Is(err, ErrTaughtEnough):
		return errTaughtEnough
	case errors.Is(err, ErrNothingToLearn):
		return errNothingToLearn
	case err != nil:
		return fmt.Errorf("teach %s: %w", e.ID, err)
	}
	return nil
}

func teachMessage(d *desk, v *visit) error {
	id, as := v.r.PathValue("id"), v.r.PostForm.Get("as")
	if err := d.teach(v, id, as); err != nil {
		return err
	}
	e, _, err := d.entry(v.r.Context(), v.visitor, id)
	if err != nil {
		return err
	}
	return d.render(v, http.StatusOK, "done", doneView{Act: "teach", Acts: []act{{ID: e.ID, Subject: e.Subject, Taught: as}}})
}

// The bodies of the API.
type (
	apiTeachBody struct {
		As string `json:"as"` // spam or ham
	}
	apiHoldBody struct {
		Messages []HeldMail `json:"messages"`
		All      int        `json:"all"`
	}
	apiIDs struct {
		IDs []string `json:"ids"` // empty: all
	}
	apiWaitingBody struct {
		Senders []Waiter `json:"senders"`
	}
	apiKey struct {
		Key string `json:"key"`
	}
	apiTLSBody struct {
		Since time.Time `json:"since"`
		TLSReport
	}
	apiKnownBody struct {
		Known []Acquaintance `json:"known"`
	}
	apiAddress struct {
		Address string `json:"address"`
	}
)

func apiTeach(d *desk, v *visit) error {
	var in apiTeachBody
	if err := v.readBody(&in); err != nil {
		return err
	}
	return v.nothing(d.teach(v, v.r.PathValue("id"), in.As))
}

// nothing answers a call that gives nothing back.
func (v *visit) nothing(err error) error {
	if err == nil {
		v.w.WriteHeader(http.StatusNoContent)
	}
	return err
}

func apiHold(d *desk, v *visit) error {
	limit, err := v.limit(flowLimit)
	if err != nil {
		return err
	}
	list, all, err := d.deps.Holds.Held(v.r.Context(), limit)
	if err != nil {
		return fmt.Errorf("list hold queue: %w", err)
	}
	d.writeJSON(v, http.StatusOK, apiHoldBody{append([]HeldMail{}, list...), all})
	return nil
}

func apiHoldRetry(d *desk, v *visit) error {
	var in apiIDs
	if err := v.readBody(&in); err != nil {
		return err
	}
	return v.nothing(d.retry(v, in.IDs))
}

func apiHoldCancel(d *desk, v *visit) error { return v.nothing(d.cancel(v, v.r.PathValue("id"))) }

func apiWaiting(d *desk, v *visit) error {
	limit, err := v.limit(flowLimit)
	if err != nil {
		return err
	}
	list, err := d.deps.Waiters.Waiting(v.r.Context(), limit)
	if err != nil {
		return fmt.Errorf("list waiting senders: %w", err)
	}
	d.writeJSON(v, http.StatusOK, apiWaitingBody{append([]Waiter{}, list...)})
	return nil
}

func apiWaitingLet(d *desk, v *visit) error {
	var in apiKey
	if err := v.readBody(&in); err != nil {
		return err
	}
	return v.nothing(d.letThrough(v, in.Key))
}

func apiTLS(d *desk, v *visit) error {
	p, err := d.tlsView(v)
	if err != nil {
		return err
	}
	p.Senders = append([]TLSSender{}, p.Senders...)
	d.writeJSON(v, http.StatusOK, apiTLSBody{p.Since, p.TLSReport})
	return nil
}

func apiKnown(d *desk, v *visit) error {
	limit, err := v.limit(flowLimit)
	if err != nil {
		return err
	}
	list, err := d.deps.Known.Known(v.r.Context(), v.knownKind(), clip(v.r.URL.Query().Get("q"), 200), limit)
	if err != nil {
		return fmt.Errorf("list learnt people: %w", err)
	}
	d.writeJSON(v, http.StatusOK, apiKnownBody{append([]Acquaintance{}, list...)})
	return nil
}

func apiKnownForget(d *desk, v *visit) error {
	var in apiAddress
	if err := v.readBody(&in); err != nil {
		return err
	}
	return v.nothing(d.forget(v, in.Address))
}
