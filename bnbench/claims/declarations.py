"""Whether a claim is declared as it was when somebody judged it: digests kept beside a scoreboard.

`declarations.json` of a board: claim -> {"declaration": …, "evidence": …}, both SHA-256.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bnbench.analysis.verdict_columns import DEPTH
from bnbench.claims.files import evidence_file
from bnbench.claims.records import Claim, ClaimPart
from bnbench.tracking.shapes import DECLARATIONS
from bnbench.tracking.stored import DamagedError, file_digest
from bnbench.tracking.whole_files import as_json, read_object, write_whole

FILE = "declarations.json"


def declaration(claim: Claim, arms: Mapping[str, Any]) -> str:
    """Compute the digest of all that decides on the numbers and the verdict of a claim.

    That is its sentence, protocol and rule; of its parts names, statistics, targets, scales,
    smallest effects of interest, sizes and other choices; and the arms and seeds of its
    experiments. Sources and caveats may be reworded.

    Args:
        claim: the claim.
        arms: what each experiment asks for, as JSON can hold.
    """
    declared = {
        "id": claim.id,
        "sentence": claim.sentence,
        "protocol": claim.protocol,
        "rule": claim.rule,
        "experiments": {name: arms.get(name) for name in claim.experiments},
        "parts": {name: _declared(part) for name, part in claim.parts.items()},
    }
    return hashlib.sha256(json.dumps(declared, sort_keys=True).encode()).hexdigest()


def _declared(part: ClaimPart) -> dict[str, Any]:
    return {
        "statistic": part.statistic,
        "target": part.target and [type(part.target).__name__, *part.target],
        "scale": part.scale,
        "interest": part.interest,
        "null": part.null,
        "sizing": part.sizing and list(part.sizing),
        "choices": {name: _declared(other) for name, other in part.choices.items()},
    }


def write_declarations(folder: Path, digests: Mapping[str, str]) -> None:
    """Write declarations.json for the claims of a board that have evidence.

    What is known of claims that are not among `digests` is kept while their evidence is unchanged.

    Args:
        folder: results/claims/<data>, with evidence/.
        digests: claim -> digest of its declaration.
    """
    try:
        known = read_declarations(folder)
    except DamagedError:
        known = {}
    kept = {
        name: one["declaration"]
        for name, one in known.items()
        if _digest(evidence_file(folder, name)) == one["evidence"]
    }
    declared = {
        name: {"declaration": digest, "evidence": evidence}
        for name, digest in sorted((kept | dict(digests)).items())
        if (evidence := _digest(evidence_file(folder, name)))
    }
    write_whole(folder / FILE, as_json(declared), DEPTH)


def read_declarations(folder: Path) -> dict[str, dict[str, str]]:
    """Read declarations.json of a board; {} without one.

    Raises:
        DamagedError: it is not what was written.
    """
    try:
        return read_object(folder / FILE, DECLARATIONS, DEPTH)
    except FileNotFoundError:
        return {}


def unchanged(folder: Path, digests: Mapping[str, str]) -> tuple[list[str], list[str]]:
    """Find the claims that a board has judged as they are declared.

    Args:
        folder: of the board.
        digests: claim -> digest of its declaration now.

    Returns:
        Their ids, and a line for each file that forbids to take a claim: evidence that is not what
        was judged, or a damaged declarations.json.
    """
    try:
        known = read_declarations(folder)
    except DamagedError as error:
        return [], [str(error)]
    found, lines = [], []
    for name, digest in digests.items():
        if name not in known or known[name]["declaration"] != digest:
            continue
        file = evidence_file(folder, name)
        if _digest(file) == known[name]["evidence"]:
            found.append(name)
        else:
            lines.append(f"{file}: not what was judged, so {name} is not taken from it")
    return found, lines


def _digest(file: Path) -> str | None:
    try:
        return file_digest(file, depth=DEPTH + 1)
    except (FileNotFoundError, DamagedError):
        return None
