"""Put the table of a run into docs/hosts.md: ``python benchmarks/hosts_table.py RESULT.json``.

RESULT.json is what ``wsfast bench hosts --json`` wrote; it should lie in ``results/``.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from wsfast.cli.bench import report

PAGE = Path(__file__).resolve().parents[1] / "docs" / "hosts.md"
BEGIN = "<!-- benchmarks/hosts_table.py writes from here -->\n"
END = "<!-- to here -->\n"


def section(result: Path) -> str:
    """What stands between the two lines, for a result of this file name."""
    document = json.loads(result.read_text(encoding="utf-8"))
    source = f"[All figures](../benchmarks/results/{result.name})"
    return f"\n{report.markdown(document)} {source}.\n\n"


def replaced(page: str, text: str) -> str:
    """The page with ``text`` between the two lines."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + BEGIN + text + END + after


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    page = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(replaced(page, section(Path(sys.argv[1]))), encoding="utf-8")


if __name__ == "__main__":
    main()
