"""Each WANDB_ variable is followed, kept for W&B, as we do anyhow, or told of in one line."""

import os

import pytest

from bnbench.tracking.wandb_environment import (
    FOLLOWED,
    KEPT,
    asked,
    not_followed,
    own_environment,
)

TOLD = (
    *("RUN_GROUP", "RUN_ID", "RESUME", "NAME", "JOB_TYPE", "DIR", "HOST", "USERNAME"),
    *("SAVE_CODE", "CONFIG_PATHS", "SWEEP_ID", "ANYTHING_THAT_IS_NEW"),
)


@pytest.mark.parametrize("name", TOLD)
def test_a_variable_that_is_not_followed_gets_one_line_without_its_value(name):
    environment = {f"WANDB_{name}": "secret", "WANDB_API_KEY": "key", "PATH": "/bin"}
    (line,) = not_followed(environment)
    assert line.startswith(f"WANDB_{name}: not followed; ")
    assert "secret" not in line
    assert "\n" not in line


def test_what_is_followed_kept_empty_or_so_anyhow_gets_none():
    names = {*FOLLOWED, *KEPT, "WANDB_SILENT", "WANDB_SERVICE", "WANDB_CONSOLE"}
    assert not_followed(dict.fromkeys(names, "x")) == []
    assert not_followed({"WANDB_NAME": "", "XWANDB_NAME": "x"}) == []


@pytest.mark.parametrize(
    ("text", "tags"),
    [
        ("", []),
        (" , ,", []),
        ("paper", ["paper"]),
        ("paper, second try,,it's ours ", ["paper", "second try", "it's ours"]),
        ("a,a", ["a", "a"]),  # which is refused where it is checked
    ],
)
def test_tags_are_the_pieces_that_are_not_blank(monkeypatch, text, tags):
    monkeypatch.setenv("WANDB_TAGS", text)
    assert asked("tags") == tags


@pytest.mark.parametrize(
    "name", [*TOLD, *(name.removeprefix("WANDB_") for name in FOLLOWED), "SERVICE"]
)
def test_wandb_sees_none_of_them(monkeypatch, name):
    monkeypatch.setenv(f"WANDB_{name}", "x")
    monkeypatch.setenv("WANDB_API_KEY", "key")
    with own_environment():
        seen = {k: v for k, v in os.environ.items() if k.startswith("WANDB_")}
    assert f"WANDB_{name}" not in seen
    assert seen["WANDB_API_KEY"] == "key"
    assert os.environ[f"WANDB_{name}"] == "x"
