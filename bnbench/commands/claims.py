"""Judge the claims: run what is missing, measure, decide, and show the scoreboard.

python scripts/claims.py                       # everything, on the embedded digits
python scripts/claims.py claims=C1,M6          # run what these lack, and judge all that is there
python scripts/claims.py data=fashion_mnist    # in the form that they have on it
python scripts/claims.py results=elsewhere     # other overrides are those of scripts/train.py
"""

import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import hydra

from bnbench import CONFIGS, ROOT, cli
from bnbench.claims import files
from bnbench.claims.judge import judge
from bnbench.claims.records import Claim
from bnbench.claims.registry.table import claims_on, experiments
from bnbench.claims.study import IntegrityError, Study
from bnbench.commands.arguments import command_facts
from bnbench.config.checks import RequestError
from bnbench.request.preflight import default_jobs
from bnbench.request.refusal import allowed, print_error
from bnbench.sweep import device, sweep
from bnbench.tracking.whole_files import as_json, write_whole

ONLY = "claims="
DEFAULT = "digits"  # as in configs/config.yaml
REFERENCE = ROOT / "results" / "reference"


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
    wanted = [
        name
        for word in argv
        if word.startswith(ONLY)
        for name in word.removeprefix(ONLY).strip("[]").split(",")
    ]
    data = next((word[5:] for word in reversed(overrides) if word.startswith("data=")), DEFAULT)
    if "," in data:
        raise RequestError(f"data={data}: expected one data set, each has a scoreboard of its own")
    claims = claims_on(data)
    for name in wanted:
        if name not in claims:
            raise RequestError(f"{ONLY}{name}: {allowed(name, list(claims))}")
    return claims, experiments(claims[name] for name in wanted or claims), overrides


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
    started = datetime.now(UTC)
    claims, names, overrides = asked(argv)
    if names:
        outcome = sweep([f"experiment={','.join(names)}", *overrides])
        if isinstance(outcome, int):
            return outcome
        exit_code, request = outcome.exit_code, outcome.request
        trained_on = device(request)
    else:  # what is claimed is measured without runs; the request is checked all the same
        with hydra.initialize_config_dir(str(CONFIGS), job_name="claims", version_base="1.3"):
            exit_code, request, trained_on = 0, cli.read(overrides, multirun=False), "cpu"
    results, data = request.results, str(request.experiments[0].data)

    # slow to import: seaborn, and torch
    from bnbench.analysis.agreement import read_boards, summary
    from bnbench.analysis.verdicts import DEPTH, FACTS, read_claims
    from bnbench.claims.pages import write_page
    from bnbench.measured.files import measure
    from bnbench.pages import report
    from bnbench.pages.claims import judged_boards
    from bnbench.pages.claims_markdown import write_markdown
    from bnbench.pages.scoreboard_text import show_scoreboard

    measure(results, data, default_jobs("cpu"))
    study = Study(results, data)
    # a claim that was not run here has the weight in the family that it had there
    elsewhere = files.p_values(REFERENCE / "claims" / data)
    verdicts = judge(claims.values(), study, elsewhere)
    files.write(verdicts, study.folder)
    facts = command_facts("claims", argv, results, trained_on, started)
    write_whole(study.folder / FACTS, as_json(facts), DEPTH)
    terms = {"Command": facts["command"], **report.facts(facts)}
    # beside what this project published, where these results have no other data set of their own
    folders = [*sorted(study.folder.parent.glob("*")), *sorted((REFERENCE / "claims").glob("*"))]
    damaged: list[str] = []
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
    for problem in problems:
        print_error(problem)
    return exit_code or int(bool(problems))
