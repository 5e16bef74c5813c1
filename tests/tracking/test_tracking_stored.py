"""Nothing of a results folder is opened but regular files of a sane size that no link leads to."""

import json
import os
import socket
from contextlib import chdir

import pytest

from bnbench.config.schema import SCHEMA
from bnbench.tracking import stored
from bnbench.tracking.csv_log import latest, named_shifts, read_shifts
from bnbench.tracking.experiment_dir import (
    experiment_path,
    find,
    read_arms,
    survey,
    write_arms,
    write_experiment,
)
from bnbench.tracking.meta import known_meta, read_meta
from bnbench.tracking.run_dir import RunBusyError, RunFolder, State
from bnbench.tracking.stored import DamagedError
from bnbench.tracking.upload import read_science
from bnbench.tracking.wandb_file import cut_torn_end, is_readable
from bnbench.tracking.wandb_log import mark
from bnbench.tracking.whole_files import replacing, write_whole

SCIENCE = {"norm": {"name": "none"}}


@pytest.fixture
def path(tmp_path, end):
    """The folder of a run that is done."""
    path = RunFolder.of(tmp_path / "results", "a", 0).path
    with RunFolder(path).locked():
        RunFolder(path).begin(SCIENCE)
        (path / "metrics.csv").write_text(
            "step,samples,split,layer,metric,value\n1,2,val,,loss,3.0\n"
        )
        write_whole(path / "meta.json", "{}")
        end(path)
    return path


def pipe(file, outside):
    os.mkfifo(file)


def link(file, outside):
    file.symlink_to(outside)


def endless(file, outside):
    file.symlink_to("/dev/zero")


def loop(file, outside):
    file.symlink_to(file)


def folder(file, outside):
    file.mkdir()


def bound(file, outside):
    with socket.socket(socket.AF_UNIX) as one, chdir(file.parent):
        one.bind(file.name)


def sparse(file, outside):
    with file.open("wb") as stream:
        stream.truncate(2**40)


ODD = {
    pipe: "a pipe",
    link: "a link",
    endless: "a link",
    loop: "a link",
    folder: "a folder",
    bound: "a socket",
    sparse: "1,099,511,627,776 bytes",
}


@pytest.fixture(params=ODD, ids=lambda make: make.__name__)
def odd(request, tmp_path):
    """Put something that is no file of a run in the place of one; the words for it."""
    outside = tmp_path / "outside"
    outside.write_text("{}")

    def put(file):
        file.unlink(missing_ok=True)
        request.param(file, outside)
        return ODD[request.param]

    yield put
    assert outside.read_text() == "{}"


@pytest.mark.parametrize("name", ["summary.json", "metrics.csv"])
def test_an_odd_file_in_the_place_of_a_result_is_named(path, odd, name):
    words = odd(path / name)
    with pytest.raises(DamagedError, match=words) as error:
        RunFolder(path).read_result()
    assert str(error.value).startswith(f"{path / name}: ")
    assert "\n" not in str(error.value)
    assert RunFolder(path).state() == State.interrupted


def test_every_reader_of_a_run_refuses_odd_files(path, odd):
    for name in ("meta.json", "config.yaml", "shifts.csv", "error.txt", "metrics.csv"):
        odd(path / name)
    words = odd(path / "run-1.wandb")
    for read in (read_meta, read_science):
        with pytest.raises(DamagedError, match=words):
            read(RunFolder(path))
    assert known_meta(RunFolder(path)) == {}
    assert words in RunFolder(path).last_error()
    assert latest(path / "metrics.csv", ("val", "", "loss")) is None
    assert read_shifts(RunFolder(path), {}) == []
    assert named_shifts(RunFolder(path)) == set()
    assert not is_readable(path / "run-1.wandb")
    with pytest.raises(DamagedError, match=words):
        cut_torn_end(path / "run-1.wandb")


def test_an_odd_lock_is_held_by_nobody(path, odd):
    odd(path / ".lock")
    (path / "summary.json").unlink()
    assert RunFolder(path).state() == State.interrupted
    assert not RunFolder(path).is_held()
    with pytest.raises(DamagedError) as error, RunFolder(path).locked():
        pass
    assert str(error.value).startswith(f"{path / '.lock'}: ")


def test_an_odd_file_in_the_place_of_a_table_is_named(tmp_path, odd):
    path = experiment_path(tmp_path / "results", "one", "digits")
    write_arms(path, [("a", 0, SCIENCE)])
    write_experiment(path, {})
    for name in ("arms.csv", "experiment.json"):
        words = odd(path / name)
        with pytest.raises(DamagedError, match=words) as error:
            read_arms(path)
        assert str(error.value).startswith(f"{path / name}: ")


@pytest.mark.parametrize("depth", [0, 1, 2])
def test_no_link_below_the_results_is_followed_to_read_or_write(tmp_path, path, depth):
    outside = tmp_path / "outside"
    place = [path, *path.parents][depth]
    place.rename(outside)
    place.symlink_to(outside)
    before = sorted(p.name for p in outside.rglob("*"))
    with pytest.raises(DamagedError, match="a link, which is not followed"):
        RunFolder(path).read_result()
    with pytest.raises(DamagedError), RunFolder(path).locked():
        pass
    with pytest.raises(DamagedError):
        write_whole(path / "meta.json", "")
    with pytest.raises(DamagedError):
        stored.make_folder(path)
    assert RunFolder(path).state() == State.interrupted
    assert sorted(p.name for p in outside.rglob("*")) == before


def test_the_results_folder_itself_may_be_a_link(tmp_path, path):
    (tmp_path / "disk").symlink_to(tmp_path / "results")
    there = RunFolder.of(tmp_path / "disk", "a", 0).path
    assert RunFolder(there).state() == State.done
    with RunFolder(there).locked():
        write_whole(there / "meta.json", '{"threads": 1}')
    assert read_meta(RunFolder(path)) == {"threads": 1}
    write_whole(tmp_path / "disk" / "report.html", "", depth=0)


def test_a_link_in_the_place_of_what_is_written_is_replaced(tmp_path, path):
    outside = tmp_path / "outside"
    outside.write_text("theirs")
    for name in ("report.html", "new"):
        file = tmp_path / "results" / name
        file.symlink_to(outside if name == "report.html" else tmp_path / "nowhere")
        write_whole(file, "ours", depth=0)
        assert not file.is_symlink()
    (path / "run-1.wandb.synced").symlink_to(outside)
    with pytest.raises(OSError, match="symbolic"):
        mark(path, "1")
    assert outside.read_text() == "theirs"
    assert not (tmp_path / "nowhere").exists()


def test_a_link_to_a_folder_is_no_place_for_figures(tmp_path):
    (tmp_path / "outside").mkdir()
    folder = experiment_path(tmp_path / "results", "one", "digits")
    folder.mkdir(parents=True)
    (folder / "figures").symlink_to(tmp_path / "outside")
    with pytest.raises(DamagedError, match="a link"):
        stored.make_folder(folder / "figures", 4)
    with pytest.raises(DamagedError, match="a link"), replacing(folder / "figures" / "1.png", 4):
        pass
    assert list((tmp_path / "outside").iterdir()) == []


@pytest.mark.parametrize("depth", [1, 2])
def test_a_pipe_in_the_place_of_an_experiment_is_named_and_a_file_is_none(tmp_path, depth):
    write_arms(experiment_path(tmp_path, "good", "digits"), [("a", 0, SCIENCE)])
    good = find(tmp_path)
    parent = [tmp_path / "experiments", tmp_path / "experiments" / "good"][depth - 1]
    (parent / "README.md").write_text("")
    os.mkfifo(parent / "pipe")
    found, (problem,) = survey(tmp_path)
    assert found == good
    assert problem.startswith(f"{parent / 'pipe'}: a pipe, expected a folder")


NAMES = [b"\xff\xfe", b"a\nb", b"\x1b[31m", b"x" * 250, b"a\rb", "\u2028".encode()]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("depth", [1, 2])
def test_an_odd_name_costs_its_own_line(tmp_path, name, depth):
    write_arms(experiment_path(tmp_path, "good", "digits"), [("a", 0, SCIENCE)])
    good = find(tmp_path)
    parents = [tmp_path / "experiments", tmp_path / "experiments" / "good"]
    odd = os.path.join(os.fsencode(parents[depth - 1]), name)  # noqa: PTH118 - no UTF-8
    os.mkdir(odd)  # noqa: PTH102
    found, (problem,) = survey(tmp_path)
    assert found == good
    assert "expected a name of one line in UTF-8" in problem


def test_a_file_may_grow_while_it_is_read(path):
    with stored.opened(path / "metrics.csv", most=80) as file:
        with (path / "metrics.csv").open("a") as other:
            other.write("2" * 50)
        assert len(file.read()) > 80
    with pytest.raises(DamagedError, match="bytes, expected at most 80"):
        stored.content(path / "metrics.csv", most=80)


@pytest.mark.parametrize(
    ("change", "whole"),
    [
        (lambda text: text, True),
        (lambda text: text[:-1], True),  # an editor that wants no last line end
        (lambda text: text[:-4], True),  # torn: the summary has the last line
        (lambda text: text + b"2,4,va", True),
        (lambda text: b"\xef\xbb\xbf" + text, False),
        (lambda text: text.replace(b"\n", b"\r\n"), False),
        (lambda text: b"\xef\xbb\xbf" + text.replace(b"\n", b"\r\n"), False),
        (lambda text: text.replace(b"3.0", b"3.1"), False),
        (lambda text: text + b"\n", False),
        (lambda text: b"", False),
    ],
)
def test_whether_a_run_is_whole_has_one_answer(path, end, change, whole):
    """And what is torn is restored, to the byte, by whoever trains."""
    file = path / "metrics.csv"
    text = file.read_bytes()
    end(path, metrics={"val/loss": 3.0}, steps=1, samples=2)
    file.write_bytes(change(text))
    assert (RunFolder(path).state() == State.done) == whole
    if not whole:
        with pytest.raises(DamagedError, match="not what the run wrote; the same `make sweep`"):
            RunFolder(path).read_result(restore=True)
        return
    summary = RunFolder(path).read_result()
    assert RunFolder(path).proved(summary, file) == text
    RunFolder(path).read_result(restore=True)
    assert file.read_bytes() == text


def test_what_somebody_trains_is_not_restored(path, end, monkeypatch):
    file = path / "metrics.csv"
    end(path, metrics={"val/loss": 3.0}, steps=1, samples=2)
    file.write_bytes(torn := file.read_bytes()[:-3])

    def busy(path, shared=False):
        raise RunBusyError("busy")

    monkeypatch.setattr(RunFolder, "locked", busy)
    RunFolder(path).read_result(restore=True)
    assert file.read_bytes() == torn


def test_a_summary_may_be_laid_out_anew(path):
    file = path / "summary.json"
    before = RunFolder(path).read_result()
    text = json.dumps(json.loads(file.read_text()), sort_keys=True, indent=7)
    file.write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    assert RunFolder(path).read_result() == before


BOMB = "a: &a [x,x]\nb: &b [*a,*a]\n"


@pytest.mark.parametrize(
    "text",
    [BOMB, "x: " + "[" * 3000, "- 1", "a: 1\n", "!!python/object/apply:os.getcwd []", "\udcff"],
)
def test_a_configuration_that_no_run_wrote_is_one_line(path, text):
    (path / "config.yaml").write_bytes(text.encode(errors="surrogateescape"))
    write_whole(path / "meta.json", f'{{"schema": {SCHEMA}}}')
    with pytest.raises(DamagedError) as error:
        read_science(RunFolder(path))
    assert str(error.value).startswith(f"{path / 'config.yaml'}: ")
    assert "\n" not in str(error.value)
