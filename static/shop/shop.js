// Comfort only: without this file the shop works the same, and the server is what keeps two clicks one order.
"use strict";

// A form that is on its way is not sent again. Not in the handler itself: a disabled button is left out of the form.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (!form.matches("[data-once]")) return;
  if (form.dataset.sent) return event.preventDefault();
  form.dataset.sent = "yes";
  setTimeout(() => {
    for (const button of form.querySelectorAll("button")) {
      button.disabled = true;
      if (button.dataset.busy) button.textContent = button.dataset.busy;
    }
  });
});

// After a refusal the first field that is wrong is where to go on.
document.querySelector(".field.wrong :is(input, textarea, select)")?.focus();

// Only a script can print, so without one there is no button for it.
for (const button of document.querySelectorAll("[data-print]")) {
  button.hidden = false;
  button.addEventListener("click", () => print());
}

// The back button may bring the page as it was left: its buttons disabled, its prices old.
addEventListener("pageshow", (event) => {
  if (event.persisted) location.reload();
});

// A status that can't be asked for is not shown as if it were true now.
const setOffline = (yes) => {
  const note = document.getElementById("offline");
  if (note) note.hidden = !yes;
};
document.addEventListener("htmx:afterRequest", (event) => {
  const status = event.detail.xhr.status;
  setOffline(!(status === 304 || (status >= 200 && status < 300)));
});

// Times are written in the shop's zone, with its name. Here they get the reader's own, in the language of the page.
const language = document.documentElement.lang;
const locale = navigator.languages.find((each) => each.split("-")[0] === language) ?? language;
const FORMS = {
  moment: { dateStyle: "medium", timeStyle: "short" },
  day: { dateStyle: "medium" },
  time: { timeStyle: "short" },
};
const turnTimes = (within) => {
  for (const time of within.querySelectorAll("time[data-shown]")) {
    time.textContent = new Intl.DateTimeFormat(locale, FORMS[time.dataset.shown]).format(new Date(time.dateTime));
  }
};
turnTimes(document);
document.addEventListener("htmx:afterSwap", (event) => turnTimes(event.detail.target));
