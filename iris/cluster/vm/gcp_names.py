"""How slices are called and marked in Google Cloud, and which of all that is there is ours.

A machine's name begins with the cluster's, its labels say the rest: a name alone proves nothing, since
other clusters of the project, and other people, name machines, too.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from iris.core.ids import GroupName, SliceId

MANAGED: Final = "iris-managed"
CLUSTER: Final = "iris-cluster"
GROUP: Final = "iris-group"
SLICE: Final = "iris-slice"
TOKEN: Final = "iris-token"
HOSTS: Final = "iris-hosts"
ROLE: Final = "iris-role"
TAG: Final = "iris"
"""The network tag of every machine, for firewall rules."""
_TRUE: Final = "true"
_STEM: Final = "iris-"
"""With which every name begins that the core mints."""


@dataclass(frozen=True, slots=True)
class Marks:
    """What machines of one cluster are called and labelled."""

    cluster: str
    """A name that the configuration has let through."""

    def name(self, slice_: SliceId) -> str:
        """What Google knows a slice as; of the cluster `iris` that is its own name."""
        return f"{self.cluster}-{slice_.removeprefix(_STEM)}"

    def labels(self, slice_: SliceId, group: GroupName, secret: str, hosts: int) -> dict[str, str]:
        """The labels of a slice's machines; `secret` is what nobody but its controller knows."""
        return {
            MANAGED: _TRUE,
            CLUSTER: self.cluster,
            GROUP: group.lower(),
            SLICE: slice_,
            TOKEN: token_of(secret),
            HOSTS: str(hosts),
        }

    def slice_of(self, labels: Mapping[str, str]) -> SliceId | None:
        """The slice that a machine with these labels belongs to; none if it is not ours."""
        if labels.get(MANAGED) != _TRUE or labels.get(CLUSTER) != self.cluster:
            return None
        return SliceId(labels[SLICE]) if labels.get(SLICE) else None


def token_of(secret: str) -> str:
    """What a label may show of a secret: that it is the same."""
    return hashlib.sha256(secret.encode()).hexdigest()[:32]


def group_of(labels: Mapping[str, str], groups: Iterable[GroupName]) -> GroupName | None:
    """The group that a label means; labels know no capitals. One that left the config is itself."""
    label = labels.get(GROUP)
    if label is None:
        return None
    return next((name for name in groups if name.lower() == label), GroupName(label))
