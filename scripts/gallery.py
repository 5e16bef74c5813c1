"""Draw the gallery, pictures for a slide: `python scripts/gallery.py data=digits`."""

import sys

from bnbench.commands.gallery import main
from bnbench.running.streams import enter

if __name__ == "__main__":
    sys.exit(enter(main))
