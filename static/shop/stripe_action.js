// Lets Stripe's script ask the customer on behalf of the bank. What came of it, the shop asks Stripe itself.
// https://docs.stripe.com/js/payment_intents/handle_next_action
"use strict";
(() => {
  const box = document.getElementById("bank-action");

  const show = (name) => {
    for (const note of box.querySelectorAll("[data-note]")) note.hidden = note.dataset.note !== name;
  };

  const ask = async () => {
    try {
      const stripe = Stripe(box.dataset.key, { locale: box.dataset.language });
      await stripe.handleNextAction({ clientSecret: box.dataset.secret });
      location.replace(box.dataset.return); // approved or failed: the same way
    } catch {
      show("blocked"); // whatever came instead of Stripe's script, or it finds nothing to ask
    }
  };

  const load = () => {
    show("asking");
    const script = document.createElement("script");
    script.src = box.dataset.script;
    script.onload = ask;
    script.onerror = () => show("blocked");
    document.head.append(script);
  };

  box.querySelector("[data-again]").addEventListener("click", load);
  document.querySelector(".without-script").remove();
  box.hidden = false;
  load();
})();
