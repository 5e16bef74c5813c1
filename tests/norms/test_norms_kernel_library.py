"""Where the compiled kernel is kept: torn, written by others, built twice, left by a killed build.

The compiler is a stand-in that writes a few bytes, which are not loaded.
"""

import fcntl
import os
import pwd
import sys
import threading
from pathlib import Path

import pytest
import torch

from bnbench.config import compiler
from bnbench.norms import kernels
from bnbench.norms.kernels import cpp

NAME = "bnbench_batch_norm_0123456789ab"
CODE = b"\x7fELF machine code"


@pytest.fixture(autouse=True)
def loaded(monkeypatch):
    """The libraries that were loaded."""
    paths = []
    monkeypatch.setattr(torch.ops, "load_library", lambda path: paths.append(Path(path)))
    return paths


@pytest.fixture
def builds(monkeypatch):
    """The libraries that were compiled."""
    libraries = []

    def compile_to(library):
        libraries.append(library)
        library.write_bytes(CODE)

    monkeypatch.setattr(cpp, "compile_to", compile_to)
    return libraries


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The wanted folder, not made yet; the temporary one is another of the test's."""
    private = tmp_path / "temporary"
    private.mkdir(mode=0o700)
    monkeypatch.setattr("tempfile.tempdir", str(private))
    monkeypatch.setenv("TORCH_EXTENSIONS_DIR", str(tmp_path / "wanted"))
    return tmp_path / "wanted"


def test_a_library_is_built_once_and_nothing_else_is_kept(builds, folder, loaded):
    first, again = cpp.load(NAME), cpp.load(NAME)
    assert first == again
    assert loaded == [first, again]
    assert first.read_bytes() == CODE
    assert {path.name for path in folder.iterdir()} == {first.name, f"{NAME}.lock"}
    assert len(builds) == 1


def emptied(path):
    path.write_bytes(b"")


def cut(path):
    path.write_bytes(CODE[:-1])


def flipped(path):
    path.write_bytes(CODE[:-1] + b"E")


def exchanged_for_a_link(path):
    other = path.with_name("other")
    other.write_bytes(CODE)
    path.unlink()
    path.symlink_to(other)


def exchanged_for_a_pipe(path):
    path.unlink()
    os.mkfifo(path)


def exchanged_for_a_folder(path):
    path.unlink()
    (path / "below").mkdir(parents=True)


def opened_to_all(path):
    path.chmod(0o757)


def opened_to_the_group(path):
    path.chmod(0o775)


@pytest.mark.parametrize(
    "spoil",
    [
        *(emptied, cut, flipped, exchanged_for_a_link, exchanged_for_a_pipe),
        *(exchanged_for_a_folder, opened_to_all, opened_to_the_group),
    ],
)
def test_a_library_that_is_not_as_it_was_made_is_built_again(builds, folder, spoil):
    spoil(cpp.load(NAME))
    found = cpp.load(NAME)
    assert (found.is_symlink(), found.read_bytes(), found.stat().st_mode & 0o777) == (
        *(False, CODE),
        0o755,
    )
    assert list(folder.glob("*.so")) == [found]
    assert len(builds) == 2


def belongs_to_another(path, monkeypatch):
    if os.geteuid() == 0:
        os.chown(path, 12345, -1)
    else:
        us = os.geteuid()
        monkeypatch.setattr(os, "geteuid", lambda: us + 1)


def test_a_library_that_another_process_takes_away_meanwhile_is_looked_for_again(
    builds, folder, monkeypatch
):
    kept_as, torn = cpp.kept_as, cpp.load(NAME).with_name(f"{NAME}-0.so")

    def taken_away(name, path):
        if path == torn:
            path.unlink()
        return kept_as(name, path)

    monkeypatch.setattr(cpp, "kept_as", taken_away)
    monkeypatch.setattr(Path, "glob", lambda at, _: sorted(at.iterdir()))  # the torn one first
    torn.write_bytes(CODE[:-1])
    assert cpp.load(NAME).parent == folder
    assert len(builds) == 1


@pytest.fixture
def of_another(folder, monkeypatch):
    """A folder and the library in it, both of another user."""
    folder.mkdir()
    library = folder / "x.so"
    library.write_bytes(CODE)
    assert [compiler.exposure(path) for path in (folder, library)] == ["", ""]
    for path in (folder, library):
        belongs_to_another(path, monkeypatch)
    return folder, library


def test_a_library_of_another_user_is_not_loaded(builds, of_another):
    folder, library = of_another
    assert compiler.exposure(library) == "belongs to another user"
    with pytest.raises(PermissionError, match="belongs to another user"):
        compiler.opened(folder)


def test_who_owns_the_root_folder_rules_the_folders_above_and_not_the_library(
    of_another, monkeypatch
):
    folder, library = of_another
    owner, stat = library.lstat(), Path.stat

    def stat_of(path, **options):
        return owner if path == Path("/") else stat(path, **options)

    assert compiler.exposure(folder, shared=True) == "belongs to another user"
    monkeypatch.setattr(Path, "stat", stat_of)
    assert compiler.exposure(folder, shared=True) == ""
    for path in (folder, library):
        assert compiler.exposure(path) == "belongs to another user"


@pytest.mark.parametrize("mode", [0o777, 0o775, 0o1777])
def test_a_folder_that_others_may_write_to_gives_way_to_a_private_one(
    builds, folder, tmp_path, mode
):
    planted = cpp.load(NAME)
    planted.write_bytes(b"another's code")
    planted.rename(
        planted.with_name(cpp.kept_as(NAME, planted))
    )  # proved by its name, as whoever writes it can do
    folder.chmod(mode)
    with pytest.warns(UserWarning, match=r"wanted can be changed by other users \(chmod go-w\)"):
        found = cpp.load(NAME)
    assert found.read_bytes() == CODE
    assert found.parent == tmp_path / f"temporary/torch_extensions_{os.geteuid()}"
    assert found.parent.stat().st_mode & 0o022 == 0
    assert cpp.load(NAME) == found  # without another word
    assert len(builds) == 2


def test_a_folder_inside_one_that_others_may_write_to_is_as_good_as_theirs(
    builds, folder, tmp_path, monkeypatch
):
    monkeypatch.setenv("TORCH_EXTENSIONS_DIR", str(folder / "deeper"))
    folder.mkdir()
    folder.chmod(0o777)
    with pytest.warns(UserWarning, match="wanted can be changed by other users"):
        assert "temporary" in str(cpp.load(NAME))
    folder.chmod(0o1777)  # as /tmp: names belong to who made them
    assert cpp.load(NAME).parent == folder / "deeper"


def test_what_a_killed_build_left_holds_nobody_up(builds, folder):
    left = folder / f"{NAME}.build"
    left.mkdir(parents=True)
    (left / "library.so").write_bytes(CODE[:3])
    (folder / f"{NAME}.lock").touch()
    assert cpp.load(NAME).read_bytes() == CODE
    assert not left.exists()


def test_two_that_build_at_once_build_once(folder, monkeypatch):
    begun, go_on, asked = threading.Event(), threading.Event(), threading.Semaphore(0)
    found, builds, flock = [], [], fcntl.flock

    def ask(*lock):
        asked.release()
        flock(*lock)

    def compile_to(library):
        builds.append(library)
        begun.set()
        go_on.wait()
        library.write_bytes(CODE)

    monkeypatch.setattr(cpp, "compile_to", compile_to)
    monkeypatch.setattr(fcntl, "flock", ask)
    both = [
        threading.Thread(target=lambda: found.append(cpp.load(NAME)), daemon=True) for _ in range(2)
    ]
    for thread in both:
        thread.start()
    begun.wait()
    for _ in both:
        asked.acquire()
    go_on.set()
    for thread in both:
        thread.join()
    assert len(builds) == 1
    assert len(set(found)) == 1
    assert len(found) == 2


@pytest.mark.parametrize("place", ["TORCH_EXTENSIONS_DIR", "XDG_CACHE_HOME", "HOME"])
def test_a_folder_that_cannot_be_made_gives_way_to_a_private_one(
    builds, folder, tmp_path, monkeypatch, place
):
    for name in ("TORCH_EXTENSIONS_DIR", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "file").touch()
    monkeypatch.setenv(place, str(tmp_path / "file/below"))  # even root can make no folder there
    with pytest.warns(UserWarning, match="Not a directory"):
        assert cpp.load(NAME).parent.parent == tmp_path / "temporary"


def test_without_a_home_there_is_no_folder_in_it(monkeypatch, tmp_path):
    def no_entry(uid):
        raise KeyError(uid)

    for name in ("TORCH_EXTENSIONS_DIR", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", no_entry)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    private = tmp_path / f"torch_extensions_{os.geteuid()}"
    assert list(compiler.library_folders()) == [private]


def test_a_folder_that_nothing_can_be_loaded_from_gives_way_to_a_private_one(
    builds, folder, monkeypatch
):
    """As one mounted with noexec."""

    def load_library(path):
        if folder in Path(path).parents:
            raise OSError("failed to map segment")

    monkeypatch.setattr(torch.ops, "load_library", load_library)
    with pytest.warns(UserWarning, match="failed to map segment"):
        found = cpp.load(NAME)
    assert "temporary" in str(found)
    assert cpp.load(NAME) == found  # without another word
    assert len(builds) == 2


def test_no_folder_at_all_is_told_in_one_line(builds, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("TORCH_EXTENSIONS_DIR", str(tmp_path / "file/below"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "file"))
    monkeypatch.setattr(cpp, "key", lambda command: NAME)
    monkeypatch.setattr(compiler, "command", lambda: ["c++"])
    with pytest.raises(kernels.UnavailableError, match=r"^cannot be compiled \(.*Not a directory"):
        cpp.prepare.__wrapped__()


def test_folders_are_made_for_us_alone_whatever_the_umask(builds, folder, monkeypatch):
    monkeypatch.setenv("TORCH_EXTENSIONS_DIR", str(folder / "a/b"))
    before = os.umask(0)
    try:
        found = cpp.load(NAME)
    finally:
        os.umask(before)
    assert found.parent == folder / "a/b"
    assert [p.stat().st_mode & 0o022 for p in (found, *found.parents[:3])] == [0, 0, 0, 0]


def test_the_key_holds_all_that_the_machine_code_depends_on(tmp_path, monkeypatch):
    """A folder may serve several machines: each finds its own library."""
    tool = tmp_path / "c++"
    tool.write_text("#!/bin/sh\necho 1\n")
    tool.chmod(0o755)
    cpu = tmp_path / "cpuinfo"
    cpu.write_text("MHz : 1\nflags : sse2 avx2\n")
    monkeypatch.setattr(cpp, "CPUINFO", cpu)
    command = [str(tool)]
    keys = [cpp.key(command)]
    cpu.write_text("MHz : 2\nflags : sse2 avx2\n")  # what changes by the moment
    assert cpp.key(command) == keys[0]
    cpu.write_text("flags : sse2\n")
    keys.append(cpp.key(command))
    tool.write_text("#!/bin/sh\necho 2\n")
    keys.append(cpp.key(command))
    keys.append(cpp.key([*command, "-O1"]))
    for owner, name, value in (
        *((cpp, "FLAGS", ["-O1"]), (cpp, "CPU", []), ("torch", "__version__", "0")),
        *(("platform", "libc_ver", lambda: ("musl", "1")), (sys.implementation, "cache_tag", "x")),
        *(("platform", "machine", lambda: "riscv"), ("torch.version", "git_version", "0")),
    ):
        target = (f"{owner}.{name}",) if isinstance(owner, str) else (owner, name)
        monkeypatch.setattr(*target, value)
        keys.append(cpp.key(command))
    assert len(set(keys)) == len(keys)
