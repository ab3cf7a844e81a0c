"""What of a checkout goes into an image, and for which Python its wheels are."""

from pathlib import Path

from iris.cluster.wheels import Target, checked_out_files


def test_nothing_but_our_own_sources_leaves_a_checkout(tmp_path: Path) -> None:
    for name in (
        ".env",
        ".git/config",
        "credentials.json",
        "docker/wheels/other.whl",
        "docker/worker.Dockerfile",
        "iris/.secret",
        "iris/__pycache__/a.cpython-311.pyc",
        "iris/cli/a.py",
        "sim/report.css",
        "tests/test_a.py",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    assert checked_out_files(tmp_path) == {
        "iris/docker/worker.Dockerfile": b"docker/worker.Dockerfile",
        "iris/cli/a.py": b"iris/cli/a.py",
        "sim/report.css": b"sim/report.css",
    }


def test_wheels_are_for_the_python_of_the_base_not_for_ours() -> None:
    words = Target((3, 12), "aarch64", 17).options()
    assert words[:2] == ["--python-version=3.12", "--implementation=cp"]
    assert "--abi=cp312" in words
    assert "--platform=manylinux_2_17_aarch64" in words
    assert not any("2_18" in word for word in words)
    assert "--platform=musllinux_1_2_x86_64" in Target((3, 11), "x86_64", None).options()
