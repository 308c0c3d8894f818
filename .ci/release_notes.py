"""Print the changelog's section of a version, for its release: python .ci/release_notes.py [VERSION] (default: the latest)."""

import re
import sys
from pathlib import Path

CHANGELOG = Path(__file__).parent.parent / "CHANGELOG.md"


def sections(changelog: str) -> dict[str, str]:
    """Return the text of each version, the latest first."""
    parts = re.split(r"^## (\S+)[^\n]*\n", changelog, flags=re.M)[1:]
    return {name: text.strip() for name, text in zip(parts[::2], parts[1::2], strict=True)}


def unwrapped(text: str) -> str:
    """Return a text whose paragraphs and items are a line each, as release pages keep line ends."""
    return re.sub(r"\n(?! *[-*] |\n|#)\s*", " ", text)


def main() -> None:
    """Print a section."""
    found = sections(CHANGELOG.read_text(encoding="utf-8"))
    version = sys.argv[1].removeprefix("v") if len(sys.argv) > 1 else next(iter(found))
    if version not in found:
        sys.exit(f"{CHANGELOG.name}: has no version {version!r}; it has {', '.join(found)}")
    print(unwrapped(found[version]))


if __name__ == "__main__":
    main()
