"""The shapes of the JSON files of a results folder, against which every file read is checked.

A shape is a type (`float` takes whole numbers too, `bool` is no number), a pattern or a set of
words for strings, None, `[shape]`, `{key shape: shape}` for any keys, `{"key": shape, "key?": …}`
for named keys, optional with a question mark, or a tuple of alternative shapes. Keys that a shape
does not name come from a newer version: they are kept and never read.
"""

import json
import re
from typing import Any

from bnbench.config.schema import Criterion

LEVELS = 32  # of nesting; files of the suite have 8
LARGEST = 2**63  # above any whole number that the suite writes

HASH = re.compile("[0-9a-f]{64}")
ARM = re.compile(r"[\w-]{1,200}")
SEED = re.compile(r"[0-9]{1,19}")
METRIC = re.compile(r"[\w@.+-]{1,100}(/[\w@.+-]{1,100}){1,2}")  # split/metric, or …/layer
NUMBER = re.compile(r"[0-9]{1,20}(\.[0-9]{1,20})?(e[+-]?[0-9]{1,3})?")  # a threshold, as text
SHIFT = re.compile(r"[a-z][a-z0-9_]{0,59}-[0-9]{1,9}")  # with its severity
NAME = re.compile(r"[^\x00-\x1f\x7f-\x9f]{1,120}")  # of an experiment
TAG = re.compile(r"[^\x00-\x1f\x7f-\x9f]{1,64}")
NOTES = (re.compile(r"[^\x00-\x09\x0b-\x1f\x7f-\x9f]{0,1000}"), None)
WANDB_ID = re.compile(r"[\w-]{1,64}")  # part of a file's name
TEXT = (str, None)
MOMENT = (re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.+-]{5,30}"), None)
HASHES = {re.compile(r"[\w-]+\.\w+"): HASH}

OUTCOMES = ("done", "diverged")
SUMMARY = {
    "status": frozenset(OUTCOMES),
    "stuck": bool,
    "metrics": {METRIC: (float, None)},
    "steps_to": {NUMBER: (float, None)},
    "samples_to": {NUMBER: (float, None)},
    "steps": int,
    "samples": int,
    "seconds": float,
    "parameters": int,
    "sha256?": HASHES,
    "fingerprint?": {"weights?": str, "batches?": str, "splits?": str, "overlap?": int},
}
CIRCUMSTANCES = {
    "schema?": int,
    "git_commit?": TEXT,
    "git_dirty?": (bool, None),
    "git_note?": TEXT,
    "versions?": ({str: str}, None),
    "device?": TEXT,
}
META = {
    **CIRCUMSTANCES,
    "threads?": int,
    "matmul_precision?": str,
    "tf32?": bool,
    "wandb_id?": (WANDB_ID, None),
    "experiments?": [NAME],
    "wandb_lacks?": [NAME],  # experiments that the W&B run is not tagged with yet
    "tags?": [TAG],
    "notes?": NOTES,
}
SCALAR = (str, float, bool, None)
REPORT = {  # the report checks `figures` against `schema.Figure`
    "question?": TEXT,
    "compare?": ([{"baseline?": ({str: (*SCALAR, [SCALAR])}, None)}], None),
}
TUNE = {"seeds": [int], "low": float, "high": float, "by?": frozenset(Criterion), "arms": [ARM]}
EXPERIMENT = {
    **CIRCUMSTANCES,
    **dict.fromkeys(("name?", "data?", "question?", "command?"), TEXT),
    **dict.fromkeys(("started?", "finished?"), MOMENT),
    "report?": (REPORT, None),
    "tune?": (TUNE, {}, None),
    "shifts?": ([SHIFT], None),
    "sha256?": ({"arms.csv?": HASH}, None),
}
CLAIM_ID = re.compile(r"[A-Za-z0-9]{1,16}")  # part of files' names
JUDGED = {
    **CIRCUMSTANCES,
    "command": str,
    "started?": MOMENT,
    "finished?": MOMENT,
    "taken?": [CLAIM_ID],  # claims whose evidence is that of the reference
}
DECLARATIONS = {CLAIM_ID: {"declaration": HASH, "evidence": HASH}}
PROBLEM = {"version": int, "seeds": [int], "sha256": HASHES}
PART = {"name": str, "label": str, "unit": str, "ratio": bool, "sizing?": str}
CLAIM = {
    "id": CLAIM_ID,
    **dict.fromkeys(("family", "sentence", "says", "rule", "statistic", "reason"), str),
    **dict.fromkeys(("why_statistic?", "why_bound?", "would_change?", "by_construction?"), str),
    "parts": [PART],
    "traps": [str],
    "caveats": [str],
}
SAVED = dict.fromkeys(("server", "entity", "project", "id", "name", "url"), str)


def parsed(content: bytes) -> Any:
    """Read JSON as the suite writes it: UTF-8, each key once, finite numbers, few levels.

    Raises:
        ValueError: the text is no such JSON; the message says why.
    """
    try:
        value = json.loads(
            content.decode("utf-8-sig"),
            object_pairs_hook=once,
            parse_int=small_int,
        )
        if depth(value) > LEVELS:
            raise RecursionError
        # refuses NaN and infinities, such as of 1e999, and texts that are not UTF-8
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except RecursionError:
        raise ValueError("nested too deep") from None
    except UnicodeEncodeError:
        raise ValueError("a text is no Unicode") from None
    except (json.JSONDecodeError, UnicodeDecodeError):
        raise ValueError("not JSON") from None
    return value


def depth(value: Any) -> int:
    """Count the levels of nested values."""
    if not isinstance(value, dict | list):
        return 0
    return 1 + max(map(depth, value.values() if isinstance(value, dict) else value), default=0)


def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make an object of JSON; refuse one with a key twice."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key is there twice")
    return found


def small_int(text: str) -> int:
    """Read a whole number of JSON; refuse one beyond 64 bits."""
    if len(text) > 20 or abs(number := int(text)) >= LARGEST:
        raise ValueError(f"{text[:20]}… is too large a number")
    return number


def checked(value: Any, shape: Any, place: str = "") -> Any:
    """Check nested values against a shape, to the leaves.

    Args:
        value: the value read.
        shape: the expected shape; see above.
        place: of the value in its file, with dots.

    Returns:
        The value.

    Raises:
        ValueError: the value, or one inside, is not of the shape; one line that names the place.
    """
    if isinstance(shape, tuple):
        # if several alternatives fit at the top, the last one gives the complaint
        alike = [one for one in shape if is_like(value, one)] or shape
        for one in alike[:-1]:
            try:
                return checked(value, one, place)
            except ValueError:
                continue
        shape = alike[-1]
    if not is_like(value, shape):
        raise ValueError(f"{place or 'it'} is of the wrong type: {repr(value)[:60]}")
    if isinstance(shape, list):
        for number, item in enumerate(value):
            checked(item, shape[0], f"{place}[{number}]")
    elif isinstance(shape, dict):
        for key, one in shape.items():
            if not isinstance(key, str):  # any keys
                for given, item in value.items():
                    if not is_like(given, key):
                        raise ValueError(f"{inner(place, given)} is not expected")
                    checked(item, one, inner(place, given))
            elif (name := key.removesuffix("?")) in value:
                checked(value[name], one, inner(place, name))
            elif name == key:
                raise ValueError(f"{inner(place, name)} is missing")
    return value


def is_like(value: Any, shape: Any) -> bool:
    """Whether a value is of a shape, without a look at the values inside."""
    if isinstance(shape, re.Pattern):
        return isinstance(value, str) and bool(shape.fullmatch(value))
    if isinstance(shape, frozenset):
        return isinstance(value, str) and value in shape
    if shape is None or shape is bool or isinstance(value, bool):
        return value is None if shape is None else shape is bool and isinstance(value, bool)
    if isinstance(shape, list | dict):
        return isinstance(value, type(shape)) and (shape != {} or not value)
    return isinstance(value, int | float if shape is float else shape)


def inner(place: str, key: str) -> str:
    """Join the place of an object and a key in it."""
    return f"{place}.{key[:99]}" if place else key[:99]
