"""Many measurements in one table, and many sessions at once: `dlcc bench`."""

from dlcc.compiler.bench.load import LoadRow, measure_load
from dlcc.compiler.bench.run import run_suite
from dlcc.compiler.bench.suite import Suite, read_suite
from dlcc.compiler.bench.table import BenchRow, write_csv

__all__ = [
    "BenchRow",
    "LoadRow",
    "Suite",
    "measure_load",
    "read_suite",
    "run_suite",
    "write_csv",
]
