package admin

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"html/template"
	"io/fs"
	"log/slog"
	"mime"
	"net/http"
	"path"
	"strconv"
	"strings"
	"sync"
	"time"

	"gatepost/filters"
	"gatepost/filters/mail"
	"gatepost/gateway/quarantine"
	"gatepost/policy"
)

// A pageSet holds the pages of one language, by name. A page is parsed when it is first asked for: parsed they take many MiB,
// and most gateways show a few of them or none.
type pageSet map[string]func() (*template.Template, error)

// A page is what every template is given; Body is the page's own.
type page struct {
	Name     string // of the template
	Lang     string
	Path     string // with query, to come back to
	CSRF     string
	Who      *Account // nil: not logged in
	Nav      []navItem
	Tabs     []navItem // places beside this one
	Health   health
	Body     any
	Title    string
	Language [][3]string
}

// A navItem is one place to go.
type navItem struct {
	Path, Key, Icon string
	Here            bool
}

// readPages finds every page for every language.
func (d *desk) readPages() (map[string]pageSet, error) {
	names, err := fs.Glob(pageFiles, "pages/*.html")
	if err != nil {
		return nil, err
	}
	out := make(map[string]pageSet)
	for _, l := range languages() {
		set := make(pageSet)
		for _, file := range names {
			name := strings.TrimSuffix(path.Base(file), ".html")
			if name == "layout" || strings.HasPrefix(name, "part-") {
				continue
			}
			set[name] = sync.OnceValues(func() (*template.Template, error) { return d.readPage(l[0], file) })
		}
		out[l[0]] = set
	}
	return out, nil
}

// readPage parses one page with what stands around all of them.
func (d *desk) readPage(lang, file string) (*template.Template, error) {
	t := template.New("layout.html").Funcs(d.funcs(lang)).Option("missingkey=error")
	if _, err := t.ParseFS(pageFiles, "pages/layout.html", "pages/part-*.html", file); err != nil {
		return nil, fmt.Errorf("parse %s: %w", file, err)
	}
	return t, nil
}

// funcs are what the templates may call.
func (d *desk) funcs(lang string) template.FuncMap {
	return template.FuncMap{
		"t": func(key string, pairs ...any) string { return d.texts.say(lang, key, pairs...) },
		// Addresses of other schemes are made harmless by the template; this one is ours, and its parts are escaped.
		"otp":     func(link string) template.URL { return template.URL(link) },
		"asset":   func(name string) string { return "/static/" + name + "?v=" + d.assets[name].version },
		"size":    humanSize,
		"iso":     func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
		"utc":     func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04") + " UTC" },
		"ago":     func(t time.Time) string { return d.ago(lang, t) },
		"left":    func(t time.Time) string { return d.left(lang, t) },
		"class":   func(c policy.Class) string { return d.texts.say(lang, classKey(c)) },
		"action":  func(a policy.Action) string { return d.texts.say(lang, actionKey(a)) },
		"state":   func(s quarantine.State) string { return d.texts.say(lang, stateKey(s)) },
		"outcome": func(o Outcome) string { return d.texts.say(lang, o.key()) },
		"role":    func(r Role) string { return d.texts.say(lang, roleKey(r)) },
		"right":   func(r Right) string { return d.texts.say(lang, rightKey(r)) },
		"authkey": authWord,
		"word":    func(s string) string { return d.texts.word(lang, s) },
		"zh":      func() bool { return lang == "zh" },
		"meaning": func(code string) string { return d.meanings[lang][code] },
		"visible": func(s string) []piece { return escapeHidden(s, "") },
		"clip":    clip,
		"elide":   elide,
		"plain":   mail.Printable,
		"reason":  func(s string) string { return d.reason(lang, s) },
		"promise": func(s string) promise { return d.promise(lang, s) },
		"join":    strings.Join,
		"add":     func(a, b int) int { return a + b },
		"num":     func(n any) string { return groupDigits(fmt.Sprint(n)) },
		"signed":  signed,
		"dict":    dict,
		"count":   func(m map[Outcome]int, o string) int { return m[Outcome(o)] },
	}
}

// meaningsOf are the sentences for finding codes, by language.
func meaningsOf(codes []filters.Code) map[string]map[string]string {
	out := map[string]map[string]string{"en": make(map[string]string), "zh": make(map[string]string)}
	for _, c := range codes {
		out["en"][c.Name], out["zh"][c.Name] = c.Meaning, c.Chinese
	}
	return out
}

// dict makes a map from pairs, for handing several values to a part.
func dict(pairs ...any) (map[string]any, error) {
	if len(pairs)%2 != 0 {
		return nil, fmt.Errorf("dict wants pairs")
	}
	m := make(map[string]any, len(pairs)/2)
	for i := 0; i < len(pairs); i += 2 {
		m[fmt.Sprint(pairs[i])] = pairs[i+1]
	}
	return m, nil
}

// signed writes a weight with its sign.
func signed(p policy.Points) string {
	if p > 0 {
		return "+" + p.String()
	}
	return strings.Replace(p.String(), "-", "\u2212", 1)
}

func groupDigits(s string) string {
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "\u202f" + s[i:]
	}
	return s
}

func humanSize(n int64) string {
	switch {
	case n < 1<<10:
		return strconv.FormatInt(n, 10) + " B"
	case n < 1<<20:
		return strconv.FormatFloat(float64(n)/(1<<10), 'f', 1, 64) + " KiB"
	}
	return strconv.FormatFloat(float64(n)/(1<<20), 'f', 1, 64) + " MiB"
}

// ago is how long t is past, in the one unit that matters.
func (d *desk) ago(lang string, t time.Time) string { return d.span(lang, d.now().Sub(t), "ago") }

// left is how long t is ahead.
func (d *desk) left(lang string, t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return d.span(lang, t.Sub(d.now()), "left")
}

func (d *desk) span(lang string, s time.Duration, sense string) string {
	keys := map[string][4]string{
		"ago":  {"ago.now", "ago.minutes", "ago.hours", "ago.days"},
		"left": {"left.now", "left.minutes", "left.hours", "left.days"},
	}[sense]
	switch {
	case s < time.Minute:
		return d.texts.say(lang, keys[0])
	case s < time.Hour:
		return d.texts.say(lang, keys[1], "n", int(s/time.Minute))
	case s < 48*time.Hour:
		return d.texts.say(lang, keys[2], "n", int(s/time.Hour))
	}
	return d.texts.say(lang, keys[3], "n", int(s/(24*time.Hour)))
}

// render writes a whole page, or an error page and no half of one.
func (d *desk) render(v *visit, status int, name string, body any) error {
	p := page{Name: name, Lang: v.lang, Path: localPath(v.r.URL.RequestURI()), Body: body, Language: languages()}
	if v.r.Method != http.MethodGet && v.r.Method != http.MethodHead {
		p.Path = "/"
	}
	if v.visitor != nil {
		p.Who = &v.visitor.account
		if v.visitor.session != nil {
			p.CSRF = v.visitor.session.CSRF
		}
		p.Nav, p.Tabs = d.navigation(v)
		if v.visitor.may(RightOverview) {
			p.Health = d.health()
		}
	}
	var b bytes.Buffer
	t, err := d.pages[v.lang][name]()
	if err == nil {
		err = t.Execute(&b, p)
	}
	if err != nil {
		d.log.Error("render page", slog.String("request", v.id), slog.String("page", name), slog.Any("error", err))
		http.Error(v.w, d.texts.say(v.lang, "error.internal")+" "+v.id, http.StatusInternalServerError)
		return nil
	}
	v.w.Header().Set("Content-Type", "text/html; charset=utf-8")
	if status == http.StatusOK && name == "overview" { // it asks again by itself: what is the same is not sent again
		sum := sha256.Sum256(b.Bytes())
		tag := `"` + hex.EncodeToString(sum[:12]) + `"`
		v.w.Header().Set("ETag", tag)
		if v.r.Header.Get("If-None-Match") == tag {
			v.w.WriteHeader(http.StatusNotModified)
			return nil
		}
	}
	v.w.Header().Set("Content-Length", strconv.Itoa(b.Len()))
	v.w.WriteHeader(status)
	if v.r.Method != http.MethodHead {
		v.w.Write(b.Bytes())
	}
	return nil
}

// A place is a page that can be gone to.
type place struct {
	path, key, icon string
	right           Right
	room            bool // it is there
}

// places are the pages in groups: the first of each that the visitor may see stands in the navigation, the others are
// tabs beside it.
func (d *desk) places() [][]place {
	p := &d.deps
	return [][]place{
		{{"/", "nav.overview", "overview", RightOverview, true}, {"/health", "layout.health", "overview", RightOverview, true},
			{"/webhooks", "nav.webhooks", "overview", RightOverview, p.Hooks != nil}},
		{{"/quarantine", "nav.quarantine", "quarantine", RightList, true}},
		{{"/trace", "nav.trace", "trace", RightTrace, true}, {"/waiting", "nav.waiting", "trace", RightTrace, p.Waiters != nil},
			{"/hold", "nav.hold", "trace", RightHold, p.Holds != nil}, {"/tls", "nav.tls", "trace", RightOverview, p.TLS != nil}},
		{{"/policy", "nav.policy", "policy", RightPolicy, p.Policies != nil}, {"/lists", "nav.lists", "policy", RightEntries, p.Policies != nil && p.Entries != nil},
			{"/known", "nav.known", "policy", RightTrace, p.Known != nil}},
		{{"/people", "nav.people", "people", RightPeople, true}, {"/audit", "nav.audit", "audit", RightAudit, true}},
	}
}

// navigation is where the visitor can go: the groups, and the tabs of the group that this page belongs to.
func (d *desk) navigation(v *visit) (nav, tabs []navItem) {
	if v.visitor.account.MustChange {
		return nil, nil
	}
	for _, group := range d.places() {
		var here bool
		var items []navItem
		for _, p := range group {
			if !p.room || !v.visitor.may(p.right) {
				continue
			}
			at := v.r.URL.Path == p.path || p.path != "/" && strings.HasPrefix(v.r.URL.Path, p.path+"/")
			here = here || at
			items = append(items, navItem{p.path, p.key, p.icon, at})
		}
		if len(items) == 0 {
			continue
		}
		if here && len(items) > 1 {
			tabs = items
		}
		first := items[0]
		first.Here = here
		nav = append(nav, first)
	}
	return nav, tabs
}

// An asset is one static file with the version that its address carries.
type asset struct {
	body    []byte
	ctype   string
	version string
}

func readAssets() (map[string]asset, error) {
	out := make(map[string]asset)
	entries, err := staticFiles.ReadDir("static")
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		b, err := staticFiles.ReadFile("static/" + e.Name())
		if err != nil {
			return nil, err
		}
		sum := sha256.Sum256(b)
		out[e.Name()] = asset{b, mime.TypeByExtension(path.Ext(e.Name())), hex.EncodeToString(sum[:6])}
	}
	return out, nil
}

func serveAsset(d *desk, v *visit) error {
	a, ok := d.assets[v.r.PathValue("file")]
	if !ok {
		return errNotFound
	}
	h := v.w.Header()
	h.Set("Content-Type", a.ctype)
	h.Set("Cache-Control", "public, max-age=31536000, immutable")
	h.Del("Vary")
	http.ServeContent(v.w, v.r, "", time.Time{}, bytes.NewReader(a.body))
	return nil
}

// The words of the trade by catalogue key; an unknown word is shown as it is.

func classKey(c policy.Class) string {
	switch c {
	case policy.Clean:
		return "class.clean"
	case policy.Spam:
		return "class.spam"
	case policy.Phish:
		return "class.phish"
	case policy.Malware:
		return "class.malware"
	case policy.ByRule:
		return "class.policy"
	}
	return string(c)
}

func actionKey(a policy.Action) string {
	switch a {
	case policy.Accept:
		return "action.accept"
	case policy.Tag:
		return "action.tag"
	case policy.Quarantine:
		return "action.quarantine"
	case policy.Defer:
		return "action.defer"
	case policy.Reject:
		return "action.reject"
	case policy.Discard:
		return "action.discard"
	}
	return string(a)
}

func stateKey(s quarantine.State) string {
	switch s {
	case quarantine.Waiting:
		return "state.waiting"
	case quarantine.Released:
		return "state.released"
	case quarantine.Deleted:
		return "state.deleted"
	case quarantine.Expired:
		return "state.expired"
	case "releasing": // between claim and the next hop's answer
		return "state.releasing"
	}
	return string(s)
}

func roleKey(r Role) string {
	switch r {
	case User:
		return "role.user"
	case Reviewer:
		return "role.reviewer"
	case ContentViewer:
		return "role.content-viewer"
	case Auditor:
		return "role.auditor"
	case Admin:
		return "role.admin"
	}
	return string(r)
}

func rightKey(r Right) string {
	switch r {
	case RightList:
		return "right.list"
	case RightContent:
		return "right.content"
	case RightDownload:
		return "right.download"
	case RightRelease:
		return "right.release"
	case RightDelete:
		return "right.delete"
	case RightMalware:
		return "right.malware"
	case RightTrace:
		return "right.trace"
	case RightOverview:
		return "right.overview"
	case RightAudit:
		return "right.audit"
	case RightPeople:
		return "right.people"
	case RightEntries:
		return "right.entries"
	case RightTeach:
		return "right.teach"
	case RightPolicy:
		return "right.policy"
	case RightChange:
		return "right.change"
	case RightHold:
		return "right.hold"
	}
	return string(r)
}

// authWord sorts a result word of RFC 8601 into good, bad or neither, for its colour.
func authWord(result string) string {
	switch result {
	case "pass":
		return "good"
	case "fail", "permerror", "policy", "softfail":
		return "bad"
	}
	return "none"
}
