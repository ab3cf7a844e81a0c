"""cluster.yaml: the contract's example, what every key becomes, and every refusal at its place."""

import dataclasses
from pathlib import Path

import pytest
from pydantic import BaseModel

from iris.config import (
    Auth,
    ClusterConfig,
    ControllerSettings,
    ControllerVm,
    Docker,
    Gcp,
    Local,
    Manual,
    ManualHost,
    Runtime,
    Secret,
    SecretSource,
    Ssh,
    Storage,
    Tls,
    load_cluster,
    read_cluster,
    suspicions,
)
from iris.config_models import (
    AutoscalerSection,
    GroupSection,
    RetentionSection,
    SchedulerSection,
    TimeoutsSection,
)
from iris.core.ids import GroupName, UserName, Zone
from iris.core.resources import Resources
from iris.core.spec import (
    AutoscalerPolicy,
    Backfill,
    ClusterSpec,
    GroupSpec,
    Order,
    Quota,
    RetentionPolicy,
    SchedulerPolicy,
    TimeoutPolicy,
)
from iris.core.topology import PORTS
from iris.yaml_source import parse_mapping

CONTRACT = """\
provider: {type: gcp, project_id: my-project, region: us-central1, zone: us-central1-a}
docker: {image: us-central1-docker.pkg.dev/my-project/marin/iris-worker:latest, worker_port: 10001}
controller:
  vm: {enabled: true, image: ..., machine_type: n2-standard-4, port: 10000}
  dashboard_port: 10080
scale_groups:
  tpu_v5e_4:
    accelerator_type: v5litepod-4
    runtime_version: v2-alpha-tpuv5-lite
    min_slices: 0
    max_slices: 10
    preemptible: true
    zones: [us-central1-a, us-central1-b]
"""
EVERY_KEY = """\
reservations: {pool: {chips: 64}}
scale_groups:
  g:
    accelerator_type: v5litepod-16
    runtime_version: v9
    min_slices: 1
    max_slices: 4
    buffer_slices: 2
    preemptible: true
    zones: [b, a]
    priority: -5
    price_per_hour: 9.6
    vm: {cpu: 10.5, memory: 1GiB, disk: 2GB, ports: 7}
    reservation: pool
    attributes: {rack: 7, fast: true, name: x}
"""
ONE = "scale_groups: {g: {accelerator_type: v6e-8, max_slices: 2}}\n"


def read(text: str) -> ClusterConfig:
    """The configuration of a text that is right."""
    return read_cluster(parse_mapping(text, "c.yaml"))


def group(text: str) -> GroupSpec:
    """The only group, with these keys beside the ones that it must have."""
    (found,) = read(f"scale_groups: {{g: {{max_slices: 9, {text}}}}}").spec.groups
    return found


def test_the_contracts_example_is_accepted_as_written(tmp_path: Path) -> None:
    path = tmp_path / "cluster.yaml"
    path.write_text(CONTRACT)
    cluster = load_cluster(path)
    (found,) = cluster.spec.groups
    assert found == GroupSpec(
        name=GroupName("tpu_v5e_4"),
        accelerator_type="v5litepod-4",
        accelerator="v5litepod-4",
        family="v5e",
        hosts=1,
        host=found.host,
        max_slices=10,
        preemptible=True,
        zones=(Zone("us-central1-a"), Zone("us-central1-b")),
    )
    assert (found.host.chips, found.host.ports) == (4, PORTS)
    assert cluster.provider == Gcp("my-project", "iris", "us-central1", Zone("us-central1-a"))
    assert cluster.docker == Docker(
        "us-central1-docker.pkg.dev/my-project/marin/iris-worker:latest", 10_001
    )
    vm = ControllerVm("...", "n2-standard-4")
    assert cluster.controller == ControllerSettings(vm, 10_000, 10_080, None)
    assert cluster.runtime_versions == (("tpu_v5e_4", "v2-alpha-tpuv5-lite"),)


def test_the_smallest_cluster_gets_every_default() -> None:
    cluster = read(ONE)
    (found,) = cluster.spec.groups
    assert cluster.spec == ClusterSpec(groups=(found,))
    assert (found.min_slices, found.max_slices, found.zones) == (0, 2, (Zone("default"),))
    assert (cluster.provider, cluster.docker) == (None, None)
    assert cluster.controller == ControllerSettings(None, 10_000, 10_080, None)
    assert cluster.auth == Auth((), (), None)
    assert cluster.storage == Storage("/var/lib/iris", None, None)
    assert cluster.runtime_versions == (("g", "v2-alpha-tpuv6e"),)


@pytest.mark.parametrize(
    ("section", "policy"),
    [
        (AutoscalerSection, AutoscalerPolicy),
        (TimeoutsSection, TimeoutPolicy),
        (SchedulerSection, SchedulerPolicy),
        (RetentionSection, RetentionPolicy),
    ],
)
def test_a_policy_can_be_set_in_every_field_and_no_default_differs(
    section: type[BaseModel], policy: type[AutoscalerPolicy]
) -> None:
    assert list(section.model_fields) == [field.name for field in dataclasses.fields(policy)]
    plain = [read(ONE).spec.autoscaler, read(ONE).spec.timeouts, read(ONE).spec.scheduler]
    plain.append(read(ONE).spec.retention)
    assert policy() in plain


def test_every_duration_of_a_policy_arrives() -> None:
    text = ONE + "autoscaler: {%s}\ntimeouts: {%s}\n"
    scaled, waits = dataclasses.asdict(AutoscalerPolicy()), dataclasses.asdict(TimeoutPolicy())
    scaled = {key: value + (1 if value < 1_000 else 1_000) for key, value in scaled.items()}
    waits = {key: value + (1 if value < 1_000 else 1_000) for key, value in waits.items()}

    def written(values: dict[str, int]) -> str:
        return ", ".join(
            f"{key}: {value if value < 1_000 else f'{value}ms'}" for key, value in values.items()
        )

    spec = read(text % (written(scaled), written(waits))).spec
    assert dataclasses.asdict(spec.autoscaler) == scaled
    assert dataclasses.asdict(spec.timeouts) == waits


def test_the_scheduler_is_chosen_by_name() -> None:
    text = (
        "scheduler: {order: fifo, backfill: none, eviction: false, fair_half_life: 6h,"
        " max_tasks_per_user: 7}\n"
    )
    found = read(ONE + text + "retention: {ended_jobs: 5}").spec
    assert found.scheduler.order is Order.FIFO
    assert found.scheduler.backfill is Backfill.NONE
    assert not found.scheduler.eviction
    assert found.scheduler.fair_half_life == 6 * 3_600_000
    assert found.scheduler.max_tasks_per_user == 7
    assert found.retention.ended_jobs == 5
    weights = read(ONE + "scheduler: {user_weights: {bob: 2, alice: 3}}").spec.scheduler
    assert weights.user_weights == (("alice", 3), ("bob", 2))


def test_quotas_arrive_by_user_in_the_units_of_the_core() -> None:
    text = (
        "scheduler: {quotas: {bob: {cpu: 1.5, memory: 2GiB}, '*': {chips: 16},"
        " alice: {tasks: 10, levels: 3}}}\n"
    )
    assert read(ONE + text).spec.scheduler.quotas == (
        Quota(UserName("*"), chips=16),
        Quota(UserName("alice"), tasks=10, levels=3),
        Quota(UserName("bob"), cpu=1_500, memory=2 << 30),
    )


def test_every_key_of_a_group_arrives() -> None:
    cluster = read(EVERY_KEY)
    assert cluster.spec.groups == (
        GroupSpec(
            name=GroupName("g"),
            accelerator_type="v5litepod-16",
            accelerator="v5litepod-16",
            family="v5e",
            hosts=4,
            host=Resources(4, 10_500, 2**30, 2 * 10**9, 7),
            max_slices=4,
            min_slices=1,
            buffer_slices=2,
            preemptible=True,
            zones=(Zone("b"), Zone("a")),
            priority=-5,
            price_per_hour=9_600_000,
            reservation="pool",
            attributes=(("fast", "true"), ("name", "x"), ("rack", "7")),
        ),
    )
    assert cluster.runtime_versions == (("g", "v9"),)
    assert cluster.spec.reservations == (("pool", 64),)
    written = set(GroupSection.model_fields)
    assert all(f"    {key}:" in EVERY_KEY for key in written), "a key was added: set it above"


def test_a_group_of_cpu_or_gpu_machines_has_as_many_hosts_as_it_says() -> None:
    cpu = group("accelerator_type: cpu, vm: {cpu: 16, memory: 64GB, count: 3}")
    assert (cpu.accelerator, cpu.family, cpu.hosts, cpu.chips) == (None, "cpu", 3, 48)
    assert cpu.host[:3] == (0, 16_000, 64 * 10**9)
    gpu = group("accelerator_type: 'h100:8', vm: {count: 2}")
    assert (gpu.accelerator, gpu.hosts, gpu.chips) == ("H100", 2, 16)
    assert group("accelerator_type: 'H100:8'").hosts == 1


def test_without_zones_a_group_lives_in_the_providers_zone() -> None:
    provider = "provider: {type: gcp, project_id: p, zone: us-central1-a}\n"
    assert read(provider + ONE).spec.groups[0].zones == (Zone("us-central1-a"),)


def test_manual_hosts_belong_to_the_only_group_unless_they_say() -> None:
    head = "provider: {type: manual, hosts: [10.0.0.1, {address: h2, group: g}], "
    provider = read(head + "ssh: {user: me, key: k, port: 2222}}\n" + ONE).provider
    hosts = (ManualHost("10.0.0.1", GroupName("g")), ManualHost("h2", GroupName("g")))
    usual = ("/var/tmp/iris", "python3", Runtime.PROCESS)
    assert provider == Manual(hosts, Ssh("me", Path.cwd() / "k", 2222), *usual)
    assert read(head[:-2] + "}\n" + ONE).provider == Manual(hosts, Ssh(), *usual)


def test_a_local_cluster_runs_processes_unless_it_says_docker() -> None:
    assert read("provider: {type: local}\n" + ONE).provider == Local(Runtime.PROCESS)
    assert read("provider: {type: local, runtime: docker}\n" + ONE).provider == Local(
        Runtime.DOCKER
    )


@pytest.mark.parametrize(
    ("provider", "said", "waits"),
    [
        ("type: local", "{idle_timeout: 1m}", (1_000, 1_000, 1_000, 15_000)),
        ("type: local", "{stockout_backoff: 2m}", (120_000, 300_000, 15_000, 1_800_000)),
        (
            "type: gcp, project_id: p, zone: us-central1-a",
            "{}",
            (60_000, 300_000, 15_000, 1_800_000),
        ),
    ],
)
def test_on_ones_own_machine_a_loss_is_made_up_for_at_once_unless_the_config_says_otherwise(
    provider: str, said: str, waits: tuple[int, ...]
) -> None:
    policy = read(f"provider: {{{provider}}}\nautoscaler: {said}\n" + ONE).spec.autoscaler
    names = ("stockout", "quota", "internal")
    assert (*(getattr(policy, f"{n}_backoff") for n in names), policy.max_backoff) == waits


def test_secrets_come_from_three_places_and_never_print_themselves() -> None:
    text = """
auth:
  tokens: {alice: a-token-of-alice, bob: {env: BOB}, eve: {value: a-token-of-eve-x}}
  admins: [bob]
  worker_token: {file: worker.token}
controller: {tls: {cert: c.pem, key: /etc/k.pem}}
storage: {root: state, bundles: "gs://b", logs: logs}
"""
    cluster = read(text + ONE)
    assert cluster.auth.tokens == (
        ("alice", Secret(SecretSource.VALUE, "a-token-of-alice")),
        ("bob", Secret(SecretSource.ENVIRONMENT, "BOB")),
        ("eve", Secret(SecretSource.VALUE, "a-token-of-eve-x")),
    )
    assert cluster.auth.worker_token == Secret(SecretSource.FILE, str(Path.cwd() / "worker.token"))
    assert cluster.auth.admins == ("bob",)
    assert "a-token" not in repr(cluster)
    assert cluster.controller.tls == Tls(Path.cwd() / "c.pem", Path("/etc/k.pem"))
    assert cluster.storage == Storage("state", "gs://b", "logs")


def test_files_are_named_from_the_folder_of_the_config(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(
        "auth: {tokens: {bob: {file: keys/bob}}}\nprovider: {type: manual, "
        "hosts: [{address: a}], ssh: {key: id}}\n" + ONE
    )
    found = load_cluster(path)
    assert found.auth.tokens == (("bob", Secret(SecretSource.FILE, str(tmp_path / "keys/bob"))),)
    assert isinstance(found.provider, Manual)
    assert found.provider.ssh.key == tmp_path / "id"


HEAD = "scale_groups:\n  g: {accelerator_type: v6e-8, max_slices: 2, "


@pytest.mark.parametrize(
    ("text", "warned"),
    [
        (ONE, []),
        ("provider: {type: local}\n" + ONE, []),
        (ONE.replace("max_slices: 2", "max_slices: 0"), ["scale_groups.g.max_slices"]),
        (HEAD + "min_slices: 1, buffer_slices: 1}", []),
        (HEAD + "min_slices: 1, buffer_slices: 2}", ["scale_groups.g.buffer_slices"]),
        (
            "reservations: {r: {chips: 16}}\n" + HEAD + "reservation: r, preemptible: true}",
            ["scale_groups.g.reservation"],
        ),
        ("reservations: {r: {chips: 8}}\n" + HEAD + "reservation: r, min_slices: 1}", []),
        (
            "reservations: {r: {chips: 8}}\n" + HEAD + "reservation: r, min_slices: 2}",
            ["reservations.r"],
        ),
        ("reservations: {r: {chips: 8}}\n" + ONE, ["reservations.r"]),
        (
            "provider: {type: gcp, project_id: p, zone: us-east5-a}\n" + ONE,
            ["auth.tokens", "docker"],
        ),
        (
            "provider: {type: gcp, project_id: p, zone: us-east5-a}\ndocker: {image: i}\n"
            "auth: {tokens: {a: {env: X}}, admins: [a]}\n" + ONE,
            [],
        ),
        (
            "provider: {type: local}\nauth: {tokens: {a: {env: X}}}\n" + ONE,
            ["auth"],
        ),
    ],
)
def test_what_is_legal_but_odd_is_warned_about(text: str, warned: list[str]) -> None:
    found = suspicions(read(text))
    assert [".".join(map(str, finding.at)) for finding in found] == warned
    assert all(finding.message and finding.help for finding in found)
