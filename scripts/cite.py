"""Say how to cite bnbench: `python scripts/cite.py`."""

from bnbench.commands.cite import main
from bnbench.running.streams import enter

if __name__ == "__main__":
    raise SystemExit(enter(main))
