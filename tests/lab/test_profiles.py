"""Which servers a stack runs on."""

import pytest

from lab.stack.profiles import PROFILE, UnknownProfile, read_profile


@pytest.mark.parametrize("caller", [{}, {PROFILE: ""}, {PROFILE: "default"}])
def test_a_stack_runs_on_the_plain_servers_unless_a_profile_is_named(caller: dict[str, str]) -> None:
    assert read_profile(caller) == {"valkey"}


def test_a_profile_that_there_is_not_is_named_with_those_that_there_are() -> None:
    with pytest.raises(UnknownProfile, match=r"ORDERLY_PROFILE is one of default, rabbitmq.*; not 'kafka'"):
        read_profile({PROFILE: "kafka"})
