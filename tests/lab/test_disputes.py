"""The sandbox's disputes: opened, won and lost on demand, in Stripe's shapes."""

import pytest

from tests.provider import Provider, make_params

pytestmark = pytest.mark.usefixtures("empty_ledger")
DISPUTES = "/v1/disputes"


def make_charge(provider: Provider) -> str:
    return str(provider.request("POST", "/v1/payment_intents", make_params()).json["id"])


def test_a_dispute_is_opened_for_the_whole_charge_and_read_again(provider: Provider) -> None:
    intent = make_charge(provider)

    dispute = provider.request("GET", f"{DISPUTES}/{provider.open_dispute(intent)}").json

    assert dispute["object"] == "dispute"
    assert (dispute["payment_intent"], dispute["amount"], dispute["currency"]) == (intent, 500, "gbp")
    assert (dispute["status"], dispute["reason"]) == ("needs_response", "fraudulent")
    assert dispute["evidence_details"]["due_by"] > dispute["created"]


def test_a_dispute_is_lost_for_good_and_what_is_won_may_be_lost_later(provider: Provider) -> None:
    dispute = provider.open_dispute(make_charge(provider), amount=200)

    def end(how: str) -> int:
        return provider.request("POST", f"/v1/test_helpers/disputes/{dispute}/{how}").status

    def read() -> tuple[str, int]:
        now = provider.request("GET", f"{DISPUTES}/{dispute}").json
        return now["status"], now["amount"]

    assert [end("win"), end("win")] == [200, 400]
    assert read() == ("won", 200)
    assert [end("lose"), end("lose"), end("win")] == [200, 400, 400]
    assert read() == ("lost", 200)


def test_only_a_charge_can_be_disputed(provider: Provider) -> None:
    unpaid = provider.request("POST", "/v1/payment_intents", {"amount": 500, "currency": "gbp"}).json["id"]

    for intent in (unpaid, "pi_none"):
        answer = provider.request("POST", "/v1/test_helpers/disputes", {"payment_intent": intent})
        assert answer.status == 404
    assert provider.request("GET", DISPUTES).json["data"] == []
    assert provider.request("GET", f"{DISPUTES}/dp_none").status == 404


def test_disputes_are_listed_newest_first_page_by_page(provider: Provider) -> None:
    intent, other = make_charge(provider), make_charge(provider)
    first, second, third = (provider.open_dispute(intent) for _ in range(3))
    elsewhere = provider.open_dispute(other)

    page = provider.request("GET", f"{DISPUTES}?limit=2&payment_intent={intent}").json
    assert ([dispute["id"] for dispute in page["data"]], page["has_more"]) == ([third, second], True)
    rest = provider.request("GET", f"{DISPUTES}?starting_after={second}").json
    assert ([dispute["id"] for dispute in rest["data"]], rest["has_more"]) == ([first], False)
    assert provider.request("GET", f"{DISPUTES}?limit=1").json["data"][0]["id"] == elsewhere
    assert provider.request("GET", f"{DISPUTES}?created[gte]=9999999999").json["data"] == []
