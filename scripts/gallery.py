"""Draw the gallery, pictures for a slide: `python scripts/gallery.py data=digits`."""

from bnbench.commands.gallery import main
from bnbench.running.streams import enter

if __name__ == "__main__":
    raise SystemExit(enter(main))
