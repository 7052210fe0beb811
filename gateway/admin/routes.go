package admin

import "net/http"

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
	return append(pageRoutes(), apiRoutes()...)
}

func pageRoutes() []route {
	return []route{
		{method: get, pattern: "/static/{file}", open: true, handle: serveAsset},
		{method: get, pattern: "/livez", open: true, plain: true, handle: livez},
		{method: get, pattern: "/readyz", open: true, plain: true, handle: readyz},
		{method: get, pattern: "/metrics", open: true, plain: true, handle: metrics},

		{method: get, pattern: "/login", open: true, handle: loginForm},
		{method: post, pattern: "/login", open: true, handle: login},
		{method: post, pattern: "/logout", settling: true, handle: logout},
		{method: post, pattern: "/language", open: true, handle: chooseLanguage},

		{method: get, pattern: "/account", settling: true, handle: accountPage},
		{method: post, pattern: "/account/password", settling: true, handle: changePassword},
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
		{method: post, pattern: "/people/{name}/remove", right: RightPeople, handle: removePerson},
	}
}

func apiRoutes() []route {
	limit := param{"limit", "how many at most, 1 to 200"}
	list := []param{{"q", "text in subject, addresses, reasons, attachment names"}, {"class", "spam, phish, malware or policy"},
		{"state", "waiting, released, deleted or expired"}, {"recipient", "one recipient's address"}, {"days", "1 or 7: not older"},
		{"before", "the id of the last entry of the page before"}, limit}
	return []route{
		{method: get, pattern: "/api/v1/openapi.json", open: true, api: true, handle: apiDescription,
			does: "This description."},
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
		{method: get, pattern: "/api/v1/trace", right: RightTrace, api: true, handle: apiTrace,
			params: []param{{"q", "an id, Message-ID, address, host name or client IP"}, limit},
			does:   "Everything that happened to messages and attempts that match, newest first.", out: apiRecords{}},
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
