"""Which servers a stack runs on: the plain ones, or those of a shop on several machines, here all on this one."""

from collections.abc import Mapping

PROFILE = "ORDERLY_PROFILE"  # in the environment of whoever starts the stack
PROFILES: dict[str, frozenset[str]] = {
    "default": frozenset({"valkey"}),
    "rabbitmq": frozenset({"rabbitmq"}),  # a shop without Redis
    "pgbouncer": frozenset({"valkey", "pgbouncer"}),
    "standby": frozenset({"valkey", "standby"}),
    "sentinel": frozenset({"sentinels"}),
    "all": frozenset({"rabbitmq", "pgbouncer", "standby", "sentinels"}),  # Redis counts the limits alone
}


class UnknownProfile(Exception):
    """There is no profile of that name."""


def read_profile(caller: Mapping[str, str]) -> frozenset[str]:
    """The servers beside PostgreSQL. Raises UnknownProfile."""
    name = caller.get(PROFILE) or "default"
    if name not in PROFILES:
        raise UnknownProfile(f"{PROFILE} is one of {', '.join(PROFILES)}; not {name!r}.")
    return PROFILES[name]
