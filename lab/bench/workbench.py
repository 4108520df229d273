"""What every scenario works with: the shops that run, how much to do, and where the figures go."""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

from tqdm import tqdm

from lab.bench.beside import run_baseline
from lab.bench.figures import Figures
from lab.bench.options import Options
from lab.bench.rounds import Round, run_round
from lab.bench.shops import Shop, open_orderly
from lab.bench.stocking import stock_shops
from lab.bench.wire import Request
from lab.stack.stack import Stack

BASELINES = ("naive", "typical")
# Mails go out as fast as orders end, so that a round that waits for them is no longer than it must be. Nobody is
# refused: one address buys everything. No mail leaves the machine. The provider sends no webhook events: the other
# designs take none.
SETTINGS = {
    "MAIL_EVERY": "1",
    "EMAIL_URL": "consolemail://",
    "SANDBOX_WEBHOOKS": "0",
    "CHECKOUT_LIMITS": "session=1000000,account=1000000,ip=1000000",
    "DECLINE_LIMITS": "session=1000000,account=1000000,ip=1000000",
}


class NotClean(Exception):
    """The audit found something: whatever was measured, it was no shop that keeps its promise."""


@dataclass
class Workbench:
    """Our shop and the baselines, all running."""

    stack: Stack
    shops: dict[str, Shop]
    options: Options
    bar: "tqdm[Any]"
    figures: Figures = field(default_factory=Figures)

    @property
    def orderly(self) -> Shop:
        return self.shops["orderly"]

    def measure(self, shop: Shop, requests: Sequence[Request]) -> Round:
        """A round on the shop, drawn on the bar."""
        self.bar.set_postfix_str(shop.name)
        done = run_round(shop, requests, seconds=self.options.seconds, on_progress=self.bar.refresh)
        self.bar.update()
        return done

    def audit(self) -> None:
        """Hold all orders against their payments, the stock and the provider's ledger. Raises NotClean."""
        self.bar.set_postfix_str("audit")
        audit = self.stack.manage("audit", "--json")
        if audit.returncode:
            raise NotClean(audit.stdout + audit.stderr)
        self.bar.set_postfix_str(f"{json.loads(audit.stdout)['checked']['orders']} orders audited")


@contextmanager
def open_workbench(stack: Stack, options: Options, *, steps: int) -> Iterator[Workbench]:
    """The baselines beside our shop on its stack, and products to sell in all of them."""
    with ExitStack() as exits:
        baselines = [exits.enter_context(run_baseline(stack, name)) for name in BASELINES]
        orderly = open_orderly(stack.folder / "stack.json", others=[f"{name}-" for name in BASELINES])
        stock_shops(stack, baselines, rushes=options.rounds)
        bar = exits.enter_context(tqdm(total=steps, desc="Bench", unit=" rounds", file=sys.stderr, disable=None))
        yield Workbench(
            stack=stack, shops={shop.name: shop for shop in (orderly, *baselines)}, options=options, bar=bar
        )


Scenario = Callable[[Workbench], None]
