"""Judge the claims: run what is missing, measure, decide, and show the scoreboard.

python scripts/claims.py                       # everything, on the embedded digits
python scripts/claims.py claims=C1a,M6a        # run what these lack, and judge all that is there
python scripts/claims.py data=fashion_mnist    # in the form that they have on it
python scripts/claims.py from=reference        # train only what results/reference cannot tell
python scripts/claims.py seeds=fresh           # on seeds that results/reference did not use
python scripts/claims.py results=elsewhere     # other overrides are those of scripts/train.py
"""

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from bnbench import CALL, CONFIGS, REFERENCE, cli
from bnbench.claims import files
from bnbench.claims.declarations import declaration, unchanged, write_declarations
from bnbench.claims.judge import judge
from bnbench.claims.recorded import recorded
from bnbench.claims.records import Claim
from bnbench.claims.registry.table import claims_on, experiments
from bnbench.claims.study import IntegrityError, Study
from bnbench.commands.arguments import command_facts
from bnbench.config.arms import science
from bnbench.config.checks import RequestError
from bnbench.config.labels import count_label
from bnbench.config.schema import DATA_SIZES, OWN_DATA_CONFIGS
from bnbench.request.hydra_internals import initialised
from bnbench.request.preflight import default_jobs
from bnbench.request.refusal import allowed, print_error
from bnbench.sweep import FRESH, device, sweep
from bnbench.tracking.stored import DamagedError
from bnbench.tracking.whole_files import as_json, write_whole

ONLY, FROM, TAKING = "claims=", "from=", "from=reference"
DEFAULT = "digits"  # as in configs/config.yaml


def main() -> int:
    """Run, judge and show; 0 where every run has a result and every page is written."""
    try:
        return judged(sys.argv[1:])
    except IntegrityError as error:
        print_error(f"no scoreboard: {error}")
    except RequestError as error:
        return print_error(str(error))
    except (OSError, ValueError) as error:  # a full disk, a damaged file
        print_error(str(error))
    return 1


def asked(argv: Sequence[str]) -> tuple[Mapping[str, Claim], list[str], list[str]]:
    """Read which claims a command line asks for.

    Returns:
        All claims on its data set, the experiments that the asked ones need, and the overrides.

    Raises:
        RequestError: there is no such claim, or more than one data set.
    """
    overrides = [word for word in argv if not word.startswith(ONLY)]
    wanted = named(argv)
    data = next((word[5:] for word in reversed(overrides) if word.startswith("data=")), DEFAULT)
    if "," in data:
        raise RequestError(f"data={data}: expected one data set, each has a scoreboard of its own")
    if data in OWN_DATA_CONFIGS:
        raise RequestError(
            f"data={data}: claims are declared for data sets that anybody has, expected one of "
            f"{', '.join(DATA_SIZES)}; experiments run on your own ({CALL} sweep)"
        )
    claims = claims_on(data)
    for name in wanted:
        if name not in claims:
            raise RequestError(f"{ONLY}{name}: {allowed(name, list(claims))}")
    return claims, experiments(claims[name] for name in wanted or claims), overrides


def named(argv: Sequence[str]) -> list[str]:
    """List the claims that a command line names; none where it asks for all."""
    return [
        name
        for word in argv
        if word.startswith(ONLY)
        for name in word.removeprefix(ONLY).strip("[]").split(",")
    ]


def composed(names: Iterable[str], overrides: Sequence[str]) -> cli.Request:
    """Read the request for some experiments, whose data need not be there.

    Raises:
        RequestError: it cannot be run.
    """
    with initialised(CONFIGS):
        asking = [f"experiment={','.join(names)}", *overrides]
        return cli.read(asking, multirun=False, needs_data=False)


def digests(claims: Iterable[Claim], request: cli.Request) -> dict[str, str]:
    """Compute the digests of the declarations of the claims whose experiments a request has.

    An arm whose rate is to be found is told by what is asked for: the arm, and the rates to try.
    """
    arms: dict[str, list[Any]] = {}
    for job in request.jobs:
        config = job.asked.config
        tune = asdict(config.tune) if config.tune.low is not None else None
        shift = asdict(config.shift) if config.shift.names else None
        if shift and not shift["own"]:
            del shift["own"]  # of plugins: younger than the digests of boards
        asked = [science(config), sorted(config.seeds), tune, shift]
        arms.setdefault(job.experiment, []).append(asked)
    return {
        claim.id: declaration(claim, arms)
        for claim in claims
        if (needed := experiments([claim])) and arms.keys() >= {*needed}
    }


def taken(claims: Iterable[Claim], request: cli.Request) -> tuple[list[str], list[str]]:
    """Find the claims that need not be trained, since the reference has them as declared.

    Returns:
        Their ids, and the lines that say so.
    """
    claims = [claim for claim in claims if experiments([claim])]
    board = REFERENCE / "claims" / str(request.experiments[0].data)
    found, lines = unchanged(board, digests(claims, request))
    rest = ", ".join(claim.id for claim in claims if claim.id not in found)
    number = count_label(len(found), "claim")
    return found, [*lines, f"{number} taken from results/reference, trained: {rest or 'none'}"]


def judged(argv: list[str]) -> int:
    """Do what a command line asks for; the exit code.

    Raises:
        IntegrityError: some runs must not be compared.
    """
    if {"-h", "--help"} & set(argv):
        print(__doc__)
        return 0
    for word in argv:
        if word.startswith("-"):
            return print_error(f"{word}: no such option, expected {ONLY}<ids> or an override")
        if word.startswith(FROM) and word != TAKING:
            return print_error(f"{word}: expected reference")
    if TAKING in argv and FRESH in argv:
        return print_error(f"{TAKING} {FRESH}: expected one of them, the reference has no such")
    started = datetime.now(UTC)
    claims, names, overrides = asked([word for word in argv if word not in (TAKING, FRESH)])
    wanted = [claims[name] for name in named(argv) or claims]
    declared: cli.Request | None = None
    kept: list[str] = []
    if TAKING in argv and names:
        declared = composed(names, overrides)
        kept, lines = taken(wanted, declared)
        print(*lines, sep="\n", flush=True)
        board = REFERENCE / "claims" / str(declared.experiments[0].data)
        claims = {**claims, **{c.id: c for c in recorded((claims[n] for n in kept), board)}}
        names = experiments(claim for claim in wanted if claim.id not in kept)
    if names:
        outcome = sweep([f"experiment={','.join(names)}", *overrides], fresh=FRESH in argv)
        if isinstance(outcome, int):
            return outcome
        exit_code, request = outcome.exit_code, outcome.request
        trained_on = device(request)
        declared = declared or request
    elif declared:
        exit_code, request, trained_on = 0, declared, "cpu"
    else:  # what is claimed is measured without runs; the request is checked all the same
        with initialised(CONFIGS):
            exit_code, request, trained_on = 0, cli.read(overrides, multirun=False), "cpu"
    results, data = request.results, str(request.experiments[0].data)

    # slow to import: seaborn, and torch
    from bnbench.analysis.agreement import read_boards, summary
    from bnbench.analysis.verdict_columns import DEPTH
    from bnbench.analysis.verdicts import FACTS, read_claims
    from bnbench.claims.pages import write_page
    from bnbench.measured.files import measure
    from bnbench.pages import report
    from bnbench.pages.claims import judged_boards
    from bnbench.pages.claims_markdown import write_markdown
    from bnbench.pages.scoreboard_text import show_scoreboard

    measure(results, data, default_jobs("cpu"))
    study = Study(results, data)
    reference, told = REFERENCE / "claims" / data, []
    try:  # a claim that was not run here has the weight in the family that it had there
        elsewhere = files.p_values(reference)
    except DamagedError as error:
        elsewhere = {}
        told.append(str(error))
    verdicts = judge(claims.values(), study, elsewhere)
    files.write(verdicts, study.folder)
    told += files.write_replication(study.folder, reference)
    write_declarations(study.folder, digests(wanted, declared) if declared else {})
    facts = command_facts("claims", argv, results, trained_on, started)
    facts |= {"taken": kept} if kept else {}
    write_whole(study.folder / FACTS, as_json(facts), DEPTH)
    terms = {"Command": facts["command"], **report.facts(facts)}
    # beside what this project published, where these results have no other data set of their own
    damaged: list[str] = []
    folders = [*sorted(study.folder.parent.glob("*")), *sorted((REFERENCE / "claims").glob("*"))]
    others = read_boards([folder for folder in folders if folder.name != data], damaged)
    page = write_page(verdicts, study, terms, others)
    if (results / "experiments").exists():
        damaged += report.write_report(results).problems
    else:  # all that was asked for needs no runs
        write_markdown(results, judged_boards(results, damaged))
    problems = list(dict.fromkeys(damaged))
    board = read_claims(study.folder)
    show_scoreboard(board, page)
    if others:
        print(summary({data: board, **others}))
    for line in dict.fromkeys([*told, *problems]):
        print_error(line)
    return exit_code or int(bool(problems))
