"""The table of problems: what every problem declares."""

import pytest

from bnbench.measured.problems import PROBLEMS


@pytest.mark.parametrize("name", PROBLEMS)
def test_problems_declare_what_they_are(name):
    problem = PROBLEMS[name]
    assert problem.version >= 1
    assert len(set(problem.seeds)) == len(problem.seeds) >= 10
    assert max(problem.seeds) < 100  # seeds from 100 on are for tuning
