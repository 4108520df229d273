"""Makes a history: copies of orders that the shop itself processed, with all their rows, spread over the past."""

from collections.abc import Callable, Mapping, Sequence
from typing import LiteralString

import psycopg
from psycopg import sql

BATCH = 20_000  # orders
DAYS = 300  # that the copies are spread over

# Each copy has the rows of its original with another code, and all their times moved by the same distance: so it agrees
# with itself wherever its original does, whatever columns the tables have by now.
COPIES: LiteralString = """
CREATE TEMP TABLE copy AS
SELECT n, 'H' || lpad(n::text, 17, '0') AS code, 'pi_history_' || n AS provider_id,
    original.id AS original_id, original.code AS original,
    nextval(pg_get_serial_sequence('orders_order', 'id')) AS order_id,
    nextval(pg_get_serial_sequence('payments_payment', 'id')) AS payment_id,
    now() - make_interval(days => %(days)s) * (1 - n::float8 / %(orders)s) - interval '1 hour' - created_at AS shift
FROM generate_series(%(first)s::bigint, %(last)s::bigint) n
JOIN (SELECT *, row_number() OVER (ORDER BY id) - 1 AS place FROM orders_order WHERE code = ANY(%(originals)s)) original
    ON original.place = n %% cardinality(%(originals)s)
"""
EMPTY_COPIES: LiteralString = """
CREATE TEMP TABLE copy (
    n bigint, code text, provider_id text, original_id bigint, original text, order_id bigint, payment_id bigint,
    shift interval
)
"""
# The tables grow, so their originals are looked for once, while the first batch is written.
KEEP: LiteralString = """
CREATE TEMP TABLE IF NOT EXISTS {kept} AS SELECT * FROM {table} t WHERE EXISTS (SELECT FROM copy WHERE {condition})
"""
INSERT: LiteralString = """
INSERT INTO {table} ({columns}) SELECT {values} FROM copy JOIN {kept} t ON {condition} ORDER BY n, t.id
"""
SOLD: LiteralString = """
UPDATE catalog_stock SET on_hand = on_hand - sold.units
FROM (
    SELECT stock_id, sum(quantity) AS units FROM original_catalog_stockmovement JOIN copy ON reference = original
    WHERE kind = 'DEDUCTED' GROUP BY stock_id
) sold WHERE product_id = sold.stock_id
"""
COLUMNS: LiteralString = """
SELECT column_name, data_type FROM information_schema.columns
WHERE table_name = %(table)s AND table_schema = 'public' AND is_generated = 'NEVER'
    AND (is_identity = 'NO' OR column_name = ANY(%(changed)s))
"""

# The rows need no triggers and no foreign keys' checks, which are most of their cost: they agree as their originals do.
WITHOUT_TRIGGERS: LiteralString = """
SELECT set_config('session_replication_role', 'replica', true)
WHERE has_parameter_privilege('session_replication_role', 'SET')
"""

# The rows of an original, by table, and what differs in a copy beside its times.
SHOP: dict[str, tuple[str, Mapping[str, str]]] = {
    "payments_payment": (
        "t.reference = copy.original",
        {
            "id": "copy.payment_id",
            "reference": "copy.code",
            "provider_id": "CASE WHEN t.provider_id IS NOT NULL THEN copy.provider_id END",
        },
    ),
    "orders_order": (
        "t.id = copy.original_id",
        {
            "id": "copy.order_id",
            "code": "copy.code",
            "checkout_key": "copy.code",
            "email": "'history-' || copy.n || '@example.com'",
            "payment_id": "copy.payment_id",
        },
    ),
    **{
        table: ("t.order_id = copy.original_id", {"order_id": "copy.order_id"})
        for table in ("orders_orderline", "orders_orderevent", "orders_ordermail")
    },
    "catalog_stockmovement": ("t.reference = copy.original", {"reference": "copy.code"}),
}
PROVIDER: dict[str, tuple[str, Mapping[str, str]]] = {
    "payment_intent": (
        "t.metadata->>'reference' = copy.original",
        {
            "id": "copy.provider_id",
            "client_secret": "NULL",  # it is unique, and nobody goes to the bank for a copy
            "charge_id": "'ch_history_' || copy.n",
            "metadata": "jsonb_set(t.metadata, '{reference}', to_jsonb(copy.code))",
        },
    ),
}


def copy_orders(
    *, shop_url: str, provider_url: str, originals: Sequence[str], orders: int, on_batch: Callable[[int], None]
) -> None:
    """Write so many copies of the originals, in the shop and in its provider's ledger, a batch a transaction."""
    with psycopg.connect(shop_url, autocommit=True) as shop, psycopg.connect(provider_url, autocommit=True) as provider:
        for first in range(0, orders, BATCH):
            on_batch(first)
            params = {"first": first, "last": min(first + BATCH, orders) - 1, "orders": orders, "days": DAYS}
            with shop.transaction(), provider.transaction():
                shop.execute(WITHOUT_TRIGGERS)
                shop.execute(COPIES, params | {"originals": list(originals)})
                provider.execute(EMPTY_COPIES)
                send_copies(shop, provider)
                copy_tables(shop, SHOP)
                copy_tables(provider, PROVIDER)
                shop.execute(SOLD)
                for connection in (shop, provider):
                    connection.execute("DROP TABLE copy")
        for connection in (shop, provider):
            connection.execute("VACUUM ANALYZE")


def send_copies(shop: "psycopg.Connection", provider: "psycopg.Connection") -> None:
    """Tell the provider's database, which can't see the shop's, what is copied."""
    with shop.cursor().copy("COPY copy TO STDOUT") as rows, provider.cursor().copy("COPY copy FROM STDIN") as copies:
        for block in rows:
            copies.write(block)


def copy_tables(connection: "psycopg.Connection", tables: Mapping[str, tuple[str, Mapping[str, str]]]) -> None:
    for table, (condition, changes) in tables.items():
        columns = connection.execute(COLUMNS, {"table": table, "changed": list(changes)}).fetchall()
        values = [
            changes.get(name) or (f"t.{name} + copy.shift" if "time" in kind else f"t.{name}") for name, kind in columns
        ]
        names = {
            "table": sql.Identifier(table),
            "kept": sql.Identifier(f"original_{table}"),
            "condition": sql.SQL(condition),
            "columns": sql.SQL(", ").join(sql.Identifier(name) for name, _ in columns),
            "values": sql.SQL(", ").join(sql.SQL(value) for value in values),
        }
        connection.execute(sql.SQL(KEEP).format(**names))
        connection.execute(sql.SQL(INSERT).format(**names))
