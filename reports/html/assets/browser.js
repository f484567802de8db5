// The sample browser: filters above, the samples found, and one of them whole.

const LISTED = 60;
const SHOWN = 20000;
const LONG_VERDICT = 600;
const EARLIER = /^answer to turn /;
const HIDDEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;

/** Make what cannot be seen, or could act, visible. */
function visible(text) {
  return text.replace(HIDDEN, (character) => {
    const code = character.charCodeAt(0);
    if (code < 0x20) return String.fromCharCode(0x2400 + code);
    return `<U+${code.toString(16).toUpperCase().padStart(4, "0")}>`;
  });
}

/** An element with attributes and children; texts become text nodes, nothing else. */
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "click") element.addEventListener("click", value);
    else if (value !== false && value !== null) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

function number(value) {
  if (value === null) return "";
  return Number.isInteger(value) ? String(value) : String(Number(value.toPrecision(3)));
}

/** A share of 1, as a bar and in percent; what is neither nothing nor all is not written so. */
function bar(share, label) {
  const percent = (100 * share).toFixed(1);
  const written = percent === "0.0" && share > 0 ? "< 0.1" : percent === "100.0" && share < 1 ? "> 99.9" : percent;
  return make("span", { class: "bar" },
    make("meter", { min: 0, max: 1, value: share, "aria-label": label }), ` ${written} %`);
}

class Browser {
  constructor(index, texts) {
    this.index = index;
    this.texts = texts;
    this.form = document.getElementById("filters");
    this.list = document.getElementById("found");
    this.more = document.getElementById("more");
    this.count = document.getElementById("count");
    this.article = document.getElementById("sample");
    this.view = "two";
    this.flipped = false;
    this.found = [];
    this.chosen = null;
    this.asked = 0;
    this.evaluation = index.evaluations[0];
    this.fill("evaluation", index.evaluations.map((e, k) => [k, visible(`${e.title} (${e.samples.length})`)]));
    this.suit();
    this.form.addEventListener("input", (event) => this.changed(event.target.name));
    this.form.addEventListener("submit", (event) => event.preventDefault());
    this.more.addEventListener("click", () => this.extend());
    window.addEventListener("hashchange", () => this.follow());
    document.addEventListener("keydown", (event) => this.pressed(event));
    document.getElementById("unbrowsed").hidden = true;
    for (const id of ["browser", "keys"]) document.getElementById(id).hidden = false;
    this.form.hidden = false;
    this.search();
    this.follow();
  }

  get a() { return Number(this.form.elements.model.value); }
  get b() { return Number(this.form.elements.other.value); }
  get names() { return this.index.models; }

  /** Fill a choice; the value stays where it is still there. */
  fill(name, options) {
    const select = this.form.elements[name];
    const before = select.value;
    select.replaceChildren(...options.map(([value, text]) => (
      make("option", { value }, visible(String(text)))
    )));
    if (options.some(([value]) => String(value) === before)) select.value = before;
  }

  /** Suit the choices to the evaluation. */
  suit() {
    const { samples } = this.evaluation;
    this.kind = kindOf(this.evaluation);
    const there = new Set(samples.flatMap((s) => s[ENTRIES].map((entry) => entry[MODEL])));
    const models = this.names.map((name, k) => [k, name]).filter(([k]) => there.has(k));
    const others = this.evaluation.others.map((name) => [this.names.indexOf(name), name]);
    this.fill("model", models);
    this.fill("other", [...new Map([...models, ...others.filter(([k]) => k >= 0)])]);
    const chain = this.index.chain.filter((k) => there.has(k));
    this.form.elements.model.value = chain.at(-1) ?? models.at(-1)[0];
    this.form.elements.other.value = chain.at(-2) ?? models[0][0];
    const categories = [...new Set(samples.map((s) => s[CATEGORY]).filter((c) => c !== null))].sort();
    this.fill("category", [["", "all"], ...categories.map((name) => [`=${name}`, name])]);
    this.form.elements.category.disabled = categories.length === 0;
    this.compare();
  }

  /** Suit outcomes and orders to the two models. */
  compare() {
    this.outcomes = outcomes(this.evaluation, this.kind, this.a, this.b, this.names);
    this.orders = orders(this.kind, this.a, this.b, this.names);
    this.fill("outcome", this.outcomes);
    this.fill("order", this.orders);
  }

  changed(name) {
    if (name === "evaluation") {
      this.evaluation = this.index.evaluations[Number(this.form.elements.evaluation.value)];
      this.suit();
    }
    if (name === "model" || name === "other") this.compare();
    this.search(name === "evaluation" || name === "order");
    if (name === "model" || name === "other") this.show();
  }

  /** Find the samples that every filter lets through; choose one where the chosen is none of them. */
  search(anew = false) {
    const { elements } = this.form;
    const sought = elements.search.value.trim().toLowerCase();
    if (sought && !this.texts.ready) {
      this.read();
      this.count.textContent = "Reading the texts, to search them …";
      return;
    }
    const began = performance.now();
    const [, , passes] = this.outcomes.find(([value]) => value === elements.outcome.value);
    const category = elements.category.value.slice(1);
    const texts = sought ? this.texts.holding(sought) : null;
    this.found = this.evaluation.samples.filter((sample) => (
      (!category || sample[CATEGORY] === category) && passes(sample)
      && (!texts || holds(sample, texts, sought))
    ));
    const [, , key] = this.orders.find(([value]) => value === elements.order.value);
    if (key) {
      const keyed = this.found.map((sample) => [key(sample), sample]);
      this.found = keyed.sort(([x], [y]) => (x === y ? 0 : x < y ? -1 : 1)).map(([, s]) => s);
    }
    this.list.replaceChildren();
    this.extend();
    this.count.textContent = `${this.found.length.toLocaleString("en")} of ${
      this.evaluation.samples.length.toLocaleString("en")} samples${this.drawn()}`;
    if (anew || !this.found.includes(this.chosen)) this.choose(this.found[0], false);
    document.documentElement.dataset.filtered = (performance.now() - began).toFixed(1);
  }

  /** Say where the page holds only some of an evaluation's items. */
  drawn() {
    const { samples, there_are: there } = this.evaluation;
    return samples.length < there ? `, drawn from ${there.toLocaleString("en")}` : "";
  }

  /** Unpack all texts, then search again. */
  read() {
    if (this.reading) return;
    this.reading = this.texts.all((done, of) => {
      if (done < of) this.count.textContent = `Reading the texts, to search them: ${done} of ${of} …`;
    }).then(() => this.search());
  }

  /** List some more of what was found. */
  extend() {
    const begun = this.list.children.length;
    const next = this.found.slice(begun, begun + LISTED);
    this.list.append(...next.map((sample) => this.line(sample)));
    this.more.hidden = begun + next.length >= this.found.length;
  }

  line(sample) {
    const button = make(
      "button",
      { type: "button", class: "line", "data-id": sample[ID], click: () => this.choose(sample, true) },
      make("span", { class: "head", dir: "auto" }, visible(sample[HEAD]) || "(no prompt was kept)"),
      make("span", { class: "under" }, visible(sample[CATEGORY] ?? sample[ID])),
      make("span", { class: "chips" }, ...this.chips(sample)),
    );
    if (sample === this.chosen) button.setAttribute("aria-current", "true");
    return make("li", {}, button);
  }

  /** Each model's outcome in a few characters; those of the two that are compared stand out. */
  chips(sample) {
    const other = this.names[this.b];
    const game = this.kind === "game" && this.game(sample, this.a);
    if (game) {
      return [make("span", { class: `chip two ${this.tone(game)}` },
        `${visible(this.names[this.a])} ${this.worth(game)} against ${visible(other)}`)];
    }
    return this.names.map((name, k) => {
      const entry = entryOf(sample, k, k === this.a ? other : undefined);
      if (!entry) return null;
      const two = k === this.a || k === this.b ? " two" : "";
      return make("span", { class: `chip${two} ${this.tone(entry)}` },
        `${visible(name)} ${this.worth(entry)}`);
    }).filter(Boolean);
  }

  /** How one of the two models did against the other, said from its own side. */
  game(sample, model) {
    const rival = model === this.a ? this.b : this.a;
    const own = (k, against) => sample[ENTRIES].find((e) => e[MODEL] === k && e[AGAINST] === this.names[against]);
    const played = own(model, rival);
    if (played || model === rival) return played ?? null;
    const back = own(rival, model);
    if (!back) return null;
    const turned = [...back];
    [turned[MODEL], turned[AGAINST]] = [model, this.names[rival]];
    if (back[VALUE] !== null) turned[VALUE] = 1 - back[VALUE];
    return turned;
  }

  worth(entry) {
    if (entry[FAILURE] !== null) return visible(entry[FAILURE]);
    if (entry[VALUE] === null) return "–";
    if (this.kind === "game") return entry[VALUE] === 1 ? "wins" : entry[VALUE] === 0 ? "loses" : "ties";
    if (this.kind === "preference") {
      return { 0: "loses", 50: "ties", 100: "wins" }[entry[VALUE]] ?? `${number(entry[VALUE])} %`;
    }
    if (this.kind === "answer") return entry[VALUE] === 1 ? "right" : "wrong";
    return number(entry[VALUE]);
  }

  tone(entry) {
    if (entry[FAILURE] !== null) return "failed";
    const low = this.kind === "preference" ? 50 : 0.5;
    if (this.kind === "points") return "";
    return entry[VALUE] > low ? "better" : entry[VALUE] < low ? "worse" : "";
  }

  /** Open the sample that the address names; say whether it names one. */
  follow() {
    const match = /^#sample=([^/]*)\/(.*)$/.exec(window.location.hash);
    if (!match) return false;
    const [name, id] = match.slice(1).map(decodeURIComponent);
    const place = this.index.evaluations.findIndex((evaluation) => evaluation.name === name);
    const sample = this.index.evaluations[place]?.samples.find((one) => one[ID] === id);
    if (!sample) return false;
    if (sample === this.chosen) return true;
    if (this.evaluation !== this.index.evaluations[place]) {
      this.form.elements.evaluation.value = String(place);
      this.changed("evaluation");
    }
    this.choose(sample, false);
    this.reveal();
    this.article.scrollIntoView({ block: "start", behavior: "instant" });
    return true;
  }

  choose(sample, address) {
    this.chosen = sample ?? null;
    for (const line of this.list.querySelectorAll("[aria-current]")) line.removeAttribute("aria-current");
    if (!sample) {
      this.article.replaceChildren(make("p", {}, "No sample passes these filters."));
      return;
    }
    const place = this.found.indexOf(sample);
    this.list.children[place]?.firstChild.setAttribute("aria-current", "true");
    if (address) window.history.replaceState(null, "", this.address(sample));
    this.show();
  }

  address(sample) {
    return `#sample=${encodeURIComponent(this.evaluation.name)}/${encodeURIComponent(sample[ID])}`;
  }

  /** Keys: j and k go on and back, f flips between the two models, / searches. */
  pressed(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (/^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName)) return;
    const step = { j: 1, k: -1 }[event.key];
    if (step) {
      this.step(step);
    } else if (event.key === "f") {
      this.flipped = this.view === "flip" ? !this.flipped : this.flipped;
      this.view = "flip";
      this.show();
    } else if (event.key === "/") {
      event.preventDefault();
      this.form.elements.search.focus();
    }
  }

  /** Go on, or back, in the list. */
  step(by) {
    const next = this.found[this.found.indexOf(this.chosen) + by];
    if (!next) return;
    this.choose(next, true);
    this.reveal();
  }

  /** Bring the chosen sample's line into the list's view; the page itself stays where it is. */
  reveal() {
    const place = this.found.indexOf(this.chosen);
    if (place < 0) return;
    while (this.list.children.length <= place) this.extend();
    const box = this.list.parentElement;
    const line = this.list.children[place];
    box.scrollTop += line.getBoundingClientRect().top - box.getBoundingClientRect().top - box.clientHeight / 3;
  }

  /** Show the chosen sample whole. */
  async show() {
    const { chosen } = this;
    if (!chosen) return;
    this.asked += 1;
    const turn = this.asked;
    const drawn = await this.drawing(chosen);
    if (turn === this.asked) this.article.replaceChildren(...drawn);
  }

  async drawing(sample) {
    const place = this.found.indexOf(sample);
    const go = (text, by) => make("button", {
      type: "button", disabled: !this.found[place + by], "aria-label": by < 0 ? "previous" : "next", click: () => this.step(by),
    }, text);
    const head = make("header", {},
      make("h3", {}, visible([this.evaluation.title, sample[CATEGORY]].filter(Boolean).join(": "))),
      make("a", { href: this.address(sample), class: "address", title: "The address of this sample" },
        visible(sample[ID])),
      make("span", { class: "steps" }, go("\u2190", -1),
        place < 0 ? "" : ` ${(place + 1).toLocaleString("en")} of ${this.found.length.toLocaleString("en")} `, go("\u2192", 1)),
      this.views());
    const shown = this.columns(sample);
    const columns = shown.map((model) => this.column(sample, model, shown));
    const texts = sample[SHARED].filter(([kind]) => kind === "text");
    const rest = sample[SHARED].filter(([kind]) => kind !== "text");
    return [
      head,
      await this.text("asked", sample[PROMPT], "prompt"),
      make("div", { class: "shared" }, ...await this.parts(texts)),
      make("div", { class: `columns ${this.view}` }, ...await Promise.all(columns)),
      ...await this.parts(rest),
    ];
  }

  views() {
    const [a, b] = [visible(this.names[this.a]), visible(this.names[this.b])];
    const ways = [["two", `${b} and ${a}`], ["flip", "flip the two"], ["all", "all models"]];
    return make("div", { class: "views", role: "group", "aria-label": "Which models" },
      ...ways.map(([view, text]) => make("button", {
        type: "button",
        "aria-pressed": String(this.view === view),
        click: () => {
          this.flipped = view === "flip" && this.view === "flip" ? !this.flipped : false;
          this.view = view;
          this.show();
        },
      }, text)));
  }

  /** The models that are shown, in order. */
  columns(sample) {
    const there = new Set(sample[ENTRIES].map((entry) => entry[MODEL]));
    if (this.view === "all") return this.names.map((_, k) => k).filter((k) => there.has(k));
    if (this.view === "two") return [this.b, this.a].filter((k) => there.has(k));
    return [this.flipped ? this.b : this.a].filter((k) => there.has(k));
  }

  /** One model: its answer once, then what was made of it, against each other model. */
  async column(sample, model, shown) {
    const entries = sample[ENTRIES].filter((entry) => entry[MODEL] === model);
    const rival = this.names[model === this.a ? this.b : this.a];
    const compared = (entry) => Number(entry[AGAINST] !== rival);
    entries.sort((x, y) => compared(x) - compared(y));
    const game = this.view === "all" ? null : this.game(sample, model);
    const outcomesOf = (game ? [game] : entries).map((entry) => make("span", { class: `chip two ${this.tone(entry)}` },
      `${this.worth(entry)}${entry[AGAINST] === null ? "" : ` against ${visible(entry[AGAINST])}`}`));
    const beside = new Set(sample[ENTRIES].filter((e) => e[MODEL] !== model && shown.includes(e[MODEL])).map((e) => e[ANSWER]));
    const judged = await Promise.all(entries.map(async (entry) => {
      const parts = await this.parts(entry[PARTS].filter(([kind, label, text]) => (
        !EARLIER.test(label) && !(kind === "text" && label.startsWith("opponent answer") && beside.has(text)))));
      if (!parts.length) return null;
      if (entry[AGAINST] === null) return make("div", { class: "judged" }, ...parts);
      const open = entries.length === 1 || entry[AGAINST] === rival;
      return make("details", { class: "judged", open },
        make("summary", {}, `against ${visible(entry[AGAINST])}`), ...parts);
    }));
    const [first] = entries;
    const earlier = first[PARTS].filter(([, label]) => EARLIER.test(label));
    return make("section", { class: "column", "aria-label": visible(this.names[model]) },
      make("h4", {}, visible(this.names[model]), " ", ...outcomesOf),
      ...await this.parts(earlier),
      first[FAILURE] !== null && !first[LENGTH] ? null : await this.text("answer", first[ANSWER], "answer", first[LENGTH]),
      ...judged);
  }

  async parts(parts) {
    const facts = parts.filter(([kind]) => kind === "fact");
    const drawn = await Promise.all(parts.filter(([kind]) => kind !== "fact").map((part) => {
      if (part[0] === "verdict") return this.verdict(part);
      return part[0] === "choices" ? this.choices(part) : this.text(part[1], part[2], "beside");
    }));
    if (facts.length) {
      drawn.push(make("dl", { class: "facts" }, ...facts.map(([, name, text]) => (
        make("div", {}, make("dt", {}, visible(name)), make("dd", {}, visible(text)))
      ))));
    }
    return drawn;
  }

  /** Given answers, each with its share of the likelihood of all. */
  async choices([, options]) {
    const lines = await Promise.all(options.map(async ([text, told, share]) => {
      const answer = visible(await this.texts.get(text));
      return make("li", {}, make("span", { dir: "auto" }, answer),
        share === null ? null : bar(share, `likelihood of ${answer}`),
        make("span", { class: "under" }, visible(told)));
    }));
    return make("div", { class: "text" },
      make("p", { class: "name" }, "choices, and the share of their likelihood that each has"),
      make("ol", { class: "choices" }, ...lines));
  }

  async verdict([, name, text, read, probabilities]) {
    const bars = probabilities.map(([token, p]) => make("li", {},
      make("code", {}, visible(token)), bar(p, `probability of ${visible(token)}`)));
    return make("div", { class: "verdict" },
      await this.text(`${name}${read ? `: ${read}` : ""}`, text, "said"),
      bars.length ? make("ul", { class: "bars" }, ...bars) : null);
  }

  /** A text under its name; of a very long one the beginning, and a button for the rest. */
  async text(name, reference, kind, length = null) {
    const whole = visible(await this.texts.get(reference));
    const pre = make("pre", { class: kind, dir: "auto" }, whole.slice(0, SHOWN) || "(empty)");
    const size = length === null ? "" : `, ${length.toLocaleString("en")} character${length === 1 ? "" : "s"}`;
    const box = make("div", { class: "text" }, make("p", { class: "name" }, visible(`${name}${size}`)), pre);
    if (kind === "said" && whole.length > LONG_VERDICT) {
      pre.classList.add("clamped");
      box.append(make("button", { type: "button", click: (event) => { pre.classList.remove("clamped"); event.target.remove(); } },
        "Show the whole verdict"));
    }
    if (whole.length > SHOWN) {
      const left = (whole.length - SHOWN).toLocaleString("en");
      const rest = make("button", { type: "button", click: () => { pre.textContent = whole; rest.remove(); } },
        `Show the other ${left} characters`);
      box.append(rest);
    }
    return box;
  }
}

const packedIndex = document.getElementById("samples-index");
if (packedIndex) {
  unpacked(packedIndex.textContent).then((index) => {
    const blocks = [...document.getElementsByClassName("samples-block")];
    const browser = new Browser(index, new Texts(index.starts, blocks));
    document.documentElement.dataset.ready = "true";
    const idle = window.requestIdleCallback ?? ((call) => setTimeout(call, 500));
    idle(() => browser.texts.all(() => {}).then(() => { document.documentElement.dataset.searchable = "true"; }));
  });
}
