"""Small problems with known answers: measured from seeds alone, without a data set or a sweep."""

from bnbench.measured.problems.records import Problem as Problem
from bnbench.measured.problems.records import Table as Table
from bnbench.measured.problems.table import PROBLEMS as PROBLEMS
from bnbench.measured.problems.table import run as run
