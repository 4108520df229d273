"""What `manage.py check --database default` says about this machine's clock."""

from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Tags, Warning, register

from audit.ticks import measure_clock_skew


@register(Tags.database)
def check_clock(databases: Sequence[str] | None = None, **_: Any) -> list[CheckMessage]:
    """Warn of a clock that is far off: a message expires by its receiver's clock, so a worker ahead would drop it."""
    if "default" not in (databases or []) or abs(skew := measure_clock_skew()) <= settings.CLOCK_SKEW / 2:
        return []
    hint = f"Let both follow the same time server. More than {settings.CLOCK_SKEW} seconds make workers drop messages."
    return [Warning(f"This machine's clock is {skew:.0f} seconds off the database's.", hint=hint, id="orderly.W001")]
