package catalog

import (
	"bytes"
	"fmt"
	"io"

	"gatepost/filters/attach"
	"gatepost/filters/auth"
	"gatepost/filters/bayes"
	"gatepost/filters/bulk"
	"gatepost/filters/clamd"
	"gatepost/filters/content"
	"gatepost/filters/dnsbl"
	"gatepost/filters/headers"
	"gatepost/filters/hook"
	"gatepost/filters/icap"
	"gatepost/filters/links"
	"gatepost/filters/milter"
	"gatepost/filters/route"
	"gatepost/filters/rspamd"
	"gatepost/filters/spamd"
	"gatepost/filters/spoof"
	"gatepost/filters/traffic"
	"gatepost/filters/yara"
	"gatepost/rules/conf"
)

// settings are the sections of the filters, by name.
func settings() map[string]any {
	return map[string]any{
		"headers": headers.Config{}, "route": route.Config{}, "auth": auth.Config{}, "attach": attach.Config{}, "links": links.Config{}, "spoof": spoof.Config{}, "bulk": bulk.Config{},
		"content": content.Config{}, "bayes": bayes.Config{}, "dnsbl": dnsbl.Config{}, "traffic": traffic.Config{}, "clamd": clamd.Config{}, "icap": icap.Config{}, "yara": yara.Config{},
		"milter": milter.Config{}, "rspamd": rspamd.Config{}, "spamd": spamd.Config{}, "hook": hook.Config{},
	}
}

// Reference writes the page that explains every key of every filter's section.
func Reference(w io.Writer) error {
	var b bytes.Buffer
	b.WriteString("# The sections of `filters` in gatepost.yaml\n\nEvery section also takes `enabled: false`, which turns the filter off. What each filter finds is in its README.md.\n")
	all := settings()
	for _, name := range order() {
		var page bytes.Buffer
		if err := conf.Reference(&page, all[name], ""); err != nil {
			return err
		}
		_, tables, _ := bytes.Cut(page.Bytes(), []byte("\n"))
		if bytes.HasSuffix(tables, []byte("|---|---|---|---|\n")) {
			tables = []byte("\nNo settings.\n")
		}
		fmt.Fprintf(&b, "\n## `filters.%s`\n%s", name, bytes.ReplaceAll(tables, []byte("\n## `"), []byte("\n### `filters."+name+".")))
	}
	_, err := w.Write(b.Bytes())
	return err
}
