"""The fake and the simulator are one cloud: the same model and seed give the same lives, to the millisecond."""

from iris.core.effects import CreateSlice
from iris.core.events import CloudState
from iris.core.ids import SliceId, Zone
from iris.core.instant import Instant, Millis
from sim.clockwork import Clockwork
from sim.cloud import FakeCloud
from sim.dice import Constant, Dice, Exponential, Lognormal
from sim.fleet import Fleet
from sim.machine import Surroundings
from sim.measure import Measures
from sim.model import Bulk, CloudModel, Delayed, Weather
from sim.recorder import Recorder
from tests.gcp.clients import TYPE, ZONE, Asking
from tests.gcp.fake_catalog import tpu_shape
from tests.gcp.fake_google import serve
from tests.gcp.fake_nodes import slice_name
from tests.gcp.fake_time import HandClock

HOUR = 3_600_000
MODEL = CloudModel(
    boot=Lognormal(100_000, 0.5),
    lifetime=Exponential(Millis(2 * HOUR)),
    bulk=Bulk(2.0, 4),
    weather=Weather(Exponential(Millis(HOUR)), Exponential(Millis(HOUR))),
    verdict=Lognormal(40_000, 0.5),
    straggler=Delayed(0.3, Constant(Millis(600_000))),
    notice=Millis(30_000),
)
SPAN_S = 24 * 3_600
EVERY_S = 1_200

Life = dict[SliceId, list[tuple[Instant, CloudState | None]]]


def simulated() -> Life:
    """Asked for every twenty minutes in the simulator's own time."""
    clock, dice = Clockwork(), Dice(7)
    recorder = Recorder(Measures("sim", 7, group_price_per_hour={}, warm_up=Instant(0)))
    fleet = Fleet(clock, dice, recorder, lambda _: None, Millis(1_000))
    group = tpu_shape(TYPE, ZONE, preemptible=True, reservation=None)
    assert group is not None
    around = Surroundings(clock, dice, fleet, recorder, lambda _: None)
    cloud = FakeCloud(MODEL, {group.name: group}, around)
    seen = {}

    def ask(number: int) -> None:
        name = slice_name(ZONE, f"n{number}")
        cloud.perform(CreateSlice(name, group.name, Zone(ZONE)))
        clock.later(Millis(0), lambda: seen.update(dict(cloud.machines)))

    for number in range(SPAN_S // EVERY_S):
        clock.later(Millis(number * EVERY_S * 1000), lambda number=number: ask(number))  # type: ignore[misc]
    while clock.env.peek() <= SPAN_S * 1000:
        clock.step()
    return {name: machine.history for name, machine in seen.items()}


def served() -> Life:
    """Asked for every twenty minutes by the genuine client, while the clock is moved by hand."""
    with serve(model=MODEL, seed=7, clock=HandClock()) as google:
        asking = Asking(google)
        for number in range(SPAN_S // EVERY_S):
            asking.create(f"n{number}", scheduling_config={"spot": True})
            google.advance(EVERY_S)
        holdings = google.slices.holdings.values()
        return {h.slice: h.machine.history for h in holdings if h.machine is not None}


def test_the_same_model_and_seed_give_the_same_lives() -> None:
    lives = served()
    assert lives == simulated()
    states = [state for history in lives.values() for _, state in history]
    assert len(lives) < SPAN_S // EVERY_S  # some met a dry spell
    assert states.count(CloudState.PREEMPTED) > 10
