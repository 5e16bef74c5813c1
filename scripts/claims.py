"""Judge the claims and show the scoreboard: `python scripts/claims.py --help`."""

from bnbench.commands.claims import main
from bnbench.running.streams import enter

if __name__ == "__main__":
    raise SystemExit(enter(main))
