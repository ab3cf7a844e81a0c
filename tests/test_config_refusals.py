"""What cluster.yaml must not say: each refusal, at its place and with what would be right."""

import pytest

from iris.config import ClusterConfig, read_cluster
from iris.problems import BadInput, Problem
from iris.yaml_source import parse_mapping

ONE = "scale_groups: {g: {accelerator_type: v6e-8, max_slices: 2}}\n"


def read(text: str) -> ClusterConfig:
    """The configuration of a text that is right."""
    return read_cluster(parse_mapping(text, "c.yaml"))


def refused(text: str) -> list[tuple[int, int, str, str]]:
    """Line, column, key and message of each problem; each one must say what would be right."""
    with pytest.raises(BadInput) as refusal:
        read(text)
    for problem in refusal.value.problems:
        assert problem.file == "c.yaml"
        assert problem.source_line == text.split("\n")[problem.line - 1]
    return [(p.line, p.column, p.path, p.message) for p in refusal.value.problems]


GCP = "provider: {type: gcp, project_id: p, zone: us-east5-a}\n"
HEAD = "scale_groups:\n  g: {accelerator_type: v6e-8, max_slices: 2, "


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        (HEAD + "min_slices: 5}", (2, 59, "min_slices"), "5 is more than max_slices, 2"),
        (HEAD + "buffer_slices: 3}", (2, 62, "buffer_slices"), "3 is more than max_slices, 2"),
        (HEAD + "min_slices: -1}", (2, 59, "min_slices"), "-1 is out of range"),
        (HEAD + "min_slices: true}", (2, 59, "min_slices"), "expected a whole number, got true"),
        (HEAD + "zones: []}", (2, 54, "zones"), "no zone is named, so no slice could ever come"),
        (HEAD + "zones: [a, b, a]}", (2, 61, "zones.2"), "zone 'a' is named twice"),
        (HEAD + "zones: [a/b]}", (2, 55, "zones.0"), "'a/b' is no name of a zone"),
        (HEAD + "zones: a}", (2, 54, "zones"), "expected a list, got 'a'"),
        (HEAD + "vm: {count: 2}}", (2, 59, "vm.count"), "v6e-8 slices have 1 hosts by their type"),
        (HEAD + "vm: {cpu: 0}}", (2, 57, "vm.cpu"), "0 is out of range"),
        (HEAD + "vm: {memory: 1XB}}", (2, 60, "vm.memory"), "'1XB' is not a size"),
        (HEAD + "price_per_hour: -2}", (2, 63, "price_per_hour"), "-2 is negative"),
        (HEAD + "reservation: x}", (2, 60, "reservation"), "no reservation is named 'x'"),
        (
            HEAD + "attributes: {zone: x}}",
            (2, 60, "attributes.zone"),
            "'zone' cannot be an attribute's name",
        ),
    ],
)
def test_a_group_that_cannot_be_is_refused_at_the_key(
    text: str, place: tuple[int, int, str], message: str
) -> None:
    line, column, key = place
    assert refused(text) == [(line, column, f"scale_groups.g.{key}", message)]


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("scale_groups: {}", (1, 15, "scale_groups"), "no group, so nothing can ever run"),
        ("docker: {image: x}", (1, 1, "scale_groups"), "missing key `scale_groups`"),
        (
            "scale_groups: {a.b: {accelerator_type: cpu, max_slices: 1}}",
            (1, 16, "scale_groups.a.b"),
            "'a.b' cannot be a group's name",
        ),
        (
            "scale_groups: {g: {accelerator_type: cpu}}",
            (1, 16, "scale_groups.g.max_slices"),
            "missing key `scale_groups.g.max_slices`",
        ),
        (
            "scale_groups: {g: {accelerator_type: v9-3, max_slices: 1}}",
            (1, 38, "scale_groups.g.accelerator_type"),
            "unknown accelerator type 'v9-3'",
        ),
        (
            ONE + "autoscaler: {idle_timeout: -5m}",
            (2, 28, "autoscaler.idle_timeout"),
            "'-5m' is negative",
        ),
        (
            ONE + "autoscaler: {max_backoff: 2m}",
            (2, 27, "autoscaler.max_backoff"),
            "2m is less than quota_backoff, 5m",
        ),
        (
            ONE + "autoscaler: {initial_window: 500}",
            (2, 30, "autoscaler.initial_window"),
            "500 is more than max_window, 256",
        ),
        (
            ONE + "timeouts: {stop_grace: 5m}",
            (2, 24, "timeouts.stop_grace"),
            "5m is more than stop_timeout, 2m",
        ),
        (
            ONE + "timeouts: {worker_timeout: 0}",
            (2, 28, "timeouts.worker_timeout"),
            "0 is out of range",
        ),
        (ONE + "scheduler: {order: lifo}", (2, 20, "scheduler.order"), "'lifo' is not a choice"),
        (
            ONE + "scheduler: {user_weights: {a/b: 1}}",
            (2, 28, "scheduler.user_weights.a/b"),
            "'a/b' cannot be a user's name",
        ),
        (
            ONE + "scheduler: {quotas: {a/b: {tasks: 1}}}",
            (2, 22, "scheduler.quotas.a/b"),
            "'a/b' cannot be a user's name",
        ),
        (
            ONE + "scheduler: {quotas: {alice: {levels: 3}}}",
            (2, 29, "scheduler.quotas.alice"),
            "a quota limits nothing",
        ),
        (
            ONE + "scheduler: {quotas: {alice: {tasks: 2, levels: 3}}}",
            (2, 48, "scheduler.quotas.alice.levels"),
            "3 levels of a tree need as many tasks, and 2 may run",
        ),
        (
            ONE + "scheduler: {quotas: {alice: {tasks: 0}}}",
            (2, 37, "scheduler.quotas.alice.tasks"),
            "0 is out of range",
        ),
        (
            ONE + "scheduler: {quotas: {alice: {tasks: 100, levels: 65}}}",
            (2, 50, "scheduler.quotas.alice.levels"),
            "65 is out of range",
        ),
        (
            ONE + "reservations: {r: {chips: 0}}",
            (2, 27, "reservations.r.chips"),
            "0 is out of range",
        ),
        (ONE + "provider: {type: gpc}", (2, 11, "provider"), "type is 'gpc'"),
        (
            ONE + "provider: {type: gcp}",
            (2, 1, "provider.project_id"),
            "missing key `provider.project_id`",
        ),
        (
            ONE + "provider: {type: gcp, project_id: p, zone: here}",
            (2, 44, "provider.zone"),
            "'here' is no zone of Google Cloud",
        ),
        (
            ONE + "provider: {type: gcp, project_id: p, region: us-east1, zone: us-central1-a}",
            (2, 62, "provider.zone"),
            "'us-central1-a' does not lie in region 'us-east1'",
        ),
        (
            "provider: {type: gcp, project_id: p}\n" + HEAD + "zones: [x]}",
            (3, 55, "scale_groups.g.zones.0"),
            "'x' is no zone of Google Cloud",
        ),
        (
            ONE + "provider: {type: gcp, project_id: My Project, zone: us-east5-a}",
            (2, 35, "provider.project_id"),
            "'My Project' is no id of a project",
        ),
        (
            ONE + "provider: {type: gcp, project_id: p, zone: us-east5-a, cluster: Lab_1}",
            (2, 65, "provider.cluster"),
            "'Lab_1' cannot begin the names of machines",
        ),
        (
            ONE + "provider: {type: gcp, project_id: p, zone: us-east5-a, service_account: me}",
            (2, 73, "provider.service_account"),
            "'me' is no e-mail address of a service account",
        ),
        (
            ONE + "provider: {type: gcp, project_id: p}",
            (1, 16, "scale_groups.g"),
            "group g has no zone to come from",
        ),
        (
            GCP + HEAD + "vm: {machine_type: n2-standard-4}}",
            (3, 66, "scale_groups.g.vm.machine_type"),
            "the machines of v6e-8 are what they are",
        ),
        (
            GCP + "scale_groups: {g: {accelerator_type: cpu, max_slices: 2, vm: {cpu: 200}}}",
            (2, 38, "scale_groups.g.accelerator_type"),
            "no machine type of Google Cloud is known that has 200 cpu and what else is asked",
        ),
        (
            GCP + "scale_groups: {g: {accelerator_type: H100:8, max_slices: 2}}",
            (2, 16, "scale_groups.g.vm"),
            "machines with GPUs need an image that has their driver",
        ),
        (
            ONE + "provider: {type: manual, hosts: []}",
            (2, 33, "provider.hosts"),
            "a list is too short",
        ),
        (
            ONE + "provider: {type: manual, hosts: [{address: h, group: gg}]}",
            (2, 54, "provider.hosts.0.group"),
            "no group is named 'gg'",
        ),
        (
            ONE + "controller: {dashboard_port: 10000}",
            (2, 30, "controller.dashboard_port"),
            "port 10000 is that of gRPC (controller.vm.port) already",
        ),
        (
            ONE + "controller: {vm: {port: 70000}}",
            (2, 25, "controller.vm.port"),
            "70000 is out of range",
        ),
        (
            ONE + "controller: {vm: {enabled: true}}",
            (2, 18, "controller.vm"),
            "a controller on a VM needs an image",
        ),
        (
            ONE + "controller: {tls: {cert: x}}",
            (2, 14, "controller.tls.key"),
            "missing key `controller.tls.key`",
        ),
        (
            ONE + "controller: {host: 10.0.0.1}",
            (2, 20, "controller.host"),
            "only a manual cluster reaches a host for its controller",
        ),
        (
            ONE + "auth: {tokens: {alice: hunter2}}",
            (2, 24, "auth.tokens.alice"),
            "a token is shorter than 16 characters",
        ),
        (
            ONE + "auth: {tokens: {bob: {sha256: no-digest}}}",
            (2, 31, "auth.tokens.bob.sha256"),
            "'no-digest' is no SHA-256 of a token",
        ),
        (
            ONE + "auth: {tokens: {bob: {env: X, file: Y}}}",
            (2, 22, "auth.tokens.bob"),
            "not exactly one source of a secret",
        ),
        (ONE + "auth: {admins: [bob]}", (2, 17, "auth.admins.0"), "'bob' has no token"),
    ],
)
def test_what_cannot_be_is_refused_at_its_place(
    text: str, place: tuple[int, int, str], message: str
) -> None:
    assert refused(text) == [(*place, message)]


def test_hosts_of_several_groups_must_say_which() -> None:
    text = """\
provider: {type: manual, hosts: [h1]}
scale_groups:
  a: {accelerator_type: cpu, max_slices: 1}
  b: {accelerator_type: cpu, max_slices: 1}
"""
    message = "host 'h1' names no group, and there are several"
    assert refused(text) == [(1, 34, "provider.hosts.0", message)]


def test_two_groups_whose_slices_would_share_names_are_refused() -> None:
    text = """\
scale_groups:
  a_b: {accelerator_type: cpu, max_slices: 1}
  A-b: {accelerator_type: cpu, max_slices: 1}
"""
    message = "slices of 'A-b' would be named as those of 'a_b'"
    assert refused(text) == [(3, 3, "scale_groups.A-b", message)]


def test_a_reservation_that_is_nearly_right_is_hinted_at() -> None:
    with pytest.raises(BadInput) as refusal:
        read("reservations: {pool: {chips: 8}}\n" + HEAD + "reservation: poll}")
    assert [problem.help for problem in refusal.value.problems] == ["did you mean `pool`?"]


def test_all_that_is_wrong_is_told_at_once_and_each_with_a_remedy() -> None:
    text = """\
provider: {type: gcp, project_id: 5}
scale_groups:
  a: {accelerator_type: v5e-16, max_slices: 2, min_slices: 5, zones: [x, x]}
  b: {accelerator_type: cpu, max_slicez: 2}
autoscaler: {idle_timeout: 3 moons}
"""
    with pytest.raises(BadInput) as refusal:
        read(text)
    found: tuple[Problem, ...] = refusal.value.problems
    assert [(problem.line, problem.path) for problem in found] == [
        (1, "provider.project_id"),
        (3, "scale_groups.a.accelerator_type"),
        (3, "scale_groups.a.min_slices"),
        (3, "scale_groups.a.zones.1"),
        (4, "scale_groups.b.max_slices"),
        (4, "scale_groups.b.max_slicez"),
        (5, "autoscaler.idle_timeout"),
    ]
    assert all(problem.help for problem in found)
    assert found[1].help == "did you mean v5litepod-16?"


UNUSED = ONE + "auth: {tokens: {a: {env: A}}, admins: [a]}\n"
LOCAL = UNUSED + "provider: {type: local}\n"
MANUAL = UNUSED + "provider: {type: manual, hosts: [h]}\n"


@pytest.mark.parametrize(
    ("text", "key", "message"),
    [
        (
            LOCAL + "controller: {vm: {enabled: true, image: i}}\n",
            "controller.vm.enabled",
            "provider local makes no machine for its controller, which runs on this machine",
        ),
        (
            MANUAL + "controller: {host: h, vm: {enabled: true, image: i}}\n",
            "controller.vm.enabled",
            "provider manual makes no machine for its controller, "
            "which runs on this machine, or controller.host",
        ),
        (
            LOCAL.replace("max_slices: 2", "max_slices: 2, vm: {machine_type: n2-standard-4}"),
            "scale_groups.g.vm.machine_type",
            "'n2-standard-4' is for provider gcp: provider local makes no machines",
        ),
        (
            ONE + 'docker: {image: "w 1; rm -rf /"}\n',
            "docker.image",
            "'w 1; rm -rf /' is no name of an image",
        ),
    ],
)
def test_what_no_provider_heeds_and_no_registry_has_is_refused(
    text: str, key: str, message: str
) -> None:
    assert [problem[2:] for problem in refused(text)] == [(key, message)]


def test_an_image_may_be_named_by_its_digest() -> None:
    name = f"r.example:5000/iris/worker:v1@sha256:{64 * 'a'}"
    config = read(ONE + f"docker: {{image: {name!r}}}\n")
    assert config.docker is not None
    assert config.docker.image == name
