"""Tables on the console: what the commands print."""

import sys

from rich.console import Console
from rich.table import Table

_UNBOUNDED = 400


def as_wide_as_needed() -> Console:
    """Write as wide as the terminal, or, into a file or pipe, as wide as it needs."""
    width = None if sys.stdout.isatty() else _UNBOUNDED
    return Console(width=width, markup=False, emoji=False)


def print_table(table: Table) -> None:
    """Print a table."""
    as_wide_as_needed().print(table)
