"use strict";
(() => {
  const PER_PAGE = 50;
  const $ = (id) => document.getElementById(id);

  const make = (tag, name, ...content) => {
    const made = document.createElement(tag);
    if (name) made.className = name;
    made.append(...content.filter((part) => part !== null && part !== undefined));
    return made;
  };

  // ---- tables that can be sorted

  const keyed = (row, column) => row.cells[column].dataset.key;

  const compare = (numeric) => (a, b) => {
    if (a === b) return 0;
    if (a === "") return 1; // what is missing stays last either way
    if (b === "") return -1;
    return numeric ? Number(a) - Number(b) : a.localeCompare(b, "en", { numeric: true });
  };

  const sort = (table, column, header) => {
    const descending = header.getAttribute("aria-sort") === "ascending";
    for (const other of header.parentNode.cells) other.removeAttribute("aria-sort");
    header.setAttribute("aria-sort", descending ? "descending" : "ascending");
    const order = compare(header.classList.contains("number"));
    const body = table.tBodies[0];
    const rows = [...body.rows].sort((x, y) => {
      const a = keyed(x, column), b = keyed(y, column);
      return descending && a !== "" && b !== "" ? order(b, a) : order(a, b);
    });
    body.append(...rows);
  };

  for (const table of document.querySelectorAll("table.sortable")) {
    [...table.tHead.rows[0].cells].forEach((header, column) => {
      const button = make("button", "", header.textContent);
      button.type = "button";
      button.addEventListener("click", () => sort(table, column, header));
      header.replaceChildren(button);
    });
  }

  // ---- cases

  const data = $("case-data");
  if (!data) return;
  const browser = $("browser"), form = browser.querySelector("form"), dialog = $("case");
  let tasks = [], found = [], page = 0, shown = -1;

  const unpack = async (text) => {
    const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return JSON.parse(await new Response(stream).text());
  };

  const options = (select, values, first) => {
    const made = values.map((value) => new Option(value, value));
    select.replaceChildren(...(first === undefined ? [] : [new Option(first, "")]), ...made);
  };

  const unique = (values) => [...new Set(values)];
  const field = (name) => form.elements[name];
  const side = (task, name) => task.sides.find((one) => one.name === name);
  const number = (value) => value === null ? "—" : String(Math.round(value * 1e4) / 1e4);

  const metricOf = (one) => {
    const wanted = field("metric").value || one.metric;
    return wanted in one.scores ? wanted : Object.keys(one.scores)[0];
  };
  const scoreOf = (one, at) => one.scores[metricOf(one)][at];

  // 1 better, -1 worse, 0 neither, by the direction of the metric
  const gain = (one, now, before) => {
    const direction = one.directions[metricOf(one)];
    return direction === "neither" ? 0 : Math.sign(now - before) * (direction === "lower" ? -1 : 1);
  };

  const mark = (one, score) => {
    if (score === null || one.directions[metricOf(one)] !== "higher") return "";
    return score === 1 ? "right" : score === 0 ? "wrong" : "";
  };

  // of several baselines the one of the same model
  const against = (task, one) => {
    const wanted = field("baseline").value;
    const names = wanted ? [wanted] : task.baselines;
    const others = names.map((name) => side(task, name)).filter((each) => each && each !== one);
    return others.find((each) => !each.own && each.model === one.model) || others[0] || null;
  };

  // all that is searched of a case, made once
  const textOf = (task, at) => {
    task.searched = task.searched || [];
    if (task.searched[at] === undefined) {
      const own = task.sides.flatMap((one) => [one.answers[at], ...(one.outputs[at] || [])]);
      const parts = [task.ids[at], task.prompts[at], task.targets[at], ...(task.choices[at] || [])];
      task.searched[at] = [...parts, ...own].filter((part) => part !== null).join("\n").toLowerCase();
    }
    return task.searched[at];
  };

  const passes = (wanted, one, other, at) => {
    const score = scoreOf(one, at);
    if (score === null) return false;
    if (wanted.outcome && mark(one, score) !== wanted.outcome) return false;
    if (!wanted.change) return true;
    const before = other && metricOf(one) in other.scores ? scoreOf(other, at) : null;
    if (before === null || Math.abs(score - before) < 1e-9) return false;
    const moved = gain(one, score, before);
    return wanted.change === "flips" || moved === (wanted.change === "fixed" ? 1 : -1);
  };

  const select = () => {
    const wanted = Object.fromEntries(new FormData(form));
    const query = wanted.query.trim().toLowerCase();
    found = [];
    for (const task of tasks) {
      if (wanted.task && task.task !== wanted.task) continue;
      for (const one of task.sides) {
        if (!one.own || (wanted.model && one.name !== wanted.model)) continue;
        const other = against(task, one);
        for (let at = 0; at < task.ids.length; at++) {
          if (!passes(wanted, one, other, at)) continue;
          if (query && !textOf(task, at).includes(query)) continue;
          found.push({ task, one, other, at });
        }
      }
    }
    page = 0;
    list();
  };

  const result = (name, one, at) => {
    const score = one && metricOf(one) in one.scores ? scoreOf(one, at) : null;
    if (score === null) return make("td", name, "—");
    const kind = mark(one, score);
    const sign = { right: "✓ right", wrong: "✗ wrong" }[kind] || number(score);
    return make("td", `${name} ${kind}`, sign);
  };

  const row = (place) => {
    const { task, one, other, at } = found[place];
    const button = make("button", "", make("bdi", "", task.ids[at]));
    button.type = "button";
    const prompt = (task.prompts[at] || "").replace(/\s+/g, " ").trim();
    const made = make("tr", "",
      make("td", "case", button), make("td", "task", task.task), make("td", "model", one.name),
      result("result", one, at), result("before", other, at),
      make("td", "prompt", prompt.slice(0, 160)));
    made.addEventListener("click", () => open(place));
    return made;
  };

  const list = () => {
    const pages = Math.max(1, Math.ceil(found.length / PER_PAGE));
    const first = page * PER_PAGE, last = Math.min(found.length, first + PER_PAGE);
    const rows = [];
    for (let place = first; place < last; place++) rows.push(row(place));
    $("list").replaceChildren(...rows);
    const count = found.length.toLocaleString("en");
    $("count").textContent = `${count} ${found.length === 1 ? "case" : "cases"}`;
    $("page").textContent = `${page + 1} of ${pages}`;
    $("previous").disabled = page === 0;
    $("next").disabled = page >= pages - 1;
  };

  const turn = (step) => { page += step; list(); $("count").scrollIntoView({ block: "start" }); };

  // ---- one case

  const section = (title, ...content) => make("div", "", make("h4", "", title), ...content);

  // what a metric goes by: the likeliest choice, or the likeliest for its length
  const pickOf = (one, at) => (one.picks[metricOf(one)] || one.picked)[at];

  const choices = (task, one, at) => {
    const items = task.choices[at].map((text, choice) => {
      const picked = pickOf(one, at) === choice, target = task.targets[at] === choice;
      const log = one.logs[at] ? one.logs[at][choice].toFixed(2) : "";
      const item = make("li", `${picked ? "picked" : ""} ${target ? "target" : ""}`,
        make("span", "", picked ? "▸" : ""), make("span", "", text), make("span", "log", log));
      const said = [picked && "picked", target && "the target"].filter(Boolean).join(", ");
      if (said) item.title = said;
      return item;
    });
    return make("ul", "choices", ...items);
  };

  const outputs = (one, at) => (one.outputs[at] || []).map((text) => make("pre", "", text));

  const answer = (task, one, at) => {
    if (task.choices[at] && task.kind === "multiple_choice") return [choices(task, one, at)];
    const given = one.answers[at] ?? (pickOf(one, at) === null ? null : `choice ${pickOf(one, at)}`);
    return [...outputs(one, at), given === null ? null : make("p", "scores", "answer: ", make("bdi", "", String(given)))];
  };

  const panel = (task, one, at, role) => {
    const kind = mark(one, scoreOf(one, at));
    const tone = { right: "good", wrong: "bad" }[kind] || "";
    const scores = Object.entries(one.scores).map(([name, own]) => `${name} ${number(own[at])}`);
    return make("div", `side ${tone}`,
      make("div", "name", make("bdi", "", one.name), role),
      make("div", "scores", scores.join(" · ")), ...answer(task, one, at));
  };

  const prompt = (task, at) => {
    const text = task.prompts[at];
    if (text === null) return [];
    const parts = [make("pre", "", text)];
    if (task.prefix) {
      const size = task.prefix.length.toLocaleString("en");
      const summary = make("summary", "", `What every prompt of this task begins with (${size} characters)`);
      parts.unshift(make("details", "", summary, make("pre", "", task.prefix)));
    }
    return [section("prompt", ...parts)];
  };

  const open = (place) => {
    shown = place;
    const { task, one, other, at } = found[place];
    $("case-title").replaceChildren(make("bdi", "", task.task), " · ", make("bdi", "", task.ids[at]));
    const sides = [...(other ? [other] : []), one];
    const rest = task.sides.filter((each) => !sides.includes(each) && scoreOf(each, at) !== null);
    const chosen = task.kind === "multiple_choice" && task.choices[at];
    const told = chosen ? `answers, picked by ${metricOf(one)}, with log-likelihoods` : "answers";
    const panels = [...sides, ...rest].map((each) =>
      panel(task, each, at, each === other ? " (baseline)" : ""));
    const target = task.targets[at];
    const named = target !== null && !(task.choices[at] && typeof target === "number");
    $("case-body").replaceChildren(...prompt(task, at),
      ...(named ? [section("target", make("pre", "", String(target)))] : []),
      section(told, make("div", "beside", ...panels)));
    $("case-previous").disabled = place === 0;
    $("case-next").disabled = place === found.length - 1;
    if (!dialog.open) dialog.showModal();
    dialog.scrollTop = 0;
  };

  const step = (by) => { if (found[shown + by]) open(shown + by); };

  // ---- start

  const metrics = () => {
    const chosen = tasks.filter((task) => !field("task").value || task.task === field("task").value);
    const kept = field("metric").value;
    const names = chosen.flatMap((task) => task.sides.flatMap((one) => Object.keys(one.scores)));
    options(field("metric"), unique(names), "main");
    if ([...field("metric").options].some((option) => option.value === kept)) field("metric").value = kept;
  };

  const start = () => {
    for (const task of tasks) for (const one of task.sides) one.metric = task.metric;
    const sides = tasks.flatMap((task) => task.sides);
    options(field("task"), tasks.map((task) => task.task), "all");
    options(field("model"), unique(sides.filter((one) => one.own).map((one) => one.name)), "all");
    options(field("baseline"), unique(sides.map((one) => one.name)), "the baseline");
    metrics();
    let waiting;
    field("query").addEventListener("input", () => {
      clearTimeout(waiting);
      waiting = setTimeout(select, 120);
    });
    form.addEventListener("change", (event) => {
      if (event.target === field("query")) return;
      if (event.target === field("task")) metrics();
      select();
    });
    form.addEventListener("submit", (event) => { event.preventDefault(); select(); });
    $("previous").addEventListener("click", () => turn(-1));
    $("next").addEventListener("click", () => turn(1));
    $("case-previous").addEventListener("click", () => step(-1));
    $("case-next").addEventListener("click", () => step(1));
    $("case-close").addEventListener("click", () => dialog.close());
    dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
    dialog.addEventListener("keydown", (event) => {
      if (event.key === "ArrowLeft") step(-1);
      if (event.key === "ArrowRight") step(1);
    });
    browser.classList.toggle("one-task", tasks.length === 1);
    browser.classList.toggle("one-model", field("model").options.length === 2);
    browser.classList.toggle("no-baseline", field("baseline").options.length === 2);
    browser.hidden = false;
    select();
  };

  unpack(data.textContent).then((read) => { tasks = read; start(); }, (error) => {
    data.after(make("p", "warning", `The cases cannot be read by this browser: ${error.message}`));
  });
})();
