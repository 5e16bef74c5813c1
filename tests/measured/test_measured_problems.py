"""The table of problems: what every problem declares and does."""

import dataclasses

import pytest

from bnbench.measured import problems
from bnbench.measured.problems import PROBLEMS


@pytest.mark.parametrize("name", PROBLEMS)
def test_problems_declare_what_they_are(name):
    problem = PROBLEMS[name]
    assert problem.sentence.endswith(".")
    assert problem.source
    assert problem.version >= 1
    assert len(set(problem.seeds)) == len(problem.seeds) >= 10
    assert max(problem.seeds) < 100  # seeds from 100 on are for tuning


def test_run_measures_one_seed(monkeypatch):
    measure = lambda seeds: [{"seed": 2.0 * seed} for seed in seeds]  # noqa: E731
    problem = dataclasses.replace(PROBLEMS["least_squares"], measure=measure)
    monkeypatch.setitem(PROBLEMS, "least_squares", problem)
    assert problems.run("least_squares", 7) == {"seed": 14.0}


def test_unknown_problems_are_refused():
    with pytest.raises(ValueError, match="unknown problem 'most_squares'; allowed: linear_net, "):
        problems.run("most_squares", 0)
