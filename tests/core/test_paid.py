"""When a slice costs: from the answer of the cloud to the end of its machines, as far as anybody knows."""

from iris.core import events as ev
from iris.core.instant import MINUTE
from iris.core.paid import paid_from, paid_until
from tests.harness import cluster, cpu_group


def test_a_slice_costs_from_the_clouds_yes_to_its_loss_or_its_end() -> None:
    script = cluster(cpu_group(max_slices=3))
    script.submit("one", cpu=4)
    (asked,) = script.coming("cpu")
    assert paid_from(script.slice(asked)) is None
    began = script.advance(MINUTE).now
    script.step(ev.SliceAccepted(asked))
    assert (paid_from(script.slice(asked)), paid_until(script.slice(asked), None)) == (began, None)
    script.ready("cpu")
    lost = script.advance(MINUTE).now
    script.preempted(asked).advance(MINUTE)
    slice_ = script.slice(asked)
    assert slice_.gone_at is not None
    assert slice_.gone_at > lost
    assert paid_until(slice_, lost) == lost
    assert paid_until(slice_, None) == slice_.gone_at


def test_a_create_that_is_refused_after_all_costs_nothing() -> None:
    script = cluster(cpu_group())
    script.submit("one")
    (asked,) = script.coming("cpu")
    script.step(ev.SliceAccepted(asked)).advance(MINUTE)
    assert paid_from(script.slice(asked)) is not None
    script.refused(asked, ev.CreateFailure.STOCKOUT)
    assert paid_from(script.slice(asked)) is None
