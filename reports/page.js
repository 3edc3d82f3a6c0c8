"use strict";
(() => {
  const compare = document.getElementById("compare");
  if (compare) {
    const stage = document.getElementById("stage");
    const slider = document.getElementById("slider");
    const choices = document.getElementById("choices");
    const after = [...stage.querySelectorAll(".after")];
    const chosen = () => choices.querySelector("input:checked").value;

    const show = () => {
      stage.style.setProperty("--at", `${slider.value}%`);
      for (const side of after) side.classList.toggle("shown", side.dataset.name === chosen());
      const right = stage.querySelector(".shown figcaption").textContent;
      const left = stage.querySelector(".before figcaption").textContent;
      slider.setAttribute("aria-valuetext", `${slider.value} % ${left}, the rest ${right}`);
    };

    compare.classList.add("live");
    slider.hidden = false;
    choices.hidden = after.length < 2;
    slider.addEventListener("input", show);
    choices.addEventListener("change", show);
    show();
  }
  // One tab stop per plot; arrow keys move between points, in the order of the x axis.
  for (const plot of document.querySelectorAll(".scatter > svg")) {
    const across = (point) => point.getBoundingClientRect().left;
    const points = () => [...plot.querySelectorAll(".point")].sort((a, b) => across(a) - across(b));
    plot.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      const all = points();
      const next = event.key === "Home" ? all[0] : event.key === "End" ? all.at(-1) : all[all.indexOf(event.target) + step];
      if (!next || (!step && !["Home", "End"].includes(event.key))) return;
      event.preventDefault();
      for (const point of all) point.setAttribute("tabindex", point === next ? "0" : "-1");
      next.focus();
    });
  }
  // Open a chapter that is the target of the URL's fragment.
  const unfold = () => {
    const chapter = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    for (const details of chapter ? chapter.querySelectorAll(":scope > details.chapter") : []) details.open = true;
  };
  addEventListener("hashchange", unfold);
  unfold();
  // Print folded chapters, except code, and points that are in “All files”; restore the state afterwards.
  let unfolded = [];
  addEventListener("beforeprint", () => {
    unfolded = [...document.querySelectorAll("details:not(.usage, .scatter details, [open])")];
    for (const details of unfolded) details.open = true;
  });
  addEventListener("afterprint", () => {
    for (const details of unfolded) details.open = false;
  });
})();
