// SPDX-License-Identifier: MIT
// Light, dark, or as the system has it; set before anything is drawn.
"use strict";
{
  const KEY = "hedgevault-theme";
  const ORDER = ["auto", "light", "dark"];
  const LOOKS = {
    auto: ["◐", "Colours: as the system has them"],
    light: ["☀", "Colours: light"],
    dark: ["☾", "Colours: dark"],
  };
  const root = document.documentElement;
  const wanted = () => (ORDER.includes(localStorage.getItem(KEY)) ? localStorage.getItem(KEY) : "auto");

  const apply = (theme) => {
    root.dataset.theme = theme;
    const button = document.getElementById("theme");
    if (button) {
      [button.textContent] = LOOKS[theme];
      button.setAttribute("aria-label", LOOKS[theme][1]);
      button.title = LOOKS[theme][1];
    }
    document.dispatchEvent(new Event("themechange"));
  };

  apply(wanted());
  document.addEventListener("DOMContentLoaded", () => {
    apply(wanted());
    document.getElementById("theme").addEventListener("click", () => {
      const next = ORDER[(ORDER.indexOf(wanted()) + 1) % ORDER.length];
      localStorage.setItem(KEY, next);
      apply(next);
    });
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => apply(wanted()));
}
