"""Results written down as readable JSON; ``UPDATE_GOLDEN=1`` writes them anew."""

import json
import os
from pathlib import Path

HERE = Path(__file__).parent


def agrees_with(name: str, actual: object) -> None:
    """Compare with the file of that name."""
    file = HERE / f"{name}.json"
    if os.environ.get("UPDATE_GOLDEN"):
        file.write_text(json.dumps(actual, indent=2) + "\n")
    assert actual == json.loads(file.read_text())
