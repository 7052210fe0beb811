package admin

import (
	"net/http"

	"gatepost/gateway/webhook"
)

// Hooks are the programs that are told of events.
type Hooks interface {
	// Status is how each does, in the order of the configuration.
	Status() []webhook.Status
	// Test tells the one of that name that by asked, and reports whether there is one.
	Test(name, by string) bool
}

type hooksView struct {
	List []webhook.Status
	Test bool // the visitor may
	Done string
}

func (d *desk) showHooks(v *visit, done string) error {
	return d.render(v, http.StatusOK, "webhooks", hooksView{d.deps.Hooks.Status(), v.visitor.may(RightChange), done})
}

func hooksPage(d *desk, v *visit) error { return d.showHooks(v, "") }

// testHook has a test told to a hook. Nobody gives an address here: only the configuration file does (O-13).
func (d *desk) testHook(v *visit, name string) error {
	name = clip(name, 300)
	if err := d.audit(v, "webhook tested", "", name); err != nil {
		return err
	}
	if !d.deps.Hooks.Test(name, v.visitor.account.Name) {
		return errNotFound
	}
	return nil
}

func hookTest(d *desk, v *visit) error {
	if err := d.testHook(v, v.r.PostForm.Get("name")); err != nil {
		return err
	}
	return d.showHooks(v, "webhooks.tested")
}

type (
	apiHooksBody struct {
		Webhooks []webhook.Status `json:"webhooks"`
	}
	apiName struct {
		Name string `json:"name"`
	}
)

func apiHooks(d *desk, v *visit) error {
	d.writeJSON(v, http.StatusOK, apiHooksBody{append([]webhook.Status{}, d.deps.Hooks.Status()...)})
	return nil
}

func apiHookTest(d *desk, v *visit) error {
	var in apiName
	if err := v.readBody(&in); err != nil {
		return err
	}
	if err := d.testHook(v, in.Name); err != nil {
		return err
	}
	v.w.WriteHeader(http.StatusNoContent)
	return nil
}
