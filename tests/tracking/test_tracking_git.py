"""Git facts are those of the project's own tree, or null with a word that says why."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from bnbench import ROOT
from bnbench.tracking import meta
from bnbench.tracking.meta import git_facts

OWN = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false")
CLEAN = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}


def git(folder, *arguments):
    answer = subprocess.run(
        ["git", "-C", folder, *OWN, *arguments],
        capture_output=True,
        text=True,
        check=True,
        env=CLEAN,
    )
    return answer.stdout.strip()


def unpacked(folder):
    """The project's files, as an archive has them."""
    for name in ("bnbench/__init__.py", "results/reference/x.csv"):
        (folder / name).parent.mkdir(parents=True)
        (folder / name).write_text("")
    shutil.copy(ROOT / ".gitignore", folder)
    return folder


def committed(folder):
    folder.mkdir(parents=True, exist_ok=True)
    git(folder, "init", "--quiet")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--allow-empty", "-m", "x")
    return git(folder, "rev-parse", "HEAD")


@pytest.fixture
def own(tmp_path):
    """A checkout of the project, and its commit."""
    folder = unpacked(tmp_path / "own")
    return folder, committed(folder)


def found(folder):
    facts = git_facts(folder, folder / "results")
    assert ("git_note" in facts) == (facts["git_commit"] is None) == (facts["git_dirty"] is None)
    return facts["git_commit"], facts["git_dirty"]


def note(folder):
    assert found(folder) == (None, None)
    return git_facts(folder, folder / "results")["git_note"]


def test_a_checkout_has_its_commit(own):
    folder, commit = own
    assert found(folder) == (commit, False)
    (folder / "bnbench" / "new.py").write_text("")
    assert found(folder) == (commit, True)
    git(folder, "add", "--all")
    assert found(folder) == (commit, True)
    git(folder, "reset", "--quiet", "--hard")
    (folder / "bnbench" / "__init__.py").write_text("1")
    assert found(folder) == (commit, True)


@pytest.mark.parametrize("name", ["mine", "my results/*", ":(top)", "..mine", "a/b"])
def test_results_are_no_change_wherever_they_lie(own, name):
    folder, commit = own
    (folder / name).mkdir(parents=True)
    (folder / name / "runs.csv").write_text("")
    assert found(folder) == (commit, True)
    assert git_facts(folder, folder / name) == {"git_commit": commit, "git_dirty": False}
    (folder / "new.py").write_text("")
    assert git_facts(folder, folder / name) == {"git_commit": commit, "git_dirty": True}


def test_a_checkout_that_is_a_results_folder_itself_is_looked_at(own):
    folder, commit = own
    (folder / "new.py").write_text("")
    assert git_facts(folder, folder) == {"git_commit": commit, "git_dirty": True}


@pytest.mark.parametrize("name", [".venv", "data", "build"])
def test_links_in_the_place_of_ignored_folders_are_no_changes(own, tmp_path, name):
    folder, commit = own
    (tmp_path / "elsewhere").mkdir()
    (folder / name).symlink_to(tmp_path / "elsewhere")
    assert found(folder) == (commit, False)


def test_results_are_no_changes_of_the_code(own, tmp_path):
    """Neither new ones, nor reference results made anew, nor a link to another disk."""
    folder, commit = own
    (folder / "results" / "reference" / "x.csv").write_text("1")
    (folder / "results" / "reference" / "y.csv").write_text("1")
    assert found(folder) == (commit, False)
    (folder / "results").rename(tmp_path / "disk")
    (folder / "results").symlink_to(tmp_path / "disk")
    assert found(folder) == (commit, False)


def test_another_repository_around_an_unpacked_archive_is_not_asked(tmp_path):
    outer = tmp_path / "outer"
    inner = unpacked(outer / "tools" / "bnbench")
    (outer / "bnbench").mkdir()
    committed(outer)  # whether it has the project's files among its own, or not
    assert note(inner) == "no git commit: the repository around it has it in tools/bnbench/"
    (outer / ".gitignore").write_text("tools\n")
    committed(outer)
    assert note(inner) == "no git commit: the repository around it has it in tools/bnbench/"


def test_a_repository_that_does_not_know_the_project_is_not_asked(tmp_path):
    """Unpacked into the top folder of another one."""
    (tmp_path / "readme").write_text("other")
    committed(tmp_path)
    unpacked(tmp_path)
    assert "'bnbench/__init__.py' did not match any file" in note(tmp_path)


def test_without_a_repository_or_a_commit_it_says_so(tmp_path):
    folder = unpacked(tmp_path / "x")
    assert "not a git repository" in note(folder)
    git(folder, "init", "--quiet")
    assert "HEAD" in note(folder)


@pytest.mark.parametrize(
    "name",
    ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_NAMESPACE",
     "GIT_CEILING_DIRECTORIES", "GIT_TEST_ASSUME_DIFFERENT_OWNER", "GIT_TRACE"],
)  # fmt: skip
def test_variables_of_git_change_nothing(own, tmp_path, monkeypatch, name):
    folder, commit = own
    (tmp_path / "other" / "bnbench").mkdir(parents=True)
    (tmp_path / "other" / "bnbench" / "__init__.py").write_text("2")
    committed(tmp_path / "other")
    value = {
        "GIT_DIR": tmp_path / "other" / ".git",
        "GIT_WORK_TREE": tmp_path / "other",
        "GIT_CEILING_DIRECTORIES": tmp_path,
    }.get(name, "1")
    monkeypatch.setenv(name, str(value))
    assert found(folder) == (commit, False)


@pytest.mark.parametrize(
    ("key", "value"),
    [("status.showUntrackedFiles", "no"), ("diff.ignoreSubmodules", "all"),
     ("status.branch", "true"), ("status.short", "true"), ("status.relativePaths", "false"),
     ("color.ui", "always"), ("alias.status", "!false"), ("core.pager", "false")],
)  # fmt: skip
def test_options_of_the_user_change_nothing(own, key, value):
    folder, commit = own
    git(folder, "config", key, value)
    assert found(folder) == (commit, False)
    (folder / "new.py").write_text("")
    assert found(folder) == (commit, True)


def test_no_program_of_the_repository_is_started_and_no_lock_is_taken(own, tmp_path):
    """The index has a stale time, which `git status` would put right under a lock."""
    folder, commit = own
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\ntouch {tmp_path}/started\n")
    program.chmod(0o755)
    git(folder, "config", "core.fsmonitor", str(program))
    git(folder, "config", "core.hooksPath", str(tmp_path))
    program.rename(tmp_path / "post-index-change")
    shutil.copy(tmp_path / "post-index-change", program)
    file, index = folder / "bnbench" / "__init__.py", folder / ".git" / "index"
    os.utime(file, (1, 1))
    before = index.read_bytes()
    assert found(folder) == (commit, False)
    assert index.read_bytes() == before
    (folder / ".git" / "index.lock").touch()  # of the user's own git
    assert found(folder) == (commit, False)
    assert not (tmp_path / "started").exists()
    (folder / ".git" / "index.lock").unlink()
    git(folder, "status")  # a proof that both would have happened
    assert (tmp_path / "started").exists()
    assert index.read_bytes() != before


def test_worktrees_submodules_and_shallow_clones_are_checkouts(own, tmp_path):
    folder, commit = own
    git(folder, "worktree", "add", "--quiet", str(tmp_path / "tree"))
    assert found(tmp_path / "tree") == (commit, False)
    git(tmp_path, "clone", "--quiet", "--depth=1", f"file://{folder}", "shallow")
    assert found(tmp_path / "shallow") == (commit, False)
    outer = tmp_path / "outer"
    committed(outer)
    local = ("-c", "protocol.file.allow=always")
    git(outer, *local, "submodule", "--quiet", "add", str(folder), "bn")
    git(outer, "commit", "--quiet", "-m", "x")
    assert found(outer / "bn") == (commit, False)
    (tmp_path / "link").symlink_to(folder)
    assert found(tmp_path / "link") == (commit, False)
    git(tmp_path, "clone", "--quiet", "--bare", str(folder), "bare")
    note(tmp_path / "bare")


@pytest.mark.skipif(os.getuid() != 0, reason="only root may give files to another user")
def test_a_checkout_of_another_owner_has_its_commit(own):
    folder, commit = own
    for path in (folder, *folder.rglob("*")):
        os.chown(path, 12345, 12345)
    assert found(folder) == (commit, False)


def test_git_that_is_missing_hangs_or_is_something_else_is_told(own, tmp_path, monkeypatch):
    folder, _ = own
    monkeypatch.setenv("PATH", str(tmp_path))
    assert note(folder) == "no git commit: git is not installed"
    fake = tmp_path / "git"
    fake.write_text("#!/bin/sh\n/bin/sleep 9\n")  # its child holds the pipes open
    fake.chmod(0o755)
    monkeypatch.setattr(meta, "GIT_SECONDS", 0.01)
    assert note(folder) == "no git commit: git does not answer in 0.01 s"
    monkeypatch.setattr(meta, "GIT_SECONDS", 60)
    fake.write_text("#!/bin/sh\nexit 3\n")
    assert note(folder) == "no git commit: git ended with 3"
    fake.write_text("#!/bin/sh\necho hello\n")
    assert note(folder).startswith("no git commit: ")


def test_code_that_was_installed_has_no_commit(tmp_path):
    """In a virtual environment inside a checkout, as a wheel leaves it."""
    committed(unpacked(tmp_path / "own"))
    site = unpacked(tmp_path / "own" / ".venv" / "lib" / "site-packages")
    assert note(site).endswith("has it in .venv/lib/site-packages/")


def test_the_facts_of_this_project_are_asked_for_once(monkeypatch):
    assert Path(meta.__file__).is_relative_to(ROOT)
    facts = meta.circumstances(Path("results"))
    monkeypatch.setattr(meta, "git", None)
    assert meta.circumstances(Path("results")) is facts
