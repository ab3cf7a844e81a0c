"""The wheels that an image is made of: Iris as it is here, and what it needs, for the image's Python.

What is shipped is what was tested: Iris is packed as it is installed or checked out, and everything
that is installed beside it is taken in the same version. Wheels only, so that nothing of this
machine is compiled into an image.
"""

import subprocess
import sys
import tempfile
import zipfile
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from importlib.metadata import Distribution, PackageNotFoundError, distribution, distributions
from pathlib import Path
from typing import Final

import iris
from iris.exit_status import ExitStatus
from iris.problems import Failure

DISTRIBUTION: Final = "iris-orchestrator"
_OLDEST_GLIBC: Final = 5
"""The first minor version of glibc 2 that wheels are made for."""
_LAST_LINES: Final = 12
_LEFT_OUT: Final = frozenset({"RECORD", "INSTALLER", "REQUESTED", "direct_url.json"})
"""What an installer wrote, and says nothing of the package."""


@dataclass(frozen=True, slots=True)
class Target:
    """The Python that wheels are for."""

    python: tuple[int, int]
    machine: str
    """As wheels spell it: `x86_64`, `aarch64`."""
    glibc: int | None
    """The minor version of glibc 2; None: musl."""

    def options(self) -> list[str]:
        """What makes pip take wheels for it, whatever this machine is."""
        major, minor = self.python
        abis = (f"cp{major}{minor}", "abi3", "none")
        chosen = [f"--python-version={major}.{minor}", "--implementation=cp"]
        chosen += [f"--abi={abi}" for abi in abis]
        return chosen + [f"--platform={name}_{self.machine}" for name in self._platforms()]

    def _platforms(self) -> list[str]:
        if self.glibc is None:
            return ["musllinux_1_2", "musllinux_1_1"]
        newest_first = range(self.glibc, _OLDEST_GLIBC - 1, -1)
        return [*(f"manylinux_2_{minor}" for minor in newest_first), "manylinux2014", "linux"]


def own_wheel(folder: Path, say: Callable[[str], None]) -> Path:
    """Iris's own wheel, made in a folder out of the checkout that runs, or out of what is installed.

    Raises:
        Failure: the build fails, or there is nothing to pack.
    """
    checkout = Path(iris.__file__).parents[1]
    if (checkout / "pyproject.toml").is_file():
        say(f"packing Iris {iris.__version__} as it is checked out")
        _pip(["wheel", "--no-deps", f"--wheel-dir={folder}", str(checkout)], say)
        (wheel,) = folder.glob("*.whl")
        return wheel
    say(f"packing Iris {iris.__version__} as it is installed")
    return packed(_installed(), folder)


def packed(found: Distribution, folder: Path) -> Path:
    """A wheel of an installed package without compiled parts; the same files give the same bytes."""
    files = {
        str(file): Path(str(file.locate())).read_bytes()
        for file in found.files or ()
        if ".." not in file.parts
        and "__pycache__" not in file.parts
        and not (file.parent.suffix == ".dist-info" and file.name in _LEFT_OUT)
    }
    (metadata,) = (name for name in files if name.endswith(".dist-info/METADATA"))
    record = metadata.removesuffix("METADATA") + "RECORD"
    files[record] = _record(files, record).encode()
    stem = metadata.partition(".dist-info")[0]
    wheel = folder / f"{stem}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name)
            entry.external_attr = 0o644 << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, files[name])
    return wheel


def needed_wheels(
    own: Path, extras: Sequence[str], target: Target, folder: Path, say: Callable[[str], None]
) -> list[Path]:
    """The wheels that Iris's own needs with these extras, fetched into a folder.

    Raises:
        Failure: one cannot be had for that Python.
    """
    with tempfile.TemporaryDirectory() as scratch:
        pins = Path(scratch, "pins.txt")
        pins.write_text("".join(f"{name}=={version}\n" for name, version in _pins().items()))
        # In this folder pip would take our own wheel for one of those it was to fetch.
        own_requirement = f"{DISTRIBUTION}[{','.join(extras)}] @ {own.as_uri()}"
        words = ["download", f"--dest={folder}", f"--constraint={pins}", "--only-binary=:all:"]
        _pip([*words, *target.options(), own_requirement], say)
    (folder / own.name).unlink(missing_ok=True)
    return sorted(folder.glob("*.whl"))


def known_extras() -> list[str]:
    """The extras that Iris has."""
    return sorted(_installed().metadata.get_all("Provides-Extra") or [])


def _installed() -> Distribution:
    try:
        return distribution(DISTRIBUTION)
    except PackageNotFoundError as error:
        message = f"{DISTRIBUTION} is not installed in {sys.prefix}, so there is nothing to pack"
        raise Failure(message, ExitStatus.FAILED, "pip install it, or run a checkout") from error


def _pins() -> dict[str, str]:
    """The versions of everything that is installed here."""
    found = {entry.metadata["Name"]: entry.version for entry in distributions()}
    return {name: found[name] for name in sorted(found) if name and name != DISTRIBUTION}


def _record(files: Mapping[str, bytes], record: str) -> str:
    """What a wheel says of its files."""
    lines = [f"{name},sha256={_digest(files[name])},{len(files[name])}" for name in sorted(files)]
    return "\n".join([*lines, f"{record},,", ""])


def _digest(content: bytes) -> str:
    return urlsafe_b64encode(sha256(content).digest()).rstrip(b"=").decode()


def _pip(words: Sequence[str], say: Callable[[str], None]) -> None:
    """Run this Python's pip, which says what it does."""
    command = [sys.executable, "-m", "pip", "--no-input", "--disable-pip-version-check", *words]
    said: list[str] = []
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as running:
        assert running.stdout is not None
        for line in running.stdout:
            said.append(line.rstrip())
            say(f"  {line.rstrip()}")
    if running.returncode == 0:
        return
    if any("No module named pip" in line for line in said):
        remedy = f"install it: {sys.executable} -m ensurepip"
        raise Failure(
            f"{sys.executable} has no pip to fetch wheels with", ExitStatus.FAILED, remedy
        )
    errors = [line for line in said if line.startswith("ERROR")] or said[-_LAST_LINES:]
    message = "pip cannot make the wheels of the image: " + "; ".join(errors)
    raise Failure(message, ExitStatus.FAILED, "pip's own words are above")
