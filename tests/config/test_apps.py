"""What a process of the shop is once Django is ready."""

import gc


def test_garbage_is_collected_again_once_all_is_imported() -> None:
    assert gc.isenabled()
    assert gc.get_freeze_count() > 0
