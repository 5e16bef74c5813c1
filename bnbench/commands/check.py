"""Hold a plugin, or a norm that ships, to the contracts: `python scripts/check.py my_norm.py`.

One line for each contract says whether it holds, and if not, why, with numbers. Options of a
plugin's norm are given as in a sweep, `norm.momentum=0.2`. The exit code is 0 where all hold, 1
where one does not, 2 where there is nothing to check.
"""

import inspect
from argparse import RawDescriptionHelpFormatter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import yaml

from bnbench import CONFIGS
from bnbench.commands.arguments import Parser
from bnbench.config.checks import RequestError
from bnbench.config.labels import count_label
from bnbench.request.own_code import filled
from bnbench.request.plugins import NOT_CONSTRUCTED, RESERVED, OwnRow, Plugin, load
from bnbench.request.refusal import allowed, print_error
from bnbench.sweep import terminal

RANKS = {0: "(N, C)", 2: "(N, C, H, W)"}  # of the inputs that norms are for here
WIDTH = 14  # of the longest name of a contract

# what is checked: its name, a note on it, and its contracts with what each is run over, by case
Subject = tuple[str, str, dict[str, tuple[Callable[..., None], dict[str, tuple[Any, ...]]]]]


def main(argv: Sequence[str] | None = None) -> int:
    """Print what holds of each subject; the exit code."""
    parser = Parser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("subject", help="the file of a plugin, or the name of a norm that ships")
    parser.add_argument("options", metavar="norm.key=value", nargs="*", help="of a plugin's norm")
    args = parser.parse_intermixed_args(argv)
    try:
        subjects = list(found(args.subject, args.options))
    except RequestError as error:
        return print_error(str(error))
    console = terminal()
    from bnbench.norms.contracts import reason  # torch is slow to import

    broken = total = 0
    for name, note, contracts in subjects:
        console.print(f"{name}{note}", soft_wrap=True)
        for contract, (law, cases) in contracts.items():
            why = next(
                (
                    f"{case}{problem}"
                    for case, subject in cases.items()
                    if (problem := reason(law, *subject))
                ),
                None,
            )
            words = why or first_sentence(law)
            console.print(f"  {'✗' if why else '✓'} {contract:{WIDTH}} {words}", soft_wrap=True)
            broken, total = broken + bool(why), total + 1
    held = f"{total - broken} of {count_label(total, 'contract')} hold"
    console.print(held if broken else f"all {count_label(total, 'contract')} hold")
    return int(bool(broken))


def first_sentence(law: Callable[..., None]) -> str:
    """What a contract asks for: the first sentence of its docstring."""
    text = " ".join((inspect.getdoc(law) or "").split())
    return text.partition(". ")[0].rstrip(".")


def found(subject: str, options: Sequence[str]) -> Iterator[Subject]:
    """What is to be checked (`RequestError`: there is no such thing)."""
    given = dict(map(option, options))
    if not subject.endswith(".py"):
        shipped = sorted(path.stem for path in (CONFIGS / "norm").glob("*.yaml"))
        if subject not in shipped:
            raise RequestError(
                f"{subject}: not the path of a .py file, {allowed(subject, shipped)}"
            )
        if options:
            raise RequestError(f"{options[0]}: expected the file of a plugin before it")
        from bnbench.norms import NORMS

        defaults = yaml.safe_load((CONFIGS / "norm" / f"{subject}.yaml").read_text())
        yield norm_subject(subject, partial(NORMS[defaults.pop("name")], **defaults))
        return
    plugin = load(subject)
    if given and not plugin.rows["norm"]:
        raise RequestError(f"{options[0]}: {subject} has no norm, expected no options")
    for name, row in plugin.rows["norm"].items():
        values = filled("norm", {"name": name, **given}, plugin, row)
        chosen = {key: value for key, value in values.items() if key not in RESERVED}
        yield norm_subject(name, partial(row.make, **chosen))
    yield from (model_subject(name, row) for name, row in plugin.rows["model"].items())
    yield from (shift_subject(name, row, plugin) for name, row in plugin.rows["shift"].items())


def option(line: str) -> tuple[str, Any]:
    """Read `norm.momentum=0.2` (`RequestError`)."""
    key, sign, text = line.partition("=")
    if not sign or not key.startswith("norm."):
        raise RequestError(f"{line}: expected norm.<option>=<value>")
    try:
        return key.removeprefix("norm."), yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise RequestError(f"{line}: cannot be parsed, expected norm.<option>=<value>") from error


def norm_subject(name: str, make: Callable[..., Any]) -> Subject:
    """A norm, for each rank of inputs that it is for (`RequestError`: it is for none)."""
    from bnbench.norms.contracts import CHANNELS, CONTRACTS, SHAPES

    cases: dict[str, tuple[Any, ...]] = {}
    lacking: dict[str, str] = {}
    for dims, inputs in RANKS.items():
        try:
            make(CHANNELS, dims)
        except ValueError as error:  # with which a norm says that it is not for such inputs
            lacking[inputs] = str(error)
        else:
            cases[f"for {inputs}: "] = (partial(make, CHANNELS, dims), SHAPES[dims])
    if not cases:
        raise RequestError(f"{name}: {next(iter(lacking.values()))}")
    note = "".join(f", not for {inputs}: {why}" for inputs, why in lacking.items())
    return name, note, {contract: (law, cases) for contract, law in CONTRACTS.items()}


def model_subject(name: str, row: OwnRow) -> Subject:
    """A net of a plugin, with its defaults."""
    from bnbench.models.contracts import CONTRACTS

    options = {k: option.default for k, option in row.options.items() if k not in NOT_CONSTRUCTED}
    cases = {"": (partial(row.make, **options),)}
    return name, ", a model", {contract: (law, cases) for contract, law in CONTRACTS.items()}


def shift_subject(name: str, row: OwnRow, plugin: Plugin) -> Subject:
    """A shift of a plugin."""
    from bnbench.data.contracts import CONTRACTS

    note = f", a shift; results call it {plugin.recorded(name)}"
    cases = {"": (row.make, row.levels)}
    return name, note, {contract: (law, cases) for contract, law in CONTRACTS.items()}
