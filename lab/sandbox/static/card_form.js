// The card form of the sandbox, in a frame of its own origin. Only the frame knows the card: it gives out a token.
"use strict";

const query = new URLSearchParams(location.search);
const parentOrigin = query.get("parent");
const tell = (message) => parent.postMessage(message, parentOrigin);

const WORDS = {
  en: {
    number: "Card number",
    expiry: "Expiry date",
    cvc: "Security code",
    title: "Card",
    incomplete_number: "Your card number is incomplete.",
    invalid_number: "Your card number is invalid.",
    incomplete_expiry: "Your card's expiration date is incomplete.",
    invalid_expiry_year_past: "Your card's expiration year is in the past.",
    incomplete_cvc: "Your card's security code is incomplete.",
    card_declined: "Your card is not supported. This is a test: use a test card.",
    api_error: "An error occurred while processing your card.",
    api_connection_error: "We are experiencing issues connecting to our payments provider.",
  },
  ko: {
    number: "카드 번호",
    expiry: "만료일",
    cvc: "보안 코드",
    title: "카드",
    incomplete_number: "카드 번호가 불완전합니다.",
    invalid_number: "카드 번호가 유효하지 않습니다.",
    incomplete_expiry: "카드 만료일이 불완전합니다.",
    invalid_expiry_year_past: "카드 만료 연도가 지났습니다.",
    incomplete_cvc: "카드 보안 코드가 불완전합니다.",
    card_declined: "지원되지 않는 카드입니다. 테스트 환경이므로 테스트 카드를 사용하세요.",
    api_error: "카드를 처리하는 중 오류가 발생했습니다.",
    api_connection_error: "결제 대행사에 연결하는 데 문제가 있습니다.",
  },
};
const language = query.get("locale") in WORDS ? query.get("locale") : "en";
const words = WORDS[language];
const fields = Object.fromEntries(["number", "expiry", "cvc"].map((id) => [id, document.getElementById(id)]));
const digits = (field) => field.value.replace(/\D/g, "");

const setLook = (look) => {
  document.documentElement.style.colorScheme = look.theme === "night" ? "dark" : "light";
  for (const [name, value] of Object.entries(look.variables ?? {})) {
    document.documentElement.style.setProperty(`--${name}`, value);
  }
};

// The check digit of a card's number: https://en.wikipedia.org/wiki/Luhn_algorithm
const hasCheckDigit = (number) => {
  const doubled = [...number].reverse().map((digit, place) => (place % 2 ? 2 * digit : Number(digit)));
  return doubled.reduce((sum, value) => sum + (value > 9 ? value - 9 : value), 0) % 10 === 0;
};

const checks = {
  number: () => {
    const number = digits(fields.number);
    if (number.length < 15) return "incomplete_number";
    return hasCheckDigit(number) ? "" : "invalid_number";
  },
  expiry: () => {
    const [month, year] = [Number(digits(fields.expiry).slice(0, 2)), Number(digits(fields.expiry).slice(2))];
    if (digits(fields.expiry).length < 4 || month < 1 || month > 12) return "incomplete_expiry";
    return new Date(2000 + year, month) > new Date() ? "" : "invalid_expiry_year_past";
  },
  cvc: () => (digits(fields.cvc).length < 3 ? "incomplete_cvc" : ""),
};

const validate = () => {
  let first = "";
  for (const [id, field] of Object.entries(fields)) {
    const code = checks[id]();
    const note = document.getElementById(`${id}-error`);
    note.textContent = code && words[code];
    field.setAttribute("aria-invalid", String(Boolean(code)));
    field.setAttribute("aria-describedby", note.id);
    if (code && !first) field.focus();
    first ||= code;
  }
  if (first) return { error: { type: "validation_error", code: first, message: words[first] } };
  return { selectedPaymentMethod: "card" };
};

const tokenize = async ({ key, types }) => {
  const body = new URLSearchParams({ "payment_method_data[card][number]": digits(fields.number) });
  types.forEach((type, place) => body.set(`allowed_payment_method_types[${place}]`, type));
  try {
    const response = await fetch("/v1/confirmation_tokens", {
      method: "POST",
      headers: { Authorization: `Bearer ${key}` },
      body,
    });
    const answer = await response.json();
    if (response.ok) return { confirmationToken: answer };
    return { error: { ...answer.error, message: words[answer.error.code] ?? words.api_error } };
  } catch {
    return { error: { type: "api_connection_error", message: words.api_connection_error } };
  }
};

addEventListener("message", async ({ origin, source, data }) => {
  if (origin !== parentOrigin || source !== parent) return;
  if (data.question === "look") setLook(data.look);
  if (data.question === "submit") tell({ id: data.id, answer: validate() });
  if (data.question === "tokenize") tell({ id: data.id, answer: await tokenize(data) });
});

fields.number.addEventListener("input", () => {
  fields.number.value = digits(fields.number).slice(0, 19).replace(/(\d{4})(?=\d)/g, "$1 ");
});
fields.expiry.addEventListener("input", () => {
  fields.expiry.value = digits(fields.expiry).slice(0, 4).replace(/^(\d\d)(?=\d)/, "$1 / ");
});
document.querySelector("form").addEventListener("submit", (event) => event.preventDefault());

document.documentElement.lang = language;
document.title = document.querySelector("h1").textContent = words.title;
for (const id of Object.keys(fields)) document.querySelector(`label[for=${id}]`).textContent = words[id];
setLook(JSON.parse(query.get("look") || "{}"));
new ResizeObserver(() => tell({ height: document.documentElement.offsetHeight })).observe(document.documentElement);
tell({ event: "ready" });
