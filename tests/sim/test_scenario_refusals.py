"""What is wrong in a scenario is refused at its key, with what would be right."""

from pathlib import Path

import pytest

from iris.problems import BadInput
from sim.scenario import load_scenario
from tests.sim.scenario_texts import Desk, entry


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


REFUSED: dict[str, tuple[dict[str, object], str, str]] = {
    "unknown top key": ({"cluod": {}}, "cluod", "did you mean `cloud`?"),
    "unknown cloud key": ({"cloud": {"boots": 1}}, "cloud.boots", "did you mean `boot`?"),
    "wrong unit": ({"duration": "3 weeks"}, "duration", "ms, s, m, h, d"),
    "negative time": ({"cloud": {"notice": "-5s"}}, "cloud.notice", "write a number"),
    "no time at all": ({"duration": 0}, "duration", "more than 0"),
    "warm-up over duration": ({"duration": "1h", "warm_up": "1h"}, "warm_up", "1h"),
    "chance over 1": ({"cloud": {"hang": 1.5}}, "cloud.hang", "at most 1"),
    "chance under 0": ({"cloud": {"hang": -0.1}}, "cloud.hang", "at least 0"),
    "chance in text": ({"cloud": {"hang": "often"}}, "cloud.hang", "a number"),
    "a number in quotes": ({"cloud": {"hang": "0.5"}}, "cloud.hang", "a number"),
    "chances sum over 1": (
        {"cloud": {"create_failures": {"stockout": 0.7, "internal": 0.4}}},
        "cloud.create_failures",
        "at most 1",
    ),
    "min over max": (
        {"cloud": {"boot": {"uniform": {"min": "5m", "max": "1m"}}}},
        "cloud.boot.uniform.min",
        "swap them",
    ),
    "bulk mean over max": ({"cloud": {"bulk": {"mean": 7, "max": 6}}}, "cloud.bulk.mean", "max"),
    "two kinds": (
        {"cloud": {"boot": {"constant": "1m", "exponential": {"mean": "1m"}}}},
        "cloud.boot",
        "one of constant",
    ),
    "no kind": ({"cloud": {"boot": {"max": "1m"}}}, "cloud.boot", "one of constant"),
    "unknown kind": ({"cloud": {"boot": {"normal": "1m"}}}, "cloud.boot.normal", "lognormal"),
    "no centre": (
        {"cloud": {"boot": {"lognormal": {"sigma": 1}}}},
        "cloud.boot.lognormal",
        "median: 3h",
    ),
    "mean of nothing": (
        {"cloud": {"lifetime": {"exponential": {"mean": 0}}}},
        "cloud.lifetime.exponential.mean",
        "more than 0",
    ),
    "weights astray": (
        {"cloud": {"boot": {"empirical": {"values": [1, 2], "weights": [1]}}}},
        "cloud.boot.empirical.weights",
        "one weight for each",
    ),
    "weights of nothing": (
        {"cloud": {"boot": {"empirical": {"values": [1, 2], "weights": [0, 0]}}}},
        "cloud.boot.empirical.weights",
        "over 0",
    ),
    "two caps": (
        {"cloud": {"lifetime": {"constant": "9h", "max": "1h"}, "lifetime_max": "2h"}},
        "cloud.lifetime_max",
        "keep one",
    ),
    "zone of nobody": ({"cloud": {"capacity": {"zone-c": 4}}}, "cloud.capacity.zone-c", "zone-b"),
    "quota of nobody": ({"cloud": {"quota": {"zone-c": 4}}}, "cloud.quota.zone-c", "zone-b"),
    "slow zone of nobody": (
        {"cloud": {"slow_zones": {"zone-c": "4s"}}},
        "cloud.slow_zones.zone-c",
        "zone-b",
    ),
    "lifetime of nobody": (
        {"cloud": {"zone_lifetime": {"zone-c": "4s"}}},
        "cloud.zone_lifetime.zone-c",
        "zone-b",
    ),
    "reservation of nobody": (
        {"cloud": {"reservations": {"r": 4}}},
        "cloud.reservations.r",
        "remove it",
    ),
    "steps that fall back": (
        {"cloud": {"capacity": {"zone-a": [["1h", 4], ["0s", 1]]}}},
        "cloud.capacity.zone-a.1",
        "rise in time",
    ),
    "a step below nothing": (
        {"cloud": {"capacity": {"zone-a": [["1h", -4]]}}},
        "cloud.capacity.zone-a.0.1",
        "at least 0",
    ),
    "no steps": ({"cloud": {"capacity": {"zone-a": []}}}, "cloud.capacity.zone-a", ""),
    "steps and a trace": (
        {"cloud": {"capacity": {"zone-a": {"steps": [[0, 1]], "trace": "x.csv"}}}},
        "cloud.capacity.zone-a",
        "[[0s, 4], [20h, 1]]",
    ),
    "capacity trace missing": (
        {"cloud": {"capacity": {"zone-a": {"trace": "none.csv"}}}},
        "cloud.capacity.zone-a.trace",
        "",
    ),
    "fault of no kind": (
        {"faults": [{"at": 0, "kind": "zone_outrage"}]},
        "faults.0.kind",
        "did you mean `zone_outage`?",
    ),
    "fault in no zone": (
        {"faults": [{"at": 0, "kind": "stockout", "zone": "zone-x"}]},
        "faults.0.zone",
        "did you mean `zone-b`?",
    ),
    "fault in no group": (
        {"faults": [{"at": 0, "kind": "preempt", "group": "tpus"}]},
        "faults.0.group",
        "did you mean `tpu`?",
    ),
    "number of which slice": (
        {"faults": [{"at": 0, "kind": "preempt", "slice": 2}]},
        "faults.0.slice",
        "group: NAME",
    ),
    "expectation of no key": ({"expect": ["1 < 2"]}, "expect.0", ""),
    "expectation of code": ({"expect": ["exit() == 2"]}, "expect.0", ""),
    "expectation of no group": ({"expect": ["groups.x.cost_usd < 2"]}, "expect.0", ""),
    "expectation that is no text": ({"expect": [True]}, "expect.0", "quotes"),
    "no workload": ({"workload": None}, "workload", "add `workload"),
    "no cluster": ({"cluster": None}, "cluster", "add `cluster"),
    "workload of one": ({"workload": {"name": "x"}}, "workload", "a list"),
    "seed in text": ({"seed": "seven"}, "seed", "a whole number"),
}


@pytest.mark.parametrize(("sections", "key", "hint"), REFUSED.values(), ids=REFUSED)
def test_a_wrong_section_is_refused_at_its_key(
    desk: Desk, sections: dict[str, object], key: str, hint: str
) -> None:
    problem = desk.refused_small(**sections)
    assert problem.path == key
    assert hint in f"{problem.message}; {problem.help}"
    assert problem.line > 0


REFUSED_ENTRIES: dict[str, tuple[dict[str, object], str, str]] = {
    "no name": ({"name": None}, "workload.0.name", "add `name"),
    "a name with a slash": ({"name": "a/b"}, "workload.0.name", "letters"),
    "a long name": ({"name": "x" * 49}, "workload.0.name", "48"),
    "a user with a slash": ({"user": "a/b"}, "workload.0.user", "letters"),
    "no source": ({"arrivals": None}, "workload.0", "give one"),
    "two sources": ({"trace": "x.swf"}, "workload.0", "give one"),
    "no run time": ({"run_time": None}, "workload.0", "run_time: 2h"),
    "two kinds": ({"arrivals": {"every": 1, "at": [1]}}, "workload.0.arrivals", "one of poisson"),
    "no kind": ({"arrivals": {}}, "workload.0.arrivals", "one of poisson"),
    "a rate of what": (
        {"arrivals": {"poisson": {"rate": 2}}},
        "workload.0.arrivals.poisson.rate",
        "as 2/h",
    ),
    "a rate per week": (
        {"arrivals": {"poisson": {"rate": "2/week"}}},
        "workload.0.arrivals.poisson.rate",
        "as 2/h",
    ),
    "a rate of nothing": (
        {"arrivals": {"poisson": {"rate": "0/h"}}},
        "workload.0.arrivals.poisson.rate",
        "over 0",
    ),
    "no end": ({"count": None}, "workload.0", "`duration`"),
    "more jobs than instants": (
        {"arrivals": {"at": [0, 1]}, "count": 3},
        "workload.0.count",
        "as many instants",
    ),
    "no replicas": ({"replicas": 0}, "workload.0.replicas", "at least 1"),
    "half a replica": ({"replicas": 1.5}, "workload.0.replicas", "whole"),
    "negative count": ({"count": -1}, "workload.0.count", "at least 0"),
    "no band": ({"band": "urgent"}, "workload.0.band", "production"),
    "no such tpu": (
        {"resources": {"tpu": "v5litepod-17"}},
        "workload.0.resources.tpu",
        "v5litepod-16",
    ),
    "a gpu for a tpu": ({"resources": {"tpu": "V100:8"}}, "workload.0.resources.tpu", "gpu: V100"),
    "no such gpu": (
        {"resources": {"gpu": "H10:8"}},
        "workload.0.resources.gpu",
        "did you mean `H100`?",
    ),
    "no gpus": ({"resources": {"gpu": "H100:0"}}, "workload.0.resources.gpu", "from 1 to 16"),
    "odd gpus": ({"resources": {"gpu": "H100:x"}}, "workload.0.resources.gpu", "from 1 to 16"),
    "tpu and gpu": (
        {"resources": {"gpu": "H100:1", "tpu": "v5litepod-16"}},
        "workload.0.resources.gpu",
        "keep one",
    ),
    "a size without end": ({"resources": {"memory": "many"}}, "workload.0.resources.memory", "64G"),
    "nothing needed": ({"resources": {"cpu": 0, "memory": 0}}, "workload.0.resources", "cpu"),
    "a gang too small": (
        {"replicas": 2, "coscheduled": True, "resources": {"tpu": "v5litepod-16"}},
        "workload.0.replicas",
        "write `replicas: 4`",
    ),
    "a gang too large": (
        {"replicas": 8, "coscheduled": True, "resources": {"tpu": "v5litepod-16"}},
        "workload.0.replicas",
        "`tpu: v5litepod-32`",
    ),
    "checkpoints all the time": ({"checkpoint": {"every": 0}}, "workload.0.checkpoint.every", "0"),
    "a unit without a trace": ({"as": "gpu"}, "workload.0.as", "remove it"),
    "values for exists": (
        {"constraints": [{"key": "zone", "op": "exists", "values": ["a"]}]},
        "workload.0.constraints.0.values",
        "take none",
    ),
}


@pytest.mark.parametrize(("keys", "key", "hint"), REFUSED_ENTRIES.values(), ids=REFUSED_ENTRIES)
def test_a_wrong_entry_is_refused_at_its_key(
    desk: Desk, keys: dict[str, object], key: str, hint: str
) -> None:
    problem = desk.refused_small(workload=entry(**keys))
    assert problem.path == key
    assert hint in f"{problem.message}; {problem.help}"
    assert problem.line > 0


def test_two_entries_of_one_name_are_refused(desk: Desk) -> None:
    problem = desk.refused_small(workload=[*entry(), *entry(count=1)])
    assert problem.path == "workload.1.name"


def test_endless_jobs_at_one_instant_are_refused_even_with_a_duration(desk: Desk) -> None:
    problem = desk.refused_small(duration="1h", workload=entry(arrivals={"every": 0}, count=None))
    assert "endlessly many" in problem.message
    assert desk.small(workload=entry(arrivals={"every": 0})).workload[0].count == 3


def test_a_huge_file_is_refused_without_reading_it_all(desk: Desk) -> None:
    path = desk.put("huge.yaml", "")
    with path.open("wb") as file:
        file.truncate(200_000_000)
    with pytest.raises(BadInput, match="larger than"):
        load_scenario(path)
