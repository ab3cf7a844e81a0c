"""`iris config check`: what a cluster means in numbers, or all that is wrong with it."""

import json
from pathlib import Path

import pytest

from iris.cli.main import main
from iris.exit_status import ExitStatus
from tests.cluster.certificates import Authority

CLUSTER = """\
scale_groups:
  tpu:
    accelerator_type: v5litepod-16
    min_slices: 1
    max_slices: 8
    zones: [us-central1-a, us-central1-b]
    price_per_hour: 9.6
  cpu: {accelerator_type: cpu, vm: {cpu: 16, memory: 64GB}, max_slices: 1}
"""
SCENARIO = """\
name: small
duration: 1h
cluster:
  scale_groups:
    g: {accelerator_type: v5litepod-16, max_slices: 2, buffer_slices: 1, min_slices: 2}
workload:
  - name: a
    arrivals: {every: 10m}
    count: 3
    resources: {cpu: 1, memory: 1GB}
    run_time: {constant: 5m}
"""


def written(folder: Path, text: str, name: str = "cluster.yaml") -> str:
    """The path of a file with this text."""
    path = folder / name
    path.write_text(text)
    return str(path)


def test_a_valid_cluster_is_told_in_numbers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path, CLUSTER)
    assert main(["config", "check", path]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert out.splitlines() == [
        f"{path}: a valid cluster of 2 groups",
        "  GROUP  TYPE          HOSTS  EACH      SLICES  AT MOST    ZONES",
        "  tpu    v5litepod-16  4      16 chips  1 to 8  128 chips  us-central1-a, us-central1-b",
        "  cpu    cpu           1      16 cores  0 to 1  16 cores   default",
        "  at most 9 slices: 128 chips and 16 cores, 76.80 dollars an hour",
    ]


def test_with_json_the_numbers_are_one_object(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path, CLUSTER)
    assert main(["config", "check", "--json", path]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["schema"], found["kind"], found["total"]) == ("iris/v1", "ConfigCheckList", 1)
    (item,) = found["items"]
    assert (item["file"], item["kind"], item["warnings"]) == (path, "cluster", [])
    sums = ("max_slices", "max_chips", "max_cores", "max_dollars_per_hour")
    assert [item[key] for key in sums] == [9, 128, 16, 76.8]
    tpu, cpu = item["groups"]
    assert (tpu["hosts"], tpu["unit"], tpu["units_per_slice"]) == (4, "chip", 16)
    assert (cpu["unit"], cpu["host"]["cpu"], cpu["host"]["memory"]) == ("core", 16_000, 64 * 10**9)


def test_an_odd_but_legal_cluster_passes_with_warnings(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path, CLUSTER.replace("max_slices: 1}", "max_slices: 0}"))
    assert main(["config", "check", path]) == 0
    out, err = capsys.readouterr()
    assert "0 to 0" in out
    assert "at most 8 slices: 128 chips, 76.80" in out
    assert err.splitlines()[:2] == [
        "warning: `scale_groups.cpu.max_slices`: max_slices is 0, so the group never gets a slice",
        f"  --> {path}:8:73",
    ]
    assert main(["config", "check", "--json", path]) == 0
    (item,) = json.loads(capsys.readouterr().out)["items"]
    assert [warning["path"] for warning in item["warnings"]] == ["scale_groups.cpu.max_slices"]


def test_an_invalid_cluster_is_status_2_and_says_all_that_is_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(
        tmp_path, CLUSTER.replace("min_slices: 1", "min_slices: 9\n    preemptable: yes")
    )
    assert main(["config", "check", path]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert f"  --> {path}:5:5\n    5 |     preemptable: yes\n      |     ^\n" in err
    assert "did you mean `preemptible`?" in err


def test_good_and_bad_files_together_are_bad_and_all_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = written(tmp_path, CLUSTER)
    bad = written(tmp_path, "scale_groups: {}", "bad.yaml")
    absent = str(tmp_path / "absent.yaml")
    assert main(["config", "check", bad, good, absent]) == 2
    out, err = capsys.readouterr()
    assert out.startswith(f"{good}: a valid cluster")
    assert f"--> {bad}:1:15" in err
    assert f"cannot read {absent}" in err
    assert main(["config", "check", "--json", bad, good, absent]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    problems = json.loads(err)["error"]["details"]["problems"]
    assert [problem["file"] for problem in problems] == [bad, absent]


def test_a_scenario_is_checked_as_a_whole(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path, SCENARIO, "small.yaml")
    assert main(["config", "check", path]) == 0
    out, err = capsys.readouterr()
    assert out.startswith(f"{path}: a valid scenario of 1 group\n")
    assert "at most 2 slices: 32 chips" in out
    assert err.startswith("warning: `cluster.scale_groups.g.buffer_slices`: ")
    assert f"--> {path}:5:71\n" in err
    bad = written(tmp_path, SCENARIO.replace("5m}", "-5m}"), "bad.yaml")
    assert main(["config", "check", bad]) == 2
    assert f"--> {bad}:11:26" in capsys.readouterr().err


def test_the_examples_of_the_help_are_commands_that_parse(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["config", "check", "-h"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    examples = [line[1:] for line in lines if line[:1] == ["iris"]]
    assert len(examples) == 2
    for words in examples:
        assert main(words) == 2
        assert "cannot read" in capsys.readouterr().err


def test_files_of_tls_that_are_no_pair_are_refused_and_those_that_are_not_here_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = Authority(tmp_path, "own")
    cert, key = own.sign("one")
    _, other = own.sign("two")

    def checked(cert: Path, key: Path) -> tuple[int, str]:
        tls = f"controller:\n  tls: {{cert: {cert}, key: {key}}}\n"
        status = main(["config", "check", written(tmp_path, CLUSTER + tls)])
        return status, capsys.readouterr().err

    assert checked(cert, key) == (ExitStatus.DONE, "")
    for pair in ((cert, other), (key, cert)):
        status, err = checked(*pair)
        assert status == ExitStatus.BAD_INPUT
        assert f"`controller.tls`: {pair[1]} is no key of the certificate {pair[0]}" in err
    status, err = checked(cert, tmp_path / "none")
    assert status == ExitStatus.DONE
    assert err.startswith("warning: ")
    assert f"`controller.tls.key`: {tmp_path}/none: No such file" in err
