"""What is asked for: bands compare by urgency, slices count chips, defaults are above zero."""

from dataclasses import FrozenInstanceError

import pytest

from iris.core.ids import UserName
from iris.core.instant import Instant, Millis, after, since
from iris.core.spec import Band, ClusterSpec, JobSpec
from tests.harness import cpu_group, tpu_group


def test_the_more_urgent_band_is_the_lower_number() -> None:
    assert Band.PRODUCTION < Band.INTERACTIVE < Band.BATCH


def test_a_slice_counts_the_chips_of_all_its_hosts() -> None:
    assert tpu_group(hosts=4).chips == 16


def test_a_slice_without_an_accelerator_counts_its_cores() -> None:
    assert cpu_group(cores=4, hosts=3).chips == 12


def test_i_32_a_job_that_declares_nothing_still_needs_something() -> None:
    need = JobSpec(UserName("alice"), "train").resources
    assert need.cpu > 0
    assert need.memory > 0


def test_i_140_a_budget_of_no_retries_is_kept_as_none() -> None:
    spec = JobSpec(UserName("alice"), "train", max_retries_preemption=0, max_retries_failure=0)
    assert (spec.max_retries_preemption, spec.max_retries_failure) == (0, 0)


def test_a_specification_cannot_be_changed() -> None:
    spec = ClusterSpec()
    with pytest.raises(FrozenInstanceError):
        spec.groups = ()  # type: ignore[misc]  # that it may not be is what is shown


def test_an_instant_and_a_span_add_up() -> None:
    assert since(Instant(5), after(Instant(5), Millis(7))) == 7
