"""Between protobuf and records: nothing lost, zero and absent told apart, nonsense refused by name."""

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from iris.core.events import AttemptReport
from iris.core.ids import TaskId
from iris.core.lifecycle import AttemptState
from iris.core.resources import Resources
from iris.core.retry import EndCause
from iris.core.spec import Band, Constraint, ConstraintOp, JobSpec
from iris.rpc import codec
from iris.rpc import iris_pb2 as pb

TEXTS = st.text(max_size=12)
NAMES = st.text(min_size=1, max_size=12).filter(lambda name: not {"=", "\0"} & set(name))
VALUES = TEXTS.filter(lambda value: "\0" not in value)
SPANS = st.none() | st.integers(1, 1 << 40)
AMOUNTS = st.builds(Resources, *[st.integers(0, 1 << 50)] * 5)
CONSTRAINTS = st.builds(
    Constraint,
    st.text(min_size=1, max_size=8),
    st.sampled_from(ConstraintOp),
    st.lists(TEXTS, max_size=3).map(tuple),
    st.booleans(),
    st.booleans(),
)
SPECS = st.builds(
    JobSpec,
    user=TEXTS,
    name=TEXTS,
    parent=st.none() | TEXTS,
    replicas=st.integers(1, 1_000),
    coscheduled=st.booleans(),
    resources=AMOUNTS,
    accelerator=st.none() | TEXTS,
    band=st.sampled_from(Band),
    constraints=st.lists(CONSTRAINTS, max_size=3).map(tuple),
    max_retries_failure=st.integers(0, 1_000),
    max_retries_preemption=st.integers(0, 1_000),
    scheduling_timeout=SPANS,
    timeout=SPANS,
    checkpoint_every=SPANS,
    ports=st.lists(TEXTS, max_size=3).map(tuple),
    environment=st.lists(st.tuples(NAMES, VALUES), max_size=3).map(tuple),
    payload=TEXTS,
)


@given(SPECS)
def test_i_140_what_was_asked_for_is_what_arrives_field_by_field_zero_kept(spec: JobSpec) -> None:
    wire = codec.spec_to_wire(spec).SerializeToString()
    assert codec.spec_from_wire(pb.JobSpec.FromString(wire)) == spec


@given(
    st.builds(
        AttemptReport,
        st.just(TaskId("/alice/train:3")),
        st.integers(0, 100),
        st.sampled_from(AttemptState),
        st.none() | st.sampled_from(EndCause),
        TEXTS,
    )
)
def test_a_report_arrives_as_it_was_sent(report: AttemptReport) -> None:
    assert codec.report_from_wire(codec.report_to_wire(report)) == report


@given(st.binary(max_size=200))
def test_random_bytes_are_refused_or_mean_something_but_never_break_the_codec(data: bytes) -> None:
    try:
        message = pb.SubmitJobRequest.FromString(data)
    except DecodeError:
        return
    with pytest.raises(codec.Malformed):
        codec.spec_from_wire(message.spec)


def valid() -> pb.JobSpec:
    return codec.spec_to_wire(JobSpec(user="alice", name="train"))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: setattr(m, "band", "urgent"), "band: 'urgent' is none of production"),
        (lambda m: setattr(m, "replicas", 0), "replicas: 0 is less than 1"),
        (lambda m: setattr(m, "replicas", -1), "replicas: -1 is less than 1"),
        (lambda m: setattr(m, "timeout_ms", 0), "timeout_ms: 0 is less than 1"),
        (lambda m: setattr(m, "max_retries_failure", -1), "max_retries_failure: -1 is less than 0"),
        (lambda m: setattr(m, "max_retries_failure", 2_000_000), "is more than 1000000"),
        (lambda m: setattr(m.resources, "cpu_milli", -5), "resources.cpu: -5 is less than 0"),
        (lambda m: m.constraints.add(key="", op="in"), "constraints: one has no key"),
        (lambda m: m.constraints.add(key="zone", op="is"), "op of 'zone': 'is' is none of in"),
    ],
)
def test_nonsense_is_refused_by_its_field(change, message: str) -> None:  # type: ignore[no-untyped-def]
    spec = valid()
    change(spec)
    with pytest.raises(codec.Malformed) as refusal:
        codec.spec_from_wire(spec)
    assert message in str(refusal.value)


@pytest.mark.parametrize(
    "text", ["", "train:0", "/alice/train", "/alice/train:", "/a/b:x", "/a/b:-1"]
)
def test_what_is_no_task_is_refused(text: str) -> None:
    with pytest.raises(codec.Malformed):
        codec.task_from_wire(text)


@pytest.mark.parametrize("field", ["slice", "incarnation", "address"])
def test_i_81_a_worker_that_does_not_say_who_it_is_is_refused(field: str) -> None:
    message = pb.RegisterRequest(slice="s", host=0, incarnation="i", address="a")
    message.ClearField(field)
    with pytest.raises(codec.Malformed, match=field):
        codec.registration_from_wire(message)
