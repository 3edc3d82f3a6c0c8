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
  // A chapter that is gone to by its address opens.
  const unfold = () => {
    const chapter = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    for (const details of chapter ? chapter.querySelectorAll(":scope > details.chapter") : []) details.open = true;
  };
  addEventListener("hashchange", unfold);
  unfold();
  addEventListener("beforeprint", () => {
    for (const details of document.querySelectorAll("details")) details.open = true;
  });
})();
