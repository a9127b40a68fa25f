// What makes the pages smooth: each of them is complete without this.
"use strict";
(() => {
  const main = () => document.getElementById("main");
  const all = (selector, inside = document) => [...inside.querySelectorAll(selector)];

  /** The part of the page that a form does not keep: everything but the form. */
  const FORM = "form.filters";

  // ---- fetching a page again, and putting it in the place of this one ----

  /** Names of open details, by their ids; those inside of one by their number. */
  function openDetails() {
    const open = new Set();
    for (const details of all("details", main())) {
      if (details.open) open.add(nameOf(details));
    }
    return open;
  }

  function nameOf(details) {
    if (details.id) return details.id;
    const around = details.parentElement.closest("details[id]");
    const inside = around || main();
    return (around ? around.id : "") + " " + all("details", inside).indexOf(details);
  }

  /** What has the focus inside of the page: the entry around it, and where it leads. */
  function focus() {
    const element = document.activeElement;
    if (!element || !main().contains(element)) return null;
    const entry = element.closest("details[id]");
    return { id: entry && entry.id, address: element.getAttribute("href") };
  }

  /** Gives the focus to what has taken the place of an element, or else to the picture. */
  function refocus({ id, address }) {
    const entry = id && document.getElementById(id);
    const link = address && all("a", main()).find((other) => other.getAttribute("href") === address);
    const next = (entry && entry.querySelector("summary")) || link || main().querySelector("#picture a");
    if (next) next.focus();
  }

  /** Puts what another page has in the place of what this one has. A form stays, with what is typed in it. */
  function replace(page) {
    const fresh = page.getElementById("main");
    if (!fresh) return;
    const open = openDetails();
    const kept = main().querySelector(FORM);
    const focused = focus();
    const form = fresh.querySelector(FORM);
    for (const child of [...main().children]) {
      if (child !== kept) child.remove();
    }
    let before = Boolean(kept && form);
    for (const child of [...fresh.children]) {
      if (child === form && kept) before = false;
      else if (before) main().insertBefore(document.importNode(child, true), kept);
      else main().append(document.importNode(child, true));
    }
    for (const details of all("details", main())) {
      if (open.has(nameOf(details))) details.open = true;
    }
    if (focused && document.activeElement === document.body) refocus(focused);
    document.title = page.title;
    enhance();
  }

  let asked = 0;

  /** Asks for a page, and shows it unless another was asked for meanwhile. */
  async function show(address) {
    const number = ++asked;
    const began = performance.now();
    const answer = await fetch(address, { credentials: "same-origin" });
    const text = await answer.text();
    if (number !== asked) return 0;
    const type = answer.headers.get("content-type") || "";
    if (type.startsWith("text/html")) replace(new DOMParser().parseFromString(text, "text/html"));
    return performance.now() - began;
  }

  // ---- live refresh ----

  const EVERY = 2000;
  let timer = 0;

  /** At the most a twentieth of the time is the process's: a page that takes long is asked for less often. */
  function later(button, took) {
    timer = setTimeout(() => refresh(button), Math.max(EVERY, 20 * took));
  }

  async function refresh(button) {
    const selection = getSelection();
    if (document.hidden || (selection && !selection.isCollapsed)) return later(button, 0);
    try {
      later(button, await show(location.href));
      button.title = "";
    } catch (error) {
      button.title = "The process did not answer: " + error.message;
      later(button, 500);
    }
  }

  function live(button) {
    const on = button.getAttribute("aria-pressed") !== "true";
    button.setAttribute("aria-pressed", String(on));
    clearTimeout(timer);
    if (on) refresh(button);
  }

  // ---- filtering while typing ----

  function filter(input) {
    let finds = (text) => text.toLowerCase().includes(input.value.toLowerCase());
    try {
      const pattern = new RegExp(input.value, "i");
      finds = (text) => pattern.test(text);
    } catch {
      // A pattern that is not complete yet is looked for as it is.
    }
    for (const row of all("#rows > .row, [data-rows] > tr")) {
      row.hidden = input.value !== "" && !finds(row.textContent);
    }
  }

  let typing = 0;

  function typed(input) {
    filter(input);
    clearTimeout(typing);
    // The process looks through all tasks, this page has some of them.
    typing = setTimeout(() => {
      if (!input.form || !input.form.matches(FORM)) return;
      const query = new URLSearchParams();
      for (const [name, value] of new FormData(input.form)) if (value) query.append(name, value);
      const address = location.pathname + (query.size ? "?" + query : "");
      history.replaceState(null, "", address);
      show(address).catch(() => {});
    }, 350);
  }

  // ---- sorting tables ----

  function sortable(table) {
    all("thead th", table).forEach((head, at) => {
      if (head.querySelector("button") || head.hasAttribute("data-unsorted")) return;
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => sort(table, head, at));
    });
  }

  function sort(table, head, at) {
    const up = head.getAttribute("aria-sort") === "descending";
    for (const other of all("th[aria-sort]", table)) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    const body = table.tBodies[0];
    const key = (row) => {
      const cell = row.cells[at];
      const value = cell.getAttribute("data-v");
      return value === null ? cell.textContent : Number(value);
    };
    const rows = [...body.rows].map((row) => [key(row), row]);
    rows.sort(([a], [b]) => (typeof a === "number" ? a - b : String(a).localeCompare(String(b))));
    if (!up) rows.reverse();
    body.append(...rows.map(([, row]) => row));
  }

  // ---- folding, keys, printing ----

  function unfold(open) {
    for (const details of all("details", main())) details.open = open;
  }

  /** What an address names behind its # is open. */
  function openNamed() {
    const named = document.getElementById(location.hash.slice(1));
    if (named instanceof HTMLDetailsElement) named.open = true;
  }

  addEventListener("hashchange", openNamed);

  function step(by) {
    const summaries = all(".row:not([hidden]) > summary");
    const at = summaries.indexOf(document.activeElement);
    const next = summaries[Math.min(Math.max(at + by, 0), summaries.length - 1)];
    if (next) next.focus();
  }

  document.addEventListener("keydown", (event) => {
    const isField = event.target instanceof Element && event.target.closest("input, select, textarea");
    if (event.ctrlKey || event.metaKey || event.altKey || isField) return;
    const field = main().querySelector("[data-filter]");
    if (event.key === "/" && field) {
      event.preventDefault();
      field.focus();
      field.select();
    } else if (event.key === "j") step(1);
    else if (event.key === "k") step(-1);
    else if (event.key === "e") unfold(true);
    else if (event.key === "c") unfold(false);
    else if (event.key === "r") show(location.href).catch(() => {});
  });

  addEventListener("beforeprint", () => unfold(true));

  // ---- what the page gets ----

  function tool(name, title, act) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = name;
    button.title = title;
    button.addEventListener("click", () => act(button));
    document.getElementById("tools").append(button);
    return button;
  }

  function enhance() {
    all("table[data-sortable]").forEach(sortable);
    for (const input of all("input[data-filter]")) {
      if (input.dataset.watched) continue;
      input.dataset.watched = "yes";
      input.addEventListener("input", () => typed(input));
    }
  }

  /** A profile takes its time: the button that was pressed counts it down. */
  document.addEventListener("submit", (event) => {
    const button = event.submitter;
    if (!event.target.matches("form.take") || !button) return;
    let left = Number(button.value);
    for (const other of all("form.take button")) {
      // What is disabled is not sent: after the form has gone.
      setTimeout(() => (other.disabled = true));
    }
    button.setAttribute("aria-busy", "true");
    const count = () => {
      button.textContent = left > 0 ? left + " s left" : "Drawing";
      if (left-- > 0) setTimeout(count, 1000);
    };
    count();
  });

  // The browser may show this page again as it was left.
  addEventListener("pageshow", (event) => event.persisted && location.reload());

  /** Zooming and searching a flame graph changes this page, in place of loading another. */
  document.addEventListener("click", (event) => {
    const link = event.target.closest("#picture a");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.button !== 0) return;
    event.preventDefault();
    const address = new URL(link.getAttribute("href"), location.href).href;
    show(address).then(() => history.pushState(null, "", address), () => location.assign(address));
  });
  addEventListener("popstate", () => show(location.href).catch(() => location.reload()));

  // ---- the timeline ----

  /** Arrows of the poll that is pointed at: from the wake to the poll that it led to. */
  function arrows(poll) {
    const lanes = poll.closest(".tracks");
    const svg = (name, attributes) => {
      const element = document.createElementNS(poll.namespaceURI, name);
      for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
      return element;
    };
    const drawn = svg("svg", { class: "arrows", width: lanes.clientWidth, height: lanes.clientHeight, "aria-hidden": "true" });
    const origin = lanes.getBoundingClientRect();
    const rows = [...lanes.querySelectorAll(".timeline")].map((lane) => lane.getBoundingClientRect());
    const numbers = poll.dataset.arrows.split(" ").filter(Boolean).map(Number);
    for (let at = 0; at + 3 < numbers.length; at += 4) {
      const [from, begin, to, end] = numbers.slice(at, at + 4);
      if (!rows[from] || !rows[to]) continue;
      const x = (row, column) => row.left - origin.left + column * row.width / 1200;
      const y = (row) => row.top - origin.top + row.height / 2;
      const [x1, y1, x2, y2] = [x(rows[from], begin), y(rows[from]), x(rows[to], end), y(rows[to])];
      const bend = from === to ? y1 - 24 : (y1 + y2) / 2;
      drawn.append(svg("path", { d: `M${x1} ${y1}C${x1} ${bend} ${x2} ${bend} ${x2} ${y2}` }));
      const up = bend < y2 ? -7 : 7;
      drawn.append(svg("path", { class: "head", d: `M${x2} ${y2}l-4 ${up}h8z` }));
    }
    return drawn;
  }

  /** Those of the poll under the pointer or the focus, or else of the one that was chosen. */
  function point(event) {
    const target = event && event.target.closest && event.target.closest("a[data-arrows]");
    const poll = target || document.querySelector("a[data-arrows][aria-current]");
    all(".arrows").forEach((old) => old.remove());
    if (poll) poll.closest(".tracks").append(arrows(poll));
  }
  for (const name of ["pointerover", "focusin"]) document.addEventListener(name, point);
  addEventListener("resize", () => point());

  addEventListener("DOMContentLoaded", () => {
    const tools = document.getElementById("tools");
    if (!main().hasAttribute("data-still")) {
      tool("Live", "Refresh every two seconds", live).setAttribute("aria-pressed", "false");
    }
    if (main().querySelector(".row")) {
      tool("Unfold", "Open all rows (e); c folds them", () => unfold(true));
      tool("Fold", "Close all rows (c)", () => unfold(false));
    }
    tools.hidden = false;
    openNamed();
    enhance();
    point();
  });
})();
