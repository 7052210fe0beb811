package admin

import (
	"crypto/rand"
	"errors"
	"net/http"
	"strings"
)

type peopleView struct {
	Accounts []Account
	Roles    []Role
	One      *Account // the person shown
	Error    string
	Secret   string  // a password just made, shown once
	For      string  // whose it is
	Draft    Account // what was asked for and not made
	Sure     string  // what is about to be done to One: password, second or remove
	Prove    bool    // the password is asked for
}

func (d *desk) showPeople(v *visit, status int, p peopleView) error {
	accounts, err := d.deps.Accounts.List(v.r.Context())
	if err != nil {
		return err
	}
	p.Accounts, p.Roles, p.Prove = accounts, Roles(), d.asks(v)
	name := "people"
	if p.One != nil {
		name = "person"
	}
	return d.render(v, status, name, p)
}

// peopleFailed shows the page again with what stood in the way, if that is the person's to mend.
func (d *desk) peopleFailed(v *visit, p peopleView, status int, err error) error {
	if p.Error = personError(err); p.Error == "" {
		return err
	}
	return d.showPeople(v, status, p)
}

func peoplePage(d *desk, v *visit) error { return d.showPeople(v, http.StatusOK, peopleView{}) }

// newPassword is random, and good for one login: it must be changed then.
func newPassword() string { return strings.ToLower(rand.Text()) }

func rolesAndAddresses(v *visit) (roles []Role, addresses []string) {
	for _, r := range v.r.PostForm["role"] {
		roles = append(roles, Role(r))
	}
	return roles, strings.FieldsFunc(v.r.PostForm.Get("addresses"), func(r rune) bool { return strings.ContainsRune(" ,;\r\n\t", r) })
}

func createPerson(d *desk, v *visit) error {
	roles, addresses := rolesAndAddresses(v)
	p := peopleView{Draft: Account{Name: clip(v.r.PostForm.Get("name"), 64), Roles: roles, Addresses: addresses}}
	if err := d.prove(v); err != nil {
		return d.peopleFailed(v, p, http.StatusForbidden, err)
	}
	spec := AccountSpec{Name: v.r.PostForm.Get("name"), Roles: roles, Addresses: addresses, Password: newPassword(), Temporary: true}
	acc, err := d.deps.Accounts.Create(v.r.Context(), spec)
	if err != nil {
		return d.peopleFailed(v, p, http.StatusBadRequest, err)
	}
	if err := d.audit(v, "account created", "", acc.Name); err != nil {
		return err
	}
	return d.showPeople(v, http.StatusOK, peopleView{Secret: spec.Password, For: acc.Name})
}

// personError is errorKey, and the sentence for an address that is none.
func personError(err error) string {
	if err != nil && strings.HasPrefix(err.Error(), "address ") {
		return "error.address"
	}
	return errorKey(err)
}

// person finds the account in the path.
func (d *desk) person(v *visit) (Account, error) {
	acc, err := d.deps.Accounts.Account(v.r.Context(), v.r.PathValue("name"))
	if errors.Is(err, ErrNoAccount) {
		return acc, errNotFound
	}
	return acc, err
}

func personPage(d *desk, v *visit) error {
	acc, err := d.person(v)
	if err != nil {
		return err
	}
	return d.showPeople(v, http.StatusOK, peopleView{One: &acc})
}

func changeRoles(d *desk, v *visit) error {
	acc, err := d.person(v)
	if err != nil {
		return err
	}
	acc.Roles, acc.Addresses = rolesAndAddresses(v) // shown again where it is refused
	p := peopleView{One: &acc}
	if err := d.prove(v); err != nil {
		return d.peopleFailed(v, p, http.StatusForbidden, err)
	}
	if err := d.deps.Accounts.SetRoles(v.r.Context(), acc.Name, acc.Roles, acc.Addresses); err != nil {
		return d.peopleFailed(v, p, http.StatusBadRequest, err)
	}
	if err := d.audit(v, "roles changed", "", acc.Name); err != nil {
		return err
	}
	v.redirect("/people")
	return nil
}

// askFirst has an administrator confirm what cannot be taken back, and show who they are. It reports whether to do it; if
// not, the page is shown.
func (d *desk) askFirst(v *visit, acc *Account, what string) (sure bool, err error) {
	p := peopleView{One: acc, Sure: what}
	if v.r.PostForm.Get("sure") == "" {
		return false, d.showPeople(v, http.StatusOK, p)
	}
	if err := d.prove(v); err != nil {
		return false, d.peopleFailed(v, p, http.StatusForbidden, err)
	}
	return true, nil
}

func resetPassword(d *desk, v *visit) error {
	acc, err := d.person(v)
	if err != nil {
		return err
	}
	if sure, err := d.askFirst(v, &acc, "password"); !sure {
		return err
	}
	password := newPassword()
	if err := d.deps.Accounts.SetPassword(v.r.Context(), acc.Name, password, true); err != nil {
		return err
	}
	if err := d.audit(v, "password reset", "", acc.Name); err != nil {
		return err
	}
	return d.showPeople(v, http.StatusOK, peopleView{One: &acc, Secret: password, For: acc.Name})
}

func removePerson(d *desk, v *visit) error {
	acc, err := d.person(v)
	if err != nil {
		return err
	}
	if sure, err := d.askFirst(v, &acc, "remove"); !sure {
		return err
	}
	if err := d.deps.Accounts.Remove(v.r.Context(), acc.Name); err != nil {
		return d.peopleFailed(v, peopleView{One: &acc}, http.StatusBadRequest, err)
	}
	if err := d.audit(v, "account removed", "", acc.Name); err != nil {
		return err
	}
	v.redirect("/people")
	return nil
}
