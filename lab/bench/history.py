"""Scenario f: orders that ended long ago, in our tables and in the provider's, as if each had been bought and paid."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import LiteralString

import psycopg

from lab.bench.rounds import PRODUCTS, make_checkouts, pick_many
from lab.bench.workbench import NotClean, Workbench
from lab.stack.processes import ProcessFailed, child_command
from lab.stack.var import BASE_DIR

CASE = "history"
BATCH = 20_000  # orders
DAYS = 300  # that the orders are spread over
MB = 1024  # of ru_maxrss, which Linux counts in KB

# Order n has the products 1 + n % (P / 2) and 1 + P / 2 + n % (P / 2), so that no order has the same one twice. A batch
# has a table of its own, from which each statement takes what it needs: the rows agree because they have one source.
SOURCE: LiteralString = """
CREATE TEMP TABLE batch AS
SELECT n, 'H' || lpad(n::text, 17, '0') AS code, 'pi_history_' || n AS provider_id, quantity,
    now() - make_interval(days => %(days)s) * (1 - n::float8 / %(orders)s) - interval '1 hour' AS placed
FROM (SELECT n, 1 + n %% 3 AS quantity FROM generate_series(%(first)s::bigint, %(last)s::bigint) n) numbered;
"""
LINES: LiteralString = """
CREATE TEMP TABLE batch_line AS
SELECT batch.*, product.id AS product, sku, name, price FROM batch
CROSS JOIN (VALUES (0), (%(half)s::bigint)) AS part (begins)
JOIN (SELECT *, row_number() OVER (ORDER BY id) - 1 AS place FROM catalog_product WHERE sku LIKE 'many-%%') product
    ON product.place = begins + n %% %(half)s;
ALTER TABLE batch ADD total bigint;
UPDATE batch SET total = line.total
FROM (SELECT n, sum(price * quantity) AS total FROM batch_line GROUP BY n) line WHERE line.n = batch.n;
"""
SHOP: LiteralString = """
INSERT INTO payments_payment (reference, amount, currency, payment_method, status, attempts, provider_id, decline_code,
    last_error, created_at, sent_at, answered_at)
SELECT code, total, 'GBP', 'pm_card_visa', 'SUCCEEDED', 1, provider_id, '', '', placed, placed, placed FROM batch;
INSERT INTO orders_order (code, checkout_key, checkout_hash, email, language, status, cancel_reason, currency, total,
    payment_id, created_at, expires_at, finalized_at, sweep_after, attempts, finalize_attempts, needs_review,
    review_reason)
SELECT code, 'history-' || n, '', 'history' || n || '@example.com', 'en', 'CONFIRMED', '', 'GBP', total,
    payment.id, placed, placed + interval '15 minutes', placed + interval '1 second', placed + interval '20 seconds',
    0, 0, false, ''
FROM batch JOIN payments_payment payment ON payment.reference = code;
INSERT INTO orders_orderline (order_id, product_id, sku, name, price, quantity)
SELECT o.id, product, sku, name, price, quantity FROM batch_line line JOIN orders_order o ON o.code = line.code;
INSERT INTO orders_orderevent (order_id, kind, data, created_at)
SELECT o.id, kind, '{}', placed FROM batch JOIN orders_order o ON o.code = batch.code
CROSS JOIN (VALUES (1, 'placed'), (2, 'confirmed')) AS event (step, kind) ORDER BY n, step;
INSERT INTO orders_ordermail (order_id, kind, created_at, send_after, attempts, sent_at)
SELECT o.id, 'confirmed', placed, placed, 1, placed FROM batch JOIN orders_order o ON o.code = batch.code;
INSERT INTO catalog_stockmovement (stock_id, kind, quantity, reference, reason, created_at)
SELECT product, kind, quantity, code, '', placed FROM batch_line
CROSS JOIN (VALUES (1, 'RESERVED'), (2, 'DEDUCTED')) AS movement (step, kind) ORDER BY n, step;
UPDATE catalog_stock SET on_hand = on_hand - sold.units
FROM (SELECT product, sum(quantity) AS units FROM batch_line GROUP BY product) sold WHERE product_id = sold.product;
"""
CHARGES: LiteralString = """
COPY payment_intent (id, charge_id, status, amount, currency, payment_method, metadata, created) FROM STDIN
"""


def run_history(bench: Workbench) -> None:
    """An order's CPU with nothing in the tables but what the bench did, then with the history; and the audit of it."""
    before = measure_orders(bench, "CPU ms/order without")
    write_history(bench)
    after = measure_orders(bench, "CPU ms/order with")
    bench.figures.add(CASE, "with against without", after / before)
    seconds, memory = audit_alone(bench)
    bench.figures.add(CASE, "orders", bench.options.history)
    bench.figures.add(CASE, "audit, s", seconds)
    bench.figures.add(CASE, "audit, MB", memory)


def measure_orders(bench: Workbench, figure: str) -> float:
    shop, costs = bench.orderly, []
    for _ in range(bench.options.rounds):
        costs.append(sum(bench.measure(shop, make_checkouts(shop, pick_many, bench.options.orders)).cpu.values()))
        bench.figures.add(CASE, figure, costs[-1])
    return sorted(costs)[len(costs) // 2]


def write_history(bench: Workbench) -> None:
    """By whole sets of rows, a batch a transaction; the audit is clean on it."""
    orders = bench.options.history
    sandbox = bench.stack.environment["SANDBOX_DATABASE_URL"]
    with psycopg.connect(bench.orderly.database_url) as shop, psycopg.connect(sandbox) as provider:
        for first in range(0, orders, BATCH):
            bench.bar.set_postfix_str(f"history: {first:,} orders")
            params = {"first": first, "last": min(first + BATCH, orders) - 1, "orders": orders, "days": DAYS}
            with shop.transaction(), provider.transaction():
                for statement in split(SOURCE, LINES, SHOP):
                    shop.execute(statement, params | {"half": PRODUCTS // 2} if "%(" in statement else None)
                copy_charges(shop, provider)
                shop.execute("DROP TABLE batch, batch_line")
    for url in (bench.orderly.database_url, sandbox):
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("VACUUM ANALYZE")


def split(*scripts: LiteralString) -> Iterator[LiteralString]:
    for script in scripts:
        yield from (statement for statement in script.split(";") if statement.strip())


def copy_charges(shop: "psycopg.Connection", provider: "psycopg.Connection") -> None:
    """The provider's side of the batch."""
    rows = shop.execute(
        "SELECT provider_id, 'ch_' || n, 'succeeded', total, 'gbp', 'pm_card_visa',"
        " jsonb_build_object('reference', code)::text, placed FROM batch ORDER BY n"
    )
    with provider.cursor().copy(CHARGES) as copy:
        for row in rows:
            copy.write_row(row)


def audit_alone(bench: Workbench) -> tuple[float, float]:
    """The seconds and the MB of one audit, as a process. Raises NotClean."""
    bench.bar.set_postfix_str("audit of the history")
    command = child_command([sys.executable, "manage.py", "audit"])
    begun = time.monotonic()
    with (bench.stack.folder / "audit.log").open("w+") as output:
        process = subprocess.Popen(
            command, cwd=BASE_DIR, env=bench.stack.full_environment, stdout=output, stderr=output
        )
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.monotonic() - begun
        output.seek(0)
        if process.returncode:
            raise NotClean(output.read()) if process.returncode == 1 else ProcessFailed(output.read())
    return seconds, usage.ru_maxrss / MB
