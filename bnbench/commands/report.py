"""Write the report over all experiments: `python scripts/report.py [results=results]`."""

from bnbench.commands.arguments import results_folder
from bnbench.config.quoting import shown_path
from bnbench.pages.report import write_report
from bnbench.request.refusal import print_error


def main() -> int:
    """Write the pages and say where they are; 1 where an experiment could not be read."""
    results = results_folder(str(__doc__))
    try:
        report = write_report(results)
    except ValueError as error:
        return print_error(str(error))
    print(f"report: {shown_path(report.page)}")
    for problem in report.problems:
        print_error(problem)
    return int(bool(report.problems))
