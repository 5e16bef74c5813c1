"""The exact claims about batch normalisation: arithmetic that needs no training, with bounds."""

from bnbench.measured.exact.records import Result as Result
from bnbench.measured.exact.table import EXACT as EXACT
from bnbench.measured.exact.table import run as run
