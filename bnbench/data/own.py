"""Images of the user's own: read, checked and known again by a digest, by parent and workers.

Nothing here needs torch.
"""

import hashlib
import re
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from pathlib import Path

import numpy as np

from bnbench.config.arms import derive_seed
from bnbench.config.checks import MAX_NAME
from bnbench.config.facts import DataFacts, split_sizes
from bnbench.config.labels import count_label
from bnbench.config.recipe import OwnSource
from bnbench.data.arrays import Labelled, read_members, read_npz
from bnbench.data.files import DataError

MARK = 4  # hexadecimal digits of the digest behind a name
REMEMBERED = 2  # data sets that a process keeps in memory
FILE = "npz 1"  # another number where the same file would become other pixels

Kept = Callable[[Path, str], bytes | None]
_remembered: dict[Hashable, "OwnImages"] = {}  # the last ones, by what changes with their content


@dataclass(frozen=True, eq=False)
class OwnImages:
    """The images and labels of a data set of the user's own.

    Attributes:
        images: (N, C, H, W), uint8 or float32 in [0, 1]; those of the test set last.
        labels: their classes, 0 … K - 1, int64 (N,).
        num_test: images of a test set of its own; 0 where all are drawn into the splits.
        classes: the names of the classes.
        digest: of images, labels and preparation.
        key: what the prepared images of a folder are kept under; empty for a file.
        was_kept: whether they were read from there.
    """

    images: np.ndarray
    labels: np.ndarray
    num_test: int
    classes: tuple[str, ...]
    digest: str
    key: str
    was_kept: bool = False

    @property
    def facts(self) -> DataFacts:
        """The facts that a request is checked against."""
        channels, height, width = self.images.shape[1:]
        sizes = split_sizes(len(self.labels), self.num_test)
        return DataFacts(sizes, (channels, height, width), len(self.classes))

    @property
    def counts(self) -> np.ndarray:
        """How many images each class has."""
        return np.bincount(self.labels, minlength=len(self.classes))

    @property
    def described(self) -> str:
        """One line: images, classes with their numbers, shape and splits."""
        pairs = [f"{n} {c:,}" for n, c in zip(self.classes, self.counts.tolist(), strict=True)]
        most = 12  # that a line has room for
        told = ", ".join(pairs if len(pairs) <= most else [*pairs[: most - 1], "…"])
        train, val, test = self.facts.sizes
        shape = "×".join(map(str, self.facts.shape))
        return (
            f"{len(self.labels):,} images of {shape} in {len(pairs)} classes ({told}); "
            f"{train:,} to train, {val:,} to validate, {test:,} to test"
        )

    @property
    def lopsided(self) -> str | None:
        """One line where a net that names the largest class alone looks good; else None."""
        share = float(self.counts.max() / len(self.labels))
        if share <= self.facts.chance + 0.1:
            return None
        return (
            f"{share:.0%} of the images are of class {self.classes[int(self.counts.argmax())]}: a "
            f"net that always says so has that accuracy, and not chance, {self.facts.chance:.0%}"
        )


def read(source: OwnSource, kept: Kept) -> OwnImages:
    """Read the user's own images; what is unchanged since the last time is not read twice.

    Args:
        source: where they lie; with a digest they must have it.
        kept: gives the content that a folder of results keeps under a key; None for none.

    Raises:
        DataError: the images are not what they should be, or have changed; one line.
    """
    if source.kind == "npz":
        stamp = _stamp(source.path)
        found = _remember(
            (source.path.absolute(), stamp), lambda: checked(read_npz(source.path), FILE, "")
        )
    else:
        from bnbench.data import folder  # Pillow's plugins take a while to import

        listed = folder.listing(source.path)
        key, what = listed.key(source.size), f"{folder.PREPARATION} {source.size}"

        def make() -> OwnImages:
            content = kept(source.results, key)
            before = unpacked(content, what, key) if content else None
            return before or checked(folder.read_folder(listed, source.size), what, key)

        found = _remember(key, make)
    if source.digest and found.digest != source.digest:
        raise DataError(
            f"the images or their labels have changed: digest {found.digest}, expected "
            f"{source.digest}"
        )
    return found


def _stamp(file: Path) -> tuple[int, ...] | None:
    """What changes with a file's content."""
    try:
        facts = file.stat()
    except OSError:
        return None
    return facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns


def _remember(key: Hashable, make: Callable[[], OwnImages]) -> OwnImages:
    """What was made under a key, or is made now."""
    if key not in _remembered:
        made = make()
        while len(_remembered) >= REMEMBERED:
            del _remembered[next(iter(_remembered))]
        _remembered[key] = made
    return _remembered[key]


def checked(found: Labelled, preparation: str, key: str) -> OwnImages:
    """Refuse images that no net can learn from, whatever the request (`DataError`)."""
    images, labels, num_test, classes = found
    if len(classes) < 2:
        names = ", ".join(classes)
        raise DataError(f"all images are of one class ({names}), expected at least two classes")
    if images.min() == images.max():
        raise DataError(
            f"every pixel of every image is {images.flat[0]}, expected something to see"
        )
    digest = digest_of(images, labels, num_test, preparation)
    return OwnImages(images, labels, num_test, classes, digest, key)


def digest_of(images: np.ndarray, labels: np.ndarray, num_test: int, preparation: str) -> str:
    """Compute 64 bits of SHA-256 over images, labels, the size of the test set and preparation.

    The prefix keeps tables from taking digits alone for a number.
    """
    sha = hashlib.sha256(f"{preparation} {num_test} {images.dtype} {images.shape}".encode())
    for array in (images, labels):
        sha.update(np.ascontiguousarray(array).data)
    return f"sha256:{sha.hexdigest()[:16]}"


def packed(found: OwnImages) -> bytes:
    """The images with all that is known of them, as the content of an .npz file."""
    content = BytesIO()
    np.savez(
        content,
        images=found.images,
        labels=found.labels,
        num_test=np.int64(found.num_test),
        classes=np.array(found.classes),
        digest=np.array(found.digest),
    )
    return content.getvalue()


def unpacked(content: bytes, preparation: str, key: str) -> OwnImages | None:
    """What `packed` made a content of; None for anything else, such as a damaged one."""
    try:
        members = read_members(BytesIO(content))
        images, labels = members["images"], members["labels"]
        num_test, classes = int(members["num_test"]), tuple(map(str, members["classes"]))
        digest = str(members["digest"])
        if digest != digest_of(images, labels, num_test, preparation):
            return None
        return OwnImages(images, labels, num_test, classes, digest, key, was_kept=True)
    except (DataError, KeyError, TypeError, ValueError):
        return None


def named(name: str | None, path: Path, digest: str) -> str:
    """Name a data set by what its user or its path calls it, and by its digest.

    >>> named(None, Path("my photos"), "sha256:12e4567890abcdef")
    'my_photos-12e4'
    >>> named("cats-12e4", Path("1.npz"), "sha256:12e4567890abcdef")
    'cats-12e4'
    """
    mark = f"-{digest.partition(':')[2][:MARK]}"
    if name is None:
        stem = path.absolute().name.removesuffix(".npz")
        name = re.sub(r"[^A-Za-z0-9_.-]+", "_", stem).strip("_.-")[:MAX_NAME]
        name = name if name[:1].isalpha() else f"data-{name}".strip("-")[:MAX_NAME]
    return name if name.endswith(mark) else f"{name[:MAX_NAME]}{mark}"


def check_splits(found: OwnImages, split_seed: int | None) -> None:
    """Refuse a split that would lack a class (`DataError`).

    Args:
        found: the images.
        split_seed: what the splits are drawn from; None for stratified ones of each run, all of
            which have to have every class.
    """
    sizes, counts = found.facts.sizes, found.counts
    if found.num_test:
        lacking = np.bincount(found.labels[-found.num_test :], minlength=len(counts)) == 0
        if lacking.any():
            absent = found.classes[int(lacking.argmax())]
            raise DataError(f"test_labels: none of class {absent}, expected some of each class")
        sizes = sizes[:2]
        counts = np.bincount(found.labels[: -found.num_test], minlength=len(counts))
    if split_seed is None:
        if (least := fewest(sizes)) > counts.min():
            small = int(counts.argmin())
            raise DataError(
                f"class {found.classes[small]}: {count_label(int(counts[small]), 'image')}, "
                f"expected at least {least}, so that each split has some"
            )
        return
    order = permutation(sum(sizes), derive_seed(split_seed, "split"))
    start = 0
    for size, purpose in zip(sizes, ("train", "validate", "test"), strict=False):
        drawn = found.labels[order[start : start + size]]
        lacking = np.bincount(drawn, minlength=len(counts)) == 0
        if lacking.any():
            absent = found.classes[int(lacking.argmax())]
            raise DataError(
                f"no image of class {absent} is among the {size} to {purpose} on with "
                f"data.split_seed={split_seed}, expected another seed, per_seed or more images"
            )
        start += size


def fewest(sizes: Sequence[int]) -> int:
    """Count the images that a class needs to be in each of some stratified splits, in every draw.

    Of a class of c images a draw of every d-th one (`datasets.stratified_splits`, the last split
    first) takes from c / d rounded down to c / d rounded up.

    >>> fewest((1078, 359, 360)), fewest((8, 2))
    (7, 5)
    """
    needed = 1
    while not _all_have_some(needed, sizes):
        needed += 1
        if needed > sum(sizes):  # a split is empty
            break
    return needed


def _all_have_some(count: int, sizes: Sequence[int]) -> bool:
    left = sum(sizes)
    for size in reversed(sizes[1:]):
        if count * size < left:
            return False
        count -= -(-count * size // left)
        left -= size
    return count > 0


@lru_cache(maxsize=2)
def permutation(number: int, seed: int) -> list[int]:
    """Draw the permutation that `torch.randperm` draws from a generator with this seed.

    Fisher and Yates's shuffle by the same generator, MT19937: a test holds it to torch.
    """
    draws = np.random.RandomState(seed & 0xFFFFFFFF)
    places = draws.randint(0, 2**32, max(0, number - 1), dtype=np.uint32).tolist()
    order = list(range(number))
    for start, draw in enumerate(places):
        other = start + draw % (number - start)
        order[start], order[other] = order[other], order[start]
    return order
