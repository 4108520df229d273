"""What only Stripe's adapter does, against a real provider process. What every gateway does: contract/."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from pytest_django import Settings

from payments.gateway import (
    ActionRequired,
    CardDeclined,
    Charge,
    ChargeRequest,
    GatewayUnavailable,
    RefundRefused,
    RequestRefused,
)
from payments.stripe import StripeGateway
from payments.stripe_dashboard import make_payment_url
from payments.stripe_intents import LOOK_UP_TIMEOUT, LOOK_UPS
from payments.stripe_params import KEY_LIFETIME
from tests.provider import Provider, fake_provider, make_request, nonsense_provider


def charges_of(gateway: StripeGateway, request: ChargeRequest) -> list[Charge]:
    made = gateway.list_charges(since=request.sent_at - timedelta(seconds=1))
    return [charge for charge in made if charge.reference == request.reference]


def charge_until_known(gateway: StripeGateway, request: ChargeRequest) -> Charge:
    for _ in range(20):
        try:
            return gateway.charge(request)
        except GatewayUnavailable:
            time.sleep(0.1)
    raise AssertionError("the outcome stays unknown")


def test_a_request_that_is_refused_for_what_it_says_has_stripes_words_for_staff(gateway: StripeGateway) -> None:
    words = "400 parameter_invalid_integer: Amounts in kwd must be a multiple of 10"
    with pytest.raises(RequestRefused, match=words):
        gateway.charge(make_request(amount=5_124, currency="KWD"))


REFUSAL = '{"error": {"type": "invalid_request_error", "code": "currency_not_enabled", "message": "no"%s}}'
EMPTY_LIST = '{"object": "list", "url": "/v1/payment_intents", "has_more": false, "data": []}'


def make_intent(status: str, reference: str = "T-1") -> str:
    intent = {"object": "payment_intent", "id": "pi_1", "created": 1, "latest_charge": None, "last_payment_error": None}
    money = {"amount_received": 1234, "currency": "gbp", "metadata": {"reference": reference}}
    return json.dumps({**intent, **money, "status": status})


def make_list(*intents: str) -> str:
    return EMPTY_LIST.replace("[]", f"[{', '.join(intents)}]")


def test_the_list_decides_where_a_refused_cancel_proves_nothing(settings: Settings) -> None:
    request = make_request(reference="T-1")

    def cancel(listed: str, *, only_refused: bool = False) -> Charge | None:
        with fake_provider(lambda method, _: (200, listed) if method == "GET" else (400, REFUSAL % "")) as url:
            settings.STRIPE_API_BASE = url
            return StripeGateway().cancel(replace(request, only_refused=only_refused))

    assert cancel(EMPTY_LIST) is None
    assert cancel(make_list(make_intent("succeeded", "T-2"))) is None
    assert cancel("nonsense", only_refused=True) is None  # nothing was ever in flight: not even looked for
    for unknown in ("nonsense", make_list(make_intent("processing"))):
        with pytest.raises(GatewayUnavailable):
            cancel(unknown)


def test_a_charge_in_the_list_is_returned_though_the_cancel_is_refused(settings: Settings) -> None:
    def answer(method: str, path: str) -> tuple[int, str]:
        if method == "POST":
            return 400, REFUSAL % ""
        return 200, make_intent("succeeded") if path.endswith("pi_1") else make_list(make_intent("succeeded"))

    with fake_provider(answer) as settings.STRIPE_API_BASE:
        charge = StripeGateway().cancel(make_request(reference="T-1"))
    assert charge is not None
    assert (charge.provider_id, charge.amount) == ("pi_1", 1234)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (401, REFUSAL % ""),
        (403, REFUSAL % ""),
        (404, REFUSAL % ""),
        (429, REFUSAL % ""),
        (409, '{"error": {"type": "idempotency_error", "code": "idempotency_key_in_use", "message": "no"}}'),
        (400, '{"error": {"type": "idempotency_error", "message": "no"}}'),
        (400, REFUSAL % ', "payment_intent": {"id": "pi_1", "object": "payment_intent"}'),  # it was made all the same
        (500, REFUSAL % ""),
    ],
)
def test_what_is_refused_for_another_reason_is_unknown(settings: Settings, status: int, body: str) -> None:
    with nonsense_provider(status, body) as settings.STRIPE_API_BASE, pytest.raises(GatewayUnavailable) as unknown:
        StripeGateway().charge(make_request())
    assert not isinstance(unknown.value, RequestRefused)


@pytest.mark.parametrize("status", ["succeeded", "canceled", "requires_payment_method", "processing"])
def test_somebody_elses_intent_is_never_ours(settings: Settings, status: str, caplog: pytest.LogCaptureFixture) -> None:
    with nonsense_provider(200, make_intent(status, reference="T-2")) as settings.STRIPE_API_BASE:
        for ask in (StripeGateway().charge, StripeGateway().cancel):
            with pytest.raises(GatewayUnavailable, match="somebody else's"):
                ask(make_request(reference="T-1"))
    assert [record.levelname for record in caplog.records] == ["ERROR", "ERROR"]
    assert "T-2" in caplog.text


@pytest.mark.parametrize("reference", ["T-\0", "\ud800", "x" * 501, ["T-1"], 7, None])
def test_a_reference_that_no_order_has_is_listed_as_nobodys(settings: Settings, reference: object) -> None:
    intent = json.loads(make_intent("succeeded")) | {"metadata": {"reference": reference}}
    with nonsense_provider(200, make_list(json.dumps(intent))) as settings.STRIPE_API_BASE:
        assert [charge.reference for charge in StripeGateway().list_charges()] == [""]


@pytest.mark.parametrize(
    "odd",
    [
        {"currency": "g\0p"},
        {"currency": "pounds"},
        {"currency": None},
        {"amount_received": 2**63},
        {"amount_received": -1},
        {"amount_received": True},
        {"created": 2**62},
        {"id": "pi_\0"},
        {"latest_charge": {"amount_refunded": "1"}},
    ],
    ids=str,
)
def test_a_list_with_what_no_row_can_hold_is_unknown(settings: Settings, odd: dict[str, object]) -> None:
    intent = json.loads(make_intent("succeeded")) | odd
    with (
        nonsense_provider(200, make_list(json.dumps(intent))) as settings.STRIPE_API_BASE,
        pytest.raises(GatewayUnavailable),
    ):
        list(StripeGateway().list_charges())


def test_a_cancel_that_is_answered_with_somebody_elses_intent_is_unknown(settings: Settings) -> None:
    def answer(_method: str, path: str) -> tuple[int, str]:
        return 200, make_intent("canceled", "T-2" if path.endswith("/cancel") else "T-1")

    with fake_provider(answer) as settings.STRIPE_API_BASE, pytest.raises(GatewayUnavailable, match="somebody else's"):
        StripeGateway().cancel(make_request(reference="T-1"))


def test_somebody_elses_decline_is_no_no(settings: Settings) -> None:
    intent = make_intent("requires_payment_method", reference="T-2")
    error = {"type": "card_error", "code": "card_declined", "message": "no", "payment_intent": json.loads(intent)}
    with nonsense_provider(402, json.dumps({"error": error})) as settings.STRIPE_API_BASE:
        gateway = StripeGateway()
        with pytest.raises(GatewayUnavailable, match="somebody else's"):
            gateway.charge(make_request(reference="T-1"))


@pytest.mark.parametrize("token", ["pm_sandbox_hang", "pm_sandbox_trickle"])
def test_an_answer_that_is_late_is_unknown_at_the_deadline_and_then_the_charge(
    gateway: StripeGateway, token: str
) -> None:
    request = make_request(token)
    with pytest.raises(GatewayUnavailable, match=r"no answer.*timed out"):
        gateway.charge(request)
    assert gateway.charge(request) == charges_of(gateway, request)[0]
    assert len(charges_of(gateway, request)) == 1


def test_the_deadline_is_that_of_all_requests_of_a_cancel_together(gateway: StripeGateway, provider: Provider) -> None:
    request = make_request()
    provider.control(latency_ms=500)  # one request is in time, all that a cancel takes are not
    with pytest.raises(GatewayUnavailable, match=r"no answer.*timed out"):
        gateway.cancel(request)
    provider.control()
    assert gateway.cancel(request) is None


def test_a_long_list_has_time_of_its_own(gateway: StripeGateway, provider: Provider) -> None:
    request = make_request("pm_sandbox_500_after")
    provider.control(latency_ms=500)
    charge = gateway.charge(request)
    provider.control()
    assert [charge] == charges_of(gateway, request)


def test_look_ups_leave_threads_to_the_charges(gateway: StripeGateway) -> None:
    request = make_request("pm_sandbox_500_after")
    with ExitStack() as others:
        for _ in range(LOOK_UPS):
            others.enter_context(gateway._intents._look_up(LOOK_UP_TIMEOUT))
        with pytest.raises(GatewayUnavailable, match="looked up"):
            gateway.charge(request)
        assert gateway.charge(make_request())
    assert [gateway.charge(request)] == charges_of(gateway, request)


@pytest.mark.parametrize("code", ["amount_too_small", "amount_too_large"])
def test_a_final_refusal_is_no_no_where_money_was_taken_before(settings: Settings, code: str) -> None:
    def answer(method: str, path: str) -> tuple[int, str]:
        if method == "POST":
            return 400, REFUSAL % f', "code": "{code}"'
        return 200, make_intent("succeeded") if path.endswith("pi_1") else make_list(make_intent("succeeded"))

    with fake_provider(answer) as settings.STRIPE_API_BASE:
        request = make_request(reference="T-1")
        charge = StripeGateway().charge(request)
        assert charge.provider_id == "pi_1"
        assert StripeGateway().cancel(request) == charge


def test_a_request_on_a_connection_that_died_is_not_sent_again_uncounted(
    gateway: StripeGateway, provider: Provider
) -> None:
    gateway.charge(make_request())
    provider.control(fault="drop", times=1)
    with pytest.raises(GatewayUnavailable, match="no answer"):
        gateway.charge(make_request())


def test_a_500_after_the_money_was_taken_is_the_charge(gateway: StripeGateway) -> None:
    request = make_request("pm_sandbox_500_after")
    assert gateway.charge(request) == charges_of(gateway, request)[0]
    assert gateway.cancel(request) == charges_of(gateway, request)[0]


def test_a_500_before_the_money_was_taken_is_unknown_until_it_is_cancelled(gateway: StripeGateway) -> None:
    request = make_request("pm_sandbox_500_before")
    for _ in range(2):
        with pytest.raises(GatewayUnavailable, match="lists no payment"):
            gateway.charge(request)
    assert gateway.cancel(request) is None
    assert charges_of(gateway, request) == []


def test_a_500_after_a_decline_is_the_decline(gateway: StripeGateway, provider: Provider) -> None:
    provider.control(fault="500_after", times=1)
    request = make_request("pm_card_visa_chargeDeclinedLostCard")
    with pytest.raises(CardDeclined, match="lost_card"):
        gateway.charge(request)
    assert gateway.cancel(request) is None


def test_processing_is_unknown_until_the_bank_has_answered(gateway: StripeGateway) -> None:
    request = make_request("pm_sandbox_processing")
    with pytest.raises(GatewayUnavailable, match="processing"):
        gateway.charge(request)
    with pytest.raises(GatewayUnavailable, match="processing"):
        gateway.cancel(request)
    charge = charge_until_known(gateway, request)
    assert [charge] == charges_of(gateway, request)
    assert gateway.cancel(request) == charge


def test_processing_may_end_in_a_decline(gateway: StripeGateway) -> None:
    request = make_request("pm_sandbox_processing_declined")
    with pytest.raises(GatewayUnavailable, match="processing"):
        gateway.charge(request)
    with pytest.raises(CardDeclined, match="generic_decline"):
        charge_until_known(gateway, request)
    assert gateway.cancel(request) is None
    assert charges_of(gateway, request) == []


def test_what_the_customer_has_to_do_is_found_after_a_500_and_once_the_key_may_be_forgotten(
    gateway: StripeGateway, provider: Provider
) -> None:
    asked = make_request("pm_sandbox_action_500_after", return_url="https://shop.example.com/")
    long_ago = replace(asked, sent_at=datetime.now(UTC) - KEY_LIFETIME - timedelta(minutes=1))
    for request in (asked, long_ago):
        with pytest.raises(ActionRequired):
            gateway.charge(request)
        assert gateway.next_action(request) is not None
    action = gateway.next_action(long_ago)
    assert action
    provider.act(action.url, "approve")

    assert gateway.next_action(asked) is None
    assert charges_of(gateway, asked) == [gateway.charge(asked)] == [gateway.charge(long_ago)]


def test_a_provider_that_is_down_is_unknown(gateway: StripeGateway, provider: Provider) -> None:
    request = make_request()
    provider.control(fault="down")
    for ask in (gateway.charge, gateway.cancel):
        with pytest.raises(GatewayUnavailable, match="503"):
            ask(request)
    provider.kill()
    for ask in (gateway.charge, gateway.cancel):
        with pytest.raises(GatewayUnavailable, match="no answer"):
            ask(request)
    with pytest.raises(GatewayUnavailable):
        list(gateway.list_charges())
    provider.start()
    provider.request("DELETE", "/control")
    assert charges_of(gateway, request) == []


@pytest.mark.parametrize("fault", ["500_before", "500_after"])
def test_cancel_repeated_after_a_500_is_as_final(gateway: StripeGateway, provider: Provider, fault: str) -> None:
    request = make_request()
    provider.control(fault=fault, times=1)
    with pytest.raises(GatewayUnavailable):
        gateway.cancel(request)
    assert gateway.cancel(request) is None
    with pytest.raises(GatewayUnavailable):
        gateway.charge(request)
    assert charges_of(gateway, request) == []


def test_cancel_while_the_charge_is_in_flight_is_unknown(gateway: StripeGateway) -> None:
    request = make_request("pm_sandbox_slow")
    with ThreadPoolExecutor() as pool:
        charging = pool.submit(gateway.charge, request)
        time.sleep(0.15)
        with pytest.raises(GatewayUnavailable, match="idempotency_key_in_use"):
            gateway.cancel(request)
        charge = charging.result()
    assert gateway.cancel(request) == charge


def cancel_until_known(gateway: StripeGateway, request: ChargeRequest) -> Charge | None:
    for _ in range(20):
        try:
            return gateway.cancel(request)
        except GatewayUnavailable:
            time.sleep(0.05)
    raise AssertionError("the outcome stays unknown")


def test_cancel_survives_a_kill_of_the_provider(gateway: StripeGateway, provider: Provider) -> None:
    early, late = make_request(), make_request()
    charge = gateway.charge(early)
    assert gateway.cancel(late) is None
    provider.kill()
    provider.start()
    assert cancel_until_known(gateway, early) == charge  # unknown once, where the kept connection died with it
    with pytest.raises(GatewayUnavailable, match="idempotency_error"):
        gateway.charge(late)
    assert charges_of(gateway, late) == []


def test_a_charge_is_not_sent_again_once_its_key_may_be_forgotten(gateway: StripeGateway) -> None:
    yesterday = datetime.now(UTC) - timedelta(hours=24)
    request = make_request(sent_at=yesterday)
    with pytest.raises(GatewayUnavailable, match="lists no payment"):
        gateway.charge(request)
    assert charges_of(gateway, request) == []

    charge = gateway.charge(replace(request, sent_at=datetime.now(UTC)))
    forgotten = replace(request, key=f"{request.key}-as-if-new")
    assert gateway.charge(forgotten) == charge
    assert gateway.cancel(forgotten) == charge
    assert charges_of(gateway, request) == [charge]


def test_a_refund_that_a_500_kept_from_being_made_is_refused_when_it_is_asked_again(
    gateway: StripeGateway, provider: Provider
) -> None:
    """Stripe saves the 500 under the key, and repeats it."""
    request = make_request()
    charge = gateway.charge(request)
    refund = {"key": f"refund-{request.reference}-1", "reference": request.reference, "provider_id": charge.provider_id}
    provider.control(fault="500_before", times=1)
    with pytest.raises(GatewayUnavailable):
        gateway.refund(**refund, amount=charge.amount)

    for _ in range(2):
        with pytest.raises(RefundRefused, match="500") as refusal:
            gateway.refund(**refund, amount=charge.amount)
        assert refusal.value.code == "provider_failed"

    assert gateway.list_refunds(provider_id=charge.provider_id) == []
    gateway.refund(**{**refund, "key": f"refund-{request.reference}-2"}, amount=charge.amount)
    assert len(gateway.list_refunds(provider_id=charge.provider_id)) == 1


def test_a_refund_whose_answer_was_a_500_is_found(gateway: StripeGateway, provider: Provider) -> None:
    charge = gateway.charge(make_request(amount=1000))
    provider.control(fault="500_after", times=1)
    key = f"refund-{charge.reference}"
    with pytest.raises(GatewayUnavailable):
        gateway.refund(key=key, reference=charge.reference, provider_id=charge.provider_id, amount=1000)
    assert gateway.refund(key=key, reference=charge.reference, provider_id=charge.provider_id, amount=1000).startswith(
        "re_"
    )
    assert gateway.retrieve(charge.provider_id) == replace(charge, refunded=1000)


def test_an_intent_that_took_nothing_is_no_charge(gateway: StripeGateway, provider: Provider) -> None:
    form = {"amount": 100, "currency": "gbp"}
    intent = provider.request("POST", "/v1/payment_intents", form).json
    assert gateway.retrieve(intent["id"]) is None


INTENT = (
    '{"object": "payment_intent", "id": "pi_1", "created": 1, "metadata": {"reference": "T-1"}, "latest_charge": null, '
)


@pytest.mark.parametrize(
    ("status", "body", "says"),
    [
        (200, "<html>ok</html>", "not in Stripe's format"),
        (502, "<html>secret</html>", "lists no payment|not in Stripe's format"),
        (429, '{"error": {"type": "invalid_request_error", "code": "rate_limit", "message": "slow down"}}', "429"),
        (401, '{"error": {"type": "invalid_request_error", "message": "Invalid API Key: sk_te***t"}}', "401"),
        (403, '{"error": {"type": "invalid_request_error", "message": "no"}}', "403"),
        (400, '{"error": {"type": "invalid_request_error", "code": "parameter_unknown", "message": "no"}}', "400"),
        (200, "{}", "lacks"),
        (200, INTENT + '"status": "succeeded", "amount_received": 1, "currency": "gbp"}', "took 1 GBP"),
        (200, INTENT + '"status": "succeeded", "amount_received": 1234, "currency": "usd"}', "took 1234 USD"),
        (200, INTENT + '"status": "succeeded", "amount_received": 1234.0, "currency": "gbp"}', "no whole number"),
        (200, INTENT + '"status": "mended", "amount_received": 0, "currency": "gbp"}', "status mended"),
        (200, INTENT + '"status": "succeeded"}', "lacks"),
    ],
)
def test_nonsense_is_unknown_and_says_which(settings: Settings, status: int, body: str, says: str) -> None:
    with nonsense_provider(status, body) as settings.STRIPE_API_BASE:
        with pytest.raises(GatewayUnavailable, match=says) as unknown:
            StripeGateway().charge(make_request(reference="T-1"))
        with pytest.raises(GatewayUnavailable):
            StripeGateway().cancel(make_request(reference="T-1"))
    assert "secret" not in str(unknown.value)
    assert unknown.value.__cause__ is None


def test_a_look_up_finds_only_the_payment_of_that_number(gateway: StripeGateway) -> None:
    first = make_request()
    second = make_request("pm_sandbox_500_before", reference=first.reference, number=2, key=f"{first.key}-2")
    gateway.charge(first)

    with pytest.raises(GatewayUnavailable, match="lists no payment"):
        gateway.charge(second)

    assert gateway.cancel(second) is None


@pytest.mark.parametrize("number", [None, "1", "3", "2 ", 2, ["2"]])
def test_an_intent_of_another_number_is_never_ours(settings: Settings, number: object) -> None:
    metadata = {"reference": "T-1"} | ({} if number is None else {"number": number})
    intent = json.loads(make_intent("succeeded", reference="T-1")) | {"metadata": metadata}
    with nonsense_provider(200, json.dumps(intent)) as settings.STRIPE_API_BASE:
        for ask in (StripeGateway().charge, StripeGateway().cancel):
            with pytest.raises(GatewayUnavailable, match="somebody else's"):
                ask(make_request(reference="T-1", number=2))


@pytest.mark.parametrize(
    ("key", "url"),
    [
        ("sk_test_1", "https://dashboard.stripe.com/test/payments/pi_1"),
        ("rk_live_1", "https://dashboard.stripe.com/payments/pi_1"),
    ],
)
def test_a_payment_has_its_page_in_the_dashboard_in_the_mode_of_the_key(settings: Settings, key: str, url: str) -> None:
    settings.STRIPE_API_KEY, settings.STRIPE_API_BASE = key, ""

    assert make_payment_url("pi_1") == url


def test_the_sandbox_has_no_page_for_staff(gateway: StripeGateway) -> None:
    assert gateway.payment_url("pi_1") is None
