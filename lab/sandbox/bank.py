"""The bank's page: where the customer of a payment that requires an action approves it, or fails to."""

from email.message import Message
from html import escape
from typing import Any
from urllib.parse import urlencode

from psycopg.types.json import Jsonb

from lab.sandbox.database import Connection, Row
from lab.sandbox.events import record_event
from lab.sandbox.faults import PROCESSING_SECONDS
from lab.sandbox.intents import decline_fields, shape
from lab.sandbox.messages import Answer
from money import to_decimal

# Forms lead on to the shop, whose address nobody here knows. A browser that has to keep 'self' would stop on the way.
POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; base-uri 'none'"
AUTHENTICATION_FAILED = {
    "code": "payment_intent_authentication_failure",
    "decline_code": None,
    "message": "We are unable to authenticate your payment method. Please choose a different one and try again.",
}
WORDS = {
    "en": {
        "title": "Your bank",
        "asks": "Do you want to pay {amount} {currency}?",
        "approve": "Approve",
        "fail": "Fail authentication",
        "unknown": "There is no such payment.",
        "done": "You can close this window.",
    },
    "ko": {
        "title": "은행",
        "asks": "{amount} {currency} 결제를 승인하시겠습니까?",
        "approve": "승인",
        "fail": "인증 실패",
        "unknown": "그런 결제가 없습니다.",
        "done": "이 창을 닫아도 됩니다.",
    },
}
PAGE = """<!doctype html>
<html lang="{language}">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <meta name="referrer" content="no-referrer">
  <title>{title}</title>
  <link rel="stylesheet" href="/bank.css">
  {head}
</head>
<body><main><h1>{title}</h1>{body}</main></body>
</html>
"""
FORM = """<p>{asks}</p>
<form method="post">
  <button name="answer" value="approve">{approve}</button>
  <button name="answer" value="fail">{fail}</button>
</form>"""


def show_page(connection: Connection, secret: str, *, parent: str, language: str) -> Answer:
    """Ask the customer. `parent` is the origin of the page that has this one in a frame, or empty."""
    row = find_by_secret(connection, secret)
    if row is None:
        return render(language, f"<p>{WORDS[language]['unknown']}</p>", status=404)
    if row["status"] != "requires_action":
        return lead_back(row, parent=parent, language=language)
    words = WORDS[language]
    currency = row["currency"].upper()
    asks = words["asks"].format(amount=to_decimal(row["amount"], currency), currency=currency)
    return render(language, FORM.format(asks=asks, approve=words["approve"], fail=words["fail"]))


def act(connection: Connection, secret: str, *, approved: bool, parent: str, language: str) -> Answer:
    """Do as the customer says, once. The money is taken or the bank says no; or it answers later."""
    with connection.transaction():
        row = connection.execute(
            """UPDATE payment_intent SET
                   decline = CASE WHEN %(approved)s THEN decline ELSE %(failed)s END,
                   processing_until = CASE WHEN %(approved)s AND processes
                       THEN now() + %(processing)s * interval '1 second' END,
                   status = CASE WHEN NOT %(approved)s THEN 'requires_payment_method' WHEN processes THEN 'processing'
                       WHEN decline IS NULL THEN 'succeeded' ELSE 'requires_payment_method' END
               WHERE client_secret = %(secret)s AND status = 'requires_action' RETURNING *""",
            {
                "approved": approved,
                "failed": Jsonb(AUTHENTICATION_FAILED),
                "processing": PROCESSING_SECONDS,
                "secret": secret,
            },
        ).fetchone()
        if row:
            record_event(connection, shape(row))
    if row is None:
        return show_page(connection, secret, parent=parent, language=language)  # it was over before
    return lead_back(row, parent=parent, language=language)


def choose_language(headers: Message) -> str:
    preferred = headers.get("Accept-Language", "")[:2]
    return preferred if preferred in WORDS else "en"


def find_by_secret(connection: Connection, secret: str) -> Row | None:
    return connection.execute("SELECT * FROM payment_intent WHERE client_secret = %s", [secret]).fetchone()


def lead_back(row: Row, *, parent: str, language: str) -> Answer:
    """Send the customer back to the shop; in a frame, tell the page around it."""
    if parent or not row["return_url"]:
        head = f'<script src="/bank.js" data-parent="{escape(parent)}" {describe_result(row)} defer></script>'
        return render(language, f"<p>{WORDS[language]['done']}</p>", head=head)
    query = {
        "payment_intent": row["id"],
        "payment_intent_client_secret": row["client_secret"],
        "redirect_status": "failed" if row["status"] == "requires_payment_method" else "succeeded",
    }
    address = f"{row['return_url']}{'&' if '?' in row['return_url'] else '?'}{urlencode(query)}"
    return Answer(status=303, body="", content_type="text/plain", headers={"Location": address})


def describe_result(row: Row) -> str:
    error: dict[str, Any] = {}
    if row["status"] == "requires_payment_method" and row["decline"]:
        error = {"error": row["decline"]["message"], "code": decline_fields(row).get("code", "")}
    values = {"intent": row["id"], "status": row["status"]} | error
    return " ".join(f'data-{name}="{escape(str(value))}"' for name, value in values.items())


def render(language: str, body: str, *, head: str = "", status: int = 200) -> Answer:
    page = PAGE.format(language=language, title=WORDS[language]["title"], head=head, body=body)
    headers = {"Content-Security-Policy": POLICY, "Cache-Control": "no-store"}
    return Answer(status=status, body=page, content_type="text/html; charset=utf-8", headers=headers)
