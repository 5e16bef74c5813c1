"""How bnbench is cited: CITATION.cff, text and BibTeX say the same."""

import re

import yaml

from bnbench import ROOT, __version__
from bnbench.tracking.citation import AUTHORS, TITLE, YEAR, bibtex, citation, cited_as

CFF = ROOT / "CITATION.cff"
INFO = {"git_commit": "0123456789abcdef" * 2, "git_dirty": False}
# of the schema of version 1.2.0: the keys of the root, and what those that stand here must be
REQUIRED = {"authors", "cff-version", "message", "title"}
ALLOWED = REQUIRED | {
    *("abstract", "commit", "contact", "date-released", "doi", "identifiers", "keywords"),
    *("license", "license-url", "preferred-citation", "references", "repository"),
    *("repository-artifact", "repository-code", "type", "url", "version"),
}
PERSON = {"family-names", "given-names", "name-particle", "name-suffix", "alias"}
ENTITY = {"name", "date-start", "date-end", "location"}
ANYONE = {"address", "affiliation", "city", "country", "email", "fax", "orcid", "post-code"}
ANYONE |= {"region", "tel", "website"}


def faults(text):
    """What of a CITATION.cff the schema of version 1.2.0 would refuse, as far as used here."""
    found = yaml.safe_load(text)
    wrong = [f"lacks {key}" for key in REQUIRED - {*found}]
    wrong += [f"unknown key {key}" for key in {*found} - ALLOWED]
    texts = {*found} & {"abstract", "cff-version", "license", "message", "title", "version"}
    wrong += [f"{key} is no text" for key in texts if not isinstance(found[key], str)]
    wrong += [f"{key} is empty" for key in texts if found[key] == ""]
    if found.get("cff-version") != "1.2.0":
        wrong.append("cff-version")
    if found.get("type", "software") not in ("software", "dataset"):
        wrong.append("type")
    keywords = found.get("keywords", ["one"])
    if not all(isinstance(word, str) and word for word in keywords) or not keywords:
        wrong.append("keywords")
    if len(set(keywords)) < len(keywords):
        wrong.append("a keyword twice")
    authors = found.get("authors")
    if not isinstance(authors, list) or not authors:
        return [*wrong, "authors"]
    for author in authors:
        is_entity = "name" in author
        if {*author} - ANYONE - (ENTITY if is_entity else PERSON):
            wrong.append(f"author {author}")
    return wrong


def test_citation_cff_keeps_to_its_schema():
    text = CFF.read_text(encoding="utf-8")
    assert faults(text) == []
    for old, new, fault in (
        ("message:", "massage:", ["lacks message", "unknown key massage"]),
        ("1.2.0", "1.3.0", ["cff-version"]),
        ("version: 0.2.0", "version: 0.2", ["version is no text"]),
        ("- name:", "- nam:", ["author {'nam': 'The bnbench developers'}"]),
        ("type: software", "type: code", ["type"]),
    ):
        assert faults(text.replace(old, new, 1)) == fault


def test_citation_cff_says_what_the_package_says():
    told = yaml.safe_load(CFF.read_text(encoding="utf-8"))
    assert told["version"] == __version__
    assert told["title"] == TITLE
    assert [author["name"] for author in told["authors"]] == [AUTHORS]
    terms = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert terms.startswith(f"{told['license']} License")
    assert f"Copyright (c) {YEAR} {AUTHORS}" in terms
    assert "http" not in CFF.read_text(encoding="utf-8")  # it has no address that lasts


def test_a_citation_has_version_and_commit():
    assert citation(INFO) == (
        f"{AUTHORS} ({YEAR}). {TITLE}. Version {__version__}, commit 0123456789ab."
    )
    assert citation({"git_commit": None}).endswith(f"Version {__version__}.")
    assert "commit 0123456789ab with uncommitted changes" in citation(INFO | {"git_dirty": True})


def test_the_entry_of_bibtex_can_be_read():
    text = bibtex(INFO)
    assert text.startswith("@software{bnbench,\n")
    assert text.endswith("\n}")
    assert text.count("{") == text.count("}")
    fields = dict(re.findall(r"^  (\w+) += \{(.*)\},$", text, re.M))
    assert len(fields) == text.count("\n") - 1
    assert fields["author"] == f"{{{AUTHORS}}}"  # one name, not a list of first and last ones
    assert fields["title"].replace("{", "").replace("}", "") == TITLE
    assert (fields["version"], fields["year"]) == (__version__, str(YEAR))
    assert fields["note"] == "Commit 0123456789ab"
    assert "note" not in bibtex({})


def test_a_page_tells_the_commit_of_its_runs():
    told = f"{AUTHORS}, bnbench {__version__}, runs of commit 0123456789ab"
    assert cited_as(INFO) == f"{told} (make cite has it as BibTeX)"
    assert "commit" not in cited_as({})
