"""The form of what `fidelity: protocol` adds to a scenario: `network`, `runtime`, `controller`."""

from pydantic import Field

from sim.protocol_model import Chance, ControllerModel, NetworkModel, Recurring, RuntimeModel
from sim.scenario_spread import Form, Probability, Spread, instantly


class ChanceForm(Form):
    """`{probability: 0.1, span: 30s}`."""

    probability: Probability
    span: Spread

    def made(self) -> Chance:
        """As the simulation wants it."""
        return Chance(self.probability, self.span.made())


class RecurringForm(Form):
    """`{every: {exponential: {mean: 1h}}, lasts: 30s}`."""

    every: Spread
    lasts: Spread

    def made(self) -> Recurring:
        """As the simulation wants it."""
        return Recurring(self.every.made(), self.lasts.made())


class NetworkForm(Form):
    """`network:`, key by key as `sim.protocol_model.NetworkModel`."""

    delay: Spread = Field(default_factory=instantly)
    loss: Probability = 0.0
    repeat: Probability = 0.0
    late: ChanceForm | None = None
    cuts: RecurringForm | None = None
    one_way: Probability = 0.0
    half_open: Probability = 0.0

    def made(self) -> NetworkModel:
        """As the simulation wants it."""
        return NetworkModel(
            self.delay.made(),
            self.loss,
            self.repeat,
            _chance(self.late),
            _recurring(self.cuts),
            self.one_way,
            self.half_open,
        )


class RuntimeForm(Form):
    """`runtime:`, key by key as `sim.protocol_model.RuntimeModel`."""

    refused: Probability = 0.0
    slow: ChanceForm | None = None
    wedged: Probability = 0.0
    dirty_hosts: Probability = 0.0
    stop: Spread = Field(default_factory=instantly)
    deaf: Probability = 0.0
    unkillable: ChanceForm | None = None
    agent_deaths: RecurringForm | None = None
    reboots: Probability = 0.0
    exit_zero: Probability = 0.0
    siblings: ChanceForm | None = None

    def made(self) -> RuntimeModel:
        """As the simulation wants it."""
        return RuntimeModel(
            self.refused,
            _chance(self.slow),
            self.wedged,
            self.dirty_hosts,
            self.stop.made(),
            self.deaf,
            _chance(self.unkillable),
            _recurring(self.agent_deaths),
            self.reboots,
            self.exit_zero,
            _chance(self.siblings),
        )


class ControllerForm(Form):
    """`controller:`, key by key as `sim.protocol_model.ControllerModel`."""

    crashes: RecurringForm | None = None
    between: Probability = 0.0
    stalls: RecurringForm | None = None

    def made(self) -> ControllerModel:
        """As the simulation wants it."""
        return ControllerModel(_recurring(self.crashes), self.between, _recurring(self.stalls))


def _chance(form: ChanceForm | None) -> Chance:
    return Chance() if form is None else form.made()


def _recurring(form: RecurringForm | None) -> Recurring | None:
    return None if form is None else form.made()
