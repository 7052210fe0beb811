package admin

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"gatepost/gateway/journal"
	"gatepost/gateway/quarantine"
	"gatepost/policy"
)

// The bodies of the API, in and out.
type (
	apiHealthBody struct {
		State  string  `json:"state"` // well, degraded, refusing
		Checks []Check `json:"checks"`
	}
	apiListBody struct {
		Entries []apiHeld `json:"entries"`
		More    bool      `json:"more"`
	}
	apiEntryBody struct {
		Entry  apiHeld         `json:"entry"`
		Result json.RawMessage `json:"result"`
	}
	apiTextBody struct {
		Text      string `json:"text"`
		Truncated bool   `json:"truncated"`
		FromHTML  bool   `json:"from_html"`
	}
	apiRcpts struct {
		Recipients []string `json:"recipients"` // empty: all whose copies wait
	}
	apiReleaseBody struct {
		Outcomes []ReleaseOutcome `json:"outcomes"`
	}
	apiDeleteBody struct {
		Deleted []string `json:"deleted"`
	}
	apiRecords struct {
		Records []journal.Record `json:"records"`
	}
	apiJourney struct {
		Records []journal.Record `json:"records"`
		Result  *policy.Result   `json:"result,omitempty"` // if it was judged
	}
	apiAccount struct {
		Name       string    `json:"name"`
		Roles      []Role    `json:"roles"`
		Addresses  []string  `json:"addresses,omitempty"`
		MustChange bool      `json:"must_change"`
		Created    time.Time `json:"created"`
	}
	apiAccountsBody struct {
		Accounts []apiAccount `json:"accounts"`
	}
	apiNewAccount struct {
		Name      string   `json:"name"`
		Roles     []Role   `json:"roles"`
		Addresses []string `json:"addresses"`
		Password  string   `json:"password"`
	}
)

// maxListed is the most that one answer lists.
const maxListed = 200

// limit is how many the program wants listed.
func (v *visit) limit(otherwise int) (int, error) {
	s := v.r.URL.Query().Get("limit")
	if s == "" {
		return otherwise, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 {
		return 0, badRequest("limit=%s: want a number from 1 to %d", s, maxListed)
	}
	return min(n, maxListed), nil
}

// readBody decodes the one JSON object of a request: no unknown keys, nothing after it. No body is the zero value.
func (v *visit) readBody(into any) error {
	body, err := io.ReadAll(v.r.Body)
	if big := (*http.MaxBytesError)(nil); errors.As(err, &big) {
		return errTooLarge
	}
	if err != nil {
		return badRequest("the body ended too early")
	}
	if len(bytes.TrimSpace(body)) == 0 {
		return nil
	}
	if !json.Valid(body) {
		return badRequest("the body is no JSON: %v", json.Unmarshal(body, new(any)))
	}
	if !plainJSON(body) {
		return badRequest("the body has a key twice, or is nested deeper than %d", maxDepth)
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		return badRequest("%s", strings.TrimPrefix(err.Error(), "json: "))
	}
	if _, err := dec.Token(); err != io.EOF {
		return badRequest("something follows the one JSON object of the body")
	}
	return nil
}

// maxDepth is how deep a body may be nested (O-14).
const maxDepth = 64

// plainJSON reports whether no object of b has a key twice, which two readers would read differently, and nothing is
// nested beyond maxDepth. Whether it is JSON at all is the decoder's to tell.
func plainJSON(b []byte) bool {
	dec := json.NewDecoder(bytes.NewReader(b))
	type level struct {
		keys map[string]bool // nil: an array
		key  bool            // a key comes next
	}
	var stack []level
	for {
		tok, err := dec.Token()
		if err != nil {
			return err == io.EOF
		}
		top := len(stack) - 1
		switch t := tok.(type) {
		case json.Delim:
			switch t {
			case '{':
				stack = append(stack, level{map[string]bool{}, true})
			case '[':
				stack = append(stack, level{})
			default:
				stack = stack[:top]
				if top--; top >= 0 && stack[top].keys != nil {
					stack[top].key = true
				}
				continue
			}
			if len(stack) > maxDepth {
				return false
			}
			continue
		case string:
			if top >= 0 && stack[top].key {
				folded := strings.ToLower(t) // the decoder takes keys in any case
				if stack[top].keys[folded] {
					return false
				}
				stack[top].keys[folded], stack[top].key = true, false
				continue
			}
		}
		if top >= 0 && stack[top].keys != nil {
			stack[top].key = true
		}
	}
}

func apiHealth(d *desk, v *visit) error {
	h := d.health()
	d.writeJSON(v, http.StatusOK, apiHealthBody{h.State, append([]Check{}, h.All...)})
	return nil
}

func apiOverview(d *desk, v *visit) error {
	d.writeJSON(v, http.StatusOK, d.deps.Meter.Summary(d.now()))
	return nil
}

func apiList(d *desk, v *visit) error {
	asked := v.asked()
	if err := asked.check(); err != nil {
		return err
	}
	query := asked.query(d.now())
	var err error
	if query.Limit, err = v.limit(listLimit); err != nil {
		return err
	}
	entries, more, err := d.held(v.r.Context(), v.visitor, query)
	if err != nil {
		return err
	}
	list, err := d.apiHeld(v, entries)
	if err != nil {
		return err
	}
	d.writeJSON(v, http.StatusOK, apiListBody{list, more})
	return nil
}

func apiEntry(d *desk, v *visit) error {
	e, res, err := d.entry(v.r.Context(), v.visitor, v.r.PathValue("id"))
	if err != nil {
		return err
	}
	list, err := d.apiHeld(v, []quarantine.Entry{*e})
	if err != nil {
		return err
	}
	body := apiEntryBody{Entry: list[0], Result: e.Result}
	if _, all := v.visitor.scope(); !all {
		if body.Result, err = json.Marshal(res); err != nil {
			return err
		}
	}
	d.writeJSON(v, http.StatusOK, body)
	return nil
}

func apiText(d *desk, v *visit) error {
	_, src, err := d.taken(v, "read")
	if err != nil {
		return err
	}
	defer src.Close()
	b, err := d.body(src)
	if err != nil {
		return err
	}
	d.writeJSON(v, http.StatusOK, apiTextBody{b.Text, b.TextCut, b.FromHTML})
	return nil
}

func apiRelease(d *desk, v *visit) error {
	var in apiRcpts
	if err := v.readBody(&in); err != nil {
		return err
	}
	out, err := d.release(v, v.r.PathValue("id"), in.Recipients)
	if err != nil {
		return err
	}
	d.writeJSON(v, http.StatusOK, apiReleaseBody{out})
	return nil
}

func apiDelete(d *desk, v *visit) error {
	var in apiRcpts
	if err := v.readBody(&in); err != nil {
		return err
	}
	of, err := d.discard(v, v.r.PathValue("id"), in.Recipients)
	if err != nil {
		return err
	}
	d.writeJSON(v, http.StatusOK, apiDeleteBody{of})
	return nil
}

func apiTrace(d *desk, v *visit) error {
	limit, err := v.limit(100)
	if err != nil {
		return err
	}
	recs, err := d.trace(v, v.r.URL.Query().Get("q"), limit)
	if err != nil {
		return err
	}
	d.writeJSON(v, http.StatusOK, apiRecords{append([]journal.Record{}, recs...)})
	return nil
}

// apiTraceOne is the journey of one message, and why it was treated so in the contract's result form.
func apiTraceOne(d *desk, v *visit) error {
	id := v.r.PathValue("id")
	if !validID(id) {
		return errNotFound
	}
	recs, err := d.journey(v.r.Context(), v.visitor, id)
	if err != nil {
		return err
	}
	if len(recs) == 0 {
		return errNotFound
	}
	body := apiJourney{Records: recs}
	for i := range recs {
		rec := &recs[i]
		if rec.Kind != journal.Message || rec.Decision == nil || rec.Report == nil {
			continue
		}
		env, err := rec.Envelope()
		if err != nil {
			return fmt.Errorf("explain %s: %w", id, err)
		}
		res := policy.NewResult(env, rec.Report, *rec.Decision)
		res.Reply, res.Timings = rec.Reply, rec.Micros
		body.Result = &res
	}
	d.writeJSON(v, http.StatusOK, body)
	return nil
}

func apiAudit(d *desk, v *visit) error {
	limit, err := v.limit(100)
	if err != nil {
		return err
	}
	recs, err := d.deps.Journal.Recent(v.r.Context(), journal.Management, time.Time{}, limit)
	if err != nil {
		return fmt.Errorf("read audit: %w", err)
	}
	d.writeJSON(v, http.StatusOK, apiRecords{append([]journal.Record{}, recs...)})
	return nil
}

func shown(a Account) apiAccount {
	return apiAccount{a.Name, a.Roles, a.Addresses, a.MustChange, a.Created}
}

func apiAccounts(d *desk, v *visit) error {
	accounts, err := d.deps.Accounts.List(v.r.Context())
	if err != nil {
		return err
	}
	body := apiAccountsBody{Accounts: []apiAccount{}}
	for _, a := range accounts {
		body.Accounts = append(body.Accounts, shown(a))
	}
	d.writeJSON(v, http.StatusOK, body)
	return nil
}

func apiCreateAccount(d *desk, v *visit) error {
	var in apiNewAccount
	if err := v.readBody(&in); err != nil {
		return err
	}
	acc, err := d.deps.Accounts.Create(v.r.Context(), AccountSpec{Name: in.Name, Roles: in.Roles, Addresses: in.Addresses,
		Password: in.Password, Temporary: true})
	if key := personError(err); key != "" {
		return &problem{status: http.StatusBadRequest, key: key}
	}
	if err != nil {
		return err
	}
	if err := d.audit(v, "account created", "", acc.Name); err != nil {
		return err
	}
	d.writeJSON(v, http.StatusCreated, shown(acc))
	return nil
}

func apiRemoveAccount(d *desk, v *visit) error {
	acc, err := d.person(v)
	if err != nil {
		return err
	}
	err = d.deps.Accounts.Remove(v.r.Context(), acc.Name)
	if key := errorKey(err); key != "" {
		return &problem{status: http.StatusConflict, key: key}
	}
	if err != nil {
		return err
	}
	if err := d.audit(v, "account removed", "", acc.Name); err != nil {
		return err
	}
	v.w.WriteHeader(http.StatusNoContent)
	return nil
}

func apiDescription(d *desk, v *visit) error {
	v.w.Header().Set("Content-Type", "application/json")
	if v.r.Method != http.MethodHead {
		v.w.Write(d.openapi)
	}
	return nil
}
