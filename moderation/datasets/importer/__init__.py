"""Read labelled comments from files of any usual form: CSV, JSON lines, JSON arrays, Parquet, compressed or not.

An import has three steps. :func:`plan_import` reads the beginning of every file and decides encoding, delimiter and
columns. :func:`survey` reads all rows once, counts what cannot be used and finds repeated rows. :class:`Import` then
yields the usable rows as labelled comments, in constant memory.
"""

from moderation.datasets.importer.acceptance import ACCEPTABLE, check_acceptance
from moderation.datasets.importer.importing import Import, import_files, plain_import
from moderation.datasets.importer.inputs import find_inputs
from moderation.datasets.importer.mapping import ColumnMapping, parse_columns
from moderation.datasets.importer.plan import ImportPlan, Stated, plan_import
from moderation.datasets.importer.report import ImportReport, Reason
from moderation.datasets.importer.rows import FIRST_TIME_US, REMOVED_AFTER_US, ROW_STEP_US
from moderation.datasets.importer.survey import survey

__all__ = [
    "ACCEPTABLE",
    "FIRST_TIME_US",
    "REMOVED_AFTER_US",
    "ROW_STEP_US",
    "ColumnMapping",
    "Import",
    "ImportPlan",
    "ImportReport",
    "Reason",
    "Stated",
    "check_acceptance",
    "find_inputs",
    "import_files",
    "parse_columns",
    "plain_import",
    "plan_import",
    "survey",
]
