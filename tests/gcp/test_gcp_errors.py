"""What texts of Google's that users have reported (gcp.md, 2.5) mean to a create."""

import pytest
from google.protobuf import any_pb2
from google.rpc import code_pb2, error_details_pb2, status_pb2

from iris.cluster.vm import gcp_rest
from iris.cluster.vm.gcp_errors import CloudError, Code, meaning_of
from iris.cluster.vm.gcp_tpu_client import error_of
from iris.core.events import CreateFailure

F, C = CreateFailure, Code
BAD = "Cloud TPU received a bad request. "
CASES = [
    (
        F.STOCKOUT,
        C.RESOURCE_EXHAUSTED,
        'There is no more capacity in the zone "us-central2-b"; you can try in another zone where Cloud TPU '
        "Nodes are offered (see https://cloud.google.com/tpu/docs/regions) [EID: 0x1]",
    ),
    (
        F.STOCKOUT,
        C.RESOURCE_EXHAUSTED,
        "Insufficient reserved capacity. Contact customer support to increase your reservation. [EID: 0x1]",
    ),
    (F.STOCKOUT, C.FAILED_PRECONDITION, "Insufficient reserved capacity. Contact customer support"),
    (
        F.STOCKOUT,
        C.INVALID_ARGUMENT,
        BAD + "update is not supported while in state PREEMPTED [EID: 0x1]",
    ),
    (
        F.STOCKOUT,
        C.UNAVAILABLE,
        "ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS: The zone 'projects/p/zones/z' does not have enough "
        "resources available to fulfill the request. Try a different zone, or try again later.",
    ),
    (
        F.QUOTA_REGION,
        C.RESOURCE_EXHAUSTED,
        "Quota limit 'TPUV6EPreemptiblePerProjectPerRegionForTPUAPI' has been exceeded. Limit: 0 in region us-east5.",
    ),
    (
        F.QUOTA_ZONE,
        C.RESOURCE_EXHAUSTED,
        "Quota limit 'TPUV4sPreemptiblePodPerProjectPerZoneForTPUAPI' has been exceeded. "
        "Limit: 32 in zone us-central2-b.",
    ),
    (F.QUOTA_REGION, C.PERMISSION_DENIED, "QUOTA_EXCEEDED: Quota 'CPUS' exceeded. Limit: 24.0 in region us-central1."),
    (F.QUOTA_ZONE, C.RESOURCE_EXHAUSTED, "A quota that says no place has been exceeded"),
    (
        F.RATE,
        C.RESOURCE_EXHAUSTED,
        "Quota exceeded for quota metric 'Create requests' and limit "
        "'Maximum number of CreateNode requests per minute'",
    ),
    (F.RATE, C.RESOURCE_EXHAUSTED, "rateLimitExceeded"),
    (F.INTERNAL, C.INTERNAL, "an internal error has occurred"),
    (F.INTERNAL, C.UNAVAILABLE, "Internal error. Please try again"),
    (F.INTERNAL, C.DEADLINE_EXCEEDED, "Deadline Exceeded"),
    (F.INTERNAL, C.ABORTED, "unable to queue the operation"),
    (F.PERMISSION, C.PERMISSION_DENIED, "Permission 'tpu.nodes.create' denied on 'projects/p/locations/z'"),
    (F.PERMISSION, C.PERMISSION_DENIED, "Permission denied on 'locations/z' (or it may not exist)."),
    (F.PERMISSION, C.NOT_FOUND, "Location us-central9-a is not found or access is unauthorized."),
    (
        F.BAD_REQUEST,
        C.INVALID_ARGUMENT,
        BAD + 'The requested accelerator configuration for accelerator type, "v9-8", could not be found in the zonal '
        'accelerator configurations for "z".; the accelerator v9-8 was not found in zone z [EID: 0x1]',
    ),
    (F.BAD_REQUEST, C.INVALID_ARGUMENT, BAD + 'The requested zone "us-west1-c" is not supported. [EID: 0x1]'),
    (
        F.BAD_REQUEST,
        C.INVALID_ARGUMENT,
        'FLEX_START provisioning model is not supported for accelerator type "v6e-1" in location "z"',
    ),
    (
        F.UNKNOWN,
        C.INVALID_ARGUMENT,
        "Cloud TPU was unable to complete the operation. Please try again, or contact support if the problem persists.",
    ),
    (F.UNKNOWN, C.RESOURCE_EXHAUSTED, "CLIENT: Received message larger than max (5100000 vs. 4194304)"),
    (F.UNKNOWN, C.RESOURCE_EXHAUSTED, "Stream removed (CLIENT: Sent message larger than max per minute)"),
    (F.UNKNOWN, C.ALREADY_EXISTS, "its name is taken by cluster lab"),
    (F.UNKNOWN, C.UNAUTHENTICATED, "Request had invalid authentication credentials."),
    (F.UNKNOWN, C.DATA_LOSS, "a text that nobody has seen before"),
]  # fmt: skip


@pytest.mark.parametrize(("meaning", "code", "text"), CASES)
def test_i_57_every_text_that_users_have_reported_has_its_meaning(
    meaning: CreateFailure, code: Code, text: str
) -> None:
    assert meaning_of(CloudError(code, text)) is meaning


def test_the_place_of_a_quota_may_stand_in_the_details_alone() -> None:
    violation = error_details_pb2.QuotaFailure.Violation(
        description="Quota 'X' exhausted. Limit 32 in region europe-west4"
    )
    detail = any_pb2.Any()
    detail.Pack(error_details_pb2.QuotaFailure(violations=[violation]))
    status = status_pb2.Status(
        code=code_pb2.RESOURCE_EXHAUSTED, message="Quota exceeded.", details=[detail]
    )
    assert meaning_of(error_of(status)) is CreateFailure.QUOTA_REGION


@pytest.mark.parametrize(
    ("status", "reason", "code"),
    [
        (409, "alreadyExists", Code.ALREADY_EXISTS),
        (409, "resourceNotReady", Code.ABORTED),
        (403, "rateLimitExceeded", Code.RESOURCE_EXHAUSTED),
        (403, "forbidden", Code.PERMISSION_DENIED),
        (404, "notFound", Code.NOT_FOUND),
        (502, "backendError", Code.UNAVAILABLE),
    ],
)
def test_a_reason_of_compute_engine_is_finer_than_its_status(
    status: int, reason: str, code: Code
) -> None:
    body = {"error": {"code": status, "message": "m", "errors": [{"reason": reason}]}}
    found = gcp_rest.refusal(status, body)
    assert (found.code, found.message, found.details) == (code, "m", (reason,))
