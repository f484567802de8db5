// Which samples are shown, and in which order: functions of the index alone.
//
// A sample is [id, category, head, prompt, shared, entries]; an entry [model, against, value,
// failure, answer, length, parts]; a text stands as its number.

const [ID, CATEGORY, HEAD, PROMPT, SHARED, ENTRIES] = [0, 1, 2, 3, 4, 5];
const [MODEL, AGAINST, VALUE, FAILURE, ANSWER, LENGTH, PARTS] = [0, 1, 2, 3, 4, 5, 6];

/** What an evaluation's values are: of games, of right and wrong, of preferences, or points. */
function kindOf(evaluation) {
  if (evaluation.others.length) return "game";
  const entries = evaluation.samples.flatMap((sample) => sample[ENTRIES]);
  const values = entries.map((entry) => entry[VALUE]).filter((value) => value !== null);
  if (values.every((value) => value === 0 || value === 1)) return "answer";
  const [first] = evaluation.samples;
  const beside = [...first[SHARED], ...first[ENTRIES][0][PARTS]];
  return beside.some(([kind, label]) => kind === "text" && label.startsWith("reference output")) ? "preference" : "points";
}

/** The entry of a model: in games that against the other, where there is one. */
function entryOf(sample, model, other) {
  const own = sample[ENTRIES].filter((entry) => entry[MODEL] === model);
  return own.find((entry) => entry[AGAINST] === other) ?? own[0] ?? null;
}

/** How much better model `a` did than `b`, or null where that cannot be said. */
function gain(sample, kind, a, b, names) {
  if (kind === "game") {
    const one = sample[ENTRIES].find((e) => e[MODEL] === a && e[AGAINST] === names[b]);
    if (one) return one[VALUE] === null ? null : 2 * one[VALUE] - 1;
    const back = sample[ENTRIES].find((e) => e[MODEL] === b && e[AGAINST] === names[a]);
    return back && back[VALUE] !== null ? 1 - 2 * back[VALUE] : null;
  }
  const [left, right] = [entryOf(sample, a), entryOf(sample, b)];
  if (!left || !right || left[VALUE] === null || right[VALUE] === null) return null;
  return left[VALUE] - right[VALUE];
}

/** The outcomes that can be chosen: [name, what it says, test]. */
function outcomes(evaluation, kind, a, b, names) {
  const [one, other] = [names[a], names[b]];
  const of = (sample) => entryOf(sample, a, other);
  const by = (test) => (sample) => {
    const value = gain(sample, kind, a, b, names);
    return value !== null && test(value);
  };
  const worth = (test) => (sample) => {
    const value = of(sample)?.[VALUE] ?? null;
    return value !== null && test(value);
  };
  const [better, worse, same] = kind === "game"
    ? [`${one} wins`, `${one} loses`, "tie"]
    : [`${one} better than ${other}`, `${one} worse than ${other}`, "the same"];
  const found = [["", "any outcome", () => true]];
  if (a !== b) {
    found.push(["better", better, by((value) => value > 0)]);
    found.push(["worse", worse, by((value) => value < 0)]);
    found.push(["same", same, by((value) => value === 0)]);
  }
  if (kind === "answer") {
    found.push(["right", `${one} is right`, worth((value) => value === 1)]);
    found.push(["wrong", `${one} is wrong`, worth((value) => value === 0)]);
  }
  if (kind === "preference") {
    found.push(["preferred", `${one} preferred to the reference`, worth((value) => value > 50)]);
    found.push(["beaten", `the reference preferred to ${one}`, worth((value) => value < 50)]);
  }
  const causes = new Map();
  for (const sample of evaluation.samples) {
    const cause = of(sample)?.[FAILURE] ?? null;
    if (cause !== null) causes.set(cause, (causes.get(cause) ?? 0) + 1);
  }
  if (causes.size) found.push(["failed", `${one} failed`, (sample) => Boolean(of(sample)?.[FAILURE])]);
  for (const [cause, count] of [...causes].sort(([, x], [, y]) => y - x)) {
    const test = (sample) => of(sample)?.[FAILURE] === cause;
    found.push([`failed:${cause}`, `${one} failed: ${cause} (${count})`, test]);
  }
  return found;
}

/** The orders that can be chosen: [name, what it says, what to sort by, smallest first]. */
function orders(kind, a, b, names) {
  const change = (sign) => (sample) => {
    const value = gain(sample, kind, a, b, names);
    return value === null ? Infinity : sign * value;
  };
  const worth = (sign) => (sample) => {
    const value = entryOf(sample, a, names[b])?.[VALUE] ?? null;
    return value === null ? Infinity : sign * value;
  };
  const length = (sample) => -(entryOf(sample, a)?.[LENGTH] ?? -1);
  const found = [["", "as asked", null]];
  if (a !== b) {
    found.push(["gains", `biggest gains of ${names[a]}`, change(-1)]);
    found.push(["losses", `biggest losses of ${names[a]}`, change(1)]);
  }
  found.push(["high", `highest score of ${names[a]}`, worth(-1)]);
  found.push(["low", `lowest score of ${names[a]}`, worth(1)]);
  found.push(["long", `longest answer of ${names[a]}`, length]);
  return found;
}

/** Whether a sample holds one of these texts, or the sought words in its id. */
function holds(sample, texts, sought) {
  const inParts = (parts) => parts.some((part) => {
    if (part[0] === "choices") return part[1].some(([text]) => texts.has(text));
    return part[0] === "fact" ? part[2].toLowerCase().includes(sought) : texts.has(part[2]);
  });
  return texts.has(sample[PROMPT])
    || sample[ID].toLowerCase().includes(sought)
    || inParts(sample[SHARED])
    || sample[ENTRIES].some((entry) => texts.has(entry[ANSWER]) || inParts(entry[PARTS]));
}
