"""Small problems with known answers: measured from seeds alone, without a data set or a sweep."""

from bnbench.problems.records import Problem as Problem
from bnbench.problems.records import Table as Table
from bnbench.problems.table import PROBLEMS as PROBLEMS
from bnbench.problems.table import run as run
