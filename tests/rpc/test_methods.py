"""The table of calls says what the protocol says, and the generated code is that of the protocol."""

from pathlib import Path

import pytest

from iris.rpc import iris_pb2 as pb
from iris.rpc.methods import METHODS, Kind, Stream
from tests import make_protos
from tests.tidy.tree import ROOT


def test_the_table_names_every_call_of_the_protocol_and_no_other() -> None:
    declared = {
        (service.name, method.name): (
            method.input_type.name,
            method.output_type.name,
            method.client_streaming,
            method.server_streaming,
        )
        for service in pb.DESCRIPTOR.services_by_name.values()
        for method in service.methods
    }
    listed = {
        (method.service, method.name): (
            method.request.DESCRIPTOR.name,
            method.answer.DESCRIPTOR.name,
            method.stream in (Stream.REQUEST, Stream.BOTH),
            method.stream in (Stream.ANSWER, Stream.BOTH),
        )
        for method in METHODS
    }
    assert listed == declared


def test_every_call_has_a_deadline_and_somebody_who_may_make_it() -> None:
    for method in METHODS:
        assert method.deadline_s > 0
        assert method.kinds


def test_what_only_workers_do_no_task_and_no_user_may() -> None:
    for method in METHODS:
        if method.service == "WorkerService" or method.name in ("AppendLog", "ServeExec"):
            assert method.kinds == {Kind.WORKER}


@pytest.mark.parametrize("made", make_protos.MADE)
def test_the_generated_code_is_current(made: str, tmp_path: Path) -> None:
    make_protos.make(tmp_path)
    assert (ROOT / made).read_text(encoding="utf-8") == (tmp_path / made).read_text(
        encoding="utf-8"
    ), "run `python tests/make_protos.py`"
