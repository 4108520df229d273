"""The numbers below a list: the first, the last, and those near the page that is shown."""

from dataclasses import dataclass

NEAR = 2  # pages on each side


@dataclass(frozen=True)
class PageNumbers:
    """`number` is None where nobody has counted up to this page. `is_more`: there are pages beyond `last`."""

    number: int | None
    last: int
    is_more: bool = False

    @property
    def shown(self) -> list[int | None]:
        """The numbers to show, in order; None stands for those left out."""
        near = {1, self.last, *range((self.number or 1) - NEAR, (self.number or 1) + NEAR + 1)}
        shown: list[int | None] = []
        for number in sorted(near & set(range(1, self.last + 1))):
            if shown and shown[-1] != number - 1:
                shown.append(None)
            shown.append(number)
        return shown

    @property
    def previous(self) -> int | None:
        return self.number - 1 if self.number and self.number > 1 else None

    @property
    def next(self) -> int | None:
        return self.number + 1 if self.number and self.number < self.last else None
