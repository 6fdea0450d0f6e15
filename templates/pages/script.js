// What pages gain where scripts run: the reader's own clock, copying, players in place, and lists that narrow as one
// types. Everything that pages tell is there without it.
"use strict";

const language = document.documentElement.lang === "en" ? "en-GB" : document.documentElement.lang;
const all = (selector, act) => document.querySelectorAll(selector).forEach(act);

// The same instants by the clock of this machine, where it shows another time than the one written in the page.
all(".yours", (line) => {
  const { start, end, words } = line.dataset;
  const [, sign, hours, minutes] = /([+-])(\d\d):(\d\d)$/.exec(start);
  const there = Number(`${sign}1`) * (Number(hours) * 60 + Number(minutes));
  const [from, until] = [new Date(start), new Date(end)];
  if (there === -from.getTimezoneOffset()) return;
  const day = { weekday: "short", day: "numeric", month: language === "en-GB" ? "short" : "long" };
  const clock = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
  const parts = new Intl.DateTimeFormat(language, { timeZoneName: "longGeneric" }).formatToParts(from);
  const time = new Intl.DateTimeFormat(language, { ...day, ...clock }).formatRange(from, until);
  const zone = parts.find((part) => part.type === "timeZoneName").value;
  line.textContent = words.replace("{time}", time).replace("{zone}", zone);
  line.hidden = false;
});

// How long it still is. Not a live region: nobody wants to hear every minute.
const spoken = (number, unit) =>
  new Intl.NumberFormat(language, { style: "unit", unit, unitDisplay: "long" }).format(number);
const span = (milliseconds) => {
  const minutes = Math.max(1, Math.ceil(milliseconds / 60000));
  const [days, hours, rest] = [Math.floor(minutes / 1440), Math.floor((minutes % 1440) / 60), minutes % 60];
  const said = days ? [[days, "day"], [hours, "hour"]] : [[hours, "hour"], [rest, "minute"]];
  return said.filter(([number]) => number).map((one) => spoken(...one)).join(language === "en-GB" ? " " : "");
};
const count = () =>
  all(".countdown", (line) => {
    const { start, end, before, on, after } = line.dataset;
    const now = Date.now();
    const left = new Date(start) - now;
    line.textContent = left > 0 ? before.replace("{span}", span(left)) : now < new Date(end) ? on : after;
  });
count();
setInterval(count, 20000);

// Copying works on pages that came over a safe connection only; elsewhere its buttons stay hidden.
const told = document.querySelector(".told");
if (navigator.clipboard) {
  all("[data-copy]", (button) => {
    button.hidden = false;
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(button.dataset.copy);
      told.textContent = told.dataset.done;
      setTimeout(() => (told.textContent = ""), 3000);
    });
  });
}

// A menu closes at Escape, and at a click beside it.
const close = ({ target, key }) =>
  all(".menu[open]", (menu) => {
    if (key ? key !== "Escape" : menu.contains(target)) return;
    menu.open = false;
    if (key) menu.firstElementChild.focus();
  });
addEventListener("click", close);
addEventListener("keydown", close);

// A replay is played in place once its link is pressed; before that, nothing is asked of anybody else.
all("[data-player]", (link) =>
  link.addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    const player = document.createElement("iframe");
    player.src = link.dataset.player;
    player.title = link.getAttribute("aria-label");
    player.allowFullscreen = true;
    link.after(player);
    link.removeAttribute("data-player");
    player.focus();
  }, { once: true }),
);

const plain = (text) => text.normalize("NFKD").toLowerCase().replace(/[\u0300-\u036f]/g, "");
all("[data-filter]", (field) => {
  const none = document.querySelector("[data-none]");
  const narrow = () => {
    const words = plain(field.value).split(/\s+/);
    all("[data-group]", (group) => {
      const entries = [...group.querySelectorAll("li")];
      entries.forEach((entry) => {
        const text = plain(`${entry.textContent} ${entry.dataset.aloud ?? ""}`);
        entry.hidden = !words.every((word) => text.includes(word));
      });
      group.hidden = entries.every((entry) => entry.hidden);
    });
    none.textContent = document.querySelector("[data-group]:not([hidden])") ? "" : none.dataset.none;
  };
  field.addEventListener("input", narrow);
  // A host of plain files gives the same page whatever is asked of it; where the server answered, nothing is left to do.
  const asked = new URLSearchParams(location.search);
  const [words, wanted, { action, year }] = [asked.get("q"), asked.get("year"), field.form];
  if (wanted && wanted !== year.value && [...year.options].some(({ value }) => value === wanted)) {
    location.replace(`${action}/${wanted}/?${new URLSearchParams({ q: words ?? "" })}`);
  } else if (words && !field.value) {
    field.value = words;
    narrow();
  }
});

all("[data-zone]", (field) => (field.value ||= Intl.DateTimeFormat().resolvedOptions().timeZone));
