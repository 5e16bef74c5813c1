"""Say how to cite bnbench, as text and as BibTeX: `python scripts/cite.py`.

The commit is that of this code. For results cite the commit that made them, which their report has.
"""

from pathlib import Path

from bnbench import ROOT
from bnbench.commands.arguments import Parser
from bnbench.tracking.citation import bibtex, citation
from bnbench.tracking.meta import git_facts


def main() -> int:
    """Print both forms."""
    Parser(description=__doc__).parse_args()
    info = git_facts(ROOT, Path("results"))
    print(citation(info), bibtex(info), sep="\n\n")
    return 0
