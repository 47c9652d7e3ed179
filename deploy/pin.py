"""Write the exact versions of the whole dependency tree: constraints in pyproject.toml, and two files of requirements.

Run it after changing a dependency: `uv run --all-groups python deploy/pin.py`. The lock file that uv writes names
registry hosts and is therefore not committed; these say the same without them.
"""

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HASHED = ["--universal", "--generate-hashes", "--no-emit-index-url", "--no-annotate", "--no-header", "--quiet"]
PLAIN = ["--universal", "--no-annotate", "--no-header", "--quiet"]
GROUPS = ["bench", "data", "lint", "test"]
BUILD = ["hatchling", "setuptools", "wheel"]
"""What builds this distribution and the few dependencies that come as source."""


def compiled(*arguments: str, text: str | None = None) -> str:
    """Return what uv resolves, in requirements format."""
    command = ["uv", "pip", "compile", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT, input=text).stdout


def pinned(text: str) -> list[str]:
    """Return the `name==version ; marker` lines of requirements."""
    lines = {line.rstrip(" \\") for line in text.splitlines() if re.match(r"[a-z0-9]", line)}
    return sorted(lines, key=str.lower)


def toml_list(key: str, lines: list[str]) -> str:
    """Return a TOML list, an item a line."""
    items = "".join(f"  {line!r},\n" if '"' in line else f'  "{line}",\n' for line in lines)
    return f"{key} = [\n{items}]"


def write_constraints(key: str, lines: list[str]) -> None:
    """Replace one list of constraints in pyproject.toml."""
    path = ROOT / "pyproject.toml"
    text, found = re.subn(
        rf"^{key} = \[.*?^\]", lambda _: toml_list(key, lines), path.read_text("utf-8"), flags=re.M | re.S
    )
    if found != 1:
        raise SystemExit(f"pyproject.toml has no list {key}")
    path.write_text(text, "utf-8")


def main() -> None:
    """Resolve anew, without the old constraints, and write both files."""
    write_constraints("constraint-dependencies", [])
    write_constraints("build-constraint-dependencies", [])
    groups = [argument for group in GROUPS for argument in ("--group", group)]
    write_constraints("constraint-dependencies", pinned(compiled("pyproject.toml", *groups, *PLAIN)))
    write_constraints("build-constraint-dependencies", pinned(compiled("-", *PLAIN, text="\n".join(BUILD))))
    (ROOT / "deploy" / "requirements.txt").write_text(compiled("pyproject.toml", *HASHED), "utf-8")
    build = compiled("-", *HASHED, text="\n".join(BUILD))
    (ROOT / "deploy" / "build-requirements.txt").write_text(build, "utf-8")


if __name__ == "__main__":
    main()
