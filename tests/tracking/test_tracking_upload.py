"""Which W&B run on disk is whose, where files have been tampered with; no server, no W&B."""

import pytest

from bnbench.tracking.run_dir import RunFolder
from bnbench.tracking.upload import attempts, found_attempts, sync, trained
from bnbench.tracking.whole_files import write_whole


@pytest.fixture
def results(tmp_path):
    """Two runs that were killed before W&B had written anything."""
    for seed, name in enumerate(("aa", "bb")):
        path = RunFolder.of(tmp_path, "arm", seed).path
        path.mkdir(parents=True)
        write_whole(path / "meta.json", f'{{"wandb_id": "{name}"}}')
        folder = tmp_path / "wandb" / f"offline-run-20250101_00000{seed}-{name}"
        folder.mkdir(parents=True)
        (folder / f"run-{name}.wandb").write_bytes(b":W&B\0\0\0")
    return tmp_path


def test_a_damaged_meta_json_costs_its_own_line(results):
    """And an attempt that may be its run's is left alone; that of another run is not."""
    file = RunFolder.of(results, "arm", 0).path / "meta.json"
    file.write_text('{"wandb_id": {}}')
    found, (problem,) = found_attempts(results)
    assert problem.startswith(f"{file}: wandb_id is of the wrong type")
    assert [attempt.run for attempt in found] == [None, RunFolder.of(results, "arm", 1)]
    assert sync(results) == ([], [], [problem])
    assert [attempt.is_sent for attempt in attempts(results)] == [False, True]
    file.unlink()
    assert sync(results) == ([], [], [])
    assert [attempt.is_sent for attempt in attempts(results)] == [True, True]


def test_no_file_outside_is_cut_off_or_touched(results, tmp_path):
    outside = tmp_path / "outside"
    outside.write_bytes(b"theirs")
    first, second = attempts(results)
    first.file.unlink()
    first.file.symlink_to(outside)
    second.file.with_name(f"{second.file.name}.synced").symlink_to(tmp_path / "new")
    _, unsent, (problem,) = sync(results)
    assert problem == f"{first.file}: a link, which is not followed, expected a file"
    assert unsent == []
    assert outside.read_bytes() == b"theirs"
    assert not (tmp_path / "new").exists()


def test_linked_folders_and_odd_names_have_no_runs(results, tmp_path):
    (tmp_path / "wandb" / "run-x-cc").symlink_to(
        tmp_path / "wandb" / "offline-run-20250101_000000-aa"
    )
    (tmp_path / "runs" / "linked").symlink_to(tmp_path / "runs" / "arm")
    (tmp_path / "runs" / "arm" / "seed-x").mkdir()
    (tmp_path / "runs" / "a\nb" / "seed-1").mkdir(parents=True)
    found, problems = found_attempts(results)
    assert [attempt.id for attempt in found] == ["aa", "bb"]
    assert all("a link, which is not followed" in problem for problem in problems)
    assert RunFolder.of(results, "arm", 1) in trained(results)
    assert not any(run.path.name == "seed-x" or "\n" in str(run.path) for run in trained(results))


def test_a_file_in_the_place_of_all_runs_is_told(results, tmp_path):
    """And attempts may be theirs."""
    (tmp_path / "runs").rename(tmp_path / "moved")
    (tmp_path / "runs").write_text("")
    sent, unsent, (problem,) = sync(results)
    assert (sent, unsent) == ([], [])
    assert problem.startswith(f"{tmp_path / 'runs'}: a file, expected a folder")
    assert not any(attempt.is_sent for attempt in attempts(results))
