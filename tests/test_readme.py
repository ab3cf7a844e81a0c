"""What the README tells a stranger to type works: set-up, main job, tests, every command."""

import os
import re
import shlex
import signal
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Final

import click
import pytest

from iris.cli.main import root
from sim.scenario import load_scenario
from tests.cluster.running import free_port
from tests.tidy.tree import ROOT, markdown_files, name_of

README: Final = (ROOT / "README.md").read_text(encoding="utf-8")
BASH: Final = re.compile(r"^```bash\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PYTHON: Final = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
YAML: Final = re.compile(r"^```yaml\n(name: .*?)^```$", re.MULTILINE | re.DOTALL)


def commands(text: str) -> list[list[str]]:
    """Every command in the bash blocks of a page, split into words, comments left out."""
    lines = "".join(BASH.findall(text)).replace("\\\n", " ").splitlines()
    parts = [part for line in lines for part in line.split(" && ")]
    return [words for words in (shlex.split(part, comments=True) for part in parts) if words]


IRIS_COMMANDS: Final = sorted(
    {
        shlex.join(words[1:])
        for page in markdown_files()
        for words in commands(page.read_text(encoding="utf-8"))
        if words[0].split("/")[-1] == "iris"
    }
)


def test_the_first_block_sets_up_and_runs_the_main_job_in_one_line() -> None:
    first = BASH.findall(README)[0].splitlines()
    assert len(first) == 1
    venv, install, job = commands(f"```bash\n{first[0]}\n```\n")
    assert venv == ["python3", "-m", "venv", ".venv"]
    assert install == [".venv/bin/pip", "install", "-q", "-e", "."]
    assert job[0] == ".venv/bin/iris"
    assert (ROOT / job[-1]).is_file()


def test_the_second_block_runs_all_tests_in_one_line() -> None:
    second = BASH.findall(README)[1].splitlines()
    assert len(second) == 1
    venv, installer, install, tests = commands(f"```bash\n{second[0]}\n```\n")
    assert venv == ["python3", "-m", "venv", ".venv"]
    assert installer == [".venv/bin/pip", "install", "-q", "uv"]
    assert install == [".venv/bin/uv", "pip", "install", "-q", "-e", ".[test]"]
    assert tests == [".venv/bin/pytest", "--cov"]


def test_the_environment_of_the_readme_is_ignored_by_git() -> None:
    assert ".venv/" in (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()


def test_ci_takes_its_command_from_the_readme() -> None:
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert "block == 2' README.md" in script
    assert README.index("```bash") == README.index("```")


def test_the_extra_of_the_readme_exists() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    named = set(re.findall(r"\.\[(\w+)\]", README))
    assert named == {"report", "test"}
    assert named <= project["optional-dependencies"].keys()


def parse(words: list[str]) -> click.Context:
    """Lets click read a whole command line without running it."""
    context = root.make_context("iris", list(words))
    while isinstance(context.command, click.Group):
        rest = [*context._protected_args, *context.args]
        name, command, rest = context.command.resolve_command(context, rest)
        assert command is not None, rest
        context = command.make_context(name, rest, parent=context)
    return context


@pytest.mark.parametrize("line", IRIS_COMMANDS)
def test_every_command_of_the_pages_is_understood(
    line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    assert parse(shlex.split(line)).command.name is not None


def test_there_are_commands_to_understand() -> None:
    assert len(IRIS_COMMANDS) > 3
    with pytest.raises(click.UsageError):
        parse(["sim", "scenarios/preemption.yaml", "--no-such-option"])


@pytest.mark.parametrize("page", markdown_files(), ids=name_of)
def test_every_whole_scenario_of_a_page_is_accepted(page: Path, tmp_path: Path) -> None:
    for number, text in enumerate(YAML.findall(page.read_text(encoding="utf-8"))):
        file = tmp_path / f"{number}.yaml"
        file.write_text(text, encoding="utf-8")
        assert load_scenario(file).workload


def test_the_readme_shows_a_scenario() -> None:
    assert len(YAML.findall(README)) == 1


def local_cluster_lines() -> tuple[str, str]:
    """The two lines of the README that start a cluster and run a function on it."""
    (block,) = (block for block in BASH.findall(README) if "run-local" in block)
    start, submit = block.splitlines()
    return start, submit


def test_the_local_cluster_of_the_readme_runs_its_function(tmp_path: Path) -> None:
    """Word for word, in a folder that has what the lines name; only the port is one that is free."""
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    script = tmp_path / ".venv" / "bin" / "iris"
    program = "import sys; from iris.cli.main import main; sys.exit(main())"
    script.write_text(f'#!/bin/sh\nexec {sys.executable} -c "{program}" "$@"\n')
    script.chmod(0o755)
    python = script.parent / "python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    (tmp_path / "docs").mkdir()
    config = (ROOT / "docs" / "local.yaml").read_text(encoding="utf-8")
    port = free_port()
    (tmp_path / "docs" / "local.yaml").write_text(config.replace("10000", str(port)))
    start, submit = local_cluster_lines()
    variables = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        shlex.split(start), cwd=tmp_path, env=variables, stdout=subprocess.PIPE, text=True
    ) as cluster:
        try:
            assert cluster.stdout is not None
            assert cluster.stdout.readline() == f"controller at http://127.0.0.1:{port}\n"
            done = subprocess.run(
                shlex.split(submit.replace("10000", str(port))),
                cwd=tmp_path,
                env=variables,
                capture_output=True,
                text=True,
                check=False,
            )
            assert (done.stdout, done.returncode) == ("1024\n", 0), done.stderr
            iris = (str(script), "job", "run", "--controller-url", f"http://127.0.0.1:{port}")
            subprocess.run([*iris, "--no-wait", "--", "sleep", "600"], env=variables, check=True)
        finally:
            cluster.send_signal(signal.SIGINT)
            assert cluster.wait(60) == 0
    assert not list((tmp_path / ".iris" / "vms").glob("*/slice.json"))


def test_the_function_of_the_readme_prints_its_result() -> None:
    (code,) = PYTHON.findall(README)
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.returncode) == ("6\n", 0), done.stderr


def test_the_script_is_where_the_package_says() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["scripts"] == {"iris": "iris.cli.main:main"}
