// What the pages do with JavaScript and could do without: local times, choosing all, keys, a fresh overview.
"use strict";
(() => {
  const lang = document.documentElement.lang || "en";
  const full = new Intl.DateTimeFormat(lang, {dateStyle: "medium", timeStyle: "short"});
  const hour = new Intl.DateTimeFormat(lang, {hour: "2-digit", minute: "2-digit", hour12: false});
  const localTimes = (root) => {
    for (const el of root.querySelectorAll("time[datetime]")) {
      const at = new Date(el.getAttribute("datetime"));
      if (isNaN(at)) continue;
      if (el.hasAttribute("data-local")) {
        el.title = el.textContent;
        el.textContent = full.format(at);
      } else {
        el.title = full.format(at);
      }
    }
    for (const el of root.querySelectorAll("[data-hour]")) {
      el.textContent = hour.format(new Date(el.getAttribute("data-hour")));
    }
  };
  localTimes(document);

  // A choice of the mouse or a finger is looked up at once. The keyboard passes by every option on its way, and has Enter.
  for (const el of document.querySelectorAll(".filters select")) {
    let pointed = false;
    el.addEventListener("pointerdown", () => { pointed = true; });
    el.addEventListener("keydown", () => { pointed = false; });
    el.addEventListener("change", () => { if (pointed) el.form.requestSubmit(); });
  }

  // A form is sent once: a second press while the answer is on its way would find everything done, and hide what came of
  // it. After a minute without an answer it may be tried again.
  const release = (form) => {
    form.removeAttribute("data-sent");
    for (const b of form.querySelectorAll("[aria-busy]")) b.removeAttribute("aria-busy");
  };
  addEventListener("submit", (e) => {
    const form = e.target;
    if (form.getAttribute("method") !== "post") return;
    if (form.hasAttribute("data-sent")) { e.preventDefault(); return; }
    form.setAttribute("data-sent", "");
    if (e.submitter) e.submitter.setAttribute("aria-busy", "true");
    setTimeout(release, 60000, form);
  });
  addEventListener("pageshow", () => { for (const form of document.querySelectorAll("[data-sent]")) release(form); });

  const tab = document.querySelector(".subnav [aria-current]");
  if (tab) tab.scrollIntoView({inline: "center", block: "nearest"});

  const list = document.getElementById("list");
  if (list) choosing(list);

  for (const [at, run] of [["[data-passkey]", newPasskey], ["[data-enter]", usePasskey]]) {
    const box = document.querySelector(at);
    if (!box || !window.PublicKeyCredential || !PublicKeyCredential.parseRequestOptionsFromJSON) continue;
    box.hidden = false;
    box.querySelector("button").addEventListener("click", async () => {
      const alert = box.querySelector("[role=alert]");
      alert.hidden = true;
      try { await run(box); } catch { alert.textContent = box.getAttribute("data-failed"); alert.hidden = false; }
    });
  }

  async function call(path, body, csrf) {
    const headers = {"Content-Type": "application/json"};
    if (csrf) headers["X-Csrf-Token"] = csrf;
    const r = await fetch(path, {method: "POST", headers, body: JSON.stringify(body)});
    if (!r.ok) throw new Error(String(r.status));
    return r.status === 204 ? null : r.json();
  }

  async function newPasskey(box) {
    const csrf = box.getAttribute("data-csrf");
    const c = await call("/api/v1/passkeys/begin", {}, csrf);
    const key = await navigator.credentials.create({publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(c.options)});
    await call("/api/v1/passkeys/finish", {ceremony: c.ceremony, name: box.querySelector("input").value, answer: key.toJSON()}, csrf);
    location.reload();
  }

  async function usePasskey(box) {
    const c = await call("/api/v1/login/begin", {});
    const key = await navigator.credentials.get({publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(c.options)});
    const got = await call("/api/v1/login/finish", {ceremony: c.ceremony, answer: key.toJSON(), next: box.getAttribute("data-next")});
    location.assign(got.next);
  }

  const draft = document.querySelector("[data-draft]");
  if (draft) checking(draft);

  if (document.querySelector("[data-live]")) keepFresh();

  // keepFresh asks for the page again while somebody looks at it, and puts what changed in its place, without a sound:
  // a reader who is in the middle of something is left alone, and so is a session that nobody uses. What is not fresh any
  // more is said to be so.
  function keepFresh() {
    const every = Number(document.querySelector("[data-live]").getAttribute("data-live")) * 1000;
    let tag = "", timer = 0, asked = Date.now(), heard = asked;
    const say = (why, login) => {
      let note = document.querySelector(".stale");
      if (note) note.remove();
      if (!why) return;
      note = document.createElement("p");
      note.className = "note stale";
      note.textContent = document.querySelector("[data-live]").getAttribute("data-" + why).replace("{time}", hour.format(heard));
      if (login) {
        const a = document.createElement("a");
        a.href = "/login?next=" + encodeURIComponent(location.pathname);
        a.textContent = login;
        note.append(" ", a);
      }
      document.querySelector("[data-live]").before(note);
    };
    const inUse = (live) => live.contains(document.activeElement) || (!getSelection().isCollapsed && live.contains(getSelection().anchorNode));
    const put = (page) => {
      const live = document.querySelector("[data-live]"), next = page.querySelector("[data-live]");
      if (!next || inUse(live)) return false;
      for (const d of live.querySelectorAll("details[id][open]")) {
        const same = next.querySelector("#" + CSS.escape(d.id));
        if (same) same.open = true;
      }
      const fresh = document.importNode(next, true);
      localTimes(fresh);
      live.replaceWith(fresh);
      for (const at of [".tools .pill", ".strip"]) {
        const was = document.querySelector(at), now = page.querySelector(at);
        if (was && was.contains(document.activeElement)) continue;
        const node = now && document.importNode(now, true);
        if (node) localTimes(node);
        if (was && node) was.replaceWith(node);
        else if (was) was.remove();
        else if (node && at === ".strip") document.querySelector("main").before(node);
        else if (node) document.querySelector(".tools").prepend(node);
      }
      return true;
    };
    const again = () => {
      clearTimeout(timer);
      if (!document.hidden) timer = setTimeout(ask, Math.max(0, asked + every - Date.now()));
    };
    const ask = () => {
      asked = Date.now();
      const x = new XMLHttpRequest();
      x.open("GET", location.pathname);
      x.responseType = "document";
      x.timeout = every;
      x.setRequestHeader("Gatepost-Unattended", "1");
      if (tag) x.setRequestHeader("If-None-Match", tag);
      x.onload = () => {
        if (x.responseURL && new URL(x.responseURL).pathname !== location.pathname) { // logged out
          say("out", document.querySelector("[data-live]").getAttribute("data-login"));
          return;
        }
        if (x.status === 200 || x.status === 304) {
          heard = Date.now();
          say("");
        } else {
          say("gone");
        }
        if (x.status === 200 && x.response && put(x.response)) tag = x.getResponseHeader("ETag") || "";
        again();
      };
      x.onerror = x.ontimeout = () => { say("gone"); again(); };
      x.send();
    };
    document.addEventListener("visibilitychange", again);
    again();
  }

  function choosing(form) {
    const boxes = [...form.querySelectorAll('.pick input:not(:disabled)')];
    const all = document.getElementById("all");
    const buttons = [...form.querySelectorAll(".bulkbar button")];
    const update = () => {
      const n = boxes.filter((b) => b.checked).length;
      for (const b of boxes) b.closest(".row").classList.toggle("chosen", b.checked);
      for (const b of buttons) b.disabled = n === 0;
      if (all) {
        all.checked = n > 0 && n === boxes.length;
        all.indeterminate = n > 0 && n < boxes.length;
      }
    };
    if (all) {
      form.querySelector("[data-all]").hidden = boxes.length === 0;
      all.addEventListener("change", () => { for (const b of boxes) b.checked = all.checked; update(); });
    }
    form.addEventListener("change", update);
    addEventListener("pageshow", update);
    update();
    keys(form, update);
  }

  // checking asks what is wrong with a draft a moment after the last key, and shows the answer as text.
  function checking(form) {
    const text = form.querySelector("textarea"), out = form.querySelector("[data-verdict]");
    let timer = 0, asked = 0, last = text.value;
    const el = (tag, cls, words) => {
      const e = document.createElement(tag);
      if (cls) e.className = cls;
      e.textContent = words;
      return e;
    };
    const list = (cls, items) => {
      const ul = el("ul", cls, "");
      for (const i of items) ul.append(i);
      return ul;
    };
    const say = (name) => out.getAttribute("data-" + name);
    const show = (c) => {
      out.replaceChildren();
      if (c.ok) {
        out.append(el("p", "good-note", say("good") + " " + say("tests") + " " + c.tests.results.length));
      } else {
        out.append(el("p", "alert", say("bad")));
        out.append(list("problems", c.problems.map((p) => {
          const li = el("li", "", "");
          li.append(el("span", "muted", p.line ? say("line") + " " + p.line : p.file), " " + p.message);
          if (p.hint) li.append(" → ", el("b", "", p.hint));
          return li;
        })));
      }
      if (c.changes.length) {
        out.append(el("h2", "", say("changes")));
        out.append(list("changes", c.changes.map((x) => {
          const li = el("li", !x.was ? "new" : !x.now ? "gone" : "other", "");
          li.append(el("code", "", x.what), " ");
          if (x.was) li.append(el("del", "", x.was.slice(0, 300)), " ");
          if (x.now) li.append(el("ins", "", x.now.slice(0, 300)), " ");
          li.append(el("span", "muted", x.at));
          return li;
        })));
      } else if (c.ok) {
        out.append(el("p", "muted", say("same")));
      }
    };
    text.addEventListener("input", () => {
      clearTimeout(timer);
      timer = setTimeout(async () => {
        if (text.value === last) return;
        last = text.value;
        const mine = ++asked;
        const csrf = form.querySelector("[name=csrf]").value;
        try {
          const r = await fetch("/api/v1/policy/check", {method: "POST", headers: {"Content-Type": "application/json", "X-Csrf-Token": csrf}, body: JSON.stringify({text: last})});
          if (!r.ok) throw new Error(String(r.status));
          const c = await r.json();
          if (mine === asked) show(c);
        } catch { // what was said of an earlier text is not left standing; the button still asks
          if (mine === asked) out.replaceChildren(el("p", "note", say("away")));
        }
      }, 400);
    });
  }

  function keys(form, update) {
    const rows = [...form.querySelectorAll(".row")];
    const toggle = document.querySelector("[data-keys]");
    let on = true;
    try { on = localStorage.getItem("gatepost-keys") !== "off"; } catch { /* storage may be closed to us */ }
    const show = () => {
      toggle.textContent = toggle.getAttribute(on ? "data-on" : "data-off");
      toggle.setAttribute("aria-pressed", String(on));
    };
    toggle.hidden = false;
    show();
    toggle.addEventListener("click", () => {
      on = !on;
      try { localStorage.setItem("gatepost-keys", on ? "on" : "off"); } catch { /* then only for this page */ }
      show();
    });
    let at = -1;
    const move = (to) => {
      at = Math.max(0, Math.min(rows.length - 1, to));
      const link = rows[at].querySelector("a.open");
      link.focus({preventScroll: true});
      rows[at].scrollIntoView({block: "nearest"});
    };
    addEventListener("keydown", (e) => {
      if (!on || e.ctrlKey || e.metaKey || e.altKey || e.target.matches("input:not([type=checkbox]), select, textarea")) return;
      const held = rows.indexOf(document.activeElement && document.activeElement.closest(".row"));
      if (held >= 0) at = held;
      switch (e.key) {
      case "j": move(at + 1); break;
      case "k": move(at - 1); break;
      case "o": if (at >= 0) rows[at].querySelector("a.open").click(); break;
      case "x":
        if (at >= 0) {
          const box = rows[at].querySelector(".pick input:not(:disabled)");
          if (box) { box.checked = !box.checked; update(); }
        }
        break;
      case "/": document.getElementById("q").focus(); break;
      default: return;
      }
      e.preventDefault();
    });
  }
})();
