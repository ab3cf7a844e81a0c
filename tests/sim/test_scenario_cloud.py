"""Every part of the fake cloud has a key of its name, and every key reaches its part."""

from dataclasses import fields
from pathlib import Path

import pytest

from iris.core.instant import HOUR, MINUTE, SECOND, Millis
from sim.dice import Capped, Constant, Distribution, Empirical, Exponential, Lognormal, Uniform
from sim.dice import Weibull as WeibullShape
from sim.model import (
    Bulk,
    CloudModel,
    CreateAnswers,
    CreateFailures,
    Delayed,
    Deletes,
    FaultKind,
    Lists,
    Vanishing,
    Weather,
)
from sim.scenario_cloud import CloudForm
from tests.sim.scenario_texts import SMALL, Desk

RESERVED = SMALL.replace("workload:", "  reservations: {held: {chips: 64}}\nworkload:")

CLOUD = """\
cloud:
  boot: 1s
  lifetime: {exponential: {mean: 6h}, max: 24h}
  zone_lifetime: {zone-a: {constant: 3h}}
  bulk: {mean: 2.5, max: 7}
  scarcity: 4s
  notice: 5s
  notice_lost: 0.06
  false_notice: 7s
  host_by_host: 8s
  capacity: {zone-a: 9, zone-b: [[0s, 1], [1h, 2]]}
  weather: {open: 10s, dry: 11s}
  quota: {zone-a: 12}
  create_failures: {stockout: 0.01, quota: 0.02, quota_region: 0.03, rate: 0.04,
    permission: 0.05, bad_request: 0.06, internal: 0.07, unknown: 0.08}
  verdict: 14s
  create_answers: {lost: 0.15, twice: 0.16, late: {probability: 0.17, delay: 18s},
    failed_but_lives: 0.19, accepted_but_dead: 0.2}
  call: 21s
  hang: 0.22
  slow_zones: {zone-b: 23s}
  delete: 24s
  deletes: {refused: 0.25, lost: 0.26, lies: 0.27}
  vanishing: {other_state: 0.28, not_found: 0.29}
  stuck_creating: 0.3
  partial: 0.31
  straggler: {probability: 0.32, delay: 33s}
  duplicate_index: 0.34
  early_registration: 0.35
  host_failure: 36s
  silence: 37s
  lists: {error: 0.38, zone_missing: 0.39, empty: 0.4, without_newest: 0.41,
    with_deleted: 0.42, stale: {probability: 0.43, delay: 44s}}
  recycle_addresses: true
  reservations: {held: 45}
  another_hand: 46s
  stray: 47s
"""


def lasting(seconds: int) -> Constant:
    return Constant(Millis(seconds * SECOND))


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


SAID: dict[str, object] = {
    "boot": lasting(1),
    "lifetime": Exponential(Millis(6 * HOUR)),
    "lifetime_max": 24 * HOUR,
    "zone_lifetime": {"zone-a": Constant(Millis(3 * HOUR))},
    "bulk": Bulk(2.5, 7),
    "scarcity": lasting(4),
    "notice": 5 * SECOND,
    "notice_lost": 0.06,
    "false_notice": lasting(7),
    "host_by_host": lasting(8),
    "capacity": {"zone-a": ((0, 9),), "zone-b": ((0, 1), (HOUR, 2))},
    "weather": Weather(lasting(10), lasting(11)),
    "quota": {"zone-a": 12},
    "create_failures": CreateFailures(0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.07, 0.08),
    "verdict": lasting(14),
    "create_answers": CreateAnswers(0.15, 0.16, Delayed(0.17, lasting(18)), 0.19, 0.2),
    "call": lasting(21),
    "hang": 0.22,
    "slow_zones": {"zone-b": lasting(23)},
    "delete": lasting(24),
    "deletes": Deletes(0.25, 0.26, 0.27),
    "vanishing": Vanishing(0.28, 0.29),
    "stuck_creating": 0.3,
    "partial": 0.31,
    "straggler": Delayed(0.32, lasting(33)),
    "duplicate_index": 0.34,
    "early_registration": 0.35,
    "host_failure": lasting(36),
    "silence": 37 * SECOND,
    "lists": Lists(0.38, 0.39, 0.4, 0.41, 0.42, Delayed(0.43, lasting(44))),
    "recycle_addresses": True,
    "reservations": {"held": 45},
    "another_hand": lasting(46),
    "stray": lasting(47),
}
"""What `CLOUD` means, part by part; no value is the default."""


RECORDED = {"answers", "answers_hold", "boots", "group_boot", "group_lifetime"}
"""What only a journal can say: it has no keys in a scenario."""
KEYS = sorted(field.name for field in fields(CloudModel) if field.name not in RECORDED)


def test_every_key_of_the_cloud_reaches_its_part(desk: Desk) -> None:
    cloud = desk.load(CLOUD + RESERVED).cloud
    assert {name: getattr(cloud, name) for name in KEYS} == SAID
    default = CloudModel()
    same = [name for name, value in SAID.items() if value == getattr(default, name)]
    assert same == [], "a key whose value is the default proves nothing"


def test_the_form_has_the_keys_of_the_model_and_no_others() -> None:
    assert sorted(CloudForm.model_fields) == KEYS
    assert {field.name for field in fields(CloudModel)} > RECORDED


def test_the_defaults_of_the_form_are_those_of_the_model(desk: Desk) -> None:
    assert desk.load().cloud == CloudModel()


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("5m", Constant(Millis(5 * MINUTE))),
        ("90", Constant(Millis(90 * SECOND))),
        ("{constant: 5m}", Constant(Millis(5 * MINUTE))),
        ("{uniform: {min: 1s, max: 2s}}", Uniform(SECOND, Millis(2 * SECOND))),
        ("{uniform: {max: 2s}}", Uniform(Millis(0), Millis(2 * SECOND))),
        ("{exponential: {mean: 6h}}", Exponential(Millis(6 * HOUR))),
        ("{exponential: {mean: 6h}, max: 1h}", Capped(Exponential(Millis(6 * HOUR)), HOUR)),
        ("{lognormal: {median: 3h, sigma: 0.8}}", Lognormal(3 * HOUR, 0.8)),
        ("{lognormal: {mean: 3h, sigma: 0}}", Lognormal(3 * HOUR, 0.0)),
        ("{weibull: {scale: 6h, shape: 0.7}}", WeibullShape(Millis(6 * HOUR), 0.7)),
        ("{empirical: [1s, 1m]}", Empirical((SECOND, MINUTE))),
        (
            "{empirical: {values: [1s, 1m], weights: [3, 1]}}",
            Empirical((SECOND, MINUTE), (3.0, 1.0)),
        ),
    ],
)
def test_a_distribution_is_read(desk: Desk, text: str, meaning: Distribution) -> None:
    assert desk.load(f"cloud: {{boot: {text}}}\n{SMALL}").cloud.boot == meaning


def test_a_bulk_without_a_maximum_is_not_cut_and_a_mean_of_one_is_single(desk: Desk) -> None:
    assert desk.load("cloud: {bulk: {mean: 3}}\n" + SMALL).cloud.bulk.max > 1_000
    assert desk.load("cloud: {bulk: {max: 3}}\n" + SMALL).cloud.bulk == Bulk(1.0, 3)


def test_a_cap_of_its_own_key_is_the_same_cap(desk: Desk) -> None:
    cloud = desk.load("cloud: {lifetime: 9h, lifetime_max: 2h}\n" + SMALL).cloud
    assert (cloud.lifetime, cloud.lifetime_max) == (Constant(Millis(9 * HOUR)), 2 * HOUR)


def test_every_kind_of_fault_can_be_scripted(desk: Desk) -> None:
    for kind in FaultKind:
        text = f"faults: [{{at: 1m, kind: {kind.value}, for: 2m, count: 2, host: 1}}]\n{SMALL}"
        (fault,) = desk.load(text).faults
        assert (fault.kind, fault.duration, fault.count, fault.host) == (kind, 2 * MINUTE, 2, 1)


def test_a_fault_may_name_a_groups_slice_by_number_or_a_job(desk: Desk) -> None:
    text = (
        "faults:\n- {at: 0, kind: preempt, group: tpu, slice: 2}\n"
        "- {at: 0, kind: stop_job, job: /alice/train-0}\n"
    )
    preempt, stop = desk.load(text + SMALL).faults
    assert (preempt.group, preempt.slice) == ("tpu", "2")
    assert (stop.job, stop.slice, stop.zone) == ("/alice/train-0", None, None)
