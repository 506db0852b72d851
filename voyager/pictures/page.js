// Filters: made here, so that a page without scripts has none and shows everything.
const cards = [...document.querySelectorAll(".card")];
const facets = [["kinds", "Change"], ["classes", "Class"]];
const chosen = { kinds: new Set(), classes: new Set() };
const words = new Map(cards.map((card) => [card, {
  kinds: JSON.parse(card.dataset.kinds), classes: JSON.parse(card.dataset.classes),
}]));
const bar = document.querySelector(".filters");
const count = document.createElement("span");
count.className = "count";
count.setAttribute("role", "status");

function show() {
  let shown = 0;
  for (const card of cards) {
    const fits = facets.every(([facet]) =>
      !chosen[facet].size || words.get(card)[facet].some((word) => chosen[facet].has(word)));
    card.hidden = !fits;
    shown += fits;
  }
  for (const section of document.querySelectorAll("main > section")) {
    section.hidden = !section.querySelector(".card:not([hidden])");
  }
  count.textContent = `${shown.toLocaleString("en")} of ${cards.length.toLocaleString("en")} shown`;
}

function button(facet, word) {
  const made = document.createElement("button");
  made.type = "button";
  made.textContent = word;
  made.title = word;
  made.setAttribute("aria-pressed", "false");
  made.addEventListener("click", () => {
    const on = made.getAttribute("aria-pressed") !== "true";
    made.setAttribute("aria-pressed", String(on));
    chosen[facet][on ? "add" : "delete"](word);
    show();
  });
  return made;
}

for (const [facet, title] of facets) {
  const tally = new Map();
  for (const { [facet]: list } of words.values()) {
    for (const word of list) tally.set(word, (tally.get(word) ?? 0) + 1);
  }
  if (tally.size < 2) continue;
  const group = document.createElement("div");
  const name = document.createElement("span");
  group.setAttribute("role", "group");
  group.setAttribute("aria-label", title);
  name.className = "name";
  name.textContent = title;
  const sorted = [...tally].sort((a, b) => b[1] - a[1]).slice(0, 24);
  group.append(name, ...sorted.map(([word]) => button(facet, word)));
  bar.append(group);
}
if (bar.childElementCount) {
  bar.append(count);
  bar.hidden = false;
  show();
}
