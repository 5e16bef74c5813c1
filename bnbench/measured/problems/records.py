"""What a problem declares."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

Numbers = dict[str, float]
Table = tuple[Sequence[str], Iterable[Sequence[str | int | float]]]  # header, rows


@dataclass(frozen=True)
class Problem:
    """A small question whose numbers come of seeds alone, without a data set.

    Attributes:
        sentence: what is measured.
        source: who says what is tested, and where the setting is from.
        seeds: the seeds to report; whatever is tuned is tuned on seeds from 100 on.
        version: of what the numbers mean; numbers of another version are made anew.
        measure: seeds -> per seed, quantity -> value; the same at every call. It takes all seeds
            at once, so that it can put them in one tensor.
        tables: name -> a further table, for a figure.
    """

    sentence: str
    source: str
    seeds: Sequence[int]
    version: int
    measure: Callable[[Sequence[int]], list[Numbers]]
    tables: Mapping[str, Callable[[], Table]] = field(default_factory=dict)
