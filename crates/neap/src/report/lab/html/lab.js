"use strict";
(() => {
  const byId = (id) => document.getElementById(id);
  const trials = [...document.querySelectorAll("details.trial")];
  const texts = new Map(trials.map((trial) => [trial, trial.textContent.toLowerCase()]));
  const boxes = [...document.querySelectorAll("input[name=verdict]")];
  const search = byId("search");

  const filter = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const verdicts = new Set(boxes.filter((box) => box.checked).map((box) => box.value));
    let shown = 0;
    for (const trial of trials) {
      const fits = verdicts.has(trial.dataset.verdict) && words.every((word) => texts.get(trial).includes(word));
      trial.hidden = !fits;
      shown += fits ? 1 : 0;
    }
    for (const chapter of document.querySelectorAll("section.chapter")) {
      chapter.hidden = !chapter.querySelector("details.trial:not([hidden])");
    }
    byId("shown").textContent = `${shown} of ${trials.length} shown`;
  };

  const setAll = (open) => {
    for (const trial of trials) if (!trial.hidden) trial.open = open;
  };

  // A link to an experiment shows it, whatever the filter says.
  const follow = () => {
    const target = byId(decodeURIComponent(location.hash.slice(1)));
    if (!target) return;
    target.hidden = false;
    if (target.tagName === "DETAILS") {
      target.closest("section").hidden = false;
      target.open = true;
    }
    target.scrollIntoView();
  };

  byId("controls").addEventListener("submit", (event) => event.preventDefault());
  search.addEventListener("input", filter);
  for (const box of boxes) box.addEventListener("change", filter);
  byId("open").addEventListener("click", () => setAll(true));
  byId("close").addEventListener("click", () => setAll(false));
  document.addEventListener("keydown", (event) => {
    if (event.key === "/" && !(event.target instanceof HTMLInputElement)) {
      event.preventDefault();
      search.focus();
    } else if (event.key === "Escape" && event.target === search) {
      search.value = "";
      filter();
    }
  });
  addEventListener("hashchange", follow);
  byId("controls").hidden = false;
  filter();
  follow();
})();
