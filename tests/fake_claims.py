"""Made-up verdicts: the files that judging writes, and the words that go with them."""

from pathlib import Path

import numpy as np
import pandas as pd

from bnbench.analysis.verdicts import ClaimView, PartView, write_views

EXACT = ["part", "statistic", "estimate", "direction", "bound"]
NUMBERS = ["estimate", "ci_low", "ci_high", "ci_level", "n", "sesoi_low", "sesoi_high"]
SCOREBOARD = ["claim", "verdict", "depends_on", "distance", "statistic", *NUMBERS]
SCOREBOARD += ["p_holm", "power", "reference", "replicated", "experiment", "command"]
PARTS = ["claim", "part", "role", "statistic", "scale", *NUMBERS[:5], "seeds", *NUMBERS[5:]]
P = ["p_confirmed", "p_contrary", "p_smaller", "p_none"]
PARTS += ["interest", "null", *P, "detectable", "censored", "verdict"]
EVIDENCE = ["part", "role", "seed", "value", "treatment", "baseline"]
EVIDENCE += ["treatment_arm", "baseline_arm", "treatment_rate", "baseline_rate", "bound"]
EVIL = "<script>alert('&')</script> [red]"
HALF = {0.95: 2.262, 0.90: 1.833}  # of t with 9 degrees of freedom


def part(
    name, verdict, mean, sd=0.1, *, sesoi=(None, None), unit="", ratio=False, n=10, level=0.95,
    statistic="difference of test accuracy", role="verdict", label=None, bounds=(), lost=0,
    rates=(None, None),
):  # fmt: skip
    """A part as data; `mean` and `sd` are of the values as tested (logs for a ratio).

    `lost` seeds were asked for beside the n that gave a number; `rates` are the learning rates.
    """
    seed = np.frombuffer(name.encode(), np.uint8).sum()
    values = np.random.default_rng(seed).normal(mean, sd, n)
    half = HALF[level] * values.std(ddof=1) / np.sqrt(n) if n >= 3 else np.nan
    shown = [values.mean(), values.mean() - half, values.mean() + half]
    estimate, low, high = np.exp(shown) if ratio else shown
    bounds = [*bounds, *[""] * (n - len(bounds))]
    values[[bound == "none" for bound in bounds]] = np.nan
    return {
        "view": PartView(name, label or name, unit, ratio),
        "values": values,
        "bounds": bounds,
        "rates": rates,
        "row": {
            "part": name, "role": role, "statistic": statistic, "estimate": estimate,
            "scale": "log" if ratio else "linear", "seeds": n + lost,
            "ci_low": low, "ci_high": high, "ci_level": level, "n": n, "sesoi_low": sesoi[0],
            "sesoi_high": sesoi[1], "p_confirmed": 0.0004 if verdict == "confirmed" else 0.31,
            "p_contrary": 0.0002 if verdict == "contrary" else 0.4, "detectable": 0.8,
            "censored": len([b for b in bounds if b]), "verdict": verdict,
        },
    }  # fmt: skip


def write_folder(folder: Path, claims) -> list[ClaimView]:
    """Write scoreboard.csv, parts.csv, evidence/ and claims.json.

    Each claim is (view, verdict, parts, power); its parts are those of `part`, or for an exact
    claim rows of (part, statistic, estimate, direction, bound).
    """
    (folder / "evidence").mkdir(parents=True, exist_ok=True)
    scoreboard, parts, views = [], [], []
    for view, verdict, given, power in claims:
        row = {"claim": view.id, "verdict": verdict, "power": power}
        row |= {"experiment": f"claim_{view.id}", "command": f"make claims ARGS={view.id}"}
        if given and isinstance(given[0], tuple):
            table = pd.DataFrame(given, columns=EXACT)
            fits = [e <= b if d == "<=" else e >= b for _, _, e, d, b in given]
            table["holds"] = fits
            table.to_csv(folder / "evidence" / f"{view.id}.csv", index=False)
            row |= {"statistic": given[0][1], "estimate": given[0][2], "experiment": "exact"}
        elif given:
            of_verdict = [one["row"] for one in given if one["row"]["verdict"] == verdict]
            head = (of_verdict or [given[0]["row"]])[0]
            row |= {key: head[key] for key in SCOREBOARD if key in head and key != "verdict"}
            row["statistic"] = f"{head['part']}: {head['statistic']}"
            row["p_holm"] = 0.0012 if verdict != "undecided" else 0.31
            limits = [limit for limit in (head["sesoi_low"], head["sesoi_high"]) if limit]
            row["distance"] = min((abs(row["estimate"] - b) for b in limits), default=None)
            parts += [{"claim": view.id} | one["row"] for one in given]
            evidence = [
                (
                    one["row"]["part"],
                    one["row"]["role"],
                    seed,
                    value,
                    1.0,
                    1.0,
                    "mlp-a",
                    "mlp-b",
                    *one["rates"],
                    bound,
                )
                for one in given
                for seed, (value, bound) in enumerate(
                    zip(one["values"], one["bounds"], strict=True)
                )
            ]
            pd.DataFrame(evidence, columns=EVIDENCE).to_csv(
                folder / "evidence" / f"{view.id}.csv", index=False
            )
            view = ClaimView(**view.__dict__ | {"parts": tuple(one["view"] for one in given)})
        scoreboard.append(row)
        views.append(view)
    pd.DataFrame(scoreboard, columns=SCOREBOARD).to_csv(folder / "scoreboard.csv", index=False)
    pd.DataFrame(parts, columns=PARTS).to_csv(folder / "parts.csv", index=False)
    write_views(folder, views)
    return views


def view(name, family="Convergence", **words) -> ClaimView:
    """The words of a made-up claim."""
    return ClaimView(
        name, family, f"Sentence of {name}.", f"Source of {name}", "The rule.", **words
    )


def five_claims(path: Path) -> Path:
    """Write five claims: exact, confirmed, contrary by its second part, underpowered, not run."""
    claims = [
        (view("E1", "Exact"), "confirmed", [("y", "largest error", 4.03e-16, "<=", 1e-10)], None),
        (
            view("C1", traps=("A trap.",), caveats=("A caveat.",)),
            "confirmed",
            [
                part(
                    "a", "confirmed", 0.9, ratio=True, sesoi=(1.5, None), statistic="ratio of steps"
                )
            ],
            0.95,
        ),
        (
            view("C2"),
            "contrary",
            [
                part("first", "confirmed", 3.0, sesoi=(1, None), unit="pp"),
                part("second", "contrary", -3.0, sesoi=(1, None), unit="pp", label="Second"),
                part("beside", "", 0.4, role="reading", unit="pp"),
            ],
            0.4,  # which says nothing of a claim that is decided
        ),
        (view("C3"), "undecided", [part("a", "undecided", 0.2, sesoi=(1, None))], 0.4),
        (view("P4", "Placement", reason="it needs a GPU."), "not run here", [], None),
    ]
    write_folder(path, claims)
    return path
