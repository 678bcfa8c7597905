// The live page in the browser: addresses without reloading, keys, themes, and the twin of format.py for axes and tooltips.
"use strict";
(() => {
  const THIN = "\u202f";
  const root = document.documentElement;
  const stored = (() => { try { return localStorage.getItem("llmtower-theme"); } catch { return null; } })();
  if (stored) root.dataset.theme = stored;
  root.lang = "en";

  // ---- figures, as format.py writes them
  const three = (number, most = 9) => {
    if (number === 0) return "0";
    const decimals = Math.min(Math.max(0, 2 - Math.floor(Math.log10(Math.abs(number)))), most);
    const shown = number.toFixed(decimals).replace(/(\.\d*?)0+$/, "$1").replace(/\.$/, "");
    return shown === "-0" || shown === "" ? "0" : shown;
  };
  const prefixed = (number) => {
    for (const [factor, prefix] of [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]]) {
      if (Math.abs(number) >= factor * 0.9995) return [three(number / factor), prefix];
    }
    return [three(number), ""];
  };
  const WORDS = { "calls/min": "/min", "tokens/min": "/min", "tokens/s": "/s", "records/s": "/s", percent_points: "pp",
    calls: "", tokens: "", events: "", records: "", rows: "" };
  const dollars = (number, per) => {
    const sign = number < 0 ? "-" : "", size = Math.abs(number);
    if (size > 0 && size < 0.01) return [`${sign}$${THIN}${three(size)}`, per];
    if (size < 10000) {
      return [`${sign}$${THIN}${size.toLocaleString("en-US", { minimumFractionDigits: 2, maximumFractionDigits: 2 })}`, per];
    }
    const [shown, prefix] = prefixed(size);
    return [`${sign}$${THIN}${shown}`, prefix + per];
  };
  const percent = (ratio) => (ratio >= 0.99 && ratio < 1 ? String(Math.floor(ratio * 10000) / 100) : three(ratio * 100));
  const parts = (value, unit, scale) => {
    if (value === null || value === undefined || !Number.isFinite(Number(value))) return ["unknown", ""];
    const number = Number(value);
    if (unit === "seconds") {
      const of = scale || (Math.abs(number) < 1 && number ? "ms" : Math.abs(number) >= 300 ? "min" : "s");
      return [three(number * { ms: 1000, s: 1, min: 1 / 60 }[of]), of];
    }
    if (unit === "ratio") return [percent(number), "%"];
    if (unit === "usd" || unit === "usd/h") return dollars(number, unit === "usd/h" ? "/h" : "");
    const [shown, prefix] = prefixed(number);
    if (unit === "bytes") return [shown, `${prefix}B`];
    const word = WORDS[unit] || "";
    return [shown, `${prefix}${prefix && word ? " " : ""}${word}`];
  };
  const figure = (value, unit, scale = "") => {
    const [number, after] = parts(value, unit, scale);
    return after ? `${number}${THIN}${after}` : number;
  };

  // ---- tooltips
  const text = (value) => { const span = document.createElement("span"); span.textContent = value; return span.innerHTML; };
  const two = (number) => String(number).padStart(2, "0");
  const clock = (millis, bucket) => {
    const at = new Date(millis), day = `${at.getUTCDate()} ${["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"][at.getUTCMonth()]}`;
    return `${day} ${two(at.getUTCHours())}:${two(at.getUTCMinutes())}${bucket < 60 ? `:${two(at.getUTCSeconds())}` : ""}`;
  };
  const each = (bucket) => (bucket % 3600 === 0 ? `${bucket / 3600} h` : `${bucket / 60} min`);
  const tooltip = (unit, scale, bucket, zone) => (found) => {
    const list = (Array.isArray(found) ? found : [found]).filter((one) => !/ (low|interval)$/.test(one.seriesName));
    if (!list.length) return "";
    const rows = list.map((one) => `<tr><td><i style="background:${text(one.color)}"></i>${text(one.seriesName)}</td><td class="num">${figure(one.value[1], unit, scale)}</td></tr>`);
    return `<table><caption>${clock(list[0].value[0], bucket)} ${text(zone)} · per ${each(bucket)}</caption>${rows.join("")}</table>`;
  };
  const cell = (times, names, bucket, zone) => (one) =>
    `<table><caption>${text(times[one.value[0]])} ${text(zone)} · per ${each(bucket)} · from ${text(names[one.value[1]])}</caption><tr><td>calls</td><td class="num">${figure(one.value[2], "calls")}</td></tr></table>`;

  // ---- names at the ends of lines: each takes the free place that is nearest to its line's end. (ECharts' own moveOverlap takes names for
  // half as high as they are, and what it gives as a label's place holds the last move: the place is therefore asked of the axis.)
  const APART = 15, HIGHEST = 8, LOWEST = 208, ends = new Map();
  const plotted = (name) => {
    const at = document.getElementById(name)?.querySelector(".chart");
    return at ? getElement(Number(at.id.slice(1)))?.chart : null;
  };
  const apart = (name, value) => ({ seriesIndex, labelRect }) => {
    if (!ends.has(name)) ends.set(name, new Map());
    const places = ends.get(name);
    for (const other of [...places.keys()]) if (other >= seriesIndex) places.delete(other);
    const exact = plotted(name)?.convertToPixel({ yAxisIndex: 0 }, value);
    const want = Number.isFinite(exact) ? exact : labelRect.y + labelRect.height / 2;
    const taken = [...places.values()];
    const found = [want, ...taken.flatMap((other) => [other - APART, other + APART])]
      .filter((y) => y >= HIGHEST && y <= LOWEST && taken.every((other) => Math.abs(other - y) >= APART))
      .sort((one, other) => Math.abs(one - want) - Math.abs(other - want));
    const y = found.length ? found[0] : want;
    places.set(seriesIndex, y);
    return { y };
  };

  // ---- messages
  let fading = 0;
  const say = (words) => {
    const toast = document.getElementById("toast");
    toast.textContent = words;
    for (const button of document.querySelectorAll("[data-do][disabled]")) button.disabled = false;
    toast.classList.add("on");
    clearTimeout(fading);
    fading = setTimeout(() => toast.classList.remove("on"), 4000);
  };
  const copy = async (words, said) => {
    if (words) {
      try { await navigator.clipboard.writeText(words); } catch { return copyByHand(words, said); }
    }
    say(said);
  };
  const copyByHand = (words, said) => {
    const area = Object.assign(document.createElement("textarea"), { value: words });
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    say(done ? said : "This browser does not let the page copy.");
  };

  // ---- addresses: the open connection renders the next view; without it the browser loads it
  const connected = () => Boolean(window.socket && window.socket.connected);
  const go = (href, push = true) => {
    const url = new URL(href, location.href);
    if (!connected()) { location.assign(url); return; }
    if (push) history.pushState({ llmtower: true }, "", url);
    root.classList.add("loading");
    emitEvent("llmtower:go", url.pathname + url.search);
    if (url.hash) aim = url.hash.slice(1);
    else if (url.pathname !== before) {
      if (push) scrollTo(0, 0);
      document.getElementById("main")?.focus({ preventScroll: true });
    }
    before = url.pathname;
  };
  let before = location.pathname, aim = location.hash.slice(1);
  const arrived = () => {
    root.classList.remove("loading");
    document.getElementById(aim)?.scrollIntoView();
    aim = "";
  };
  const change = (edit) => { const url = new URL(location.href); edit(url.searchParams); url.hash = ""; go(url); };
  const filter = (words) => {
    const found = /^\s*(project|environment|app|model|provider|prompt|user|session|call|version|error|snapshot|run|dataset|score|feedback|only)\s*[:=]\s*(\S.*?)\s*$/i.exec(words);
    if (!found) { say("Write what and which: model: gpt-4o, user: u-17, prompt: support/answer …"); return false; }
    change((query) => query.append(found[1].toLowerCase(), found[2]));
    return true;
  };
  addEventListener("popstate", () => go(location.href, false));

  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-do]");
    if (button) { doing(button); return; }
    const link = event.target.closest("a[href]");
    if (link) {
      if (event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey || link.target) return;
      if ("copy" in link.dataset) { event.preventDefault(); copy(link.href, "Link copied"); return; }
      const url = new URL(link.href);
      if (url.origin !== location.origin || "plain" in link.dataset || url.pathname.startsWith("/key")) return;
      event.preventDefault();
      go(url);
      return;
    }
    const row = event.target.closest("tr[data-href]");
    if (row && !getSelection().toString()) go(row.dataset.href);
  });
  const doing = (button) => {
    const { do: what, panel, key, silence, text: words } = button.dataset;
    if (what === "sql") emitEvent("llmtower:sql", panel);
    else if (what === "tools") button.closest(".card").toggleAttribute("data-tools");
    else if (what === "theme") theme();
    else if (what === "help") document.getElementById("help").showModal();
    else if (what === "copy") copy(words, "Copied");
    else if (button.dataset.confirm && !confirm(button.dataset.confirm)) return;
    else { button.disabled = true; emitEvent("llmtower:silence", [what, key || silence]); }
  };
  document.addEventListener("change", (event) => {
    const at = event.target;
    if (at.dataset.filter && at.value !== "*") {
      change((query) => { query.delete(at.dataset.filter); if (at.value) query.set(at.dataset.filter, at.value); });
    } else if ("range" in at.dataset && at.value) {
      change((query) => { query.delete("to"); query.set("from", at.value); });
    } else if (at.id === "filter") setTimeout(() => { if (at.isConnected) apply(at); });
  });

  // What is being typed outlives the controls, which are written anew when the values to choose from have come.
  let field = null, draft = "", held = false;
  const apply = (at) => { if (at.value && filter(at.value)) at.value = draft = ""; };
  document.addEventListener("input", (event) => { if (event.target.id === "filter") draft = event.target.value; });
  document.addEventListener("focusin", (event) => { held = event.target.id === "filter"; });
  document.addEventListener("focusout", (event) => { if (event.target.id === "filter") setTimeout(() => { held &&= !event.target.isConnected; }); });
  new MutationObserver(() => {
    const now = document.getElementById("filter");
    if (now === field) return;
    field = now;
    if (!now || !(draft || held)) return;
    now.value = draft;
    if (held) now.focus();
  }).observe(document.documentElement, { childList: true, subtree: true });

  // A card that is written anew keeps what its reader did in it: where the focus is, which row is chosen, how far it is scrolled, what is open.
  const KINDS = { focus: "a, button, tr, li, .scroll, summary", scroll: ".scroll, pre", open: "details" };
  const spot = (kind, at) => {
    const card = at.closest?.(".card");
    return card?.id && { kind, at, card: card.id, place: [...card.querySelectorAll(KINDS[kind])].indexOf(at) };
  };
  const again = ({ kind, card, place }) => document.getElementById(card)?.querySelectorAll(KINDS[kind])[place];
  const kept = new Map();
  const keep = (kind, at, more) => {
    const found = spot(kind, at);
    if (found) kept.set(kind === "focus" ? kind : `${kind} ${found.card} ${found.place}`, { ...found, ...more });
  };
  document.addEventListener("focusin", (event) => {
    kept.delete("focus");
    if (event.target.matches(KINDS.focus)) keep("focus", event.target, { chosen: event.target.classList.contains("selected") });
  });
  document.addEventListener("scroll", (event) => {
    const at = event.target;
    if (at.matches?.(KINDS.scroll)) keep("scroll", at, { left: at.scrollLeft, top: at.scrollTop });
  }, true);
  document.addEventListener("toggle", (event) => {
    if (event.target.matches?.(KINDS.open)) keep("open", event.target, { open: event.target.open });
  }, true);
  const restore = () => {
    for (const [name, one] of kept) {
      if (one.at.isConnected) continue;
      const now = again(one);
      if (!now) { if (!document.getElementById(one.card)) kept.delete(name); continue; }
      one.at = now;
      if (one.kind === "scroll") now.scrollTo(one.left, one.top);
      else if (one.kind === "open") now.open = one.open;
      else if (document.activeElement === document.body) {
        if (one.chosen) now.classList.add("selected");
        now.focus({ preventScroll: true });
      }
    }
  };
  new MutationObserver(restore).observe(document.documentElement, { childList: true, subtree: true });

  const theme = () => {
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
    try { localStorage.setItem("llmtower-theme", root.dataset.theme); } catch { /* private windows may not keep it */ }
  };

  // ---- what fires comes first, but where both fit beside each other it stands to the right of what changed; Tab follows what is seen
  const beside = matchMedia("(min-width: 1101px)");
  const inOrder = () => {
    const firing = document.getElementById("firing"), changed = document.getElementById("overview_changed");
    if (!firing || firing.parentNode !== changed?.parentNode) return;
    const [first, second] = beside.matches ? [changed, firing] : [firing, changed];
    if (!(second.compareDocumentPosition(first) & Node.DOCUMENT_POSITION_FOLLOWING)) return;
    if (first.contains(document.activeElement)) first.after(second);
    else second.before(first);
  };
  beside.addEventListener("change", inOrder);
  new MutationObserver(inOrder).observe(root, { childList: true, subtree: true });

  // ---- keys
  const rows = () => [...document.querySelectorAll("#main tr[data-href], #main [data-row]")].filter((row) => row.offsetParent);
  const step = (by) => {
    const all = rows(), at = all.findIndex((row) => row.classList.contains("selected"));
    if (!all.length) return;
    all[at]?.classList.remove("selected");
    const next = all[Math.min(all.length - 1, Math.max(0, at < 0 ? 0 : at + by))];
    next.classList.add("selected");
    next.focus({ preventScroll: true });
    next.scrollIntoView({ block: "nearest" });
  };
  const selected = () => document.querySelector("#main .selected");
  const open = () => {
    const row = selected();
    if (row?.dataset.href) go(row.dataset.href);
    else row?.querySelector("a[href]")?.click();
  };
  const quiet = () => {
    const row = selected()?.closest(".alert") ?? document.querySelector(".alert:not(.is-quiet)");
    row?.querySelector("[data-do=silence], .to-silence")?.click();
  };
  const PAGES = { o: "/", c: "/cost", l: "/latency", d: "/drift", a: "/alerts", p: "/pipeline", q: "/quality" };
  let leading = 0;
  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest("input, textarea, select, dialog");
    if (event.key === "Escape" && typing?.blur) typing.blur();
    if (event.key === "Enter" && event.target.id === "filter") apply(event.target);
    if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
    if (leading && Date.now() - leading < 1000 && PAGES[event.key]) { leading = 0; go(PAGES[event.key] + location.search); return; }
    const act = {
      "/": () => document.getElementById("filter").focus(),
      t: () => { const range = document.getElementById("range"); range.focus(); range.showPicker?.(); },
      j: () => step(1), k: () => step(-1), s: quiet,
      Enter: () => { if (selected() && event.target === selected()) open(); },
      "?": () => document.getElementById("help").showModal(),
      g: () => { leading = Date.now(); },
    }[event.key];
    if (!act) return;
    if (event.key !== "Enter") event.preventDefault();
    act();
  });

  // ---- what stood there before the first script ran gives way to the page
  const giveWay = () => {
    if (document.querySelector("#main .card, #main > *")) document.getElementById("prelude")?.remove();
    else requestAnimationFrame(giveWay);
  };
  addEventListener("DOMContentLoaded", giveWay);

  // ---- what the server wants to know
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";
  document.cookie = `llmtower_tz=${encodeURIComponent(zone)}; path=/; max-age=31536000; samesite=strict`;
  const whenConnected = (act) => (connected() ? act() : setTimeout(() => whenConnected(act), 50));
  addEventListener("DOMContentLoaded", () => whenConnected(() => { emitEvent("llmtower:zone", zone); arrived(); }));
  document.addEventListener("visibilitychange", () => connected() && emitEvent("llmtower:visible", !document.hidden));

  window.llmtower = { figure, tooltip, cell, apart, say, copy, go, arrived };
})();
