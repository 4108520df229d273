// Stands in for Stripe.js in the browser: the calls that the shop makes, with Stripe's rules for them.
// https://docs.stripe.com/js
"use strict";
(() => {
  const origin = new URL(document.currentScript.src).origin;
  const demand = (holds, words) => {
    if (!holds) throw Object.assign(new Error(words), { name: "IntegrationError" });
  };

  class PaymentElement {
    #frame = null;
    #listeners = { ready: [], loaderror: [], change: [] };
    #answers = new Map();

    constructor(options) {
      this.options = options;
    }

    on(event, listener) {
      demand(event in this.#listeners, `${event} is not an event of this Element.`);
      this.#listeners[event].push(listener);
      return this;
    }

    mount(target) {
      const place = typeof target === "string" ? document.querySelector(target) : target;
      demand(place, "The place to mount the Element in does not exist.");
      const { locale = "auto", appearance = {} } = this.options;
      const query = new URLSearchParams({ locale, parent: location.origin, look: JSON.stringify(appearance) });
      this.#frame = document.createElement("iframe");
      this.#frame.title = "Secure payment input frame";
      this.#frame.src = `${origin}/card_form.html?${query}`;
      Object.assign(this.#frame.style, { width: "100%", border: "0", display: "block" });
      addEventListener("message", (message) => this.#hear(message));
      place.replaceChildren(this.#frame);
    }

    get isMounted() {
      return Boolean(this.#frame?.isConnected);
    }

    ask(question, details = {}) {
      return new Promise((answer) => {
        const id = this.#answers.size + 1;
        this.#answers.set(id, answer);
        this.#frame.contentWindow.postMessage({ id, question, ...details }, origin);
      });
    }

    #hear({ origin: sender, source, data }) {
      if (sender !== origin || source !== this.#frame.contentWindow) return;
      if (data.height) this.#frame.style.height = `${data.height}px`;
      if (data.answer) this.#answers.get(data.id)(data.answer);
      for (const listener of this.#listeners[data.event] ?? []) listener({ elementType: "payment" });
    }
  }

  class Elements {
    #element = null;
    #isSubmitted = false;

    constructor(key, options) {
      demand(options?.mode === "payment", "mode must be payment.");
      demand(Number.isInteger(options.amount) && options.amount > 0, "amount must be a positive whole number.");
      demand(/^[a-z]{3}$/.test(options.currency ?? ""), "currency must be three letters in lower case.");
      Object.assign(this, { key, options });
    }

    create(type, options = {}) {
      demand(type === "payment", `The Element ${type} is not known.`);
      demand(!this.#element, "Only one payment Element can be created.");
      this.#element = new PaymentElement({ ...this.options, ...options });
      return this.#element;
    }

    update(options) {
      Object.assign(this.options, options);
      if (options.appearance && this.#element?.isMounted) this.#element.ask("look", { look: options.appearance });
    }

    async submit() {
      demand(this.#element?.isMounted, "elements.submit() needs a mounted payment Element.");
      const answer = await this.#element.ask("submit");
      this.#isSubmitted = !answer.error;
      return answer;
    }

    async tokenize(params) {
      demand(this.#isSubmitted, "elements.submit() must be called before stripe.createConfirmationToken().");
      this.#isSubmitted = false;
      const types = this.options.allowedPaymentMethodTypes ?? [];
      return this.#element.ask("tokenize", { key: this.key, types, ...params });
    }
  }

  // The bank's page in a frame above the shop's, until the customer has answered there.
  const askBank = (clientSecret) =>
    new Promise((resolve) => {
      const frame = document.createElement("iframe");
      frame.title = "3D Secure authentication";
      frame.src = `${origin}/bank/${clientSecret}?${new URLSearchParams({ parent: location.origin })}`;
      Object.assign(frame.style, { position: "fixed", inset: "0", width: "100%", height: "100%", border: "0" });
      const hear = ({ origin: sender, source, data }) => {
        if (sender !== origin || source !== frame.contentWindow || data.event !== "acted") return;
        removeEventListener("message", hear);
        frame.remove();
        const paymentIntent = { id: data.intent, status: data.status };
        if (!data.error) return resolve({ paymentIntent });
        resolve({ error: { type: "card_error", code: data.code, message: data.error, payment_intent: paymentIntent } });
      };
      addEventListener("message", hear);
      document.body.append(frame);
      frame.focus();
    });

  window.Stripe = (key) => {
    demand(/^pk_(test|live)_\w+$/.test(key ?? ""), "Call Stripe() with your publishable key.");
    return {
      elements: (options) => new Elements(key, options),
      createConfirmationToken: ({ elements, params = {} }) => elements.tokenize(params),
      handleNextAction: async ({ clientSecret }) => {
        demand(/^pi_\w+_secret_\w+$/.test(clientSecret ?? ""), "handleNextAction() needs a client secret.");
        return askBank(clientSecret);
      },
    };
  };
})();
