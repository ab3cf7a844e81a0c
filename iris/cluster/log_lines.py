"""How the controller and the workers log: lines for people, or by IRIS_LOG_FORMAT=json an object a line.

The standard library's logging does it: the lines are few, and what they are about stands in the
journal. The keys of an object are fixed; more may be added.
"""

import json
import logging
import os
from typing import Final

from iris.units import timestamp

VARIABLE: Final = "IRIS_LOG_FORMAT"
"""`json`, or `text`, which is what it is without."""


def log_format() -> str:
    """`json` or `text`, as this process was told; what it starts on other machines is told the same."""
    return os.environ.get(VARIABLE, "") or "text"


class JsonLines(logging.Formatter):
    """An object on one line: at, level, logger, message, and the traceback of an error."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        told: dict[str, object] = {
            "at": timestamp(int(record.created * 1_000)),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            told["error"] = self.formatException(record.exc_info)
        return json.dumps(told)


def log_to_stderr(level: int = logging.INFO) -> None:
    """Let everything from a level on be logged.

    Raises:
        ValueError: the variable says neither; tells what would be right.
    """
    asked = log_format()
    if asked not in ("json", "text"):
        raise ValueError(f"{VARIABLE}: {asked!r} is neither json nor text")
    handler = logging.StreamHandler()
    text = logging.Formatter("%(asctime)s %(levelname)s %(message)s")
    handler.setFormatter(JsonLines() if asked == "json" else text)
    logging.basicConfig(level=level, handlers=[handler])
