"""The root of all commands: help, hints, exit statuses, and what is said on which stream."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest

from iris import __version__
from iris.cli.lazy import load_command
from iris.cli.main import COMMANDS, main, root
from iris.exit_status import ExitStatus
from iris.problems import BadInput, Problem

ROOT = Path(__file__).resolve().parents[2]
Plant = Callable[[Callable[[], object]], None]


@pytest.fixture
def plant() -> Iterator[Plant]:
    """Adds a command `planted` to the root for one test."""

    def add(body: Callable[[], object]) -> None:
        option = click.Option(["--json"], is_flag=True, expose_value=False)
        root.add_command(click.Command("planted", callback=body, params=[option]))

    yield add
    root.commands.pop("planted", None)


@pytest.fixture
def bugs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that bug reports go to."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.delenv("IRIS_DEBUG", raising=False)
    return tmp_path


def process(code: str, *arguments: str) -> subprocess.Popen[str]:
    """A process of the command line whose root has the command that `code` plants."""
    program = f"import sys, click\nfrom iris.cli.main import main, root\n{code}\nsys.exit(main())"
    return subprocess.Popen(
        [sys.executable, "-c", program, *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_the_statuses_are_those_of_the_contract() -> None:
    assert [int(status) for status in ExitStatus] == [*range(13), 70, 130]


@pytest.mark.parametrize("name", COMMANDS)
def test_the_line_beside_an_import_path_is_the_commands_own(name: str) -> None:
    command = load_command(COMMANDS[name].path)
    assert command.name == name
    assert (command.help or "").splitlines()[0] == COMMANDS[name].help


@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help_lists_every_command_and_gives_examples(
    flag: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([flag]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    for name, entry in COMMANDS.items():
        assert f"  {name} " in out
        assert entry.help in out
    assert "Examples:\n    iris " in out


def test_help_lists_a_command_that_is_there_already(
    plant: Plant, capsys: pytest.CaptureFixture[str]
) -> None:
    plant(lambda: None)
    assert main(["-h"]) == 0
    assert "\n  planted" in capsys.readouterr().out
    assert main(["plantd"]) == 2
    assert "did you mean 'planted'?" in capsys.readouterr().err


def test_help_imports_no_command() -> None:
    code = "import atexit\natexit.register(lambda: print(*sys.modules, file=sys.stderr))"
    out, err = process(code, "--help").communicate()
    assert "Commands:" in out
    loaded = err.split()
    assert "iris.cli.lazy" in loaded
    assert not [entry.path for entry in COMMANDS.values() if entry.path.split(":")[0] in loaded]
    assert "pydantic" not in loaded
    assert "yaml" not in loaded


def test_the_version_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"iris, version {__version__}\n"


def test_no_words_at_all_is_a_question_for_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "Commands:" in err


@pytest.mark.parametrize(
    ("words", "said", "remedy"),
    [
        (["confg"], "no such command 'confg'", "did you mean 'config'?"),
        (["simm", "x.yaml"], "no such command 'simm'", "did you mean 'sim'?"),
        (["zzz"], "no such command 'zzz'; there is sim, config", "see `iris -h`"),
        (["--vresion"], "no such option", "did you mean '--version'?"),
        (["config", "chekc"], "no such command 'chekc'", "did you mean 'check'?"),
        (["config", "check"], "missing argument 'FILE...'", "see `iris config check -h`"),
        (["config", "check", "x", "--jsno"], "no such option", "did you mean '--json'?"),
    ],
)
def test_a_wrong_word_is_status_2_with_the_nearest_right_one(
    words: list[str], said: str, remedy: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == ExitStatus.BAD_INPUT
    out, err = capsys.readouterr()
    assert out == ""
    first, second, third = err.splitlines()
    assert first.startswith(f"error: {said}")
    assert second.startswith("usage: iris")
    assert third == f"help:  {remedy}"


PROBLEM = Problem("x.yaml", 2, 3, "a.b", "wrong", "right", "  b: 1")


def test_bad_input_is_rendered_on_stderr(plant: Plant, capsys: pytest.CaptureFixture[str]) -> None:
    def body() -> None:
        raise BadInput([PROBLEM, PROBLEM])

    plant(body)
    assert main(["planted"]) == ExitStatus.BAD_INPUT
    assert capsys.readouterr() == ("", BadInput([PROBLEM, PROBLEM]).render() + "\n")
    assert main(["planted", "--json"]) == ExitStatus.BAD_INPUT
    out, err = capsys.readouterr()
    error = json.loads(err)["error"]
    assert out == ""
    assert (error["code"], error["hint"]) == ("bad_input", "right")
    assert [problem["line"] for problem in error["details"]["problems"]] == [2, 2]


def test_a_status_that_a_command_returns_or_exits_with_is_the_status(plant: Plant) -> None:
    plant(lambda: ExitStatus.EXPECTATION_FALSE)
    assert main(["planted"]) == 8

    def body() -> None:
        click.get_current_context().exit(ExitStatus.INVARIANT_VIOLATED)

    plant(body)
    assert main(["planted"]) == 9
    plant(lambda: "a text is no status")
    assert main(["planted"]) == 0


def test_what_the_system_refuses_is_a_failure_and_no_bug(
    plant: Plant, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    plant(lambda: (tmp_path / "no" / "folder").write_text(""))
    assert main(["planted"]) == ExitStatus.FAILED
    err = capsys.readouterr().err
    assert err.startswith(f"error: {tmp_path}/no/folder: no such file or directory\nhelp:  ")


def test_a_refusal_that_names_no_file_is_a_bug(
    plant: Plant, capsys: pytest.CaptureFixture[str], bugs: Path
) -> None:
    def body() -> None:
        raise OSError("odd")

    plant(body)
    assert main(["planted"]) == ExitStatus.BUG
    assert "OSError: odd" in capsys.readouterr().err
    assert len(list(bugs.iterdir())) == 1


def test_asking_for_a_traceback_changes_no_status(
    plant: Plant, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    plant((tmp_path / "absent").read_text)
    assert main(["--traceback", "planted"]) == ExitStatus.FAILED
    err = capsys.readouterr().err
    assert err.startswith("Traceback")
    assert f"error: {tmp_path}/absent: no such file" in err


def test_words_behind_a_double_dash_are_anothers(
    plant: Plant, capsys: pytest.CaptureFixture[str]
) -> None:
    plant(lambda: None)
    assert main(["planted", "--", "--json"]) == 2
    assert capsys.readouterr().err.startswith("error: got unexpected extra argument")
    assert main(["planted", "--json", "--", "x"]) == 2
    assert json.loads(capsys.readouterr().err)["error"]["code"] == "usage"


def test_a_failure_that_a_command_words_itself_is_status_1(
    plant: Plant, capsys: pytest.CaptureFixture[str]
) -> None:
    def body() -> None:
        raise click.ClickException("It did not work.")

    plant(body)
    assert main(["planted"]) == ExitStatus.FAILED
    assert capsys.readouterr().err == "error: it did not work\n"


def test_a_bug_is_status_70_and_its_traceback_is_in_a_file(
    plant: Plant, capsys: pytest.CaptureFixture[str], bugs: Path
) -> None:
    def body() -> None:
        raise KeyError("lost")

    plant(body)
    assert main(["planted"]) == ExitStatus.BUG
    out, err = capsys.readouterr()
    (report,) = bugs.iterdir()
    assert out == ""
    assert err == f"error: a bug in Iris: KeyError: 'lost'\nhelp:  report it with {report}\n"
    text = report.read_text()
    assert text.startswith(f"iris {__version__}, Python ")
    assert "iris planted" in text
    assert text.endswith("KeyError: 'lost'\n")
    assert "Traceback" in text


def test_whoever_asks_sees_the_traceback(
    plant: Plant,
    capsys: pytest.CaptureFixture[str],
    bugs: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plant(lambda: 1 // 0)
    for words, value in [(["--traceback", "planted"], "0"), (["planted"], "1")]:
        monkeypatch.setenv("IRIS_DEBUG", value)
        assert main(words) == ExitStatus.BUG
        assert "ZeroDivisionError" in capsys.readouterr().err.split("error: a bug")[0]
    assert len(list(bugs.iterdir())) == 2


def test_with_json_a_bug_is_an_object_too(
    plant: Plant, capsys: pytest.CaptureFixture[str], bugs: Path
) -> None:
    plant(lambda: 1 // 0)
    assert main(["planted", "--json"]) == ExitStatus.BUG
    error = json.loads(capsys.readouterr().err)["error"]
    assert error["code"] == "bug"
    assert str(bugs) in error["hint"]


def test_a_question_without_anybody_to_answer_is_status_2(
    plant: Plant, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with open(os.devnull, encoding="utf-8") as closed:
        monkeypatch.setattr(sys, "stdin", closed)
        plant(lambda: click.confirm("sure?"))
        assert main(["planted"]) == ExitStatus.BAD_INPUT
    assert "standard input is closed" in capsys.readouterr().err


def test_ctrl_c_is_status_130_without_a_traceback() -> None:
    code = """
@root.command()
def planted():
    import signal
    print("ready", flush=True)
    signal.pause()
"""
    running = process(code, "planted")
    assert running.stdout is not None
    assert running.stdout.readline() == "ready\n"
    running.send_signal(signal.SIGINT)
    _, err = running.communicate()
    assert running.returncode == ExitStatus.INTERRUPTED
    assert err.strip() == ""


@pytest.mark.parametrize("size", [1, 100_000], ids=["buffered", "written"])
def test_a_closed_pipe_is_silent(size: int) -> None:
    code = f"""
@root.command()
def planted():
    sys.stdin.readline()
    print("x" * {size})
"""
    program = f"import sys\nfrom iris.cli.main import main, root\n{code}\nsys.exit(main())"
    running = subprocess.Popen(
        [sys.executable, "-c", program, "planted"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert running.stdin is not None
    assert running.stdout is not None
    assert running.stderr is not None
    running.stdout.close()
    running.stdin.write("go\n")
    running.stdin.close()
    assert running.stderr.read() == ""
    running.stderr.close()
    assert running.wait() == ExitStatus.FAILED
