"""The exact claims about batch normalisation: arithmetic that needs no training, with bounds."""

from bnbench.exact.records import Result as Result
from bnbench.exact.table import EXACT as EXACT
from bnbench.exact.table import run as run
