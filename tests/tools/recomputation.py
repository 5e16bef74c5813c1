"""The formulas of `audit`: tests, intervals and power of a part, Holm's adjustment, verdicts.

The rules are those of docs/statistics.md, the formulas other ones than in bnbench:

    part         one-sided tests at 0.025: t of the mean, by the incomplete beta function; the sign
                 test where values lie on a grid or are all equal; binomial for a share. Between two
                 bounds both, at 0.05 where the whole claim states equivalence. "at least" cannot
                 show a value to be low, "at most" to be high; "none" is left out, and where more
                 than half are, nothing is tested
    interval     t; Clopper & Pearson by the beta distribution; order statistics about the median
                 of a grid or of equal values; 95 %, of equivalence 1 - 2 times the level of a test
    power        of t, given the sample's standard deviation, averaged over its distribution; of
                 counts, of which the fewest that suffice are a quantile of the binomial, and the
                 share that is found with 80 % one of the beta distribution
    claim        to confirm, every part must; any other verdict needs one part, times their number
    family       Holm, as the greatest p·#{p' ≥ p} over the p up to one's own
    verdict      the first that is small enough of confirmed, contrary, smaller, no effect
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
from scipy import integrate, special, stats

WORDS = ("confirmed", "contrary", "smaller than claimed", "no effect")  # in the order asked for
KINDS = ("p_confirmed", "p_contrary", "p_smaller", "p_none")
SHOWN = ("estimate", "ci_low", "ci_high")
NO_P = (math.nan,) * len(KINDS)
LEVEL, MIN_SEEDS, ENOUGH = 0.025, 3, 0.8
ROUNDING = 1e-9  # of numbers up to 1, and of larger ones by their size
Row = Mapping[str, str]


@dataclass(frozen=True, eq=False)
class Part:
    """A declared number and its evidence; bounds, interest and null in the unit of the values."""

    name: str
    role: str
    rows: Sequence[Row]
    scale: str
    low: float
    high: float
    interest: float
    null: float  # NaN of a level
    alpha: float
    is_log: bool = False  # shown are ratios, and the values their logarithms

    @cached_property
    def values(self) -> np.ndarray:
        return np.array([number(row["value"]) for row in self.rows if row["bound"] != "none"])

    @cached_property
    def bounds(self) -> Counter[str]:
        return Counter(row["bound"] for row in self.rows)

    @cached_property
    def is_between(self) -> bool:
        return not math.isnan(self.low + self.high)

    @cached_property
    def level(self) -> float:
        return 1 - 2 * self.alpha if self.is_between else 0.95

    @cached_property
    def is_tested(self) -> bool:
        """Whether the values are enough, finite, and of a share 0 or 1."""
        is_sound = self.scale != "share" or set(self.values) <= {0.0, 1.0}
        return len(self.values) >= MIN_SEEDS and bool(np.isfinite(self.values).all()) and is_sound

    @cached_property
    def is_equal(self) -> bool:
        return bool(np.isclose(self.values, self.values[0], ROUNDING, ROUNDING).all())

    @cached_property
    def std(self) -> float:
        return 0.0 if self.is_equal else float(self.values.std(ddof=1))

    @cached_property
    def is_counted(self) -> bool:
        """Whether only the number of values on either side of a bound is looked at."""
        return self.scale == "grid" or self.is_equal

    def shown(self, *numbers: float) -> list[float]:
        with np.errstate(over="ignore"):
            return [float(np.exp(x) if self.is_log else x) for x in numbers]

    def p(self, side: str, bound: float) -> float:
        """The p-value that the values are "greater" or "less" than a bound."""
        values, n = self.values, len(self.values)
        if not self.is_tested:
            return math.nan
        if self.scale == "share":
            given = 0 <= bound <= 1
            return stats.binomtest(int(values.sum()), n, bound, side).pvalue if given else math.nan
        if {"greater": "at most", "less": "at least"}[side] in self.bounds:
            return math.nan
        if self.is_counted:
            beyond = values - bound if side == "greater" else bound - values
            count = int((beyond > ROUNDING * max(1.0, abs(bound))).sum())
            return sum(math.comb(n, k) for k in range(count, n + 1)) / 2**n
        t = float(values.mean() - bound) / self.std * math.sqrt(n)
        t = t if side == "greater" else -t
        tail = float(special.betainc((n - 1) / 2, 0.5, (n - 1) / (n - 1 + t * t))) / 2
        return tail if t > 0 else 1 - tail

    @cached_property
    def p_values(self) -> tuple[float, ...]:
        """The p-values of `KINDS`."""
        if self.role == "reading" or 2 * self.bounds["none"] > self.bounds.total():
            return NO_P
        if self.is_between:
            inside = all_of([self.p("greater", self.low), self.p("less", self.high)])
            outside = any_of([self.p("greater", self.high), self.p("less", self.low)])
            return inside, outside, math.nan, math.nan
        if math.isnan(self.high):
            beyond, short, sign, bound = "greater", "less", 1, self.low
        else:
            beyond, short, sign, bound = "less", "greater", -1, self.high
        confirmed, missed = self.p(beyond, bound), self.p(short, bound)
        claimed = sign * (bound - self.null)  # the distance from no effect to the bound
        if self.scale == "share" or not claimed >= 0:
            return confirmed, missed, math.nan, math.nan
        near = sign * (claimed or self.interest)
        smaller = all_of([self.p(beyond, self.null), missed]) if claimed else math.nan
        none = all_of([self.p(beyond, self.null - near), self.p(short, self.null + near)])
        return confirmed, self.p(short, self.null), smaller, none

    def says(self, verdict: str, mean: float) -> bool:
        """Whether a decided verdict is true of a mean."""
        if self.is_between:
            return (self.low <= mean <= self.high) == (verdict == WORDS[0])
        sign = 1 if math.isnan(self.high) else -1
        mean, null = sign * mean, sign * self.null
        bound = self.low if sign == 1 else -self.high
        if verdict == WORDS[0]:
            return mean >= bound
        if self.scale == "share" or not bound >= null:
            return mean <= bound
        near = (bound - null) or self.interest
        limits = [(-math.inf, null), (null, bound), (null - near, null + near)]
        low, high = limits[WORDS[1:].index(verdict)]
        return low <= mean <= high

    @cached_property
    def interval(self) -> tuple[float, float, float]:
        """Estimate and limits, in the unit of the values."""
        values, n = self.values, len(self.values)
        if not n or not np.isfinite(values).all():
            return math.nan, math.nan, math.nan
        estimate = float(np.median(values) if self.scale == "grid" else values.mean())
        if not self.is_tested:
            return estimate, math.nan, math.nan
        if self.scale == "share":
            tail, ones = (1 - self.level) / 2, values.sum()
            low = stats.beta.ppf(tail, ones, n - ones + 1) if ones else 0.0
            high = stats.beta.isf(tail, ones + 1, n - ones) if ones < n else 1.0
        elif self.is_counted:
            low, high = stats.quantile_test(values).confidence_interval(self.level)
        else:
            half = t_of((1 - self.level) / 2, n - 1) * self.std / math.sqrt(n)
            low, high = estimate - half, estimate + half
        return estimate, float(low), float(high)

    @cached_property
    def error(self) -> float:
        """The standard error that the width of the interval stands for, were it one of t."""
        _, low, high = self.interval
        return (high - low) / 2 / t_of((1 - self.level) / 2, len(self.values) - 1)

    @cached_property
    def power(self) -> float:
        """The power for the effect of interest beyond the bound, or in the middle of two."""
        n = len(self.values)
        if not self.is_tested:
            return math.nan
        if self.scale == "share":
            share = min(1.0, self.low + self.interest)
            return float(stats.binom.sf(most_missing(n, self.low, self.alpha), n, share))
        effect = (self.high - self.low) / 2 if self.is_between else self.interest
        if not self.is_counted:
            delta = effect / self.std * math.sqrt(n)
            return power_of_t(delta, n - 1, self.alpha, self.is_between)
        beyond = float(special.ndtr(effect / self.std)) if self.std else float(effect > 0)
        missing = most_missing(n, 0.5, self.alpha)
        if not self.is_between or self.is_equal:
            return float(stats.binom.sf(missing, n, beyond))
        outside = range(n - missing)  # how many may lie beyond either bound
        counts = [(i, n - i - j, j) for i in outside for j in outside if i + j <= n]
        shares = (1 - beyond, 2 * beyond - 1, 1 - beyond)
        return float(sum(stats.multinomial.pmf(counts, n, shares))) if counts else 0.0

    @cached_property
    def detectable(self) -> float:
        """The distance from the bound that is found with enough power."""
        n = len(self.values)
        if not self.is_tested:
            return math.nan
        enough = (1 + ENOUGH) / 2 if self.is_between else ENOUGH
        is_share = self.scale == "share" and self.role != "reading"
        if is_share or self.is_counted:
            bound = self.low if is_share else 0.5
            needed = most_missing(n, bound, self.alpha) + 1
            if needed > n:
                return math.nan
            share = stats.beta.ppf(enough, needed, n - needed + 1)
            return float(share - bound if is_share else self.std * special.ndtri(share))
        critical = t_of(self.alpha, n - 1)
        return float(special.nctdtrinc(n - 1, 1 - enough, critical) * self.std / math.sqrt(n))

    @cached_property
    def verdict(self) -> str:
        return verdict_of(self.p_values, self.alpha) if self.role != "reading" else ""

    @cached_property
    def estimates(self) -> dict[str, float]:
        return dict(zip(SHOWN, self.shown(*self.interval), strict=True))

    @cached_property
    def numbers(self) -> dict[str, float | str]:
        """What parts.csv has to say, in its units."""
        exact = [one["value"] for one in self.rows if not one["bound"]]
        return {
            **self.estimates,
            **dict(zip(KINDS, self.p_values, strict=True)),
            "ci_level": self.level,
            "n": int(np.isfinite(self.values).sum()),
            "seeds": len(self.rows),
            "censored": len(self.rows) - sum(math.isfinite(number(cell)) for cell in exact),
            "detectable": self.shown(self.detectable)[0],
            "verdict": self.verdict,
        }


@cache
def t_of(tail: float, df: int) -> float:
    """The t with so much beyond it."""
    return float(stats.t.isf(tail, df))


@cache
def most_missing(n: int, bound: float, alpha: float) -> int:
    """The most of n that do not yet show a share to be above a bound."""
    return int(stats.binom.isf(alpha, n, bound))


def power_of_t(delta: float, df: int, alpha: float, is_between: bool) -> float:
    """The power of t for an effect of so many standard errors, or of both tests of TOST."""
    critical = t_of(alpha, df)
    first, last = np.sqrt(stats.chi2.ppf([1e-13, 1 - 1e-13], df) / df)
    if is_between:  # with a greater s no mean is significantly inside
        last = max(first, min(last, delta / critical))
    s = np.linspace(first, last, 2001)
    inside = special.ndtr(delta - critical * s)
    inside = 2 * inside - 1 if is_between else inside
    density = stats.chi.pdf(s, df, scale=1 / math.sqrt(df))
    return float(integrate.simpson(inside * density, x=s))


def all_of(p_values: Sequence[float]) -> float:
    """The p-value that all tests succeed; NaN where one is."""
    return float(np.max(p_values))


def any_of(p_values: Sequence[float]) -> float:
    """The p-value that one of several tests succeeds (Bonferroni)."""
    known = [p for p in p_values if not math.isnan(p)]
    return min(1.0, min(known) * len(p_values)) if known else math.nan


def combined(parts: Sequence[Sequence[float]]) -> tuple[float, ...]:
    """The p-values of a claim from those of its parts."""
    if not parts:
        return NO_P
    confirmed, *others = zip(*parts, strict=True)
    return all_of(confirmed), *map(any_of, others)


def verdict_of(p_values: Sequence[float], alpha: float) -> str:
    """The first word whose p-value is below its level."""
    enough = np.array(p_values) < [alpha, LEVEL, LEVEL, LEVEL]
    return WORDS[int(enough.argmax())] if enough.any() else "undecided"


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p-values; one that is missing counts as 1, and stays missing."""
    p = np.array([1.0 if math.isnan(one) else one for one in p_values])
    times = (p[:, None] <= p).sum(axis=1)
    adjusted = [min(1.0, float((p * times)[p <= one].max())) for one in p]
    return [math.nan if math.isnan(p) else a for p, a in zip(p_values, adjusted, strict=True)]


def number(cell: str) -> float:
    return float(cell) if cell else math.nan


def is_near(one: float, other: float, is_p: bool = False) -> bool:
    """Whether two numbers are equal up to rounding; p-values relative to themselves."""
    return math.isclose(one, other, rel_tol=1e-6, abs_tol=1e-18 if is_p else 1e-12)


def decisive(parts: Sequence[Part], verdict: str) -> list[Part]:
    """The part that settles a verdict, or all that do alike."""
    kind = WORDS.index(verdict) if verdict in WORDS else 0
    among = [part for part in parts if kind and part.verdict == verdict] or parts
    sign = -1 if kind else 1
    keys = [sign * float(np.nan_to_num(part.p_values[kind], nan=2.0)) for part in among]
    last = max(keys)
    return [part for part, key in zip(among, keys, strict=True) if is_near(key, last, is_p=True)]
