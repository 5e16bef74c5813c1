"""Write the report over all experiments: `python scripts/report.py [results=results]`."""

from pathlib import Path

from bnbench.commands.arguments import results_folder
from bnbench.config.quoting import shown_path
from bnbench.pages import up_to_date
from bnbench.request.refusal import print_error
from bnbench.tracking.experiment_dir import other_schema_line, runs_of_other_schema, survey


def main() -> int:
    """Write what changed, say where the page is; 1 where an experiment could not be read."""
    results = results_folder(str(__doc__))
    try:
        report = write_changed(results)
    except ValueError as error:
        return print_error(str(error))
    print(f"report: {shown_path(report.page)}")
    if others := runs_of_other_schema(survey(results)[0]):
        print(other_schema_line(others))
    for problem in report.problems:
        print_error(problem)
    return int(bool(report.problems))


def write_changed(results: Path) -> up_to_date.Report:
    """Write the report where anything that it shows has changed; see `up_to_date.report`."""
    return up_to_date.report(results, _write)


def _write(results: Path) -> up_to_date.Report:
    from joblib import cpu_count

    from bnbench.pages.report import write_report  # pandas and matplotlib are slow to import

    return write_report(results, cpu_count())
