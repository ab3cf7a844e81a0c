"""Runs one pickled call in the task's own process: `python -P call.py CALL RESULT MINOR`.

Stands alone: it may run under another Python than the worker's, which has cloudpickle and need not
have Iris. What the call returns or raises is pickled into a file; a traceback goes to the log.
"""

import os
import sys
import traceback


def main(arguments: list[str]) -> int:
    """The exit status: 0 if the call returned, 1 if it raised or could not be made."""
    call, result, minor = arguments
    own = f"{sys.version_info[0]}.{sys.version_info[1]}"
    if own != minor:
        message = (
            f"this function was pickled by Python {minor}, and the task runs Python {own}:"
            " submit it from the same minor version, or submit a command"
        )
        return _failed(result, RuntimeError(message), message)
    import cloudpickle

    # So that a function that ends its process is told apart from one that returned nothing.
    _write(result, cloudpickle.dumps(("left", None, "")))
    try:
        with open(call, "rb") as file:
            function, positional, named = cloudpickle.load(file)
        value = function(*positional, **named)
    except SystemExit:
        raise
    except BaseException as error:  # noqa: BLE001
        trace = traceback.format_exc()
        return _failed(result, error, trace)
    try:
        content = cloudpickle.dumps(("returned", value, ""))
    except Exception as error:  # noqa: BLE001
        message = f"the result of type {type(value).__name__} cannot be pickled: {error}"
        return _failed(result, TypeError(message), message)
    _write(result, content)
    return 0


def _failed(result: str, error: BaseException, trace: str) -> int:
    import cloudpickle

    sys.stdout.flush()
    print(trace, file=sys.stderr, flush=True)  # noqa: T201
    try:
        content = cloudpickle.dumps(("raised", error, trace))
        cloudpickle.loads(content)
    except Exception:  # noqa: BLE001
        stand_in = RuntimeError(f"{type(error).__name__}: {error}")
        content = cloudpickle.dumps(("raised", stand_in, trace))
    _write(result, content)
    return 1


def _write(result: str, content: bytes) -> None:
    beside = f"{result}.new"
    with open(beside, "wb") as file:
        file.write(content)
    os.replace(beside, result)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
