"use strict";
(() => {
  const group = document.querySelector(".filters");
  const steps = [...document.querySelectorAll(".steps > li")];
  const open = () => {
    const id = decodeURIComponent(location.hash.slice(1));
    const step = steps.find((one) => one.id === id);
    if (!step) return;
    step.hidden = false;
    step.querySelector("details").open = true;
    step.querySelector("summary").focus({ preventScroll: true });
    step.scrollIntoView({ block: "center" });
  };
  addEventListener("hashchange", open);
  open();
  if (!group) return;
  group.hidden = false;
  group.addEventListener("click", (event) => {
    const chosen = event.target.closest("button");
    if (!chosen) return;
    const wanted = chosen.dataset.show.split(" ").filter(Boolean);
    for (const button of group.querySelectorAll("button"))
      button.setAttribute("aria-pressed", String(button === chosen));
    for (const step of steps)
      step.hidden = wanted.length > 0 && !wanted.includes(step.dataset.outcome);
  });
})();
