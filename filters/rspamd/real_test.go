package rspamd

import (
	"slices"
	"strings"
	"testing"
	"time"

	"gatepost/test/harness"
	"gatepost/test/harness/daemon"
)

// rspamdConf is an Rspamd without lists, rules and languages of its own, that asks nobody.
const rspamdConf = `
options { pidfile = "DIR/pid"; filters = ""; cache_file = "DIR/cache"; hs_cache_dir = "DIR"; tempdir = "DIR"; url_tld = "DIR/tld"; control_socket = "DIR/control mode=0600"; dns { nameserver = ["127.0.0.1:9"]; } gtube_patterns = "all"; }
logging { type = "file"; filename = "DIR/log"; level = "warning"; }
worker "normal" { bind_socket = "ADDRESS"; bind_socket = "DIR/s mode=0666"; count = 1; task_timeout = 8s; }
actions { reject = 15; add_header = 6; greylist = 4; }
lang_detection { languages = "DIR"; }
lua = "DIR/own.lua";
`

// ownRules score a message by its own fields, and say what Rspamd knows of the envelope.
const ownRules = `
local function symbol(name, score, header)
  rspamd_config:register_symbol({name = name, score = score, callback = function(task)
    if task:get_header(header) then return true end
  end})
end
symbol('SPAM', 7.0, 'X-Spam')
symbol('LITTLE', 4.5, 'X-Little')
symbol('URIBL_BLOCKED', 0.0, 'X-Blocked')
rspamd_config:register_symbol({name = 'SOFT', score = 0.0, callback = function(task)
  if task:get_header('X-Soft') then task:set_pre_result('soft reject', 'later') return true end
end})
rspamd_config:register_symbol({name = 'ENVELOPE', score = 0.5, callback = function(task)
  local from, rcpt = task:get_from('smtp') or {{}}, task:get_recipients('smtp') or {}
  local seen = table.concat({tostring(task:get_from_ip()), tostring(task:get_helo()), tostring(from[1].addr), tostring(#rcpt), tostring(task:get_hostname()), tostring(task:get_queue_id())}, ' ')
  if seen == '192.0.2.7 friend.example ann@friend.example 2 out.friend.example ID1' then return true end
end})
`

// real starts Rspamd and returns where it listens: TCP and a socket.
func real(t *testing.T) (d *daemon.Daemon, addresses []string) {
	t.Helper()
	program, dir, address := harness.Need(t, "rspamd"), daemon.Dir(t), daemon.Address(t)
	daemon.Write(t, dir, "own.lua", ownRules)
	daemon.Write(t, dir, "tld", "example\ncom\n")
	conf := daemon.Write(t, dir, "rspamd.conf", strings.NewReplacer("DIR", dir, "ADDRESS", address).Replace(rspamdConf))
	d = daemon.Start(t, daemon.Listens("unix", dir+"/s"), program, "-f", "-i", "-c", conf)
	return d, []string{"http://" + address, "unix:" + dir + "/s"}
}

func TestTheRealRspamdIsUnderstood(t *testing.T) {
	_, addresses := real(t)
	for _, a := range addresses {
		cfg := settings(a)
		cfg.Timeout = 20 * time.Second
		for field, want := range map[string]struct {
			line  string
			fails bool
		}{
			"X-None":    {"rspamd.no-action; no action, score 0.50 of 15.00; ENVELOPE +0.50", false},
			"X-Little":  {"rspamd.greylist; greylist, score 5.00 of 15.00; LITTLE +4.50; ENVELOPE +0.50", false},
			"X-Spam":    {"rspamd.add-header; add header, score 7.50 of 15.00; SPAM +7.00; ENVELOPE +0.50", false},
			"X-Soft":    {"rspamd.soft-reject; soft reject, score 0.00 of 15.00", false},
			"X-Blocked": {"", true},
		} {
			got, err := asked(t, cfg, letter(t, field+": y\r\n"+plain))
			if line := strings.Join(got, "|"); line != want.line || (err != nil) != want.fails {
				t.Errorf("%s, %s: %q, %v", a, field, line, err)
			}
		}
		gtube := plain + "XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X\r\n"
		if got, err := asked(t, cfg, letter(t, gtube)); err != nil || !slices.Equal(got, []string{"rspamd.reject; reject, score 15.00 of 15.00"}) {
			t.Errorf("%s: the test message for spam filters: %q, %v", a, got, err)
		}
		if got, err := asked(t, cfg, letter(t, plain+strings.Repeat("0123456789\r\n", 50_000))); err != nil || len(got) != 1 {
			t.Errorf("%s: a long message: %q, %v", a, got, err)
		}
		if c := New(cfg).Conditions(t.Context())[0]; c.Err != nil {
			t.Errorf("%s: %+v", a, c)
		}
	}
}

func TestARealRspamdThatIsGoneIsNeverClean(t *testing.T) {
	d, addresses := real(t)
	cfg := settings(addresses[0])
	cfg.Timeout = 300 * time.Millisecond
	d.Stop()
	if got, err := asked(t, cfg, letter(t, plain)); err == nil {
		t.Errorf("it is gone: %q", got)
	}
	if c := New(cfg).Conditions(t.Context())[0]; c.Err == nil || !c.Down {
		t.Errorf("it is gone: %+v", c)
	}
}
