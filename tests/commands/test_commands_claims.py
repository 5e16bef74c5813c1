"""`make claims`: what is trained, what is taken from the reference, and what it says of that."""

import importlib
from types import SimpleNamespace

import pandas as pd
import pytest
from remembering import remembering, remembering_files

from bnbench import REFERENCE
from bnbench.analysis.verdicts import read_claims, read_judged
from bnbench.claims import files
from bnbench.claims.declarations import read_declarations, write_declarations
from bnbench.claims.judge import judge
from bnbench.claims.records import Above, Claim, ClaimPart
from bnbench.claims.registry.table import claims_on, experiments
from bnbench.claims.statistics import of_problem
from bnbench.claims.study import LackingError

script = importlib.import_module("bnbench.commands.claims")
VALUES = {"C1": [3.0, 3.5, 2.5, 3.2], "C2": [2.0, 2.5, 1.5, 2.2]}


def claim(name, experiment, values):
    def measure(study):
        if values is None:
            raise LackingError(f"no runs of the experiment {experiment}")
        columns = dict.fromkeys(("treatment", "baseline"), 1.0)
        arms = dict.fromkeys(("treatment_arm", "baseline_arm"), "a")
        table = {"seed": range(len(values)), "value": values, **columns, **arms, "bound": ""}
        return pd.DataFrame(table)

    parts = {"end": ClaimPart("test accuracy (pp)", measure, Above(1.0))}
    return Claim(name, "It is so.", "N0", (experiment,), "a net", "above 1", parts=parts)


PROBLEM = Claim(
    *("M8", "It is so.", "N0", ("least_squares",), "a problem", "above 1"),
    parts={"slope": ClaimPart("slope", of_problem("least_squares", dict), Above(1.0))},
)


@pytest.fixture
def world(tmp_path, monkeypatch, capsys):
    """Two claims, which a published board has judged as they are declared; runs are made up."""
    reference = tmp_path / "published" / "claims" / "digits"
    trained: list[str] = []
    known = {"C1": "claim_sigmoid", "C2": "claim_classes"}

    def registry(**values):
        return {n: claim(n, experiment, values.get(n)) for n, experiment in known.items()} | {
            "M8": PROBLEM
        }

    def sweep(argv, fresh=False):
        trained.extend(argv[0].removeprefix("experiment=").split(","))
        request = script.composed(trained, argv[1:])
        return SimpleNamespace(exit_code=0, request=request)

    monkeypatch.setattr(script, "REFERENCE", tmp_path / "published")
    monkeypatch.setattr(script, "sweep", sweep)
    monkeypatch.setattr(script, "device", lambda request: "cpu")
    monkeypatch.setattr("bnbench.measured.files.measure", lambda *args: None)
    monkeypatch.setattr("bnbench.pages.claims.forest", lambda claim: None)  # which is slow

    def make(*argv, values=VALUES):
        """Run the command with claims that measure `values`; code, experiments trained, output."""
        trained.clear()
        monkeypatch.setattr(script, "claims_on", lambda data: registry(**values))
        monkeypatch.setattr("sys.argv", ["claims.py", f"results={tmp_path}/results", *argv])
        code = script.main()
        said = capsys.readouterr()
        return SimpleNamespace(code=code, trained=list(trained), out=said.out, err=said.err)

    claims = registry(**VALUES)
    with remembering_files(), remembering():
        request = script.composed(known.values(), [f"results={tmp_path}/results"])
    files.write(judge(claims.values(), Nothing()), reference)
    write_declarations(reference, script.digests(claims.values(), request))
    folder = tmp_path / "results" / "claims" / "digits"
    with remembering_files(), remembering():
        yield SimpleNamespace(make=make, reference=reference, folder=folder)


class Nothing:
    """A study without measurements."""

    def measured(self, name):
        raise LackingError(f"{name}.csv was not measured yet")


def test_without_the_word_everything_is_trained(world):
    done = world.make()
    assert (done.code, done.trained) == (0, ["claim_sigmoid", "claim_classes"])
    assert "taken" not in done.out + done.err
    assert read_declarations(world.folder) == read_declarations(world.reference)
    board = pd.read_csv(world.folder / "scoreboard.csv").set_index("claim")
    assert list(board.loc[["C1", "C2"], "replicated"]) == ["yes", "yes"]
    assert "2 of 2 verdicts agree with the reference." in done.out


def test_what_is_declared_alike_is_taken_and_not_trained(world):
    done = world.make("from=reference", values={})  # without the evidence nothing could be judged
    assert (done.code, done.trained) == (0, [])
    assert "2 claims taken from results/reference, trained: none\n" in done.out
    for file in ("evidence/C1.csv", "evidence/C2.csv", "parts.csv", "declarations.json"):
        assert (world.folder / file).read_bytes() == (world.reference / file).read_bytes()
    assert [claim.row["verdict"] for claim in read_claims(world.folder)[:2]] == ["confirmed"] * 2
    assert read_judged(world.folder)["taken"] == ["C1", "C2"]
    page = (world.folder / "report.html").read_text(encoding="utf-8")
    assert "2 claims taken from results/reference, not trained here: C1, C2." in page


def test_only_the_experiments_of_the_other_claims_are_trained(world):
    file = world.reference / "evidence" / "C2.csv"
    file.write_text(file.read_text().replace("2.5", "2.6"))
    done = world.make("from=reference", values={"C2": VALUES["C2"]})
    assert (done.code, done.trained) == (0, ["claim_classes"])
    lines = done.out.splitlines()
    assert f"{file}: not what was judged, so C2 is not taken from it" in lines
    assert "1 claim taken from results/reference, trained: C2" in lines
    assert read_judged(world.folder)["taken"] == ["C1"]


def test_other_seeds_are_another_declaration(world):
    done = world.make("from=reference", "seeds=[0,1,2]")
    assert done.trained == ["claim_sigmoid", "claim_classes"]
    assert "0 claims taken from results/reference, trained: C1, C2\n" in done.out
    assert "taken" not in read_judged(world.folder)


def test_a_claim_that_is_named_alone_is_taken_alone(world):
    done = world.make("from=reference", "claims=C1", values={"C2": VALUES["C2"]})
    assert (done.code, done.trained) == (0, [])
    assert "1 claim taken from results/reference, trained: none\n" in done.out
    assert list(read_declarations(world.folder)) == ["C1"]


@pytest.mark.parametrize(
    ("argv", "line"),
    [
        (["from=x"], "from=x: expected reference"),
        (["from="], "from=: expected reference"),
        (
            ["from=reference", "seeds=fresh"],
            "from=reference seeds=fresh: expected one of them, the reference has no such",
        ),
    ],
)
def test_another_word_is_refused_before_anything_trains(world, argv, line):
    done = world.make(*argv)
    assert (done.code, done.trained, done.out) == (2, [], "")
    assert done.err == f"bnbench: {line}\n"
    assert not world.folder.exists()


@pytest.mark.parametrize("file", ["parts.csv", "scoreboard.csv", "declarations.json"])
def test_a_damaged_reference_is_a_line_and_no_crash(world, file):
    (world.reference / file).write_text("\x00")
    done = world.make("from=reference")
    assert done.code == 0
    told = [line for line in (done.out + done.err).splitlines() if f"/{file}: " in line]
    assert told
    assert [claim.row["verdict"] for claim in read_claims(world.folder)[:2]] == ["confirmed"] * 2


def test_without_a_reference_nothing_is_taken(world):
    for file in world.reference.rglob("*.*"):
        file.unlink()
    done = world.make("from=reference")
    assert (done.code, len(done.trained)) == (0, 2)
    assert "0 claims taken from results/reference, trained: C1, C2\n" in done.out
    assert "agree with the reference" not in done.out


@pytest.mark.slow
@pytest.mark.parametrize("data", ["digits", "fashion_mnist"])
def test_every_claim_that_the_project_judged_is_declared_as_it_was_then(data):
    board = REFERENCE / "claims" / data
    judged = [
        claim
        for claim in claims_on(data).values()
        if experiments([claim]) and files.evidence_file(board, claim.id).exists()
    ]
    with remembering_files(), remembering():
        request = script.composed(experiments(judged), [f"data={data}"])
    found, lines = script.taken(judged, request)
    assert found == [claim.id for claim in judged]
    assert lines[-1].endswith("trained: none")
