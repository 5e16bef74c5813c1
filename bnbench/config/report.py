"""The report that an experiment declares, read from what a sweep noted of it."""

import json
from typing import Any, cast

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from bnbench.config.schema import MAX_FIGURES, ReportConfig


def declared_report(report: dict[str, Any]) -> ReportConfig:
    """Check the declaration of answers, figures and comparisons out of experiment.json.

    Raises:
        ValueError: it is no such declaration; one line.
    """
    given = {key: value for key, value in report.items() if value is not None}
    if "${" in json.dumps(given):
        raise ValueError("report: expected values, not interpolations")
    try:
        bare = ReportConfig(question="", answer=[], figures=[], compare=[])
        node = OmegaConf.merge(OmegaConf.structured(bare), given)
        declared = cast(ReportConfig, OmegaConf.to_object(node))
    except OmegaConfBaseException as error:
        raise ValueError(f"report.{error.full_key}: {str(error).splitlines()[0]}") from None
    for part in ("answer", "figures", "compare"):
        if len(getattr(declared, part)) > MAX_FIGURES:
            raise ValueError(f"report.{part}: expected at most {MAX_FIGURES}")
    for spec in declared.compare:
        if not spec.baseline or any(isinstance(value, dict) for value in spec.baseline.values()):
            raise ValueError("report.compare: expected a baseline of columns and their values")
    return declared
