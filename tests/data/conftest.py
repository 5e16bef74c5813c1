"""The small data sets in the true formats."""

from small_files import small as small
from small_files import small_root as small_root
from small_files import small_tables as small_tables
