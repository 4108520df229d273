// The card form. Stripe's script draws it in a frame of its own, so what is typed there never reaches our page or our
// server. Only a token does, which is charged later. https://docs.stripe.com/payments/finalize-payments-on-the-server
"use strict";
(() => {
  const LOAD_WITHIN = 10_000; // milliseconds, then the page says that it waits
  const ANSWER_WITHIN = 30_000;

  const box = document.getElementById("card-form");
  const form = box.closest("form");
  const field = form.querySelector("[data-payment-form]"); // a radio button, or hidden where there is no choice
  const button = form.querySelector("button[type=submit]");
  const label = button.textContent;
  let stripe, elements;
  let isReady = false;
  let isBusy = false;

  const isChosen = () => field.type === "hidden" || field.checked;

  const show = (name, words = "") => {
    for (const note of box.querySelectorAll("[data-note]")) note.hidden = note.dataset.note !== name;
    box.querySelector("[data-words]").textContent = words;
  };

  const setBusy = (yes) => {
    isBusy = yes;
    button.disabled = yes;
    button.textContent = yes ? button.dataset.busy : label;
  };

  // The frame can't read our stylesheet, so it is told our colours.
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const describeLook = () => {
    const style = getComputedStyle(document.documentElement);
    const read = (name) => style.getPropertyValue(`--${name}`).trim();
    return {
      theme: dark.matches ? "night" : "stripe",
      variables: {
        colorPrimary: read("accent"),
        colorBackground: read("card"),
        colorText: read("text"),
        colorTextSecondary: read("muted"),
        colorTextPlaceholder: read("muted"),
        colorDanger: read("bad"),
        borderRadius: "8px",
        fontSizeBase: "16px",
      },
    };
  };
  dark.addEventListener("change", () => elements?.update({ appearance: describeLook() }));

  const mount = () => {
    try {
      stripe = Stripe(box.dataset.key);
      elements = stripe.elements({
        mode: "payment",
        amount: Number(box.dataset.amount),
        currency: box.dataset.currency,
        allowedPaymentMethodTypes: ["card"], // as the charge says: Stripe refuses the token of a form that said otherwise
        locale: box.dataset.language,
        appearance: describeLook(),
      });
      const element = elements.create("payment");
      element.on("ready", () => {
        isReady = true;
        show("nothing");
      });
      element.on("loaderror", () => show("blocked"));
      element.mount(box.querySelector("[data-place]"));
    } catch {
      show("blocked"); // whatever came instead of Stripe's script
    }
  };

  const load = () => {
    show("loading");
    setTimeout(() => isReady || !box.querySelector("[data-note=blocked]").hidden || show("late"), LOAD_WITHIN);
    const script = document.createElement("script");
    script.src = box.dataset.script;
    script.onload = mount;
    script.onerror = () => show("blocked");
    document.head.append(script);
  };

  const makeToken = async () => {
    const submitted = await elements.submit();
    if (submitted.error) return submitted;
    return stripe.createConfirmationToken({ elements, params: { return_url: location.href } });
  };

  const takeTime = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds, { isSilent: true }));

  const send = async () => {
    setBusy(true);
    let answer;
    try {
      answer = await Promise.race([makeToken(), takeTime(ANSWER_WITHIN)]);
    } catch {
      answer = { isSilent: true };
    }
    setBusy(false);
    if (answer.isSilent) return show("silent");
    if (answer.error) return show("refused", answer.error.message);
    show("nothing");
    field.value = answer.confirmationToken.id;
    form.requestSubmit();
    field.value = ""; // it is on its way, or the browser found another field wrong; and going back brings no used token
  };

  // Before the handler in shop.js, which lets a form be sent once.
  form.addEventListener("submit", (event) => {
    if (!isChosen() || field.value) return;
    event.preventDefault();
    event.stopPropagation();
    if (isBusy) return;
    if (isReady) return send();
    if (box.querySelector("[data-note=blocked]").hidden) show("late");
  });

  box.querySelector("[data-again]").addEventListener("click", load);

  form.querySelector(".without-script").remove();
  field.closest("label")?.removeAttribute("hidden");
  field.disabled = false;
  if ("selected" in field.dataset) field.checked = true;
  const reveal = () => {
    box.hidden = !isChosen();
  };
  form.addEventListener("change", reveal);
  reveal();
  load();
})();
