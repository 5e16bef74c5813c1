import gzip
import struct
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bnbench.config.schema import DATA_SHAPES, DATA_SIZES
from bnbench.data import files
from bnbench.data.files import DataError, missing_files, parse_idx, read_arrays, read_file

ON_DISK = sorted(files.FILES)


def assert_one_line(message: str, data: str, *parts: str) -> None:
    assert "\n" not in message
    assert message.endswith(f"; get it with: make data DATA={data}")
    for part in parts:
        assert part in message


def test_idx_by_hand():
    content = bytes([0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 3, 1, 2, 3, 4, 5, 255])
    assert parse_idx(content).tolist() == [[1, 2, 3], [4, 5, 255]]


@pytest.mark.parametrize("data", ON_DISK)
def test_arrays_are_those_in_the_files(data, small, small_root):
    images, labels = read_arrays(data, small_root)
    assert images.dtype == np.uint8
    assert labels.dtype == np.int64
    np.testing.assert_array_equal(images, small.images[data])
    np.testing.assert_array_equal(labels, small.labels)


@pytest.mark.parametrize("data", ON_DISK)
def test_packed_files_read_the_same(data, small, small_root):
    for path in (small_root / files.FOLDERS[data][0]).iterdir():
        path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    assert missing_files(data, small_root) is None
    np.testing.assert_array_equal(read_arrays(data, small_root)[0], small.images[data])


def test_fashion_mnist_is_read_in_place_from_the_system_folder(small, small_tables):
    system = small_tables / files.FOLDERS["fashion_mnist"][1]
    system.mkdir()
    for name, content in small.contents["fashion_mnist"].items():
        (system / f"{name}.gz").write_bytes(gzip.compress(content))
    assert missing_files("fashion_mnist", small_tables) is None
    images, _ = read_arrays("fashion_mnist", small_tables)
    np.testing.assert_array_equal(images, small.images["fashion_mnist"])
    assert not small_tables.exists()  # nothing was copied

    own = small_tables / "FashionMNIST/raw/t10k-labels-idx1-ubyte"
    own.parent.mkdir(parents=True)
    own.write_bytes(b"wrong")  # the user's own file comes first, even when it is wrong
    with pytest.raises(DataError, match="root/FashionMNIST/raw/t10k-labels-idx1-ubyte"):
        read_arrays("fashion_mnist", small_tables)


@pytest.mark.parametrize("data", ON_DISK)
def test_a_missing_file_is_named(data, small_root):
    name = files.FILES[data][-1].name
    (small_root / files.FOLDERS[data][0] / name).unlink()
    with pytest.raises(DataError) as caught:
        read_arrays(data, small_root)
    folders = [str(small_root / folder) for folder in files.FOLDERS[data]]
    assert_one_line(str(caught.value), data, name, "not found", *folders)
    assert missing_files(data, small_root) == str(caught.value)


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("keep", [0, 3, 100])
def test_a_cut_file_is_seen_without_reading_it(keep, suffix, small, small_root):
    path = small_root / "MNIST/raw/train-images-idx3-ubyte"
    content = path.read_bytes()
    path.unlink()
    path = path.with_name(path.name + suffix)
    path.write_bytes((gzip.compress(content) if suffix else content)[:keep])
    reason = missing_files("mnist", small_root)
    assert reason is not None
    assert_one_line(reason, "mnist", str(path), f"expected {len(content):,}")
    with pytest.raises(DataError) as caught:
        read_arrays("mnist", small_root)
    assert_one_line(str(caught.value), "mnist", str(path))


def test_embedded_data_sets_have_no_files_to_miss(tmp_path):
    for data in DATA_SIZES.keys() - files.FILES.keys():
        assert missing_files(data, tmp_path) is None


def test_a_folder_in_place_of_a_file_is_no_file(small_root):
    path = small_root / "cifar-10-batches-py/test_batch"
    path.unlink()
    path.mkdir()
    assert "test_batch: not found" in str(missing_files("cifar10", small_root))


@pytest.fixture(scope="session")
def scratch(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("altered")


any_file = st.tuples(st.sampled_from(["mnist", "cifar10"]), st.integers(0, 3))


@settings(deadline=None, max_examples=60)
@given(which=any_file, packed=st.booleans(), draw=st.data())
def test_no_truncation_is_read(which, packed, draw, small, scratch):
    data, number = which
    file = small.table(data)[number]
    content = small.contents[data][file.name]
    content = gzip.compress(content, 1) if packed else content
    path = scratch / (f"{file.name}.gz" if packed else file.name)
    path.write_bytes(content[: draw.draw(st.integers(0, len(content) - 1))])
    with pytest.raises(DataError) as caught:
        read_file(path, file)
    assert_one_line(str(caught.value), data, str(path))


@settings(deadline=None, max_examples=60)
@given(which=any_file, draw=st.data())
def test_no_flipped_bit_is_read(which, draw, small, scratch):
    data, number = which
    file = small.table(data)[number]
    content = bytearray(small.contents[data][file.name])
    # Headers are short: half of the flips go there, to magic numbers, sizes and opcodes.
    position = draw.draw(st.integers(0, 15) | st.integers(0, len(content) - 1))
    content[position % len(content)] ^= 1 << draw.draw(st.integers(0, 7))
    path = scratch / file.name
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        read_file(path, file)
    assert_one_line(str(caught.value), data, str(path), "SHA-256", f"expected {file.sha256}")


@settings(deadline=None, max_examples=100)
@given(draw=st.data())
def test_a_flipped_bit_of_a_packed_file_is_harmless_or_seen(draw, small, scratch):
    file = small.table("mnist")[1]
    content = small.contents["mnist"][file.name]
    packed = bytearray(gzip.compress(content))
    packed[draw.draw(st.integers(0, len(packed) - 1))] ^= 1 << draw.draw(st.integers(0, 7))
    path = scratch / f"{file.name}.gz"
    path.write_bytes(packed)
    try:
        assert read_file(path, file) == content  # the flip hit the time stamp or the like
    except DataError as error:
        assert_one_line(str(error), "mnist", str(path))


def damaged(content: bytes, kind: str, where: float, junk: bytes) -> bytes:
    """What a failing disk or another program may make of a file."""
    place = int(where * len(content))
    before, after = content[:place], content[place:]
    return {
        "flip": before + bytes(byte ^ 16 for byte in after[:1]) + after[1:],
        "cut": before,
        "insert": before + junk + after,
        "append": content + junk,
        "overwrite": before + junk + after[len(junk) :],
        "drop": before + after[max(1, len(junk)) :],
        "replace": junk,
    }[kind]


@settings(
    deadline=None,
    derandomize=True,
    max_examples=150,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    which=st.tuples(st.sampled_from(ON_DISK), st.integers(0, 3)),
    packed=st.booleans(),
    kind=st.sampled_from(["flip", "cut", "insert", "append", "overwrite", "drop", "replace"]),
    where=st.floats(0, 1, exclude_max=True),
    junk=st.binary(max_size=20) | st.sampled_from([b"\0" * 8, b"\x1f\x8b\x08", b"\xff" * 4]),
)
def test_damage_is_named_or_harmless(which, packed, kind, where, junk, small, small_root):
    data, number = which
    name = files.FILES[data][number].name
    plain = small_root / files.FOLDERS[data][0] / name
    path = plain.with_name(f"{name}.gz") if packed else plain
    content = small.contents[data][name]
    plain.unlink()
    whole = gzip.compress(content, mtime=0) if packed else content
    path.write_bytes(damaged(whole, kind, where, junk))
    quick = missing_files(data, small_root)
    try:
        images, labels = read_arrays(data, small_root)
    except DataError as error:
        problem = str(error)
    else:
        problem = None
        np.testing.assert_array_equal(images, small.images[data])
        np.testing.assert_array_equal(labels, small.labels)
    path.unlink()
    plain.write_bytes(content)
    assert quick in (None, problem)
    if problem:
        assert_one_line(problem, data, str(path))
        assert "expected" in problem or "cannot be read" in problem


@pytest.fixture
def lean():
    """Fail where a test has held more than 4 MB at once."""
    tracemalloc.start()
    yield
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4_000_000


@pytest.mark.usefixtures("lean")
@pytest.mark.parametrize("honest", [True, False])
def test_what_is_packed_is_not_unpacked_beyond_its_length(honest, small_root):
    path = small_root / "MNIST/raw/t10k-labels-idx1-ubyte"
    bomb = gzip.compress(bytes(100_000_000), 1, mtime=0)
    length = path.stat().st_size
    path.unlink()
    path = path.with_name(path.name + ".gz")
    path.write_bytes(bomb if honest else bomb[:-4] + struct.pack("<I", length))
    tracemalloc.reset_peak()
    with pytest.raises(DataError) as caught:
        read_arrays("mnist", small_root)
    assert_one_line(str(caught.value), "mnist", str(path), f"expected {length:,}")


@pytest.mark.usefixtures("lean")
def test_a_header_that_claims_two_thousand_million_images_is_not_believed(small_root):
    path = small_root / "MNIST/raw/train-images-idx3-ubyte"
    content = path.read_bytes()
    path.write_bytes(content[:4] + struct.pack(">I", 2**31) + content[8:])
    with pytest.raises(DataError, match="SHA-256") as caught:
        read_arrays("mnist", small_root)
    assert_one_line(str(caught.value), "mnist", str(path))


@pytest.mark.usefixtures("lean")
def test_a_file_of_another_length_is_not_read(small_root):
    path = small_root / "cifar-10-batches-py/test_batch"
    with path.open("r+b") as file:
        file.truncate(10**12)  # a hole: it takes no room on the disk
    with pytest.raises(DataError) as caught:
        read_arrays("cifar10", small_root)
    assert_one_line(str(caught.value), "cifar10", "length 1,000,000,000,000 bytes")


def test_a_root_that_cannot_be_looked_into_is_one_line(tmp_path):
    problem = missing_files("mnist", tmp_path / ("x" * 300))
    assert problem is not None
    assert_one_line(problem, "mnist", "cannot be read (File name too long)")


def test_no_altered_pickle_runs(small_root):
    marker = small_root / "marker"
    path = small_root / "cifar-10-batches-py/data_batch_1"
    harmful = f"cpathlib\nPath.touch\n(cpathlib\nPath\n(V{marker}\ntRtR.".encode()
    path.write_bytes(harmful.ljust(path.stat().st_size, b"."))
    with pytest.raises(DataError, match="SHA-256"):
        read_arrays("cifar10", small_root)
    assert not marker.exists()


@pytest.mark.parametrize("data", ON_DISK)
def test_published_lengths_agree_with_the_sizes_that_requests_are_checked_against(data):
    num_pool, num_test = sum(DATA_SIZES[data][:2]), DATA_SIZES[data][2]
    values = np.prod(DATA_SHAPES[data])
    lengths = list(files.BYTES[data].values())
    if data == "cifar10":  # a pickle: 1 to 2 % more than the pixels, for labels and file names
        counts = [num_pool // 5] * 5 + [num_test]
        for length, images in zip(lengths, counts, strict=True):
            assert 1.00 < length / (images * values) < 1.02
    else:
        assert lengths == [
            16 + num_pool * values,
            8 + num_pool,
            16 + num_test * values,
            8 + num_test,
        ]
    assert len({file.sha256 for table in files.FILES.values() for file in table}) == 14


def test_the_check_of_files_needs_no_torch():
    code = "import sys, bnbench.data.files; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
