package admin

import (
	"net/http"
	"slices"

	"gatepost/policy"
)

// A route is one method on one path: who may use it, and what answers. The table below is the only list; the mux, the
// API's description and the tests of rights are made from it.
type route struct {
	method   string
	pattern  string
	right    Right
	open     bool // without login
	settling bool // while the password must still be changed
	api      bool // JSON in and out, bearer tokens welcome
	plain    bool // for machines that probe: never a redirect
	handle   func(*desk, *visit) error
	provider bool             // it needs an OpenID provider
	room     func(*Deps) bool // what it needs is there; nil: nothing beyond the required

	does   string // one sentence, for the API's description
	params []param
	in     any // JSON body that it takes, as an example of its type; nil: none
	out    any // JSON body that it gives
}

// A param is one query or path parameter of the API.
type param struct{ name, does string }

const (
	get  = http.MethodGet
	post = http.MethodPost
	del  = http.MethodDelete
)

func routeTable() []route {
	return slices.Concat(pageRoutes(), roomRoutes(), apiRoutes(), roomAPI())
}

// wired are the routes of the rooms that are there.
func wired(c *Config, deps *Deps) []route {
	return slices.DeleteFunc(routeTable(), func(r route) bool { return r.room != nil && !r.room(deps) || r.provider && !c.OIDC.on() })
}

func hasPolicies(d *Deps) bool { return d.Policies != nil }
func hasChanger(d *Deps) bool  { return d.Policies != nil && d.Changer != nil }
func hasEntries(d *Deps) bool  { return d.Policies != nil && d.Entries != nil }
func hasTests(d *Deps) bool    { return d.Testwright != nil }
func hasDrafts(d *Deps) bool   { return d.Testwright != nil && d.Policies != nil && d.Changer != nil }
func hasTeacher(d *Deps) bool  { return d.Teacher != nil }
func hasHolds(d *Deps) bool    { return d.Holds != nil }
func hasWaiters(d *Deps) bool  { return d.Waiters != nil }
func hasTLS(d *Deps) bool      { return d.TLS != nil }
func hasDigests(d *Deps) bool  { return d.Digests != nil }
func hasHooks(d *Deps) bool    { return d.Hooks != nil }
func hasKnown(d *Deps) bool    { return d.Known != nil }

// roomRoutes are the pages of rooms that need not be there.
func roomRoutes() []route {
	return []route{
		{method: post, pattern: "/login/oidc", open: true, provider: true, handle: oidcBegin},
		{method: get, pattern: "/login/oidc/callback", open: true, provider: true, handle: oidcBack},
		{method: get, pattern: "/quarantine/{id}/sender", right: RightEntries, room: hasEntries, handle: senderPage},
		{method: post, pattern: "/quarantine/{id}/sender", right: RightEntries, room: hasEntries, handle: judgeSender},
		{method: post, pattern: "/quarantine/{id}/teach", right: RightTeach, room: hasTeacher, handle: teachMessage},
		{method: get, pattern: "/quarantine/{id}/test", right: RightPolicy, room: hasTests, handle: testPage},
		{method: post, pattern: "/quarantine/{id}/test", right: RightChange, room: hasDrafts, handle: draftTest},

		{method: get, pattern: "/policy", right: RightPolicy, room: hasPolicies, handle: policyPage},
		{method: get, pattern: "/policy/draft", right: RightChange, room: hasChanger, handle: draftPage},
		{method: post, pattern: "/policy/check", right: RightChange, room: hasChanger, handle: checkDraft},
		{method: post, pattern: "/policy/replay", right: RightChange, room: hasChanger, handle: replayDraft},
		{method: post, pattern: "/policy/apply", right: RightChange, room: hasChanger, handle: applyDraft},
		{method: get, pattern: "/policy/kept/{name}", right: RightPolicy, room: hasChanger, handle: keptPage},
		{method: post, pattern: "/policy/kept/{name}", right: RightChange, room: hasChanger, handle: restoreKept},

		{method: get, pattern: "/lists", right: RightEntries, room: hasEntries, handle: listsPage},
		{method: post, pattern: "/lists", right: RightEntries, room: hasEntries, handle: createEntry},
		{method: post, pattern: "/lists/{key}/remove", right: RightEntries, room: hasEntries, handle: dropEntry},

		{method: get, pattern: "/d/{token}", open: true, room: hasDigests, handle: linkPage},
		{method: post, pattern: "/d/{token}", open: true, room: hasDigests, handle: linkAct},
		{method: post, pattern: "/account/digest", right: RightList, room: hasDigests, handle: accountDigest},

		{method: get, pattern: "/hold", right: RightHold, room: hasHolds, handle: holdPage},
		{method: post, pattern: "/hold/retry", right: RightHold, room: hasHolds, handle: holdRetry},
		{method: post, pattern: "/hold/cancel", right: RightHold, room: hasHolds, handle: holdCancel},
		{method: get, pattern: "/waiting", right: RightTrace, room: hasWaiters, handle: waitingPage},
		{method: post, pattern: "/waiting/let", right: RightRelease, room: hasWaiters, handle: waitingLet},
		{method: get, pattern: "/tls", right: RightOverview, room: hasTLS, handle: tlsPage},
		{method: get, pattern: "/webhooks", right: RightOverview, room: hasHooks, handle: hooksPage},
		{method: post, pattern: "/webhooks/test", right: RightChange, room: hasHooks, handle: hookTest},
		{method: get, pattern: "/known", right: RightTrace, room: hasKnown, handle: knownPage},
		{method: post, pattern: "/known/forget", right: RightChange, room: hasKnown, handle: knownForget},
	}
}

// roomAPI is the same for programs.
func roomAPI() []route {
	limit := param{"limit", "how many at most, 1 to 200"}
	return []route{
		{method: post, pattern: "/api/v1/quarantine/{id}/teach", right: RightTeach, room: hasTeacher, api: true, handle: apiTeach,
			does: "Learns that the message is spam, or that it is ham.", in: apiTeachBody{}},
		{method: get, pattern: "/api/v1/entries", right: RightEntries, room: hasEntries, api: true, handle: apiEntries,
			does: "Allow and deny entries in the order in which they are asked, with their hits.", out: apiEntriesBody{}},
		{method: post, pattern: "/api/v1/entries", right: RightEntries, room: hasEntries, api: true, handle: apiAddEntry,
			does: "Makes an entry; its owner is the caller.", in: policy.Entry{}},
		{method: del, pattern: "/api/v1/entries/{key}", right: RightEntries, room: hasEntries, api: true, handle: apiRemoveEntry,
			does: "Removes an entry."},
		{method: get, pattern: "/api/v1/policy", right: RightPolicy, room: hasPolicies, api: true, handle: apiPolicy,
			does: "The policy in force.", out: apiPolicyBody{}},
		{method: post, pattern: "/api/v1/policy/check", right: RightChange, room: hasChanger, api: true, handle: apiCheck,
			does: "What is wrong with a draft, what it would change, and what its tests say.", in: apiDraft{}, out: apiCheckBody{}},
		{method: post, pattern: "/api/v1/policy/replay", right: RightChange, room: hasChanger, api: true, handle: apiReplay,
			does: "Which mail of the last 14 days a draft would have treated otherwise.", in: apiDraft{}, out: apiReplayBody{}},
		{method: post, pattern: "/api/v1/policy/apply", right: RightChange, room: hasChanger, api: true, handle: apiApply,
			does: "Puts a draft in force, if it has no problems and its tests pass.", in: apiDraft{}},
		{method: post, pattern: "/api/v1/policy/kept/{name}/restore", right: RightChange, room: hasChanger, api: true, handle: apiRestore,
			does: "Puts an earlier policy in force again."},
		{method: get, pattern: "/api/v1/hold", right: RightHold, room: hasHolds, api: true, handle: apiHold, params: []param{limit},
			does: "Accepted mail that waits for its next hop, oldest first.", out: apiHoldBody{}},
		{method: post, pattern: "/api/v1/hold/retry", right: RightHold, room: hasHolds, api: true, handle: apiHoldRetry,
			does: "Tries delivery now.", in: apiIDs{}},
		{method: del, pattern: "/api/v1/hold/{id}", right: RightHold, room: hasHolds, api: true, handle: apiHoldCancel,
			does: "Removes a message on hold for good."},
		{method: get, pattern: "/api/v1/waiting", right: RightTrace, room: hasWaiters, api: true, handle: apiWaiting, params: []param{limit},
			does: "First-time senders who were told to come back.", out: apiWaitingBody{}},
		{method: post, pattern: "/api/v1/waiting/let", right: RightRelease, room: hasWaiters, api: true, handle: apiWaitingLet,
			does: "Takes a sender's next attempt at once.", in: apiKey{}},
		{method: get, pattern: "/api/v1/tls", right: RightOverview, room: hasTLS, api: true, handle: apiTLS,
			does: "Who sends without TLS.", out: apiTLSBody{}},
		{method: get, pattern: "/api/v1/webhooks", right: RightOverview, room: hasHooks, api: true, handle: apiHooks,
			does: "How each webhook does since the gateway started.", out: apiHooksBody{}},
		{method: post, pattern: "/api/v1/webhooks/test", right: RightChange, room: hasHooks, api: true, handle: apiHookTest,
			does: "Tells a webhook that somebody asked: webhook.test.", in: apiName{}},
		{method: get, pattern: "/api/v1/known", right: RightTrace, room: hasKnown, api: true, handle: apiKnown, params: []param{{"kind", "senders, ours, partners or links"}, {"q", "text in address or name"}, limit},
			does: "People and domains that were learnt from mail.", out: apiKnownBody{}},
		{method: post, pattern: "/api/v1/known/forget", right: RightChange, room: hasKnown, api: true, handle: apiKnownForget,
			does: "Forgets one of them.", in: apiAddress{}},
	}
}

func pageRoutes() []route {
	return []route{
		{method: get, pattern: "/static/{file}", open: true, handle: serveAsset},
		{method: get, pattern: "/livez", open: true, plain: true, handle: livez},
		{method: get, pattern: "/readyz", open: true, plain: true, handle: readyz},
		{method: get, pattern: "/metrics", open: true, plain: true, handle: metrics},
		{method: get, pattern: "/.well-known/mta-sts.txt", open: true, plain: true, handle: mtaSTS},

		{method: get, pattern: "/login", open: true, handle: loginForm},
		{method: post, pattern: "/login", open: true, handle: login},
		{method: post, pattern: "/login/code", open: true, handle: loginCode},
		{method: post, pattern: "/logout", settling: true, handle: logout},
		{method: post, pattern: "/language", open: true, handle: chooseLanguage},

		{method: get, pattern: "/account", settling: true, handle: accountPage},
		{method: post, pattern: "/account/password", settling: true, handle: changePassword},
		{method: post, pattern: "/account/totp", settling: true, handle: beginTOTP},
		{method: post, pattern: "/account/totp/confirm", settling: true, handle: confirmTOTP},
		{method: post, pattern: "/account/second/remove", settling: true, handle: removeSecond},
		{method: post, pattern: "/account/passkeys/{id}/remove", settling: true, handle: removePasskey},
		{method: post, pattern: "/account/tokens", handle: createToken},
		{method: post, pattern: "/account/tokens/{id}/revoke", handle: revokeToken},

		{method: get, pattern: "/{$}", handle: overview},
		{method: get, pattern: "/health", right: RightOverview, handle: healthPage},
		{method: get, pattern: "/quarantine", right: RightList, handle: listPage},
		{method: get, pattern: "/quarantine.csv", right: RightList, handle: listCSV},
		{method: post, pattern: "/quarantine/bulk", right: RightList, handle: bulk},
		{method: get, pattern: "/quarantine/{id}", right: RightList, handle: messagePage},
		{method: get, pattern: "/quarantine/{id}/html", right: RightContent, handle: htmlPreview},
		{method: get, pattern: "/quarantine/{id}/raw", right: RightDownload, handle: rawMessage},
		{method: get, pattern: "/quarantine/{id}/release", right: RightRelease, handle: confirmRelease},
		{method: post, pattern: "/quarantine/{id}/release", right: RightRelease, handle: release},
		{method: post, pattern: "/quarantine/{id}/claim", right: RightRelease, handle: claimMessage},
		{method: post, pattern: "/quarantine/{id}/unclaim", right: RightRelease, handle: unclaimMessage},
		{method: get, pattern: "/quarantine/{id}/delete", right: RightDelete, handle: confirmDelete},
		{method: post, pattern: "/quarantine/{id}/delete", right: RightDelete, handle: deleteCopies},

		{method: get, pattern: "/trace", right: RightTrace, handle: tracePage},
		{method: get, pattern: "/trace/{id}", right: RightTrace, handle: traceOne},
		{method: get, pattern: "/audit", right: RightAudit, handle: auditPage},

		{method: get, pattern: "/people", right: RightPeople, handle: peoplePage},
		{method: post, pattern: "/people", right: RightPeople, handle: createPerson},
		{method: get, pattern: "/people/{name}", right: RightPeople, handle: personPage},
		{method: post, pattern: "/people/{name}/roles", right: RightPeople, handle: changeRoles},
		{method: post, pattern: "/people/{name}/password", right: RightPeople, handle: resetPassword},
		{method: post, pattern: "/people/{name}/second", right: RightPeople, handle: resetSecond},
		{method: post, pattern: "/people/{name}/remove", right: RightPeople, handle: removePerson},
	}
}

func apiRoutes() []route {
	limit := param{"limit", "how many at most, 1 to 200"}
	list := []param{{"q", "words of subject, addresses, client, reasons, rules, attachment names"}, {"class", "spam, phish, malware or policy"},
		{"state", "waiting, released, deleted or expired"}, {"recipient", "one recipient's address"}, {"days", "1 or 7: not older"}, {"since", "first day, such as 2026-11-30, in UTC"}, {"until", "last day"},
		{"before", "the id of the last entry of the page before"}, limit}
	return []route{
		{method: get, pattern: "/api/v1/openapi.json", open: true, api: true, handle: apiDescription,
			does: "This description."},
		{method: post, pattern: "/api/v1/passkeys/begin", settling: true, api: true, handle: apiPasskeyBegin,
			does: "Asks a device for a new passkey of the session's person."},
		{method: post, pattern: "/api/v1/passkeys/finish", settling: true, api: true, handle: apiPasskeyFinish,
			does: "Takes the device's answer.", in: apiAnswer{}},
		{method: post, pattern: "/api/v1/login/begin", open: true, api: true, handle: apiPasskeyLogin,
			does: "Asks a device for a passkey, to log in with."},
		{method: post, pattern: "/api/v1/login/finish", open: true, api: true, handle: apiPasskeyEnter,
			does: "Opens a session for the owner of the passkey.", in: apiAnswer{}},
		{method: get, pattern: "/api/v1/health", right: RightOverview, api: true, handle: apiHealth,
			does: "What is well and what is not.", out: apiHealthBody{}},
		{method: get, pattern: "/api/v1/overview", right: RightOverview, api: true, handle: apiOverview,
			does: "Mail by outcome over the last 24 hours, with the commonest reasons.", out: Summary{}},
		{method: get, pattern: "/api/v1/quarantine", right: RightList, api: true, handle: apiList, params: list,
			does: "Held messages, newest first.", out: apiListBody{}},
		{method: get, pattern: "/api/v1/quarantine/{id}", right: RightList, api: true, handle: apiEntry,
			does: "One held message with its explanation.", out: apiEntryBody{}},
		{method: get, pattern: "/api/v1/quarantine/{id}/text", right: RightContent, api: true, handle: apiText,
			does: "The text that a reader would see, at most 256 KiB.", out: apiTextBody{}},
		{method: get, pattern: "/api/v1/quarantine/{id}/raw", right: RightDownload, api: true, handle: rawMessage,
			does: "The message as it was received, as application/octet-stream."},
		{method: post, pattern: "/api/v1/quarantine/{id}/release", right: RightRelease, api: true, handle: apiRelease,
			does: "Gives the waiting copies to the next hop and returns its replies.", in: apiRcpts{}, out: apiReleaseBody{}},
		{method: post, pattern: "/api/v1/quarantine/{id}/delete", right: RightDelete, api: true, handle: apiDelete,
			does: "Deletes the waiting copies.", in: apiRcpts{}, out: apiDeleteBody{}},
		{method: post, pattern: "/api/v1/quarantine/{id}/claim", right: RightRelease, api: true, handle: apiClaim,
			does: "Takes the message for half an hour, so that no other reviewer works on it; 409 if one does.", in: apiClaimBody{}, out: claim{}},
		{method: del, pattern: "/api/v1/quarantine/{id}/claim", right: RightRelease, api: true, handle: apiUnclaim,
			does: "Gives a claim back before it lapses."},
		{method: get, pattern: "/api/v1/trace", right: RightTrace, api: true, handle: apiTrace,
			params: []param{{"q", "an id, Message-ID, address, host name or client IP"}, limit},
			does:   "Everything that happened to messages and attempts that match, newest first.", out: apiRecords{}},
		{method: get, pattern: "/api/v1/trace/{id}", right: RightTrace, api: true, handle: apiTraceOne,
			does: "All that happened to one message, oldest first, and why it was treated so.", out: apiJourney{}},
		{method: get, pattern: "/api/v1/audit", right: RightAudit, api: true, handle: apiAudit, params: []param{limit},
			does: "What people did, newest first.", out: apiRecords{}},
		{method: get, pattern: "/api/v1/accounts", right: RightPeople, api: true, handle: apiAccounts,
			does: "All accounts.", out: apiAccountsBody{}},
		{method: post, pattern: "/api/v1/accounts", right: RightPeople, api: true, handle: apiCreateAccount,
			does: "Creates an account whose password must be changed at the first login.", in: apiNewAccount{}, out: apiAccount{}},
		{method: del, pattern: "/api/v1/accounts/{name}", right: RightPeople, api: true, handle: apiRemoveAccount,
			does: "Removes an account."},
	}
}
