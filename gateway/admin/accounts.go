package admin

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"gatepost/filters/mail"
)

// An Account is one person who may use the pages.
type Account struct {
	Name       string    `json:"name"` // lower case, also the name to log in with
	Roles      []Role    `json:"roles"`
	Addresses  []string  `json:"addresses,omitempty"`   // canonical; whose mail a user sees
	MustChange bool      `json:"must_change,omitempty"` // the password was set by someone else, or for set-up
	Epoch      string    `json:"epoch"`                 // changes with password, roles and addresses: sessions of another epoch are over
	Created    time.Time `json:"created"`
	Hash       string    `json:"hash"`              // argon2id in PHC form; empty: no password opens it
	Subject    string    `json:"subject,omitempty"` // at the OpenID provider, which alone opens it
}

// Accounts keeps people, their sessions and their tokens on a Shelf.
type Accounts struct {
	shelf  Shelf
	cost   cost
	slots  chan struct{} // bounds concurrent hashing
	decoy  string        // what an unknown name is checked against
	delays *delays
	second sync.Mutex // one code is checked at a time
}

// NewAccounts returns accounts kept on shelf.
func NewAccounts(shelf Shelf) *Accounts {
	return newAccounts(shelf, cost{time: 3, memory: 64 << 10, threads: 1})
}

func newAccounts(shelf Shelf, c cost) *Accounts {
	return &Accounts{shelf: shelf, cost: c, slots: make(chan struct{}, 4),
		decoy: c.hash(rand.Text(), randomBytes(16)), delays: newDelays()}
}

// The errors of Accounts.
var (
	ErrNoAccount   = errors.New("no such account")
	ErrExists      = errors.New("an account of that name exists")
	ErrName        = errors.New("a name is 1 to 64 of a-z, 0-9, dot, dash, underscore and @")
	ErrRole        = errors.New("no such role")
	ErrNoAddress   = errors.New("a user needs at least one address")
	ErrWrong       = errors.New("wrong name or password")
	ErrWeak        = errors.New("a password needs at least 12 characters and must not be a common one")
	ErrTooMany     = errors.New("too many attempts")
	ErrLastAdmin   = errors.New("the last administrator cannot be removed")
	errBadPassword = errors.New("a password is at most 1024 bytes")
)

// An AccountSpec says what an account is to be.
type AccountSpec struct {
	Name      string
	Roles     []Role
	Addresses []string
	Password  string
	// Temporary makes the person choose another password at the first login; such a password may be short-lived but
	// must be as long as any other.
	Temporary bool
}

// Create adds an account.
func (a *Accounts) Create(ctx context.Context, spec AccountSpec) (Account, error) {
	acc, err := spec.account()
	if err != nil {
		return Account{}, err
	}
	if err := checkPassword(spec.Password, acc.Name); err != nil {
		return Account{}, err
	}
	if old, err := a.shelf.Get(ctx, kindAccount, acc.Name); err != nil || old != nil {
		return Account{}, cmp.Or(err, ErrExists)
	}
	acc.Hash = a.cost.hash(spec.Password, randomBytes(16))
	acc.Created = time.Now().UTC().Truncate(time.Second)
	acc.Epoch = rand.Text()
	body, err := json.Marshal(acc)
	if err != nil {
		return Account{}, err
	}
	if made, err := a.shelf.Swap(ctx, Document{Kind: kindAccount, Key: acc.Name, Owner: acc.Name, Body: body}, nil); err != nil || !made {
		return Account{}, cmp.Or(err, ErrExists) // another gateway was faster
	}
	return acc, nil
}

func (spec AccountSpec) account() (Account, error) {
	acc := Account{Name: strings.ToLower(strings.TrimSpace(spec.Name)), MustChange: spec.Temporary}
	if !validName(acc.Name) {
		return acc, ErrName
	}
	for _, r := range spec.Roles {
		if !slices.Contains(Roles(), r) {
			return acc, fmt.Errorf("%w: %q", ErrRole, r)
		}
		if !slices.Contains(acc.Roles, r) {
			acc.Roles = append(acc.Roles, r)
		}
	}
	if len(acc.Roles) == 0 {
		acc.Roles = []Role{User}
	}
	for _, s := range spec.Addresses {
		addr, err := mail.ParseAddress(strings.TrimSpace(s))
		if err != nil {
			return acc, fmt.Errorf("address %q: %w", s, err)
		}
		acc.Addresses = append(acc.Addresses, addr.Canonical())
	}
	if len(acc.Addresses) == 0 && slices.Contains(acc.Roles, User) {
		return acc, ErrNoAddress
	}
	return acc, nil
}

// SetPassword replaces a password and ends the account's sessions.
func (a *Accounts) SetPassword(ctx context.Context, name, password string, temporary bool) error {
	acc, err := a.Account(ctx, name)
	if err != nil {
		return err
	}
	if err := checkPassword(password, acc.Name); err != nil {
		return err
	}
	acc.Hash, acc.MustChange = a.cost.hash(password, randomBytes(16)), temporary
	return a.put(ctx, acc)
}

// SetRoles replaces roles and addresses and ends the account's sessions.
func (a *Accounts) SetRoles(ctx context.Context, name string, roles []Role, addresses []string) error {
	acc, err := a.Account(ctx, name)
	if err != nil {
		return err
	}
	next, err := AccountSpec{Name: acc.Name, Roles: roles, Addresses: addresses}.account()
	if err != nil {
		return err
	}
	if !slices.Contains(next.Roles, Admin) {
		if err := a.keepAnAdmin(ctx, acc.Name); err != nil {
			return err
		}
	}
	acc.Roles, acc.Addresses = next.Roles, next.Addresses
	return a.put(ctx, acc)
}

// Verify returns the account that name and password open. Its answer takes as long for a name that does not exist.
// At most four passwords are hashed at once; it waits for its turn until ctx ends.
func (a *Accounts) Verify(ctx context.Context, name, password string) (Account, error) {
	if len(password) > maxPassword {
		return Account{}, ErrWrong
	}
	acc, err := a.Account(ctx, name)
	if err != nil && !errors.Is(err, ErrNoAccount) {
		return Account{}, err
	}
	hash := acc.Hash
	if err != nil || hash == "" {
		hash = a.decoy
	}
	select {
	case a.slots <- struct{}{}:
		defer func() { <-a.slots }()
	case <-ctx.Done():
		return Account{}, ErrTooMany
	}
	if !matches(hash, password) || err != nil || acc.Hash == "" {
		return Account{}, ErrWrong
	}
	return acc, nil
}

// Account returns one account.
func (a *Accounts) Account(ctx context.Context, name string) (Account, error) {
	var acc Account
	body, err := a.shelf.Get(ctx, kindAccount, strings.ToLower(strings.TrimSpace(name)))
	if err != nil {
		return acc, err
	}
	if body == nil {
		return acc, ErrNoAccount
	}
	if err := json.Unmarshal(body, &acc); err != nil {
		return acc, fmt.Errorf("read account %s: %w", name, err)
	}
	return acc, nil
}

// List returns all accounts by name.
func (a *Accounts) List(ctx context.Context) ([]Account, error) {
	docs, err := a.shelf.List(ctx, kindAccount, "")
	if err != nil {
		return nil, err
	}
	out := make([]Account, len(docs))
	for i, d := range docs {
		if err := json.Unmarshal(d.Body, &out[i]); err != nil {
			return nil, fmt.Errorf("read account %s: %w", d.Key, err)
		}
	}
	return out, nil
}

// Remove deletes an account; its sessions and tokens end with it.
func (a *Accounts) Remove(ctx context.Context, name string) error {
	acc, err := a.Account(ctx, name)
	if err != nil {
		return err
	}
	if err := a.keepAnAdmin(ctx, acc.Name); err != nil {
		return err
	}
	// The second factors go first: who gets the name next must not find them.
	if err := a.RemoveSecond(ctx, acc.Name); err != nil {
		return err
	}
	_, err = a.shelf.Delete(ctx, kindAccount, acc.Name)
	return err
}

// Setup creates the account "admin" with a random one-time password if there is no account at all, and returns the
// password for printing; empty if there are accounts.
func (a *Accounts) Setup(ctx context.Context) (string, error) {
	accounts, err := a.List(ctx)
	if err != nil || len(accounts) > 0 {
		return "", err
	}
	password := strings.ToLower(rand.Text())
	_, err = a.Create(ctx, AccountSpec{Name: "admin", Roles: []Role{Admin}, Password: password, Temporary: true})
	if errors.Is(err, ErrExists) { // another gateway of the site made it at this moment, and prints its password
		return "", nil
	}
	return password, err
}

// keepAnAdmin refuses if name is the only administrator.
func (a *Accounts) keepAnAdmin(ctx context.Context, name string) error {
	accounts, err := a.List(ctx)
	if err != nil {
		return err
	}
	var was, others bool
	for _, acc := range accounts {
		if slices.Contains(acc.Roles, Admin) {
			was = was || acc.Name == name
			others = others || acc.Name != name
		}
	}
	if was && !others {
		return ErrLastAdmin
	}
	return nil
}

// put stores an account under a new epoch.
func (a *Accounts) put(ctx context.Context, acc Account) error {
	acc.Epoch = rand.Text()
	body, err := json.Marshal(acc)
	if err != nil {
		return err
	}
	return a.shelf.Put(ctx, Document{Kind: kindAccount, Key: acc.Name, Owner: acc.Name, Body: body})
}

// The kinds of documents on the shelf.
const (
	kindAccount = "account"
	kindSession = "session"
	kindToken   = "token"
	kindClaim   = "claim"
	kindSeen    = "seen"
)

func validName(s string) bool {
	if s == "" || len(s) > 64 {
		return false
	}
	for _, r := range s {
		if !(r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || strings.ContainsRune(".-_@", r)) {
			return false
		}
	}
	return true
}

func sortDocuments(d []Document) {
	slices.SortFunc(d, func(x, y Document) int { return strings.Compare(x.Key, y.Key) })
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	rand.Read(b) // never fails (crypto/rand)
	return b
}

// newSecret returns 256 random bits to give away, and the hash to keep.
func newSecret() (secret, hash string) {
	secret = base64.RawURLEncoding.EncodeToString(randomBytes(32))
	return secret, hashSecret(secret)
}

func hashSecret(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}
