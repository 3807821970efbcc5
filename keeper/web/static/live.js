// SPDX-License-Identifier: MIT
// Keeps a page fresh: when the server says that there is something new, the page is fetched again
// and its parts are swapped in. What a reader opened, chose or typed stays.
"use strict";
{
  const EVERY_MS = 700; // at most one new page in this time
  let asked = 0; // the newest version that the server spoke of
  let busy = false;

  const parts = (root) => new Map([...root.querySelectorAll("[data-part]")].map((p) => [p.id, p]));
  const shown = () => Number(document.getElementById("state").dataset.version);

  const cutOff = (is) => {
    document.getElementById("cut-off").hidden = !is;
    document.getElementById("state").classList.toggle("cut", is);
  };

  const typesIn = (part) => {
    const active = document.activeElement;
    return part.contains(active) && active.matches("input, select, textarea");
  };

  const swap = (old, fresh) => {
    if (old.innerHTML === fresh.innerHTML || typesIn(old)) return;
    const open = [...old.querySelectorAll("details[open]")].map((d) => d.id);
    const focus = old.contains(document.activeElement) ? document.activeElement.id : "";
    old.replaceChildren(...fresh.childNodes);
    for (const id of open) document.getElementById(id)?.setAttribute("open", "");
    if (focus) document.getElementById(focus)?.focus({ preventScroll: true });
  };

  const fetchPage = async () => {
    const answer = await fetch(location.href, { headers: { accept: "text/html" } });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const fresh = parts(page);
    const old = parts(document);
    if (!fresh.has("state")) return;
    for (const [id, part] of old) if (fresh.has(id)) swap(part, fresh.get(id));
    document.getElementById("state").dataset.version = fresh.get("state").dataset.version;
    document.dispatchEvent(new Event("fresh"));
  };

  const catchUp = async () => {
    if (busy || document.hidden) return;
    busy = true;
    try {
      while (shown() < asked && !document.hidden) {
        await fetchPage();
        await new Promise((done) => setTimeout(done, EVERY_MS));
      }
    } catch {
      // the event stream finds out whether the server is gone
    } finally {
      busy = false;
    }
  };

  const filter = () => {
    const input = document.getElementById("filter");
    if (!input) return;
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const row of document.querySelectorAll(input.dataset.rows)) {
      const text = `${row.textContent} ${row.querySelector("a")?.href}`.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
    }
  };

  let source = null; // only while the page is seen: a browser opens six connections to a host

  const hush = () => {
    source?.close();
    source = null;
  };

  const listen = () => {
    if (source !== null || document.hidden) return;
    source = new EventSource("/events");
    source.addEventListener("seen", (event) => {
      asked = Number(event.data);
      // a server that was started anew counts from the beginning
      if (asked < shown()) document.getElementById("state").dataset.version = "-1";
      cutOff(false);
      catchUp();
    });
    source.onerror = () => cutOff(true);
  };

  document.addEventListener("fresh", filter);
  document.addEventListener("visibilitychange", () => (document.hidden ? hush() : listen()));
  addEventListener("pagehide", hush);
  document.getElementById("filter")?.addEventListener("input", filter);
  for (const id of ["kind", "vault"]) {
    document.getElementById(id)?.addEventListener?.("change", (event) => event.target.form?.submit());
  }
  listen();
}
