"""JSON of a results folder: what it may hold, to the leaves."""

import contextlib
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bnbench.config.schema import Criterion
from bnbench.tracking.meta import read_meta
from bnbench.tracking.run_dir import RunFolder
from bnbench.tracking.shapes import CLAIM, EXPERIMENT, META, SUMMARY, TUNE, checked, parsed
from bnbench.tracking.stored import DamagedError
from bnbench.tracking.whole_files import write_whole


@pytest.mark.parametrize("by", Criterion)
def test_whatever_rates_may_be_compared_by_is_read_again(by):
    checked({"seeds": [100], "low": 0.1, "high": 1.0, "by": by.value, "arms": []}, TUNE)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{", "not JSON"),
        ("\xff", "not JSON"),
        ('{"a": NaN}', "Out of range float"),
        ('{"a": -Infinity}', "Out of range float"),
        ('{"a": 1e999}', "Out of range float"),
        (f"[{10**30}]", "is too large a number"),
        (f"[{'9' * 5000}]", "is too large a number"),
        (f"[{2**63}]", "is too large a number"),
        ('{"a": 1, "b": {"c": 1, "c": 2}}', "a key is there twice"),
        ('["\\ud800"]', "a text is no Unicode"),
        ('{"\\ud800": 1}', "a text is no Unicode"),
        ("[" * 40 + "]" * 40, "nested too deep"),
        ("[" * 100_000, "nested too deep"),
    ],
)
def test_json_that_the_suite_does_not_write(text, complaint):
    with pytest.raises(ValueError, match=re.escape(complaint)):
        parsed(text.encode("latin1"))


def test_json_that_it_writes():
    assert parsed(b'\xef\xbb\xbf{"a": [1, -2.5e-3, null, true, "\xc3\xa9"]}') == {
        "a": [1, -0.0025, None, True, "é"]
    }


SHAPE = {
    "a": [int],
    "b?": {str: (float, None)},
    "c": frozenset({"x", "y"}),
    "d?": re.compile("[0-9]"),
}


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        ({"a": [1], "c": "x", "b": {"k": None, "l": 2, "m": 0.5}, "d": "7", "new": [{}]}, None),
        ({"a": [], "c": "y"}, None),
        ({"a": [1]}, "c is missing"),
        ({"a": [1, True], "c": "x"}, "a[1] is of the wrong type: True"),
        ({"a": [1.0], "c": "x"}, "a[0] is of the wrong type: 1.0"),
        ({"a": 1, "c": "x"}, "a is of the wrong type: 1"),
        ({"a": [], "c": "z"}, "c is of the wrong type: 'z'"),
        ({"a": [], "c": ["x"]}, "c is of the wrong type: ['x']"),
        ({"a": [], "c": "x", "b": {"k": "1"}}, "b.k is of the wrong type: '1'"),
        ({"a": [], "c": "x", "b": {"k": False}}, "b.k is of the wrong type"),
        ({"a": [], "c": "x", "d": "77"}, "d is of the wrong type: '77'"),
        ([], "it is of the wrong type: []"),
        (None, "it is of the wrong type: None"),
    ],
)
def test_a_value_is_checked_to_its_leaves(value, complaint):
    if complaint is None:
        assert checked(value, SHAPE) is value
        return
    with pytest.raises(ValueError, match=re.escape(complaint)):
        checked(value, SHAPE)


@pytest.mark.parametrize(
    ("shape", "value", "complaint"),
    [
        (EXPERIMENT, {"tune": {"seeds": ["x"], "low": 1, "high": 2, "arms": []}}, "tune.seeds[0]"),
        (EXPERIMENT, {"tune": {"seeds": [1], "low": True, "high": 2, "arms": []}}, "tune.low"),
        (
            EXPERIMENT,
            {"tune": {"seeds": [1], "low": 1, "high": 2, "by": "<b>", "arms": []}},
            "tune.by",
        ),
        (
            EXPERIMENT,
            {"tune": {"seeds": [1], "low": 1, "high": 2, "arms": ["../x"]}},
            "tune.arms[0]",
        ),
        (EXPERIMENT, {"versions": {"torch": 2}}, "versions.torch"),
        (EXPERIMENT, {"report": {"compare": [{"baseline": ["x"]}]}}, "report.compare[0].baseline"),
        (EXPERIMENT, {"sha256": {"arms.csv": 7}}, "sha256.arms.csv"),
        (META, {"wandb_id": {}}, "wandb_id"),
        (META, {"wandb_id": "../../x"}, "wandb_id"),
        (META, {"schema": "2"}, "schema"),
        (META, {"tf32": "no"}, "tf32"),
        (META, {"experiments": "placement"}, "experiments"),
        (META, {"experiments": ["x" * 121]}, "experiments[0]"),
        (META, {"wandb_lacks": ["a\nb"]}, "wandb_lacks[0]"),
        (META, {"tags": ["paper", ""]}, "tags[1]"),
        (META, {"tags": ["x" * 65]}, "tags[0]"),
        (META, {"notes": "a\tb"}, "notes"),
        (META, {"notes": ["a"]}, "notes"),
        (TUNE, {"seeds": [[]], "low": 0.1, "high": 1, "arms": []}, "seeds[0]"),
        ([CLAIM], [{"id": "../E1"}], "[0].id"),
        (SUMMARY, {"status": ["done"]}, "status"),
    ],
)
def test_what_the_files_hold(shape, value, complaint):
    with pytest.raises(ValueError, match=f"^{re.escape(complaint)} is"):
        checked(value, shape)


def test_a_wrong_type_names_the_file(tmp_path):
    write_whole(tmp_path / "meta.json", '{"wandb_id": {}}')
    with pytest.raises(DamagedError, match="wandb_id is of the wrong type") as error:
        read_meta(RunFolder(tmp_path))
    assert str(error.value).startswith(f"{tmp_path / 'meta.json'}: ")


def test_a_summary_is_checked_to_its_leaves(tmp_path, end):
    end(tmp_path)
    whole = json.loads((tmp_path / "summary.json").read_text())
    del whole["checksum"], whole["sha256"]
    for key, value in {
        "metrics": {"arm": 1.0},  # no metric has such a name; as a column it would name the run
        "steps_to": {"0.95": "x"},
        "samples_to": {"a/b": 1},
        "steps": True,
        "seconds": None,
        "fingerprint": {"splits": 1},
    }.items():
        write_whole(tmp_path / "summary.json", json.dumps(whole | {key: value}))
        with pytest.raises(DamagedError, match=key):
            RunFolder(tmp_path).read_summary()


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=6,
)


@given(values, st.sampled_from([SUMMARY, META, EXPERIMENT, [CLAIM], SHAPE]))
def test_any_value_passes_or_is_one_line(value, shape):
    """What is read is what was written, or refused by name; nothing else is raised."""
    with contextlib.suppress(ValueError):
        assert checked(parsed(json.dumps(value).encode()), shape) == value
