"""Where in `signoff.toml` a key stands, for messages: `tomllib` keeps no positions. Pure.

This looks at a file that already parsed, and only ever adds a line number to a message;
nothing is decided by it.
"""

from __future__ import annotations


def line_of(text: str, section: str, index: int, key: str) -> int:
    """The 1-based line of `key` in the `index`-th table headed `section` (0 counts from
    the first; the top level is ""); of the header when the key is not found; 0 if neither."""
    inside = section == ""
    seen = -1
    header = 0
    table = 0
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        if line.startswith("["):
            name = line.lstrip("[").partition("]")[0].replace('"', "").strip()
            seen += name == section
            inside = name == section and seen == index
            header = number if inside else header
            # A key of the top level may be a table, named by its header alone.
            if not table and name.partition(".")[0] == key:
                table = number
        elif inside and key and line.partition("=")[0].strip().strip("\"'") == key:
            return number
    return header or (table if section == "" else 0)
