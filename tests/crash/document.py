"""python -m tests.crash.document writes the tables of docs/crash-safety.md. A test fails if they are out of date."""

import re
from collections.abc import Iterable

from lab.stack.var import BASE_DIR
from tests.crash.crashes import CRASHES
from tests.crash.guards import GUARDS
from tests.crash.points import NOTHING, PLACES, POINTS, Left, Point

DOCUMENT = BASE_DIR / "docs" / "crash-safety.md"
TABLE = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)

# What is done to whole processes, and the test that does it: in test_processes.py, test_servers.py or test_unswept.py.
DISTURBANCES = [
    (
        "web, payments, orders, mails, beat or provider killed, twice",
        "test_a_process_that_is_killed_at_random_moments_loses_no_order",
    ),
    (
        "the payments worker killed with charges in hand, and no sweep for ten minutes",
        "test_a_payments_worker_that_starts_takes_up_what_the_one_before_held",
    ),
    (
        "the orders worker killed with orders in hand, and no sweep for ten minutes",
        "test_an_orders_worker_that_starts_takes_up_what_the_one_before_held",
    ),
    (
        "the process killed that holds an event of an unanswered payment, and no sweep of orders for ten minutes",
        "test_an_event_whose_process_dies_ends_its_order_before_any_sweep_of_orders",
    ),
    (
        "slow banks, lost answers and no sweep of orders; webhook events come as they should, twice, shuffled or late",
        "test_a_shop_that_is_told_waits_for_no_sweep_of_orders",
    ),
    ("webhook events that never come", "test_events_that_never_come_are_not_missed"),
    (
        "1,000 webhook events, most of them untrue, twice and shuffled, while workers and web server are killed",
        "test_a_storm_of_events_ends_each_order_once_also_while_their_workers_are_killed",
    ),
    ("the provider killed while it charges (3)", "test_a_charge_whose_provider_is_killed_is_asked_for_again"),
    (
        "the provider (3), or the payments worker (4), killed when the money is taken and the answer not sent",
        "test_a_process_that_is_killed_after_the_charge_and_before_its_answer_charges_nobody_twice",
    ),
    ("the provider frozen for longer than anybody waits", "test_a_provider_that_is_frozen_only_delays_orders"),
    (
        "the provider answers more charges than the payments worker has threads a byte a second",
        "test_answers_that_trickle_keep_no_other_order_from_being_charged",
    ),
    (
        "the payments worker frozen with a charge in hand until its order is cancelled",
        "test_a_charge_in_the_hand_of_a_frozen_worker_takes_nothing_once_its_order_is_cancelled",
    ),
    ("a charge task late by a deadline", "test_a_charge_that_comes_after_the_cancel_takes_nothing"),
    ("a provider's answer late by a deadline", "test_an_answer_that_is_late_finds_the_order_confirmed"),
    (
        "the bank's no to a first card comes after a second card was tried",
        "test_the_late_no_to_a_first_card_is_not_the_seconds",
    ),
    (
        "a declined payment is confirmed at the provider after a second card was tried",
        "test_a_declined_payment_can_not_be_confirmed_after_the_next",
    ),
    (
        "a payment whose customer failed at the bank is confirmed at the provider later",
        "test_a_payment_that_failed_at_the_bank_can_not_be_confirmed_any_more",
    ),
    ("staff act on an order while it ends", "test_staff_resume_an_order_while_it_is_finalized"),
    ("two beats", "test_two_beats_do_no_harm"),
    ("no beat", "test_an_order_that_got_lost_waits_for_a_beat_and_ends_once_there_is_one"),
    ("Valkey killed (append-only file)", "test_a_broker_that_is_killed_loses_no_order"),
    ("FLUSHALL: every message gone", "test_a_broker_that_is_emptied_loses_no_order_on_its_way"),
    ("Valkey frozen for longer than anybody waits", "test_a_broker_that_is_frozen_only_delays_orders"),
    ("Valkey out of memory", "test_orders_are_placed_while_the_broker_is_full"),
    ("Valkey read-only", "test_orders_are_placed_while_the_broker_is_read_only"),
    (
        "Valkey read-only until the workers end, and healed",
        "test_workers_of_a_broker_that_is_read_only_for_long_end_and_leave_no_connection_open",
    ),
    (
        "a queue's key in Valkey holds something else until the workers end",
        "test_a_worker_whose_queue_can_not_be_read_ends_and_leaves_no_connection_open",
    ),
    ("beat's schedule file damaged, and beat killed", "test_beat_starts_also_with_a_schedule_file_that_is_damaged"),
    ("workers whose clocks are 55 seconds ahead", "test_workers_whose_clocks_are_ahead_discard_no_message"),
    ("nothing is charged any more: it is seen from outside", "test_charging_that_stops_is_seen"),
    ("a mail server that does not answer", "test_a_mail_server_that_does_not_answer_holds_up_no_order"),
    ("PostgreSQL stopped at once (SIGQUIT), and killed", "test_postgresql_dies_and_recovers"),
    ("40 connections that drip a byte a second", "test_connections_that_drip_silence_nobody"),
    ("a stock row locked by somebody's psql", "test_a_locked_row_keeps_no_order_of_another_product_waiting"),
    (
        "PostgreSQL read-only, as after a failover; then healed, with the sessions of that time still there",
        "test_no_session_stays_read_only_once_the_database_takes_writes_again",
    ),
]


def render(text: str) -> str:
    """The document with the tables that the code makes. The prose around them stays."""
    tables = {"places": write_places, "points": write_points, "processes": write_processes, "controls": write_controls}
    return TABLE.sub(lambda found: found[1] + tables[found[2]]() + found[3], text)


def write_table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = list(head)
    return "".join(f"| {' | '.join(cells)} |\n" for cells in (head, ["---"] * len(head), *rows))


def write_places() -> str:
    return write_table(
        ["", "the server dies", "points"],
        (
            [str(place), words, ", ".join(f"`{point.name}`" for point in POINTS if point.place == place) or "below"]
            for place, words in PLACES.items()
        ),
    )


def write_points() -> str:
    return write_table(
        [
            "point",
            "who dies there, and when",
            "place",
            "what is left",
            "the row that proves it",
            "who repairs",
            "killed by",
        ],
        (
            [
                f"`{point.name}`",
                f"{point.process}: {point.words}",
                str(point.place or ""),
                describe_left(point.left),
                point.proof,
                point.repair,
                name_tests(point),
            ]
            for point in POINTS
        ),
    )


def describe_left(left: Left) -> str:
    if left == NOTHING:
        return "nothing"
    stock = (left.stock or "").replace(" RESERVED", "").lower()
    provider = f"provider {left.provider}" if left.provider else "nothing at the provider"
    words = f"order {left.order}, payment {left.payment}, stock {stock}, {provider}"
    if left.refund is None:
        return words
    return f"{words}, refund {left.refund}, {'given back' if left.given_back else 'nothing given back'}"


def name_tests(point: Point) -> str:
    return ", ".join(f"`[{crash}]`" for crash in CRASHES if crash.point == point)


def write_processes() -> str:
    return write_table(["what happens", "test"], ([words, f"`{test}`"] for words, test in DISTURBANCES))


def write_controls() -> str:
    return write_table(
        ["guard", "without it", "the audit reports", "function"],
        ([guard.words, guard.wrong, ", ".join(sorted(guard.broken)), f"`{guard.target}`"] for guard in GUARDS),
    )


if __name__ == "__main__":
    DOCUMENT.write_text(render(DOCUMENT.read_text()))
