"""How bnbench is cited: as in CITATION.cff, with the commit, which that file cannot know."""

from collections.abc import Mapping
from typing import Any

from bnbench import __version__
from bnbench.config.quoting import subcommand
from bnbench.tracking.meta import commit_words

AUTHORS = "The bnbench developers"
TITLE = "bnbench: experiments that find out what Batch Normalization really does"
YEAR = 2026


def citation(info: Mapping[str, Any]) -> str:
    """Write the citation as a line; `info` has the commit, as `meta.git_facts` gives it.

    >>> citation({}).startswith("The bnbench developers (2026). bnbench: experiments")
    True
    """
    commit = commit_words(info)
    at = f", commit {commit}" if commit else ""
    return f"{AUTHORS} ({YEAR}). {TITLE}. Version {__version__}{at}."


def bibtex(info: Mapping[str, Any]) -> str:
    """Write the citation as an entry of BibTeX."""
    commit = commit_words(info)
    fields = {
        "author": f"{{{AUTHORS}}}",
        "title": TITLE.replace("Batch Normalization", "{Batch Normalization}"),
        "year": YEAR,
        "version": __version__,
        **({"note": f"Commit {commit}"} if commit else {}),
    }
    lines = "".join(f"  {key:<7} = {{{value}}},\n" for key, value in fields.items())
    return f"@software{{bnbench,\n{lines}}}"


def cited_as(info: Mapping[str, Any]) -> str:
    """Write what a page tells to cite: the version that wrote it, and the commit of its runs."""
    commit = commit_words(info)
    runs = f", runs of commit {commit}" if commit else ""
    return f"{AUTHORS}, bnbench {__version__}{runs} ({subcommand('cite')} has it as BibTeX)"
