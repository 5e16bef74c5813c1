"""The shares of a run's time: those of a clock of our own, and parts that real runs have."""

import sys

import pytest

from bnbench import train
from bnbench.bench import shares
from bnbench.commands import bench as command


class Clock:
    """Seconds that pass only where they are told to."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now

    def passes(self, seconds):
        self.now += seconds


class Trainer:
    """Parts of a run whose steps, evaluation and logging take 0.5, 3 and 2 seconds of a clock."""

    def __init__(self, clock):
        self.passes = clock.passes

    def steps(self):
        self.passes(0.5)  # before the first
        for _ in range(3):
            self.passes(0.5)
            yield "loss"

    def evaluate(self):
        self.passes(3)

    def log(self, fails=False):
        self.passes(2)
        if fails:
            raise RuntimeError("no")


@pytest.fixture
def clock(monkeypatch):
    """A clock, beside which the parts of `Trainer` are those that are timed."""
    names = {"steps": "steps", "evaluate": "evaluation", "log": "W&B"}
    monkeypatch.setattr(shares, "TIMED", [(Trainer, *pair) for pair in names.items()])
    return Clock()


def test_the_time_between_steps_is_not_that_of_steps(clock):
    trainer = Trainer(clock)

    def work():
        clock.passes(1)
        for _ in trainer.steps():
            trainer.evaluate()
        trainer.log()
        return 2

    row = shares.shares("family", work, clock)
    total = 1 + (0.5 + 3 * 0.5) + 3 * 3 + 2
    assert (row.runs, row.seconds) == (2, total / 2)
    assert row.parts == pytest.approx(
        {"steps": 2 / total, "evaluation": 9 / total, "W&B": 2 / total}
    )
    assert row.rest == pytest.approx(1 / total)


def test_what_fails_is_timed_and_all_is_put_back(clock):
    before = dict(vars(Trainer))
    with pytest.raises(RuntimeError, match="no"), shares.clocked(clock) as spent:
        Trainer(clock).log(fails=True)
    assert spent == {"W&B": 2}
    assert dict(vars(Trainer)) == before


@pytest.mark.parametrize("track", ["csv", pytest.param("default", marks=pytest.mark.slow)])
def test_every_part_is_one_of_a_real_run(track):
    asked = ["train=smoke", "seeds=[0]", f"track={track}"]
    (row,) = shares.run(asked, {"small": ["model.widths=[8]"]})
    assert (row.family, row.runs) == ("small", 1)
    assert (row.parts.pop("W&B") > 0) == (track == "default")
    assert all(part > 0 for part in row.parts.values())
    assert 0 < row.rest < 1


def test_a_run_that_fails_is_told_of(monkeypatch):
    monkeypatch.setattr(train, "evaluate", lambda *given: 1 / 0)
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        list(shares.run(["train=smoke", "track=csv", "seeds=[0]"], {"small": ["model.widths=[8]"]}))


def test_the_command_prints_a_table_and_writes_nothing(monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    asked = []

    def run(overrides):
        asked.extend(overrides)
        yield shares.Shares("MLP", 3, 1.5, {"steps": 0.5, "evaluation": 0.25, "W&B": 0.05})

    monkeypatch.setattr(shares, "run", run)
    monkeypatch.setattr(sys, "argv", ["bench.py", "--profile"])
    assert command.main() == 0
    assert asked[0] == "data=digits"
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["MLP", "3", "1.50", *["50", "%", "25", "%", "5", "%", "20", "%"]] in lines
    assert not list(tmp_path.iterdir())
