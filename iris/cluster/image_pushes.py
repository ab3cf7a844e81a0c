"""Brings an image that is built into registries, one after the other, and says what came of each.

A registry that refuses holds up no other. What is there already is not sent again.
"""

import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from iris.cluster.engine import engine_errors, words
from iris.exit_status import ExitStatus
from iris.image_names import GOOGLE, ImageName, Place

if TYPE_CHECKING:
    import docker

_TOLD_EVERY_S: Final = 2.0
_REFUSALS: Final = (
    "unauthorized",
    "denied",
    "no basic auth",
    "authentication required",
    "forbidden",
)
_ABSENT: Final = ("name unknown", "not found", "404")


@dataclass(frozen=True, slots=True)
class Pushed:
    """An image in a registry, or why it is not there."""

    place: Place
    digest: str
    """Empty when it is not there."""
    failure: ExitStatus | None  # None: it is there
    why: str
    help: str

    @property
    def by_digest(self) -> str:
        """The name that can never mean another image."""
        return f"{self.place.name.repository}@{self.digest}"


def push(
    client: "docker.DockerClient",
    image_id: str,
    places: Sequence[Place],
    say: Callable[[str], None],
) -> tuple[Pushed, ...]:
    """What came of each place, in their order."""
    return tuple(_push(client, image_id, place, say) for place in places)


def verdict(pushes: Sequence[Pushed]) -> ExitStatus:
    """How all of them ended: with what all that failed have in common."""
    failures = {pushed.failure for pushed in pushes if pushed.failure is not None}
    if not failures:
        return ExitStatus.DONE
    return next(iter(failures)) if len(failures) == 1 else ExitStatus.FAILED


def _push(
    client: "docker.DockerClient", image_id: str, place: Place, say: Callable[[str], None]
) -> Pushed:
    """Push it under one more name, which stays with the engine only if the registry has it."""
    name = str(place.name)
    try:
        is_new = name not in client.images.get(image_id).tags
        pushed = _sent(client, image_id, place, say)
        # With its only name the engine would give up the image itself.
        if is_new and pushed.failure is not None and len(client.images.get(image_id).tags) > 1:
            client.api.remove_image(name)
    except engine_errors() as error:
        return _refused(place, words(error))
    return pushed


def _sent(
    client: "docker.DockerClient", image_id: str, place: Place, say: Callable[[str], None]
) -> Pushed:
    say(f"pushing {place.name}")
    name = place.name
    digest = ""
    told = _Steps(say)
    try:
        client.api.tag(image_id, name.repository, name.tag, force=True)
        lines = client.api.push(
            name.repository, name.tag, stream=True, decode=True, auth_config=_credentials(name)
        )
        for line in lines:
            if "error" in line:
                return _refused(place, str(line["error"]))
            digest = line.get("aux", {}).get("Digest", digest)
            told.hear(line)
    except engine_errors() as error:
        return _refused(place, words(error))
    if not digest:
        return _refused(place, "the engine ended without a digest")
    say(f"pushed {name} {digest}")
    return Pushed(place, digest, None, "", "")


def _credentials(name: ImageName) -> dict[str, Any]:
    """What the user's own `docker login`, or the helper that it names, has for a registry.

    None are sent as empty ones: engines of 2023 and before take a push without any for a bad call.
    """
    from docker import auth

    host, _ = auth.resolve_repository_name(name.repository)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # An absent helper is warned of, and then raised.
        return auth.load_config().resolve_authconfig(host) or {}


class _Steps:
    """Tells each layer's steps, and how far one is that takes long."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._last: dict[str, str] = {}
        self._told_at = 0.0

    def hear(self, line: dict[str, Any]) -> None:
        """One line of the engine."""
        layer, status = line.get("id", ""), line.get("status", "")
        if not layer or not status:
            return
        far = line.get("progressDetail") or {}
        if self._last.get(layer) != status:
            self._last[layer] = status
            self._say(f"  {layer}: {status}")
        elif far.get("total") and time.monotonic() - self._told_at >= _TOLD_EVERY_S:
            done, whole = far["current"] / 1e6, far["total"] / 1e6
            self._say(f"  {layer}: {done:.0f} of {whole:.0f} MB")
        else:
            return
        self._told_at = time.monotonic()


def _refused(place: Place, why: str) -> Pushed:
    why = why.strip()
    status, remedy = _meaning(place.name, why)
    return Pushed(place, "", status, why, remedy)


def _meaning(name: ImageName, why: str) -> tuple[ExitStatus, str]:
    """What a registry's words come to, and what to do."""
    assert name.host is not None, name
    google = name.host.endswith(GOOGLE)
    said = why.lower()
    if "credentials store" in said or "docker-credential-" in said:
        remedy = f"install the helper that ~/.docker/config.json names for {name.host}, or remove it there"
        return ExitStatus.NOT_PERMITTED, remedy
    if any(word in said for word in _REFUSALS):
        login = (
            f"gcloud auth configure-docker {name.host}" if google else f"docker login {name.host}"
        )
        role = "; the account needs roles/artifactregistry.writer" if google else ""
        return ExitStatus.NOT_PERMITTED, login + role
    if any(word in said for word in _ABSENT):
        return ExitStatus.NOT_FOUND, _creation(name) if google else f"create {name.path} there"
    return (
        ExitStatus.FAILED,
        f"see whether {name.host} is right and can be reached, then run it again",
    )


def _creation(name: ImageName) -> str:
    assert name.host is not None, name
    project, repository = (*name.path.split("/"), "REPOSITORY")[:2]
    where = name.host.removesuffix(GOOGLE)
    return (
        f"gcloud artifacts repositories create {repository} --project={project} "
        f"--repository-format=docker --location={where}"
    )
