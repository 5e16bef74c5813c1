"""Images of one's own: folders and files, the rules that prepare them, and what is refused."""

import doctest
import io
import os
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from own_files import draw_photos, write_arrays
from PIL import Image
from sklearn.datasets import load_digits

from bnbench.config import facts
from bnbench.config.arms import derive_seed
from bnbench.config.facts import split_sizes
from bnbench.config.recipe import OwnSource
from bnbench.data import arrays, folder, own
from bnbench.data.datasets import load, load_own, stratified_splits
from bnbench.data.files import DataError


def nothing_kept(results, key):
    return None


def read(path: Path, size=8, kept=nothing_kept):
    kind = "npz" if path.suffix == ".npz" else "folder"
    return own.read(OwnSource(kind, path, size if kind == "folder" else 0, "", Path()), kept)


def refused(path: Path, **options) -> str:
    with pytest.raises(DataError) as caught:
        read(path, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def one(tmp_path, image, size=4, name="a.png", **saved):
    """What an image becomes, beside one of another class, as (channels, size, size)."""
    root = tmp_path / "one"
    for label in ("a", "b"):
        (root / label).mkdir(parents=True, exist_ok=True)
    Image.new("L", (2, 2), 7).save(root / "b" / "b.png")
    image.save(root / "a" / name, **saved)
    return read(root, size).images[0]


# Folders: the rules


def test_classes_are_folders_in_the_order_of_their_names(tmp_path):
    draw_photos(tmp_path / "p", {"zebras": 2, "Ants": 3, "bees": 1})
    found = read(tmp_path / "p")
    assert found.classes == ("Ants", "bees", "zebras")
    assert found.counts.tolist() == [3, 1, 2]
    assert found.images.shape == (6, 3, 8, 8)
    assert found.images.dtype == np.uint8
    assert (found.num_test, found.labels.tolist()) == (0, [0, 0, 0, 1, 2, 2])


def test_hidden_names_and_what_is_no_image_beside_the_classes_are_passed_over(tmp_path):
    root = draw_photos(tmp_path / "p")
    before = read(root)
    (root / ".git").mkdir()
    (root / "README.md").write_text("two classes")
    (root / "discs" / ".DS_Store").write_bytes(b"\0")
    (root / "discs" / "Thumbs.db").write_bytes(b"\0")
    assert read(root).digest == before.digest


@given(
    width=st.integers(1, 40), height=st.integers(1, 40), size=st.integers(1, 12), seed=st.integers()
)
def test_any_shape_is_its_middle_square(width, height, size, seed):
    pixels = np.random.default_rng(abs(seed)).integers(0, 256, (height, width, 3), np.uint8)
    image = Image.fromarray(pixels)
    side = min(width, height)
    left, top = (width - side) / 2, (height - side) / 2
    box = (left, top, left + side, top + side)
    expected = image.resize((size, size), Image.Resampling.BILINEAR, box=box)
    np.testing.assert_array_equal(folder.square(image, size), np.asarray(expected))


def test_a_strip_of_7_by_300_keeps_its_middle(tmp_path):
    image = Image.new("L", (300, 7), 0)
    image.paste(200, (144, 0, 157, 7))  # the middle, and a little more on either side
    assert (one(tmp_path, image) == 200).all()
    assert (one(tmp_path, image.transpose(Image.Transpose.ROTATE_90)) == 200).all()


def test_shrinking_averages(tmp_path):
    """A chessboard of single pixels becomes grey: no filter that skips pixels gives that."""
    board = Image.fromarray((np.indices((64, 64)).sum(0) % 2 * 255).astype(np.uint8))
    shrunk = one(tmp_path, board)
    assert abs(shrunk.astype(int) - 127).max() <= 2


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(tmp_path, orientation):
    upright = Image.fromarray(np.arange(16, dtype=np.uint8).reshape(4, 4) * 15)
    turns = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = upright.transpose(turns[orientation]) if orientation in turns else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    # what a camera stores is the scene turned the other way
    np.testing.assert_array_equal(one(tmp_path, stored, exif=exif)[0], np.asarray(upright))


def test_what_is_transparent_lies_on_white(tmp_path):
    half = one(tmp_path, Image.new("RGBA", (4, 4), (0, 0, 0, 51)))
    assert (half == 255 - 51).all()
    assert half.shape[0] == 1  # no colour in it
    clear = Image.new("P", (4, 4), 0)
    clear.putpalette([9, 9, 9, 0, 0, 0])
    assert (one(tmp_path, clear, transparency=0) == 255).all()
    assert (one(tmp_path, Image.new("LA", (4, 4), (40, 255))) == 40).all()


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.pgm"])
def test_grey_of_16_bits_is_scaled(tmp_path, name):
    for value, expected in ((0, 0), (65_535, 255), (257 * 100, 100), (257 * 100 + 129, 101)):
        image = Image.fromarray(np.full((4, 4), value, np.uint16))
        assert (one(tmp_path, image, name=name) == expected).all()


def test_one_pixel_of_colour_in_one_image_makes_three_channels(tmp_path):
    root = tmp_path / "p"
    for label in ("a", "b"):
        (root / label).mkdir(parents=True)
        Image.new("RGB", (4, 4), (9, 9, 9)).save(root / label / "1.png")
        Image.new("L", (4, 4), 80).save(root / label / "2.png")
    assert read(root, 4).images.shape == (4, 1, 4, 4)
    odd = Image.new("RGB", (4, 4), (9, 9, 9))
    odd.putpixel((0, 0), (9, 9, 10))
    odd.save(root / "b" / "1.png")
    found = read(root, 4).images
    assert found.shape == (4, 3, 4, 4)
    assert (found[1] == 80).all()  # grey in all three


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "CMYK", "YCbCr", "RGBA", "LA"])
def test_every_mode_of_pillow_becomes_its_colours(tmp_path, mode):
    image = Image.new("RGB", (4, 4), "white").convert("RGBA" if mode == "LA" else mode)
    name = "a.tif" if mode in ("CMYK", "YCbCr") else "a.png"
    assert (one(tmp_path, image.convert(mode), name=name) >= 254).all()


def test_of_an_animation_the_first_frame_counts(tmp_path):
    frames = [Image.new("L", (4, 4), value) for value in (30, 90, 200)]
    moving = one(tmp_path, frames[0], name="a.gif", save_all=True, append_images=frames[1:])
    assert (moving == 30).all()


def test_equal_images_have_one_digest_wherever_they_lie_and_others_another(tmp_path):
    here, there = (draw_photos(tmp_path / name) for name in ("here", "there"))
    assert read(here).digest == read(there).digest
    assert read(here).digest != read(here, size=9).digest
    assert read(draw_photos(tmp_path / "other", seed=1)).digest != read(here).digest
    (there / "discs" / "000.png").rename(there / "squares" / "zzz.png")  # another label alone
    assert read(there).digest != read(here).digest


def test_the_digest_is_of_images_labels_test_set_and_preparation():
    images, labels = np.arange(16, dtype=np.uint8).reshape(4, 1, 2, 2), np.array([0, 1, 0, 1])
    of = own.digest_of
    others = [
        of(images, labels, 0, "npz 1"),
        of(images + np.uint8(1), labels, 0, "npz 1"),
        of(images, 1 - labels, 0, "npz 1"),
        of(images, labels, 1, "npz 1"),
        of(images, labels, 0, "npz 2"),
        of(images.reshape(4, 1, 4, 1), labels, 0, "npz 1"),
    ]
    assert len(set(others)) == len(others)
    assert of(images.copy(), labels.copy(), 0, "npz 1") == others[0]


# Folders: refusals


def bomb() -> bytes:
    """A PNG of 20,000 × 20,000 grey pixels in 400 kB, whole and right."""

    def chunk(name: bytes, data: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(name + data))
        return struct.pack(">I", len(data)) + name + data + check

    header = struct.pack(">IIBBBBB", 20_000, 20_000, 8, 0, 0, 0, 0)
    packer = zlib.compressobj(9)
    rows = b"".join(packer.compress(bytes(20_001)) for _ in range(20_000)) + packer.flush()
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    )


def png() -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (30, 30), np.uint8)).save(
        stream, "png"
    )
    return stream.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("discs/x.png", b"", "discs/x.png: an empty file, expected an image"),
        ("discs/x.png", b"not a picture", "discs/x.png: no image that Pillow reads"),
        ("discs/notes.txt", b"red, green", "discs/notes.txt: no image that Pillow reads"),
        ("squares/x.png", png()[:-200], "squares/x.png: a damaged image ("),
        ("squares/x.png", png()[:40], "squares/x.png: no image that Pillow reads"),
        ("discs/x.eps", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "discs/x.eps: no im"),
        ("loose.jpg", b"anything", "loose.jpg: an image beside the folders of the classes"),
        ("empty/.keep", b"", "empty: an empty folder, expected images"),
        ("discs/more/x.png", png(), "discs/more: a folder, expected images alone"),
    ],
)
def test_a_file_that_is_no_image_is_named(tmp_path, name, content, words):
    root = draw_photos(tmp_path / "p")
    (root / name).parent.mkdir(exist_ok=True)
    (root / name).write_bytes(content)
    assert refused(root).startswith(words)


def test_an_image_of_20_000_by_20_000_is_refused_before_it_is_decoded(tmp_path, monkeypatch):
    root = draw_photos(tmp_path / "p")
    (root / "discs" / "big.png").write_bytes(bomb())
    monkeypatch.setattr(Image.Image, "load", None)  # nothing may ask for pixels
    monkeypatch.setattr(folder, "square", lambda image, size: np.zeros((size, size, 3)))
    assert refused(root) == (
        "discs/big.png: too many pixels, expected at most 89,478,485 of an image"
    )
    monkeypatch.setattr(folder, "MAX_IMAGE", 80)
    (root / "discs" / "big.png").unlink()
    assert refused(root) == "discs/000.png: 9×9 pixels, expected at most 89,478,485 of an image"


def test_floats_and_32_bits_are_refused(tmp_path):
    for values, words in (
        (np.zeros((4, 4), np.float32), "a/a.tif: pixels of 32-bit floats, expected 8 or 16 bits"),
        (np.full((4, 4), 70_000, np.int32), "a/a.tif: pixels of 32 bits, expected 8 or 16"),
    ):
        with pytest.raises(DataError, match=f"^{words}$"):
            one(tmp_path, Image.fromarray(values), name="a.tif")


def test_what_is_no_folder_of_folders_is_refused(tmp_path):
    assert refused(tmp_path / "absent") == "no such folder"
    (tmp_path / "file").write_bytes(b"")
    assert refused(tmp_path / "file") == "a file, expected a folder"
    (tmp_path / "p").mkdir()
    assert refused(tmp_path / "p").startswith("expected one folder of images for each class")
    draw_photos(tmp_path / "q", {"cats": 9})
    assert refused(tmp_path / "q").startswith("all images are of one class (cats), expected at l")


def test_links_are_followed_within_the_folder_alone(tmp_path):
    root = draw_photos(tmp_path / "p")
    (tmp_path / "secret.png").write_bytes(png())
    (root / "discs" / "again.png").symlink_to("000.png")
    assert read(root).counts.tolist() == [13, 12]
    out = root / "discs" / "out.png"
    for target, words in (
        (tmp_path / "secret.png", "a link that leads out of the folder, which is not followed"),
        (root / "gone.png", "a link to nothing"),
    ):
        out.symlink_to(target)
        assert refused(root) == f"discs/out.png: {words}"
        out.unlink()
    (tmp_path / "p-other").mkdir()
    (root / "more").symlink_to(tmp_path / "p-other")
    assert refused(root).startswith("more: a link that leads out of the folder")
    (root / "more").unlink()
    (root / "round").symlink_to(root)
    assert refused(root).startswith("round/discs: a folder, expected images alone")
    (tmp_path / "link").symlink_to(draw_photos(tmp_path / "far"))
    assert read(tmp_path / "link").counts.tolist() == [12, 12]  # the folder itself may be one


def test_a_pipe_is_not_waited_for(tmp_path):
    root = draw_photos(tmp_path / "p")
    os.mkfifo(root / "discs" / "pipe.png")
    assert refused(root) == "discs/pipe.png: no file, expected images alone"


def test_more_than_memory_holds_is_refused_before_it_is_taken(tmp_path, monkeypatch):
    monkeypatch.setattr(folder, "MAX_PIXELS", 24 * 3 * 64 - 1)
    words = "24 images of 8×8 have 4,608 values, expected at most 4,607"
    assert refused(draw_photos(tmp_path / "p")) == words


# What is kept of a folder


def test_an_unchanged_folder_is_decoded_once_and_a_changed_one_again(tmp_path, monkeypatch):
    root, shelf, decoded = draw_photos(tmp_path / "p"), {}, []
    prepared = folder.prepared
    monkeypatch.setattr(
        folder, "prepared", lambda file, size: decoded.append(1) or prepared(file, size)
    )

    def kept(results, key):
        return shelf.get(key)

    def afresh():  # as another process
        monkeypatch.setattr(own, "_remembered", {})
        decoded.clear()
        return read(root, kept=kept), len(decoded)

    first, number = afresh()
    assert number == 24
    shelf[first.key] = own.packed(first)
    again, number = afresh()
    assert (number, again.digest, again.was_kept) == (0, first.digest, True)
    np.testing.assert_array_equal(again.images, first.images)
    assert again.classes == first.classes

    # another content of the same length and time of modification
    file = root / "discs" / "000.png"
    facts = file.stat()
    pixels = np.asarray(Image.open(file)).copy()
    file.write_bytes(file.read_bytes())
    os.utime(file, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    same, number = afresh()
    assert (number, same.digest) == (24, first.digest)
    pixels[4, 4] = 0
    Image.fromarray(pixels).save(file)
    other, number = afresh()
    assert number == 24
    assert other.digest != first.digest


@given(place=st.integers(0, 10**6), bit=st.integers(0, 7), cut=st.booleans())
def test_what_is_kept_and_damaged_is_not_believed(place, bit, cut):
    images = np.arange(48, dtype=np.uint8).reshape(4, 1, 4, 3)
    whole = own.checked((images, np.array([0, 1, 0, 1]), 0, ("a", "b")), "folder 1 4", "key")
    content = bytearray(own.packed(whole))
    place %= len(content)
    if cut:
        del content[place:]
    else:
        content[place] ^= 1 << bit
    found = own.unpacked(bytes(content), "folder 1 4", "key")
    # a bit that no checksum covers, such as a date, may differ
    assert found is None or found.digest == own.digest_of(
        found.images, found.labels, found.num_test, "folder 1 4"
    )
    assert own.unpacked(bytes(own.packed(whole)), "folder 1 5", "key") is None


def test_other_images_than_those_expected_are_refused(tmp_path):
    file = write_arrays(tmp_path / "a.npz")
    digest = read(file).digest
    assert own.read(OwnSource("npz", file, 0, digest, Path()), nothing_kept).digest == digest
    write_arrays(file, num=41)
    with pytest.raises(DataError, match=f"have changed: digest sha256:.*, expected {digest}$"):
        own.read(OwnSource("npz", file, 0, digest, Path()), nothing_kept)


# Files of numpy


def test_grey_and_colour_bytes_and_floats_are_as_they_were(tmp_path):
    for shape, channels in (((6, 5), 1), ((6, 5, 1), 1), ((6, 5, 3), 3)):
        for kind in (np.uint8, np.float16, np.float32, np.float64, ">f4"):
            images = np.random.default_rng(0).integers(0, 2, (40, *shape)).astype(kind)
            found = read(write_arrays(tmp_path / "a.npz", images=images))
            assert found.images.shape == (40, channels, 6, 5)
            assert found.images.dtype == (np.uint8 if kind is np.uint8 else np.float32)
            expected = images.reshape(40, 6, 5, channels).transpose(0, 3, 1, 2)
            np.testing.assert_array_equal(found.images, expected)
            monochrome = np.asfortranarray(images)
            again = read(write_arrays(tmp_path / "b.npz", images=monochrome))
            assert again.digest == found.digest


def test_labels_are_any_integers_in_their_order(tmp_path):
    names = np.array([7, -3, 10**12, -3] * 10)
    found = read(write_arrays(tmp_path / "a.npz", labels=names))
    assert found.classes == ("-3", "7", str(10**12))
    assert found.labels[:4].tolist() == [1, 0, 2, 0]
    assert found.counts.tolist() == [20, 10, 10]


def test_a_test_set_of_its_own_is_kept(tmp_path):
    rng = np.random.default_rng(1)
    tests = rng.integers(0, 256, (10, 6, 6), np.uint8)
    file = write_arrays(tmp_path / "a.npz", test_images=tests, test_labels=np.arange(10) % 2)
    found = read(file)
    assert found.facts.sizes == (32, 8, 10)
    for stratified in (False, True):
        one, other = (load_own(found, seed, stratified=stratified) for seed in (0, 1))
        np.testing.assert_array_equal(one.test.images[:, 0], np.float32(tests) / np.float32(255))
        assert torch.equal(one.test.labels, other.test.labels)
        assert not torch.equal(one.val.images, other.val.images)
        assert (len(one.train.labels), len(one.val.labels)) == (32, 8)
    without = write_arrays(tmp_path / "b.npz")
    assert read(without).digest != found.digest


GOOD = np.zeros((40, 6, 6), np.uint8)
LABELS = np.arange(40) % 2


def a_float(value):
    images = np.random.default_rng(0).random((40, 6, 6))
    images[3, 2, 1] = value
    return images


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"images": None}, "images: missing, expected images and labels, and for a test set"),
        ({"labels": None}, "labels: missing, expected images and labels"),
        ({"pictures": GOOD}, "pictures: expected images and labels"),
        ({"test_images": GOOD}, "test_labels: missing"),
        ({"images": np.zeros((40, 36), np.uint8)}, "images: shape (40, 36), expected (N, H, W)"),
        ({"images": np.zeros((40, 3, 6, 6), np.uint8)}, "images: shape (40, 3, 6, 6), expected"),
        ({"images": np.zeros((40, 6, 6, 4), np.uint8)}, "images: shape (40, 6, 6, 4), expected"),
        ({"images": np.zeros((40, 0, 6), np.uint8)}, "images: shape (40, 0, 6), expected N >= 1"),
        (
            {"images": np.zeros((0, 6, 6), np.uint8), "labels": LABELS[:0]},
            "images: shape (0, 6, 6)",
        ),
        ({"images": np.zeros((2, 6, 2000), np.uint8)}, "images: shape (2, 6, 2000), expected N"),
        ({"images": GOOD.astype(int)}, "images: int64, expected uint8, or floats from 0 to 1"),
        ({"images": GOOD.astype(bool)}, "images: bool, expected uint8"),
        ({"images": a_float(np.nan)}, "images: nan or inf among them"),
        ({"images": a_float(np.inf)}, "images: nan or inf among them"),
        ({"images": a_float(255.0)}, "images: floats from "),
        ({"images": a_float(-0.1)}, "images: floats from -0.1 to "),
        ({"images": np.array([{}, 1], object)}, "images: holds Python objects, expected numbers"),
        ({"labels": LABELS[:-1]}, "images: 40 of them and 39 labels"),
        ({"labels": LABELS.astype(float)}, "labels: float64, expected integers"),
        ({"labels": LABELS.astype(str)}, "labels: <U21, expected integers"),
        ({"labels": LABELS == 1}, "labels: bool, expected integers"),
        ({"labels": LABELS[:, None]}, "labels: shape (40, 1), expected (N,)"),
        (
            {"labels": np.full(40, 2**64 - 1, np.uint64)},
            f"labels: {2**64 - 1}, expected",
        ),
        ({"labels": LABELS * 0 + 5}, "all images are of one class (5), expected at least two"),
        ({"images": GOOD + np.uint8(9)}, "every pixel of every image is 9, expected something"),
        (
            {"test_images": np.zeros((4, 5, 6), np.uint8), "test_labels": LABELS[:4]},
            "test_images: uint8 (1, 5, 6), expected uint8 (1, 6, 6) as in images",
        ),
    ],
)
def test_arrays_that_are_not_images_and_labels_are_one_line(tmp_path, changes, words):
    assert refused(write_arrays(tmp_path / "a.npz", **changes)).startswith(words)


def test_channels_that_come_first_are_told_how_to_be_turned(tmp_path):
    file = write_arrays(tmp_path / "a.npz", images=np.zeros((40, 3, 6, 6), np.uint8))
    assert refused(file).endswith("(images.transpose(0, 2, 3, 1))")


class Thief:
    def __reduce__(self):
        return os.mkdir, ("stolen",)


def test_nothing_is_unpickled(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    thief = np.array([Thief(), Thief()], object)
    assert "holds Python objects" in refused(write_arrays(tmp_path / "a.npz", labels=thief))
    assert not (tmp_path / "stolen").exists()


def test_what_is_no_npz_file_is_one_line(tmp_path):
    file = tmp_path / "a.npz"
    assert refused(file) == "no such file"
    file.write_bytes(b"PK nothing of the kind")
    assert refused(file).startswith("is no whole .npz file of numpy (")
    np.save(tmp_path / "b.npy", GOOD)
    (tmp_path / "b.npy").rename(file)
    assert refused(file).startswith("is no whole .npz file of numpy (")
    file.unlink()
    file.mkdir()
    assert refused(file) == "a folder, expected a file"


def test_a_header_that_claims_more_than_memory_is_not_believed(tmp_path):
    header = io.BytesIO()
    shape = (10**9, 1000, 1000)
    np.lib.format.write_array_header_1_0(
        header, {"descr": "|u1", "fortran_order": False, "shape": shape}
    )
    for size, words in ((shape, "images: 1,000,000,000,000,000 bytes, expected at most"),):
        with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
            archive.writestr("images.npy", header.getvalue())
        assert refused(tmp_path / "a.npz").startswith(words), size
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "|u1", "fortran_order": False, "shape": (40, 6, 6)}
    )
    for short in (b"", bytes(1439), bytes(1441)):
        with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
            archive.writestr("images.npy", header.getvalue() + short)
        words = "images: is not as long as its shape (40, 6, 6) says"
        assert refused(tmp_path / "a.npz") == words


@given(data=st.data())
def test_a_damaged_file_is_one_line_or_what_it_was(tmp_path_factory, data):
    file = write_arrays(tmp_path_factory.mktemp("damage") / "a.npz", num=12)
    content = bytearray(file.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    members, told = {}, ""
    try:
        members = arrays.read_members(io.BytesIO(bytes(content)))
    except DataError as error:
        told = str(error)
    assert "\n" not in told
    assert told or all(isinstance(array, np.ndarray) for array in members.values())


# Splits


@given(number=st.integers(0, 300), seed=st.integers(0, 2**63 - 1))
def test_the_permutation_is_torch_s(number, seed):
    drawn = torch.randperm(number, generator=torch.Generator().manual_seed(seed))
    assert own.permutation(number, seed) == drawn.tolist()


@given(
    smallest=st.integers(1, 12),
    rest=st.integers(3, 200),
    num_test=st.sampled_from([0, 5]),
    seed=st.integers(0, 10**6),
)
def test_a_class_of_enough_images_is_in_every_stratified_split(smallest, rest, num_test, seed):
    sizes = split_sizes(smallest + rest + num_test, num_test)
    sizes = sizes[:2] if num_test else sizes
    labels = torch.tensor([0] * rest + [1] * smallest)
    if own.fewest(sizes) <= smallest:
        for split in stratified_splits(labels, sizes, torch.Generator().manual_seed(seed)):
            assert 1 in labels[split]


def test_fewer_can_be_missing_from_a_split():
    """The number is no larger than it must be: with one image less some draw lacks the class."""
    for sizes in ((60, 20, 20), (182, 60, 61), (40, 10)):
        number = own.fewest(sizes) - 1
        labels = torch.tensor([0] * (sum(sizes) - number) + [1] * number)
        draws = torch.Generator().manual_seed(0)
        drawn = (stratified_splits(labels, sizes, draws) for _ in range(3000))
        assert any(1 not in labels[split] for splits in drawn for split in splits), sizes


def images_of(counts, num_test=0):
    labels = np.repeat(np.arange(len(counts)), counts)
    images = np.random.default_rng(0).integers(0, 256, (len(labels), 1, 2, 2), np.uint8)
    names = tuple("abcdefgh"[: len(counts)])
    return own.checked((images, labels, num_test, names), "test", "")


def test_a_class_that_is_too_small_is_named():
    own.check_splits(images_of([95, 5]), None)
    with pytest.raises(DataError, match=r"^class b: 2 images, expected at least 5, so that each"):
        own.check_splits(images_of([98, 2]), None)
    with pytest.raises(DataError, match=r"^class b: 6 images, expected at least 7, so that each"):
        own.check_splits(images_of([98, 6]), None)
    with pytest.raises(DataError, match=r"^class a: 2 images, expected at least"):
        own.check_splits(images_of([2, 2]), None)


@given(seed=st.integers(0, 500))
def test_a_numbered_split_that_lacks_a_class_is_refused_and_no_other(seed):
    found = images_of([40, 4])
    dataset = load_own(found, seed)
    splits = (dataset.train, dataset.val, dataset.test)
    is_whole = all(len(split.labels.unique()) == 2 for split in splits)
    if is_whole:
        own.check_splits(found, seed)
    else:
        with pytest.raises(DataError, match=r"no image of class b is among the \d+ to "):
            own.check_splits(found, seed)


def test_a_test_set_without_a_class_is_refused(tmp_path):
    tests = np.zeros((4, 6, 6), np.uint8)
    file = write_arrays(tmp_path / "a.npz", test_images=tests, test_labels=np.zeros(4, int))
    for split_seed in (None, 0):
        with pytest.raises(
            DataError, match=r"^test_labels: none of class 1, expected some of each"
        ):
            own.check_splits(read(file), split_seed)


@given(num=st.integers(1, 10**6), num_test=st.integers(0, 10**5))
def test_splits_hold_every_image_and_their_shares(num, num_test):
    train, val, test = split_sizes(num + num_test, num_test)
    assert (train + val + test, test) == (num + num_test, num_test or -(-num // 5))
    assert val == num // 5


def test_digits_as_a_file_are_split_as_digits(tmp_path):
    pixels, labels = load_digits(return_X_y=True)
    images = np.asarray(pixels).reshape(-1, 8, 8) / 16
    found = read(write_arrays(tmp_path / "digits.npz", images=images, labels=labels))
    for stratified in (False, True):
        one = load_own(found, 3, stratified=stratified)
        other = load("digits", Path(), 3, stratified=stratified)
        assert one.fingerprint == other.fingerprint
        assert (one.mean, one.std) == (other.mean, other.std)


def test_a_channel_that_is_one_value_becomes_zeros():
    images = np.random.default_rng(0).integers(0, 256, (30, 3, 2, 2), np.uint8)
    images[:, 1] = 77
    found = own.checked((images, np.arange(30) % 2, 0, ("a", "b")), "test", "")
    dataset = load_own(found, 0, stratified=True)
    seen = dataset.normalise(dataset.train.images)
    assert seen.isfinite().all()
    assert not seen[:, 1].any()
    assert not dataset.mirrored


# What is said of them


def test_a_lopsided_data_set_is_told():
    assert images_of([60, 40]).lopsided is None
    told = images_of([90, 10]).lopsided
    assert told
    assert told.startswith("90% of the images are of class a: a net that always says so")
    assert "chance, 50%" in told


def test_the_line_that_describes_data():
    told = images_of([60, 40]).described
    assert told == (
        "100 images of 1×2×2 in 2 classes (a 60, b 40); 60 to train, 20 to validate, 20 to test"
    )


@given(name=st.text(max_size=60), digest=st.from_regex(r"sha256:[0-9a-f]{16}", fullmatch=True))
def test_a_name_made_of_a_path_names_a_folder_and_is_no_number(name, digest):
    made = own.named(None, Path("/data") / (name.replace("/", "").replace("\0", "") or "x"), digest)
    assert own.named(made, Path("x"), digest) == made
    assert made.endswith(f"-{digest[7:11]}")
    assert made.isascii()
    assert made.isprintable()
    assert len(made) <= 45
    assert made[0].isalpha()
    with pytest.raises(ValueError, match="could not convert"):
        float(made)


def test_the_split_seed_is_derived_as_for_digits():
    found = images_of([30, 30])
    order = own.permutation(60, derive_seed(5, "split"))
    labels = found.labels[order]
    np.testing.assert_array_equal(load_own(found, 5).train.labels, labels[:36])


@pytest.mark.parametrize("module", [own, facts, folder])
def test_examples(module):
    assert doctest.testmod(module).failed == 0
