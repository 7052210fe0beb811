package admin

import "slices"

// A Right is one thing that a person or a token may do.
type Right string

// The rights.
const (
	RightNone     Right = ""         // being logged in is enough
	RightList     Right = "list"     // see held mail: envelope, reasons, verdict
	RightContent  Right = "content"  // read headers and bodies
	RightDownload Right = "download" // take the raw message away
	RightRelease  Right = "release"  // let a held copy go on
	RightDelete   Right = "delete"   // forget a held copy
	RightMalware  Right = "malware"  // release what was held as malware
	RightTrace    Right = "trace"    // search the journal
	RightOverview Right = "overview" // totals and health
	RightAudit    Right = "audit"    // who did what
	RightPeople   Right = "people"   // accounts
	RightEntries  Right = "entries"  // allow and deny senders
	RightTeach    Right = "teach"    // say what is spam and what is not
	RightPolicy   Right = "policy"   // see the policy, its tests and its past
	RightChange   Right = "change"   // change the policy
	RightHold     Right = "hold"     // look after accepted mail that waits for its next hop
)

// allRights lists the rights in the order in which people are shown them.
func allRights() []Right {
	return []Right{RightList, RightContent, RightDownload, RightRelease, RightDelete, RightMalware, RightEntries, RightTeach,
		RightTrace, RightOverview, RightHold, RightPolicy, RightChange, RightAudit, RightPeople}
}

// A Role is a named set of rights.
type Role string

// The roles.
const (
	User          Role = "user"
	Reviewer      Role = "reviewer"
	ContentViewer Role = "content-viewer"
	Auditor       Role = "auditor"
	Admin         Role = "admin"
)

// Roles lists the roles, least first.
func Roles() []Role { return []Role{User, Reviewer, ContentViewer, Auditor, Admin} }

// rightsOf is the only place where a role gets a right; what is not written here is denied. A user's rights reach
// only to copies for the account's own addresses (see scope).
func rightsOf(r Role) []Right {
	switch r {
	case User:
		return []Right{RightList, RightContent, RightRelease, RightDelete, RightEntries}
	case Reviewer:
		return []Right{RightList, RightRelease, RightDelete, RightEntries, RightTeach, RightTrace, RightOverview, RightPolicy, RightHold}
	case ContentViewer:
		return []Right{RightList, RightContent, RightDownload, RightOverview}
	case Auditor:
		return []Right{RightAudit, RightOverview, RightPolicy}
	case Admin:
		return allRights()
	}
	return nil
}

// A visitor is who makes a request: a person with a session, or a token's owner narrowed to the token's scopes.
type visitor struct {
	account Account
	session *session // nil for a token
	scopes  []Right  // of a token; nil for a session: all that the roles give
}

// may reports whether v has a right.
func (v *visitor) may(r Right) bool {
	if v == nil {
		return false
	}
	if r == RightNone {
		return true
	}
	if v.scopes != nil && !slices.Contains(v.scopes, r) {
		return false
	}
	for _, role := range v.account.Roles {
		if slices.Contains(rightsOf(role), r) {
			return true
		}
	}
	return false
}

// scope is the addresses that v's sight is limited to, canonical. all is true for one who sees everyone's mail.
func (v *visitor) scope() (addresses []string, all bool) {
	for _, role := range v.account.Roles {
		if role == Reviewer || role == ContentViewer || role == Admin {
			return nil, true
		}
	}
	return v.account.Addresses, false
}
