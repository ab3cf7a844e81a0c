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
from pathlib import Path, PurePath
from typing import Final

import iris
from iris.exit_status import ExitStatus
from iris.problems import Failure

DISTRIBUTION: Final = "iris-orchestrator"
_OLDEST_GLIBC: Final = 5
"""The first minor version of glibc 2 that wheels are made for."""
_LAST_LINES: Final = 12
_OF_THE_PACKAGE: Final = ("METADATA", "WHEEL", "entry_points.txt")
"""What a wheel says of itself; all else in its folder is the installer's."""
_FOLDERS: Final = {
    "iris": ("iris", "*"),
    "sim": ("sim", "*"),
    "docker": ("iris/docker", "*.Dockerfile"),
}
"""Where the folders of a checkout are in a wheel, and what of them; as pyproject.toml has it for the build of one."""


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
    """Iris's own wheel, made in a folder out of what is installed, or checked out and installed as such.

    Raises:
        Failure: there is nothing to pack, or it was installed before it was changed.
    """
    found = _installed()
    package = Path(iris.__file__).parent
    checkout = package.parent if (package.parent / "pyproject.toml").is_file() else None
    say(
        f"packing Iris {iris.__version__} as it is {'installed' if checkout is None else 'checked out'}"
    )
    if found.version != iris.__version__:
        message = f"Iris is {iris.__version__} in {package}, and {found.version} is installed"
        raise Failure(message, ExitStatus.CONFLICT, "install it again")
    files = _installed_files(found)
    if checkout is not None:
        files |= checked_out_files(checkout)
    wheel = folder / f"{DISTRIBUTION.replace('-', '_')}-{found.version}-py3-none-any.whl"
    _write_wheel(wheel, files)
    return wheel


@dataclass(frozen=True, slots=True)
class Shelf:
    """Where wheels come from: a folder of them, then the package index that pip is set up for."""

    folder: Path | None  # None: each time from the index

    def fetch(
        self,
        own: Path,
        extras: Sequence[str],
        target: Target,
        into: Path,
        say: Callable[[str], None],
    ) -> list[Path]:
        """What Iris's own wheel needs with these extras, put into a folder, and kept in its own.

        Raises:
            Failure: one cannot be had for that Python.
        """
        with tempfile.TemporaryDirectory() as scratch:
            pins = Path(scratch, "pins.txt")
            pins.write_text("".join(f"{name}=={version}\n" for name, version in _pins().items()))
            words = ["download", f"--dest={into}", f"--constraint={pins}", "--only-binary=:all:"]
            if self.folder is not None:
                self.folder.mkdir(parents=True, exist_ok=True)
                words += ["-f", str(self.folder)]
            words += target.options()
            words.append(f"{DISTRIBUTION}[{','.join(extras)}] @ {own.as_uri()}")
            if self.folder is None or not _has_all(words, say):
                _pip(words, say)
        (into / own.name).unlink()  # It has a layer of its own.
        found = sorted(into.glob("*.whl"))
        if self.folder is not None:
            for wheel in found:
                _keep(wheel, self.folder / wheel.name)
        return found


def _has_all(words: Sequence[str], say: Callable[[str], None]) -> bool:
    """Whether pip found everything without asking an index."""
    said: list[str] = []
    try:
        _pip([*words, "--no-index"], said.append)
    except Failure:
        return False
    say("all wheels are there already")
    return True


def _keep(wheel: Path, place: Path) -> None:
    """By atomic rename: two builds may keep the same one."""
    if not place.exists():
        with tempfile.NamedTemporaryFile(dir=place.parent, suffix=".part", delete=False) as part:
            part.write(wheel.read_bytes())
        Path(part.name).chmod(0o644)
        Path(part.name).replace(place)


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


def _installed_files(found: Distribution) -> dict[str, bytes]:
    """By their paths in a wheel, the files that an installed package came with."""
    return {
        file.as_posix(): Path(str(file.locate())).read_bytes()
        for file in found.files or ()
        if (file.name in _OF_THE_PACKAGE if file.parent.suffix == ".dist-info" else _is_ours(file))
    }


def checked_out_files(checkout: Path) -> dict[str, bytes]:
    """The same of a checkout: its packages and its Dockerfiles, no hidden file and nothing compiled."""
    return {
        name: path.read_bytes()
        for folder, (inside, pattern) in _FOLDERS.items()
        for path in (checkout / folder).rglob(pattern)
        if path.is_file() and _is_ours(path.relative_to(checkout))
        for name in [f"{inside}/{path.relative_to(checkout / folder).as_posix()}"]
    }


def _is_ours(path: PurePath) -> bool:
    """Whether it is in one of our folders, neither hidden nor compiled."""
    odd = any(part.startswith(".") or part == "__pycache__" for part in path.parts)
    return path.parts[0] in _FOLDERS and not odd


def _write_wheel(wheel: Path, files: dict[str, bytes]) -> None:
    """The same files give the same bytes."""
    (metadata,) = (name for name in files if name.endswith(".dist-info/METADATA"))
    record = metadata.removesuffix("METADATA") + "RECORD"
    files = {**files, record: _record(files, record).encode()}
    with zipfile.ZipFile(wheel, "w") as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name)
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, files[name])


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
