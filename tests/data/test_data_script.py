import gzip
import hashlib
import shutil
from pathlib import Path
from urllib.request import urlretrieve

import pytest
from own_files import draw_photos
from torchvision import datasets

from bnbench.commands import data
from bnbench.data import files


@pytest.fixture
def mirror(small, tmp_path, monkeypatch) -> Path:
    """Torchvision downloads the small idx files from a folder of this machine."""
    folder = tmp_path / "mirror"
    folder.mkdir()
    resources = []
    for name, content in small.contents["mnist"].items():
        packed = gzip.compress(content)
        (folder / f"{name}.gz").write_bytes(packed)
        resources.append((f"{name}.gz", hashlib.md5(packed).hexdigest()))
    # Torchvision's own retrieval wants the headers of a web server.
    monkeypatch.setattr("torchvision.datasets.utils._urlretrieve", urlretrieve)
    monkeypatch.setattr(datasets.MNIST, "mirrors", [f"{folder.as_uri()}/"])
    monkeypatch.setattr(datasets.MNIST, "resources", resources)
    return folder


def lines(capsys) -> tuple[list[str], list[str]]:
    captured = capsys.readouterr()
    return captured.out.splitlines(), captured.err.splitlines()


def test_an_unknown_name_is_a_bad_request(capsys, tmp_path):
    assert data.main(["imagenet", "--root", str(tmp_path)]) == 2
    out, err = lines(capsys)
    assert out == []
    assert len(err) == 1
    for part in ("'imagenet'", "digits, fashion_mnist, mnist, cifar10, synthetic"):
        assert part in err[0]


@pytest.mark.parametrize("name", ["digits", "synthetic"])
def test_nothing_to_download(name, capsys, tmp_path):
    assert data.main([name, "--root", str(tmp_path / "root")]) == 0
    assert lines(capsys) == ([f"{name}: nothing to download, it comes with the installation"], [])
    assert not (tmp_path / "root").exists()


@pytest.mark.parametrize("name", sorted(files.FILES))
def test_whole_files_are_left_alone(name, small_root, capsys, monkeypatch):
    monkeypatch.setattr(data, "download", None)
    assert data.main([name, "--root", str(small_root)]) == 0
    out, err = lines(capsys)
    folder = small_root / files.FOLDERS[name][0]
    assert out == [f"{name}: already there, 60 images in {folder}, every file checked"]
    assert err == []


def test_torchvision_downloads_what_is_missing(small, small_tables, mirror, capsys):
    assert data.main(["mnist", "--root", str(small_tables)]) == 0
    folder = small_tables / "MNIST/raw"
    expected = [f"mnist: downloaded, 60 images in {folder}, every file checked"]
    assert lines(capsys)[0] == expected
    for name, content in small.contents["mnist"].items():
        assert (folder / name).read_bytes() == content


def test_a_wrong_file_is_replaced(small, small_root, mirror, capsys):
    path = small_root / "MNIST/raw/t10k-images-idx3-ubyte"
    path.write_bytes(b"cut short")
    assert data.main(["mnist", "--root", str(small_root)]) == 0
    assert path.read_bytes() == small.contents["mnist"][path.name]


def test_a_failed_download_is_one_line(small_tables, mirror, capsys):
    shutil.rmtree(mirror)
    assert data.main(["mnist", "--root", str(small_tables)]) == 1
    out, err = lines(capsys)
    assert out == []
    assert len(err) == 1
    assert err[0].startswith("mnist could not be downloaded: ")


def test_a_download_of_something_else_is_one_line(small_root, capsys, monkeypatch):
    path = small_root / "cifar-10-batches-py/test_batch"
    path.unlink()
    monkeypatch.setattr(data, "download", lambda name, root: path.write_bytes(b"a log-in page"))
    assert data.main(["cifar10", "--root", str(small_root)]) == 1
    out, err = lines(capsys)
    assert out == []
    assert len(err) == 1
    assert str(path) in err[0]


def test_a_wrong_file_outside_the_root_is_never_deleted(small, small_tables, capsys, monkeypatch):
    system = Path(files.FOLDERS["fashion_mnist"][1])
    system.mkdir()
    for name in small.contents["fashion_mnist"]:
        (system / name).write_bytes(b"wrong")
    linked = small_tables / "FashionMNIST/raw"
    linked.parent.mkdir(parents=True)
    linked.symlink_to(system)
    monkeypatch.setattr(data, "download", lambda name, root: None)
    assert data.main(["fashion_mnist", "--root", str(small_tables)]) == 1
    assert {path.read_bytes() for path in system.iterdir()} == {b"wrong"}
    assert len(list(system.iterdir())) == 4


def test_data_of_one_s_own_are_described_or_refused_and_nothing_is_written(
    capsys, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    draw_photos(tmp_path / "mine", {"cats": 40, "dogs": 10})
    assert data.main(["folder", "data.root=mine", "batch_size=8"]) == 0
    (told,), (warned,) = lines(capsys)
    assert told.startswith("mine-")
    assert "50 images of 3×32×32 in 2 classes (cats 40, dogs 10); 30 to train" in told
    assert "; sha256:" in told
    assert warned.startswith("bnbench: mine-")
    assert "80% of the images are of class cats" in warned
    assert data.main(["folder", "data.root=other"]) == 2
    assert lines(capsys) == ([], ["bnbench: data.root=other: no such folder"])
    assert data.main(["npz"]) == 2
    assert len(lines(capsys)[1]) == 1
    with pytest.raises(SystemExit, match="2"):
        data.main(["digits", "data.root=mine"])
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
