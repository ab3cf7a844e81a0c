"""From the form of `cloud:` to the fake cloud: its zones and reservations are the cluster's."""

from collections.abc import Mapping
from dataclasses import replace

from iris.core.ids import Zone
from iris.core.instant import Instant
from sim.dice import Distribution
from sim.model import (
    Bulk,
    CloudModel,
    CreateAnswers,
    CreateFailures,
    Delayed,
    Deletes,
    Lists,
    Vanishing,
    Weather,
)
from sim.scenario_cloud import (
    BulkForm,
    CapacityForm,
    CloudForm,
    CreateAnswersForm,
    DelayedForm,
    ListsForm,
)
from sim.scenario_cluster import Checked
from sim.scenario_spread import Spread
from sim.traces import BadTrace, read_capacity

_ENDLESS_BULK = 1_000_000


def cloud_model(form: CloudForm, checked: Checked) -> CloudModel:
    """How the fake cloud behaves."""
    _check_names(form, checked)
    return replace(
        _life_and_stock(form, checked),
        verdict=form.verdict.made(),
        create_failures=CreateFailures(**form.create_failures.model_dump()),
        create_answers=_create_answers(form.create_answers),
        call=form.call.made(),
        hang=form.hang,
        slow_zones=_by_zone(form.slow_zones),
        delete=form.delete.made(),
        deletes=Deletes(**form.deletes.model_dump()),
        vanishing=Vanishing(**form.vanishing.model_dump()),
        stuck_creating=form.stuck_creating,
        partial=form.partial,
        straggler=_delayed(form.straggler),
        duplicate_index=form.duplicate_index,
        early_registration=form.early_registration,
        host_failure=_maybe(form.host_failure),
        silence=form.silence,
        lists=_lists(form.lists),
        recycle_addresses=form.recycle_addresses,
        another_hand=_maybe(form.another_hand),
        stray=_maybe(form.stray),
    )


def _life_and_stock(form: CloudForm, checked: Checked) -> CloudModel:
    """How long slices live, and how many can be had; calls that only ever go well."""
    lifetime = form.lifetime
    return CloudModel(
        boot=form.boot.made(),
        lifetime=None if lifetime is None else lifetime.uncapped(),
        lifetime_max=lifetime.max if lifetime and lifetime.max else form.lifetime_max,
        zone_lifetime=_by_zone(form.zone_lifetime),
        bulk=_bulk(form.bulk),
        scarcity=_maybe(form.scarcity),
        notice=form.notice,
        notice_lost=form.notice_lost,
        false_notice=_maybe(form.false_notice),
        host_by_host=_maybe(form.host_by_host),
        capacity={
            Zone(zone): _capacity(steps, zone, checked) for zone, steps in form.capacity.items()
        },
        weather=None
        if form.weather is None
        else Weather(form.weather.open.made(), form.weather.dry.made()),
        quota={Zone(zone): chips for zone, chips in form.quota.items()},
        reservations=form.reservations,
    )


def _check_names(form: CloudForm, checked: Checked) -> None:
    zoned: Mapping[str, Mapping[str, object]] = {
        "capacity": form.capacity,
        "quota": form.quota,
        "slow_zones": form.slow_zones,
        "zone_lifetime": form.zone_lifetime,
    }
    for key, zones in zoned.items():
        for zone in zones:
            checked.zone(zone, ("cloud", key, zone))
    for name in form.reservations:
        checked.reservation(name, ("cloud", "reservations", name))


def _capacity(form: CapacityForm, zone: str, checked: Checked) -> tuple[tuple[Instant, int], ...]:
    if form.trace is None:
        return tuple((Instant(at), slices) for at, slices in form.steps or ())
    try:
        return read_capacity(checked.folder / form.trace, form.scale)
    except BadTrace as error:
        checked.trace(error, ("cloud", "capacity", zone, "trace"))
        return ()


def _bulk(form: BulkForm) -> Bulk:
    most = form.max if form.max is not None else (1 if form.mean == 1 else _ENDLESS_BULK)
    return Bulk(form.mean, most)


def _create_answers(form: CreateAnswersForm) -> CreateAnswers:
    return CreateAnswers(
        lost=form.lost,
        twice=form.twice,
        late=_delayed(form.late),
        failed_but_lives=form.failed_but_lives,
        accepted_but_dead=form.accepted_but_dead,
    )


def _lists(form: ListsForm) -> Lists:
    return Lists(
        error=form.error,
        zone_missing=form.zone_missing,
        empty=form.empty,
        without_newest=form.without_newest,
        with_deleted=form.with_deleted,
        stale=_delayed(form.stale),
    )


def _by_zone(spreads: Mapping[str, Spread]) -> dict[Zone, Distribution]:
    return {Zone(zone): spread.made() for zone, spread in spreads.items()}


def _maybe(spread: Spread | None) -> Distribution | None:
    return None if spread is None else spread.made()


def _delayed(form: DelayedForm | None) -> Delayed | None:
    return None if form is None else Delayed(form.probability, form.delay.made())
