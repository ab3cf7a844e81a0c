"""The pages: every link leads somewhere, every page is found, and no page has been overtaken."""

import dataclasses
import re
import tomllib
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
import yaml
from pydantic import BaseModel

from iris.config_models import (
    AutoscalerSection,
    ClusterModel,
    RetentionSection,
    SchedulerSection,
    TimeoutsSection,
)
from iris.core.instant import Millis
from iris.core.spec import AutoscalerPolicy, RetentionPolicy, SchedulerPolicy, TimeoutPolicy
from iris.units import format_duration
from sim.model import FaultKind
from sim.scenario_models import ScenarioForm
from tests import make_invariants, make_lifecycle
from tests.tidy.tree import ROOT, markdown_files, name_of

LINK: Final = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
FENCE: Final = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
DECISIONS: Final = sorted((ROOT / "docs" / "decisions").glob("*.md"))
PAGES: Final = markdown_files()


def prose(page: Path) -> str:
    """The text of a page without its code blocks."""
    return FENCE.sub("", page.read_text(encoding="utf-8"))


def anchors(page: Path) -> set[str]:
    """What its headings are called in links, as the usual hosts spell them."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    plain = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {heading.replace(" ", "-") for heading in plain}


def links(page: Path) -> Iterator[tuple[str, Path, str]]:
    """Every link into the project: as it is written, the file, and the anchor."""
    for target in LINK.findall(prose(page)):
        if "://" in target or target.startswith("mailto:"):
            continue
        file, _, anchor = target.partition("#")
        yield target, (page.parent / file).resolve() if file else page, anchor


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_link_leads_somewhere(page: Path) -> None:
    broken = [target for target, file, _ in links(page) if not file.exists()]
    assert not broken
    lost = [
        target
        for target, file, anchor in links(page)
        if anchor and file.suffix == ".md" and anchor not in anchors(file)
    ]
    assert not lost


def test_every_page_can_be_found_from_the_readme() -> None:
    found, waiting = {ROOT / "README.md"}, [ROOT / "README.md"]
    while waiting:
        for _, file, _ in links(waiting.pop()):
            if file.suffix == ".md" and file not in found:
                found.add(file)
                waiting.append(file)
    assert [name_of(page) for page in PAGES if page not in found] == []


def test_the_page_of_states_is_what_the_tables_say() -> None:
    current = make_lifecycle.PAGE.read_text(encoding="utf-8")
    assert current == make_lifecycle.page(), "run: python tests/make_lifecycle.py"


def test_the_page_of_invariants_is_what_the_predicates_say() -> None:
    current = make_invariants.PAGE.read_text(encoding="utf-8")
    assert current == make_invariants.page(), "run: python tests/make_invariants.py"


def test_decisions_are_numbered_without_a_gap() -> None:
    numbers = [page.name.split("-")[0] for page in DECISIONS]
    assert numbers == [f"{number:04}" for number in range(1, len(DECISIONS) + 1)]


@pytest.mark.parametrize("page", DECISIONS, ids=name_of)
def test_a_decision_says_its_context_its_choice_and_its_price(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert text.startswith(f"# {page.name.split('-')[0]}: ")
    assert re.findall(r"^\*\*(\w+)\.\*\*", text, re.MULTILINE) == ["Context", "Choice", "Price"]
    assert len(text.splitlines()) < 60


def keys_of(schema: object) -> set[str]:
    """Every key that a JSON Schema knows, however deep."""
    if isinstance(schema, list):
        return {key for part in schema for key in keys_of(part)}
    if not isinstance(schema, dict):
        return set()
    own = set(schema["properties"]) if isinstance(schema.get("properties"), dict) else set()
    return own | {key for part in schema.values() for key in keys_of(part)}


def unmentioned(keys: set[str], page: str) -> list[str]:
    """The keys that no code span of a page in docs/ names; its examples do not count."""
    spans = " ".join(re.findall(r"`([^`]+)`", prose(ROOT / "docs" / page)))
    return sorted(key for key in keys if not re.search(rf"(?<![\w.]){key}(?!\w)", spans))


def test_the_page_on_simulation_knows_every_key_of_a_scenario() -> None:
    keys = keys_of(ScenarioForm.model_json_schema(by_alias=True))
    assert {"workload", "notice_lost", "as", "for"} <= keys
    keys -= keys_of(ClusterModel.model_json_schema(by_alias=True)) - {"cluster"}
    assert unmentioned(keys, "simulation.md") == []
    assert unmentioned({kind.value for kind in FaultKind}, "simulation.md") == []
    marks = {f"F-{number:02}" for number in range(1, 14)}
    assert marks <= set(re.findall(r"F-\d\d", prose(ROOT / "docs" / "simulation.md")))


def test_the_page_on_configuration_knows_every_key_of_a_cluster() -> None:
    keys = keys_of(ClusterModel.model_json_schema(by_alias=True))
    assert {"scale_groups", "price_per_hour", "worker_timeout"} <= keys
    assert unmentioned(keys, "configuration.md") == []


def test_the_page_on_the_autoscaler_explains_its_whole_policy() -> None:
    keys = {field.name for field in dataclasses.fields(AutoscalerPolicy)}
    assert unmentioned(keys, "autoscaler-v0-design.md") == []


def documented_defaults(section: str) -> dict[str, str]:
    """The keys and defaults in the table of a section of the page on configuration."""
    text = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    body = re.split(r"^## ", text.partition(f"\n## {section}\n")[2], maxsplit=1, flags=re.M)[0]
    found: dict[str, str] = {}
    for names, defaults in re.findall(r"^\| (`.+?`) \| (.+?) \|", body, re.MULTILINE):
        found.update(zip(re.findall(r"`(\w+)`", names), defaults.split(", "), strict=True))
    return found


@pytest.mark.parametrize(
    ("section", "policy"),
    [("autoscaler", AutoscalerPolicy), ("timeouts", TimeoutPolicy)],
    ids=["autoscaler", "timeouts"],
)
def test_the_page_on_configuration_knows_the_defaults(
    section: str, policy: type[AutoscalerPolicy | TimeoutPolicy]
) -> None:
    hints = typing.get_type_hints(policy)
    values = dataclasses.asdict(policy())
    assert documented_defaults(section) == {
        name: format_duration(Millis(value)) if hints[name] is Millis else str(value)
        for name, value in values.items()
    }


@pytest.mark.parametrize(
    ("model", "policy"),
    [
        (AutoscalerSection, AutoscalerPolicy),
        (SchedulerSection, SchedulerPolicy),
        (TimeoutsSection, TimeoutPolicy),
        (RetentionSection, RetentionPolicy),
    ],
    ids=["autoscaler", "scheduler", "timeouts", "retention"],
)
def test_every_knob_of_the_core_can_be_turned_in_the_config(
    model: type[BaseModel], policy: type
) -> None:
    assert list(model.model_fields) == [field.name for field in dataclasses.fields(policy)]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_example_is_of_its_language(page: Path) -> None:
    for language, text in FENCE.findall(page.read_text(encoding="utf-8")):
        if language == "yaml":
            assert isinstance(yaml.safe_load(text), dict), text
        if language == "toml":
            tomllib.loads(text)
        assert language in {"", "bash", "mermaid", "toml", "yaml", "python"}


def test_the_changelog_speaks_of_the_version_at_hand() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert "version" in project["dynamic"]
    version = re.search(r'__version__ = "(.+)"', (ROOT / "iris/__init__.py").read_text())
    assert version is not None
    assert f"## {version[1]}\n" in (ROOT / "docs" / "CHANGELOG.md").read_text(encoding="utf-8")
