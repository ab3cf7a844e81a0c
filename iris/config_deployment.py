"""The grammar of the parts of cluster.yaml that the core never hears of: machines, doors, stores.

Who provides machines, what workers run in, where the controller listens, who may call it, and where
things are kept. Scale groups and policies are in `iris.config_models`.
"""

import re
from collections.abc import Iterable
from typing import Annotated, Final, Literal, TypeAlias

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from iris.core.ids import is_name
from iris.fields import Port
from iris.image_names import checked_reference
from iris.problems import Finding, Unfit, one_of, shown
from iris.units import BadQuantity

SHORTEST_TOKEN: Final = 16
_JUMP: Final = re.compile(r"(?:[^@:\s]+@)?(?:[^@:\s\[\]]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")


class Section(BaseModel):
    """A mapping of the config: unknown keys are refused, and no value is bent to fit."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


def _zone(value: str) -> str:
    if not is_name(value):
        remedy = "write a zone as us-central1-a: letters, digits, and any of `.` `_` `-`"
        raise BadQuantity(f"{shown(value)} is no name of a zone", remedy)
    return value


ZoneName: TypeAlias = Annotated[str, AfterValidator(_zone)]
Text: TypeAlias = Annotated[str, Field(min_length=1)]
ImageText: TypeAlias = Annotated[str, AfterValidator(checked_reference)]


def refuse_bad_users(names: Iterable[str], key: str) -> None:
    """A user's name is part of every path of a job, so not all characters may be in it."""
    bad = [name for name in names if not is_name(name)]
    if bad:
        remedy = "use letters, digits, `_`, `.` and `-`, at most 63"
        raise Unfit(
            Finding((key, name), f"{shown(name)} cannot be a user's name", remedy, at_key=True)
            for name in bad
        )


def _spelled_out(value: object, key: str) -> object:
    """The mapping that a bare text is short for."""
    return {key: value} if isinstance(value, str) else value


def _jump(value: str | None) -> str | None:
    if value is not None and _JUMP.fullmatch(value) is None:
        raise BadQuantity(f"{shown(value)} is no host to go by", "write it as user@host:port")
    return value


def _absolute(value: str) -> str:
    if not value.startswith("/"):
        raise BadQuantity(f"{shown(value)} is no absolute path", "begin it with /")
    return value


def _digest(value: str | None) -> str | None:
    if value is not None and re.fullmatch(r"[0-9a-f]{64}", value) is None:
        remedy = "write what `printf %s TOKEN | sha256sum` prints"
        raise BadQuantity(f"{shown(value)} is no SHA-256 of a token", remedy)
    return value


class SshSection(Section):
    """How the hosts of a manual cluster are reached."""

    user: Text | None = None
    key: Text | None = None
    port: Port = 22
    known_hosts: Text | None = None
    jump: Annotated[Text | None, AfterValidator(_jump)] = None


class HostSection(Section):
    """A machine of a manual cluster; a bare address stands for one without a group of its own."""

    address: Text
    group: Text | None = None


class GcpSection(Section):
    """Machines come from Google Cloud."""

    type: Literal["gcp"]
    project_id: Text
    cluster: Text = "iris"
    region: Text | None = None
    zone: ZoneName | None = None
    network: Text | None = None
    subnetwork: Text | None = None
    service_account: Text | None = None
    external_ips: bool = True


class ManualSection(Section):
    """Machines are there already, and are reached by SSH."""

    type: Literal["manual"]
    hosts: Annotated[
        list[Annotated[HostSection, BeforeValidator(lambda value: _spelled_out(value, "address"))]],
        Field(min_length=1),
    ]
    ssh: SshSection = SshSection()
    folder: Annotated[Text, AfterValidator(_absolute)] = "/var/tmp/iris"
    python: Text = "python3"
    runtime: Literal["process", "docker"] = "process"

    @model_validator(mode="after")
    def _fits_together(self) -> "ManualSection":
        seen: dict[str, int] = {}
        twice = [
            Finding(
                ("hosts", at), f"host {shown(host.address)} is there twice", "take one of them out"
            )
            for at, host in enumerate(self.hosts)
            if seen.setdefault(host.address, at) != at
        ]
        if twice:
            raise Unfit(twice)
        return self


class LocalSection(Section):
    """Workers run on this machine."""

    type: Literal["local"]
    runtime: Literal["process", "docker"] = "process"


class DockerSection(Section):
    """What workers run in."""

    image: ImageText
    worker_port: Port = 10_001


class ControllerVmSection(Section):
    """The controller's machine. Its port is where gRPC listens, wherever the controller runs."""

    enabled: bool = False
    image: Text | None = (
        None  # The contract has it as `...`: what is no name, the registry refuses.
    )
    machine_type: Text = "n2-standard-4"
    port: Port = 10_000


class TlsSection(Section):
    """Files of the controller's certificate and its key."""

    cert: Text
    key: Text


class ControllerSection(Section):
    """Where the controller runs and listens."""

    vm: ControllerVmSection = ControllerVmSection()
    host: Text | None = None
    dashboard_port: Port | None = 10_080
    tls: TlsSection | None = None

    @model_validator(mode="after")
    def _fits_together(self) -> "ControllerSection":
        if self.dashboard_port == self.vm.port:
            message = f"port {self.vm.port} is that of gRPC (controller.vm.port) already"
            raise Unfit([Finding(("dashboard_port",), message, "choose another")])
        if self.vm.enabled and self.vm.image is None:
            message = "a controller on a VM needs an image"
            raise Unfit([Finding(("vm",), message, "add `image: ...`, or `enabled: false`")])
        return self


class SecretSection(Section):
    """A secret, what proves it, or where it is read from; a bare text is the secret itself."""

    value: Annotated[str | None, Field(repr=False)] = None
    sha256: Annotated[str | None, AfterValidator(_digest)] = None
    env: Text | None = None
    file: Text | None = None

    @model_validator(mode="after")
    def _fits_together(self) -> "SecretSection":
        sources = (self.value, self.sha256, self.env, self.file)
        given = [word for word in sources if word is not None]
        if len(given) != 1:
            raise BadQuantity("not exactly one source of a secret", "write `env: X` or `file: X`")
        if self.value is not None and len(self.value) < SHORTEST_TOKEN:
            remedy = "draw a longer one: python -c 'import secrets; print(secrets.token_urlsafe())'"
            raise BadQuantity(f"a token is shorter than {SHORTEST_TOKEN} characters", remedy)
        return self


Secret: TypeAlias = Annotated[
    SecretSection, BeforeValidator(lambda value: _spelled_out(value, "value"))
]


class AuthSection(Section):
    """Who may call the controller."""

    tokens: dict[str, Secret] = Field(default_factory=dict)
    admins: list[str] = Field(default_factory=list)
    worker_token: Secret | None = None

    @model_validator(mode="after")
    def _fits_together(self) -> "AuthSection":
        refuse_bad_users(self.tokens, "tokens")
        strangers = [(at, name) for at, name in enumerate(self.admins) if name not in self.tokens]
        if strangers:
            raise Unfit(
                Finding(("admins", at), f"{shown(name)} has no token", one_of(name, [*self.tokens]))
                for at, name in strangers
            )
        return self


class StorageSection(Section):
    """Where the journal, bundles and logs are kept: folders, or URLs that every worker reaches."""

    root: Text = "/var/lib/iris"
    bundles: Text | None = None
    logs: Text | None = None


Provider: TypeAlias = Annotated[
    GcpSection | ManualSection | LocalSection, Field(discriminator="type")
]
