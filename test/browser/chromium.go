package browser

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"time"
)

// Program is where Debian puts Chromium.
const Program = "/usr/bin/chromium"

// A Browser is one headless Chromium, spoken to over a pipe in the DevTools protocol.
type Browser struct {
	cmd  *exec.Cmd
	dir  string
	in   io.WriteCloser
	mu   sync.Mutex
	next int
	wait map[int]chan reply
	// Events are the protocol's notices, dropped when nobody reads them.
	Events chan Event
}

// An Event is one notice of the browser.
type Event struct {
	Method string          `json:"method"`
	Params json.RawMessage `json:"params"`
}

type reply struct {
	Result json.RawMessage
	Error  *struct{ Message string }
}

// Start starts a browser with an empty profile; Close ends it.
func Start() (*Browser, error) {
	dir, err := os.MkdirTemp("", "gatepost-chromium-")
	if err != nil {
		return nil, err
	}
	toR, toW, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	fromR, fromW, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(Program, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
		"--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
		"--hide-scrollbars", "--user-data-dir="+dir, "--remote-debugging-pipe", "about:blank")
	cmd.ExtraFiles = []*os.File{toR, fromW} // descriptors 3 and 4, where the browser looks for them
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start chromium: %w", err)
	}
	toR.Close()
	fromW.Close()
	b := &Browser{cmd: cmd, dir: dir, in: toW, wait: make(map[int]chan reply), Events: make(chan Event, 1000)}
	go b.read(fromR)
	return b, nil
}

// Close ends the browser and removes its profile.
func (b *Browser) Close() {
	b.in.Close()
	b.cmd.Process.Kill()
	b.cmd.Wait()
	os.RemoveAll(b.dir)
}

func (b *Browser) read(r io.Reader) {
	in := bufio.NewReaderSize(r, 1<<20)
	for {
		msg, err := in.ReadBytes(0)
		if err != nil {
			return
		}
		var m struct {
			ID int
			Event
			reply
		}
		if json.Unmarshal(msg[:len(msg)-1], &m) != nil {
			continue
		}
		if m.ID == 0 {
			select {
			case b.Events <- m.Event:
			default:
			}
			continue
		}
		b.mu.Lock()
		if ch := b.wait[m.ID]; ch != nil {
			ch <- m.reply
			delete(b.wait, m.ID)
		}
		b.mu.Unlock()
	}
}

// call sends one command, to a tab if session is not empty, and reads its result into out unless that is nil.
func (b *Browser) call(session, method string, params, out any) error {
	b.mu.Lock()
	b.next++
	id, ch := b.next, make(chan reply, 1)
	b.wait[id] = ch
	msg := map[string]any{"id": id, "method": method, "params": params}
	if session != "" {
		msg["sessionId"] = session
	}
	data, err := json.Marshal(msg)
	if err == nil {
		_, err = b.in.Write(append(data, 0))
	}
	b.mu.Unlock()
	if err != nil {
		return err
	}
	select {
	case r := <-ch:
		if r.Error != nil {
			return fmt.Errorf("%s: %s", method, r.Error.Message)
		}
		if out == nil {
			return nil
		}
		return json.Unmarshal(r.Result, out)
	case <-time.After(30 * time.Second):
		return errors.New(method + ": no answer in 30 s")
	}
}

// A Tab is one page with cookies of its own.
type Tab struct {
	b       *Browser
	session string
}

// A Look is how a tab looks at the world.
type Look struct {
	Width, Height int
	Phone         bool
	Dark          bool
	Language      string // "en", "zh-CN"
	NoScript      bool
}

// Open opens a tab.
func (b *Browser) Open(l Look) (*Tab, error) {
	var ctx struct{ BrowserContextID string }
	if err := b.call("", "Target.createBrowserContext", map[string]any{}, &ctx); err != nil {
		return nil, err
	}
	var target struct{ TargetID string }
	if err := b.call("", "Target.createTarget", map[string]any{"url": "about:blank", "browserContextId": ctx.BrowserContextID}, &target); err != nil {
		return nil, err
	}
	var attached struct{ SessionID string }
	if err := b.call("", "Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &attached); err != nil {
		return nil, err
	}
	t := &Tab{b, attached.SessionID}
	scheme := "light"
	if l.Dark {
		scheme = "dark"
	}
	for _, c := range []struct {
		method string
		params map[string]any
	}{
		{"Page.enable", nil}, {"Network.enable", nil}, {"Runtime.enable", nil}, {"Log.enable", nil},
		{"Emulation.setDeviceMetricsOverride", map[string]any{"width": l.Width, "height": l.Height, "deviceScaleFactor": 1, "mobile": l.Phone}},
		{"Emulation.setEmulatedMedia", map[string]any{"features": []map[string]string{{"name": "prefers-color-scheme", "value": scheme}}}},
		{"Emulation.setScriptExecutionDisabled", map[string]any{"value": l.NoScript}},
		{"Emulation.setTimezoneOverride", map[string]any{"timezoneId": "UTC"}},
		{"Network.setExtraHTTPHeaders", map[string]any{"headers": map[string]string{"Accept-Language": l.Language}}},
	} {
		if c.params == nil {
			c.params = map[string]any{}
		}
		if err := t.Do(c.method, c.params, nil); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// Do sends any command of the protocol to the tab.
func (t *Tab) Do(method string, params map[string]any, out any) error {
	return t.b.call(t.session, method, params, out)
}

// Go loads an address and waits until it is there.
func (t *Tab) Go(url string) error {
	if err := t.Do("Page.navigate", map[string]any{"url": url}, nil); err != nil {
		return err
	}
	return t.settle()
}

// settle waits until the document is complete and its path stays the same.
func (t *Tab) settle() error {
	for range 200 {
		time.Sleep(25 * time.Millisecond)
		var state string
		if err := t.Eval(`document.readyState + (document.body ? "" : "-")`, &state); err == nil && state == "complete" {
			return nil
		}
	}
	return errors.New("the page did not settle in 5 s")
}

// Eval runs an expression in the page and reads its value. It works with scripts of the page disabled, too.
func (t *Tab) Eval(js string, out any) error {
	var r struct {
		Result           struct{ Value json.RawMessage }
		ExceptionDetails *struct{ Text string }
	}
	if err := t.Do("Runtime.evaluate", map[string]any{"expression": js, "returnByValue": true, "awaitPromise": true}, &r); err != nil {
		return err
	}
	if r.ExceptionDetails != nil {
		return fmt.Errorf("%s: %s", js, r.ExceptionDetails.Text)
	}
	if out == nil || r.Result.Value == nil {
		return nil
	}
	return json.Unmarshal(r.Result.Value, out)
}

// Submit clicks what css names and waits for the page that follows.
func (t *Tab) Submit(css string) error {
	quoted, err := json.Marshal(css)
	if err != nil {
		return err
	}
	if err := t.Eval("window.__old = true; document.querySelector("+string(quoted)+").click()", nil); err != nil {
		return err
	}
	for range 200 {
		time.Sleep(25 * time.Millisecond)
		var old bool
		if t.Eval("window.__old === true", &old) == nil && !old {
			return t.settle()
		}
	}
	return errors.New("nothing followed the click on " + css)
}

// Picture takes a picture of the whole page, or of the window only.
func (t *Tab) Picture(whole bool) ([]byte, error) {
	var r struct{ Data []byte }
	err := t.Do("Page.captureScreenshot", map[string]any{"format": "png", "captureBeyondViewport": whole}, &r)
	return r.Data, err
}
