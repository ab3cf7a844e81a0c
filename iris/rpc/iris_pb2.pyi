from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Resources(_message.Message):
    __slots__ = ("chips", "cpu_milli", "memory_bytes", "disk_bytes", "ports")
    CHIPS_FIELD_NUMBER: _ClassVar[int]
    CPU_MILLI_FIELD_NUMBER: _ClassVar[int]
    MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    DISK_BYTES_FIELD_NUMBER: _ClassVar[int]
    PORTS_FIELD_NUMBER: _ClassVar[int]
    chips: int
    cpu_milli: int
    memory_bytes: int
    disk_bytes: int
    ports: int
    def __init__(self, chips: _Optional[int] = ..., cpu_milli: _Optional[int] = ..., memory_bytes: _Optional[int] = ..., disk_bytes: _Optional[int] = ..., ports: _Optional[int] = ...) -> None: ...

class Constraint(_message.Message):
    __slots__ = ("key", "op", "values", "soft", "inherited")
    KEY_FIELD_NUMBER: _ClassVar[int]
    OP_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    SOFT_FIELD_NUMBER: _ClassVar[int]
    INHERITED_FIELD_NUMBER: _ClassVar[int]
    key: str
    op: str
    values: _containers.RepeatedScalarFieldContainer[str]
    soft: bool
    inherited: bool
    def __init__(self, key: _Optional[str] = ..., op: _Optional[str] = ..., values: _Optional[_Iterable[str]] = ..., soft: bool = ..., inherited: bool = ...) -> None: ...

class Variable(_message.Message):
    __slots__ = ("name", "value")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    name: str
    value: str
    def __init__(self, name: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...

class JobSpec(_message.Message):
    __slots__ = ("user", "name", "parent", "replicas", "coscheduled", "resources", "accelerator", "band", "constraints", "max_retries_failure", "max_retries_preemption", "scheduling_timeout_ms", "timeout_ms", "checkpoint_every_ms", "ports", "environment", "payload")
    USER_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    PARENT_FIELD_NUMBER: _ClassVar[int]
    REPLICAS_FIELD_NUMBER: _ClassVar[int]
    COSCHEDULED_FIELD_NUMBER: _ClassVar[int]
    RESOURCES_FIELD_NUMBER: _ClassVar[int]
    ACCELERATOR_FIELD_NUMBER: _ClassVar[int]
    BAND_FIELD_NUMBER: _ClassVar[int]
    CONSTRAINTS_FIELD_NUMBER: _ClassVar[int]
    MAX_RETRIES_FAILURE_FIELD_NUMBER: _ClassVar[int]
    MAX_RETRIES_PREEMPTION_FIELD_NUMBER: _ClassVar[int]
    SCHEDULING_TIMEOUT_MS_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_MS_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_EVERY_MS_FIELD_NUMBER: _ClassVar[int]
    PORTS_FIELD_NUMBER: _ClassVar[int]
    ENVIRONMENT_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    user: str
    name: str
    parent: str
    replicas: int
    coscheduled: bool
    resources: Resources
    accelerator: str
    band: str
    constraints: _containers.RepeatedCompositeFieldContainer[Constraint]
    max_retries_failure: int
    max_retries_preemption: int
    scheduling_timeout_ms: int
    timeout_ms: int
    checkpoint_every_ms: int
    ports: _containers.RepeatedScalarFieldContainer[str]
    environment: _containers.RepeatedCompositeFieldContainer[Variable]
    payload: str
    def __init__(self, user: _Optional[str] = ..., name: _Optional[str] = ..., parent: _Optional[str] = ..., replicas: _Optional[int] = ..., coscheduled: bool = ..., resources: _Optional[_Union[Resources, _Mapping]] = ..., accelerator: _Optional[str] = ..., band: _Optional[str] = ..., constraints: _Optional[_Iterable[_Union[Constraint, _Mapping]]] = ..., max_retries_failure: _Optional[int] = ..., max_retries_preemption: _Optional[int] = ..., scheduling_timeout_ms: _Optional[int] = ..., timeout_ms: _Optional[int] = ..., checkpoint_every_ms: _Optional[int] = ..., ports: _Optional[_Iterable[str]] = ..., environment: _Optional[_Iterable[_Union[Variable, _Mapping]]] = ..., payload: _Optional[str] = ...) -> None: ...

class Launch(_message.Message):
    __slots__ = ("command", "call", "bundle", "python_minor", "pip", "extras", "sync")
    COMMAND_FIELD_NUMBER: _ClassVar[int]
    CALL_FIELD_NUMBER: _ClassVar[int]
    BUNDLE_FIELD_NUMBER: _ClassVar[int]
    PYTHON_MINOR_FIELD_NUMBER: _ClassVar[int]
    PIP_FIELD_NUMBER: _ClassVar[int]
    EXTRAS_FIELD_NUMBER: _ClassVar[int]
    SYNC_FIELD_NUMBER: _ClassVar[int]
    command: _containers.RepeatedScalarFieldContainer[str]
    call: str
    bundle: str
    python_minor: str
    pip: _containers.RepeatedScalarFieldContainer[str]
    extras: _containers.RepeatedScalarFieldContainer[str]
    sync: bool
    def __init__(self, command: _Optional[_Iterable[str]] = ..., call: _Optional[str] = ..., bundle: _Optional[str] = ..., python_minor: _Optional[str] = ..., pip: _Optional[_Iterable[str]] = ..., extras: _Optional[_Iterable[str]] = ..., sync: bool = ...) -> None: ...

class Blob(_message.Message):
    __slots__ = ("content",)
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    content: bytes
    def __init__(self, content: _Optional[bytes] = ...) -> None: ...

class SubmitJobRequest(_message.Message):
    __slots__ = ("request_id", "spec", "blobs", "login")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    BLOBS_FIELD_NUMBER: _ClassVar[int]
    LOGIN_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    spec: JobSpec
    blobs: _containers.RepeatedCompositeFieldContainer[Blob]
    login: str
    def __init__(self, request_id: _Optional[str] = ..., spec: _Optional[_Union[JobSpec, _Mapping]] = ..., blobs: _Optional[_Iterable[_Union[Blob, _Mapping]]] = ..., login: _Optional[str] = ...) -> None: ...

class SubmitJobResponse(_message.Message):
    __slots__ = ("job",)
    JOB_FIELD_NUMBER: _ClassVar[int]
    job: str
    def __init__(self, job: _Optional[str] = ...) -> None: ...

class Count(_message.Message):
    __slots__ = ("state", "number")
    STATE_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    state: str
    number: int
    def __init__(self, state: _Optional[str] = ..., number: _Optional[int] = ...) -> None: ...

class Attempt(_message.Message):
    __slots__ = ("number", "state", "worker", "slice", "assigned_at_ms", "started_at_ms", "ended_at_ms", "cause", "detail")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    WORKER_FIELD_NUMBER: _ClassVar[int]
    SLICE_FIELD_NUMBER: _ClassVar[int]
    ASSIGNED_AT_MS_FIELD_NUMBER: _ClassVar[int]
    STARTED_AT_MS_FIELD_NUMBER: _ClassVar[int]
    ENDED_AT_MS_FIELD_NUMBER: _ClassVar[int]
    CAUSE_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    number: int
    state: str
    worker: str
    slice: str
    assigned_at_ms: int
    started_at_ms: int
    ended_at_ms: int
    cause: str
    detail: str
    def __init__(self, number: _Optional[int] = ..., state: _Optional[str] = ..., worker: _Optional[str] = ..., slice: _Optional[str] = ..., assigned_at_ms: _Optional[int] = ..., started_at_ms: _Optional[int] = ..., ended_at_ms: _Optional[int] = ..., cause: _Optional[str] = ..., detail: _Optional[str] = ...) -> None: ...

class Task(_message.Message):
    __slots__ = ("id", "state", "attempts", "why")
    ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    WHY_FIELD_NUMBER: _ClassVar[int]
    id: str
    state: str
    attempts: _containers.RepeatedCompositeFieldContainer[Attempt]
    why: str
    def __init__(self, id: _Optional[str] = ..., state: _Optional[str] = ..., attempts: _Optional[_Iterable[_Union[Attempt, _Mapping]]] = ..., why: _Optional[str] = ...) -> None: ...

class Job(_message.Message):
    __slots__ = ("id", "state", "user", "band", "submitted_at_ms", "ended_at_ms", "tasks", "why", "spec", "details", "children")
    ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    BAND_FIELD_NUMBER: _ClassVar[int]
    SUBMITTED_AT_MS_FIELD_NUMBER: _ClassVar[int]
    ENDED_AT_MS_FIELD_NUMBER: _ClassVar[int]
    TASKS_FIELD_NUMBER: _ClassVar[int]
    WHY_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    DETAILS_FIELD_NUMBER: _ClassVar[int]
    CHILDREN_FIELD_NUMBER: _ClassVar[int]
    id: str
    state: str
    user: str
    band: str
    submitted_at_ms: int
    ended_at_ms: int
    tasks: _containers.RepeatedCompositeFieldContainer[Count]
    why: str
    spec: JobSpec
    details: _containers.RepeatedCompositeFieldContainer[Task]
    children: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, id: _Optional[str] = ..., state: _Optional[str] = ..., user: _Optional[str] = ..., band: _Optional[str] = ..., submitted_at_ms: _Optional[int] = ..., ended_at_ms: _Optional[int] = ..., tasks: _Optional[_Iterable[_Union[Count, _Mapping]]] = ..., why: _Optional[str] = ..., spec: _Optional[_Union[JobSpec, _Mapping]] = ..., details: _Optional[_Iterable[_Union[Task, _Mapping]]] = ..., children: _Optional[_Iterable[str]] = ...) -> None: ...

class GetJobRequest(_message.Message):
    __slots__ = ("job", "wait_ms")
    JOB_FIELD_NUMBER: _ClassVar[int]
    WAIT_MS_FIELD_NUMBER: _ClassVar[int]
    job: str
    wait_ms: int
    def __init__(self, job: _Optional[str] = ..., wait_ms: _Optional[int] = ...) -> None: ...

class GetJobResponse(_message.Message):
    __slots__ = ("job",)
    JOB_FIELD_NUMBER: _ClassVar[int]
    job: Job
    def __init__(self, job: _Optional[_Union[Job, _Mapping]] = ...) -> None: ...

class ListJobsRequest(_message.Message):
    __slots__ = ("user", "state", "limit", "name", "since_ms", "above")
    USER_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    SINCE_MS_FIELD_NUMBER: _ClassVar[int]
    ABOVE_FIELD_NUMBER: _ClassVar[int]
    user: str
    state: str
    limit: int
    name: str
    since_ms: int
    above: bool
    def __init__(self, user: _Optional[str] = ..., state: _Optional[str] = ..., limit: _Optional[int] = ..., name: _Optional[str] = ..., since_ms: _Optional[int] = ..., above: bool = ...) -> None: ...

class ListJobsResponse(_message.Message):
    __slots__ = ("jobs", "total", "above")
    JOBS_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    ABOVE_FIELD_NUMBER: _ClassVar[int]
    jobs: _containers.RepeatedCompositeFieldContainer[Job]
    total: int
    above: _containers.RepeatedCompositeFieldContainer[Job]
    def __init__(self, jobs: _Optional[_Iterable[_Union[Job, _Mapping]]] = ..., total: _Optional[int] = ..., above: _Optional[_Iterable[_Union[Job, _Mapping]]] = ...) -> None: ...

class StopJobRequest(_message.Message):
    __slots__ = ("request_id", "job")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    JOB_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    job: str
    def __init__(self, request_id: _Optional[str] = ..., job: _Optional[str] = ...) -> None: ...

class StopJobResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ExplainJobRequest(_message.Message):
    __slots__ = ("job",)
    JOB_FIELD_NUMBER: _ClassVar[int]
    job: str
    def __init__(self, job: _Optional[str] = ...) -> None: ...

class ExplainJobResponse(_message.Message):
    __slots__ = ("sentences", "state", "explanation")
    SENTENCES_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    EXPLANATION_FIELD_NUMBER: _ClassVar[int]
    sentences: _containers.RepeatedScalarFieldContainer[str]
    state: str
    explanation: Explanation
    def __init__(self, sentences: _Optional[_Iterable[str]] = ..., state: _Optional[str] = ..., explanation: _Optional[_Union[Explanation, _Mapping]] = ...) -> None: ...

class Lack(_message.Message):
    __slots__ = ("dimension", "need", "have")
    DIMENSION_FIELD_NUMBER: _ClassVar[int]
    NEED_FIELD_NUMBER: _ClassVar[int]
    HAVE_FIELD_NUMBER: _ClassVar[int]
    dimension: str
    need: int
    have: int
    def __init__(self, dimension: _Optional[str] = ..., need: _Optional[int] = ..., have: _Optional[int] = ...) -> None: ...

class Blocker(_message.Message):
    __slots__ = ("check", "need", "have", "missing", "nearest", "lacks")
    CHECK_FIELD_NUMBER: _ClassVar[int]
    NEED_FIELD_NUMBER: _ClassVar[int]
    HAVE_FIELD_NUMBER: _ClassVar[int]
    MISSING_FIELD_NUMBER: _ClassVar[int]
    NEAREST_FIELD_NUMBER: _ClassVar[int]
    LACKS_FIELD_NUMBER: _ClassVar[int]
    check: str
    need: str
    have: str
    missing: str
    nearest: str
    lacks: _containers.RepeatedCompositeFieldContainer[Lack]
    def __init__(self, check: _Optional[str] = ..., need: _Optional[str] = ..., have: _Optional[str] = ..., missing: _Optional[str] = ..., nearest: _Optional[str] = ..., lacks: _Optional[_Iterable[_Union[Lack, _Mapping]]] = ...) -> None: ...

class Limit(_message.Message):
    __slots__ = ("check", "detail", "until_ms")
    CHECK_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    UNTIL_MS_FIELD_NUMBER: _ClassVar[int]
    check: str
    detail: str
    until_ms: int
    def __init__(self, check: _Optional[str] = ..., detail: _Optional[str] = ..., until_ms: _Optional[int] = ...) -> None: ...

class PoolReason(_message.Message):
    __slots__ = ("group", "zone", "workers_checked", "matches", "is_bought", "blocker", "limits")
    GROUP_FIELD_NUMBER: _ClassVar[int]
    ZONE_FIELD_NUMBER: _ClassVar[int]
    WORKERS_CHECKED_FIELD_NUMBER: _ClassVar[int]
    MATCHES_FIELD_NUMBER: _ClassVar[int]
    IS_BOUGHT_FIELD_NUMBER: _ClassVar[int]
    BLOCKER_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    group: str
    zone: str
    workers_checked: int
    matches: bool
    is_bought: bool
    blocker: Blocker
    limits: _containers.RepeatedCompositeFieldContainer[Limit]
    def __init__(self, group: _Optional[str] = ..., zone: _Optional[str] = ..., workers_checked: _Optional[int] = ..., matches: bool = ..., is_bought: bool = ..., blocker: _Optional[_Union[Blocker, _Mapping]] = ..., limits: _Optional[_Iterable[_Union[Limit, _Mapping]]] = ...) -> None: ...

class GroupReason(_message.Message):
    __slots__ = ("name", "matches", "zone", "workers_checked", "blocker")
    NAME_FIELD_NUMBER: _ClassVar[int]
    MATCHES_FIELD_NUMBER: _ClassVar[int]
    ZONE_FIELD_NUMBER: _ClassVar[int]
    WORKERS_CHECKED_FIELD_NUMBER: _ClassVar[int]
    BLOCKER_FIELD_NUMBER: _ClassVar[int]
    name: str
    matches: bool
    zone: str
    workers_checked: int
    blocker: Blocker
    def __init__(self, name: _Optional[str] = ..., matches: bool = ..., zone: _Optional[str] = ..., workers_checked: _Optional[int] = ..., blocker: _Optional[_Union[Blocker, _Mapping]] = ...) -> None: ...

class Ahead(_message.Message):
    __slots__ = ("job", "user", "units")
    JOB_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    UNITS_FIELD_NUMBER: _ClassVar[int]
    job: str
    user: str
    units: int
    def __init__(self, job: _Optional[str] = ..., user: _Optional[str] = ..., units: _Optional[int] = ...) -> None: ...

class QueuePlace(_message.Message):
    __slots__ = ("ahead", "ahead_by_same_user", "ahead_chips", "first")
    AHEAD_FIELD_NUMBER: _ClassVar[int]
    AHEAD_BY_SAME_USER_FIELD_NUMBER: _ClassVar[int]
    AHEAD_CHIPS_FIELD_NUMBER: _ClassVar[int]
    FIRST_FIELD_NUMBER: _ClassVar[int]
    ahead: int
    ahead_by_same_user: int
    ahead_chips: int
    first: _containers.RepeatedCompositeFieldContainer[Ahead]
    def __init__(self, ahead: _Optional[int] = ..., ahead_by_same_user: _Optional[int] = ..., ahead_chips: _Optional[int] = ..., first: _Optional[_Iterable[_Union[Ahead, _Mapping]]] = ...) -> None: ...

class Usual(_message.Message):
    __slots__ = ("p50_ms", "p90_ms", "seen")
    P50_MS_FIELD_NUMBER: _ClassVar[int]
    P90_MS_FIELD_NUMBER: _ClassVar[int]
    SEEN_FIELD_NUMBER: _ClassVar[int]
    p50_ms: int
    p90_ms: int
    seen: int
    def __init__(self, p50_ms: _Optional[int] = ..., p90_ms: _Optional[int] = ..., seen: _Optional[int] = ...) -> None: ...

class UnderWay(_message.Message):
    __slots__ = ("slice", "group", "state", "since_ms", "usual", "deadline_ms")
    SLICE_FIELD_NUMBER: _ClassVar[int]
    GROUP_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    SINCE_MS_FIELD_NUMBER: _ClassVar[int]
    USUAL_FIELD_NUMBER: _ClassVar[int]
    DEADLINE_MS_FIELD_NUMBER: _ClassVar[int]
    slice: str
    group: str
    state: str
    since_ms: int
    usual: Usual
    deadline_ms: int
    def __init__(self, slice: _Optional[str] = ..., group: _Optional[str] = ..., state: _Optional[str] = ..., since_ms: _Optional[int] = ..., usual: _Optional[_Union[Usual, _Mapping]] = ..., deadline_ms: _Optional[int] = ...) -> None: ...

class Eta(_message.Message):
    __slots__ = ("low_ms", "high_ms", "basis")
    LOW_MS_FIELD_NUMBER: _ClassVar[int]
    HIGH_MS_FIELD_NUMBER: _ClassVar[int]
    BASIS_FIELD_NUMBER: _ClassVar[int]
    low_ms: int
    high_ms: int
    basis: str
    def __init__(self, low_ms: _Optional[int] = ..., high_ms: _Optional[int] = ..., basis: _Optional[str] = ...) -> None: ...

class Kept(_message.Message):
    __slots__ = ("kind", "workers", "leaving", "staying", "expected_ms")
    KIND_FIELD_NUMBER: _ClassVar[int]
    WORKERS_FIELD_NUMBER: _ClassVar[int]
    LEAVING_FIELD_NUMBER: _ClassVar[int]
    STAYING_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_MS_FIELD_NUMBER: _ClassVar[int]
    kind: str
    workers: _containers.RepeatedScalarFieldContainer[str]
    leaving: int
    staying: int
    expected_ms: int
    def __init__(self, kind: _Optional[str] = ..., workers: _Optional[_Iterable[str]] = ..., leaving: _Optional[int] = ..., staying: _Optional[int] = ..., expected_ms: _Optional[int] = ...) -> None: ...

class Explanation(_message.Message):
    __slots__ = ("job", "subject", "task", "state", "as_of_ms", "turn", "verdict", "headline", "sentences", "waiting", "paused", "groups", "pools", "queue", "in_flight", "kept", "next", "next_at_ms", "eta", "advice", "gives_up_at_ms", "quota")
    JOB_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    TASK_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    AS_OF_MS_FIELD_NUMBER: _ClassVar[int]
    TURN_FIELD_NUMBER: _ClassVar[int]
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    HEADLINE_FIELD_NUMBER: _ClassVar[int]
    SENTENCES_FIELD_NUMBER: _ClassVar[int]
    WAITING_FIELD_NUMBER: _ClassVar[int]
    PAUSED_FIELD_NUMBER: _ClassVar[int]
    GROUPS_FIELD_NUMBER: _ClassVar[int]
    POOLS_FIELD_NUMBER: _ClassVar[int]
    QUEUE_FIELD_NUMBER: _ClassVar[int]
    IN_FLIGHT_FIELD_NUMBER: _ClassVar[int]
    KEPT_FIELD_NUMBER: _ClassVar[int]
    NEXT_FIELD_NUMBER: _ClassVar[int]
    NEXT_AT_MS_FIELD_NUMBER: _ClassVar[int]
    ETA_FIELD_NUMBER: _ClassVar[int]
    ADVICE_FIELD_NUMBER: _ClassVar[int]
    GIVES_UP_AT_MS_FIELD_NUMBER: _ClassVar[int]
    QUOTA_FIELD_NUMBER: _ClassVar[int]
    job: str
    subject: str
    task: str
    state: str
    as_of_ms: int
    turn: int
    verdict: str
    headline: str
    sentences: _containers.RepeatedScalarFieldContainer[str]
    waiting: int
    paused: int
    groups: _containers.RepeatedCompositeFieldContainer[GroupReason]
    pools: _containers.RepeatedCompositeFieldContainer[PoolReason]
    queue: QueuePlace
    in_flight: _containers.RepeatedCompositeFieldContainer[UnderWay]
    kept: Kept
    next: str
    next_at_ms: int
    eta: Eta
    advice: _containers.RepeatedScalarFieldContainer[str]
    gives_up_at_ms: int
    quota: OverQuota
    def __init__(self, job: _Optional[str] = ..., subject: _Optional[str] = ..., task: _Optional[str] = ..., state: _Optional[str] = ..., as_of_ms: _Optional[int] = ..., turn: _Optional[int] = ..., verdict: _Optional[str] = ..., headline: _Optional[str] = ..., sentences: _Optional[_Iterable[str]] = ..., waiting: _Optional[int] = ..., paused: _Optional[int] = ..., groups: _Optional[_Iterable[_Union[GroupReason, _Mapping]]] = ..., pools: _Optional[_Iterable[_Union[PoolReason, _Mapping]]] = ..., queue: _Optional[_Union[QueuePlace, _Mapping]] = ..., in_flight: _Optional[_Iterable[_Union[UnderWay, _Mapping]]] = ..., kept: _Optional[_Union[Kept, _Mapping]] = ..., next: _Optional[str] = ..., next_at_ms: _Optional[int] = ..., eta: _Optional[_Union[Eta, _Mapping]] = ..., advice: _Optional[_Iterable[str]] = ..., gives_up_at_ms: _Optional[int] = ..., quota: _Optional[_Union[OverQuota, _Mapping]] = ...) -> None: ...

class OverQuota(_message.Message):
    __slots__ = ("quota", "dimension", "most", "held", "kept", "need")
    QUOTA_FIELD_NUMBER: _ClassVar[int]
    DIMENSION_FIELD_NUMBER: _ClassVar[int]
    MOST_FIELD_NUMBER: _ClassVar[int]
    HELD_FIELD_NUMBER: _ClassVar[int]
    KEPT_FIELD_NUMBER: _ClassVar[int]
    NEED_FIELD_NUMBER: _ClassVar[int]
    quota: str
    dimension: str
    most: int
    held: int
    kept: int
    need: int
    def __init__(self, quota: _Optional[str] = ..., dimension: _Optional[str] = ..., most: _Optional[int] = ..., held: _Optional[int] = ..., kept: _Optional[int] = ..., need: _Optional[int] = ...) -> None: ...

class Scaling(_message.Message):
    __slots__ = ("group", "as_of_ms", "turn", "rule", "action", "headline", "sentences", "demand", "unmet", "usable", "idle", "in_flight", "existing", "min_slices", "max_slices", "buffer_slices", "tokens", "wanted", "until_ms", "limits", "jobs")
    GROUP_FIELD_NUMBER: _ClassVar[int]
    AS_OF_MS_FIELD_NUMBER: _ClassVar[int]
    TURN_FIELD_NUMBER: _ClassVar[int]
    RULE_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    HEADLINE_FIELD_NUMBER: _ClassVar[int]
    SENTENCES_FIELD_NUMBER: _ClassVar[int]
    DEMAND_FIELD_NUMBER: _ClassVar[int]
    UNMET_FIELD_NUMBER: _ClassVar[int]
    USABLE_FIELD_NUMBER: _ClassVar[int]
    IDLE_FIELD_NUMBER: _ClassVar[int]
    IN_FLIGHT_FIELD_NUMBER: _ClassVar[int]
    EXISTING_FIELD_NUMBER: _ClassVar[int]
    MIN_SLICES_FIELD_NUMBER: _ClassVar[int]
    MAX_SLICES_FIELD_NUMBER: _ClassVar[int]
    BUFFER_SLICES_FIELD_NUMBER: _ClassVar[int]
    TOKENS_FIELD_NUMBER: _ClassVar[int]
    WANTED_FIELD_NUMBER: _ClassVar[int]
    UNTIL_MS_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    JOBS_FIELD_NUMBER: _ClassVar[int]
    group: str
    as_of_ms: int
    turn: int
    rule: str
    action: str
    headline: str
    sentences: _containers.RepeatedScalarFieldContainer[str]
    demand: int
    unmet: int
    usable: int
    idle: int
    in_flight: int
    existing: int
    min_slices: int
    max_slices: int
    buffer_slices: int
    tokens: int
    wanted: int
    until_ms: int
    limits: _containers.RepeatedCompositeFieldContainer[ZoneLimits]
    jobs: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, group: _Optional[str] = ..., as_of_ms: _Optional[int] = ..., turn: _Optional[int] = ..., rule: _Optional[str] = ..., action: _Optional[str] = ..., headline: _Optional[str] = ..., sentences: _Optional[_Iterable[str]] = ..., demand: _Optional[int] = ..., unmet: _Optional[int] = ..., usable: _Optional[int] = ..., idle: _Optional[int] = ..., in_flight: _Optional[int] = ..., existing: _Optional[int] = ..., min_slices: _Optional[int] = ..., max_slices: _Optional[int] = ..., buffer_slices: _Optional[int] = ..., tokens: _Optional[int] = ..., wanted: _Optional[int] = ..., until_ms: _Optional[int] = ..., limits: _Optional[_Iterable[_Union[ZoneLimits, _Mapping]]] = ..., jobs: _Optional[_Iterable[str]] = ...) -> None: ...

class ZoneLimits(_message.Message):
    __slots__ = ("zone", "limits")
    ZONE_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    zone: str
    limits: _containers.RepeatedCompositeFieldContainer[Limit]
    def __init__(self, zone: _Optional[str] = ..., limits: _Optional[_Iterable[_Union[Limit, _Mapping]]] = ...) -> None: ...

class ScalingSpan(_message.Message):
    __slots__ = ("rule", "headline", "since_ms", "until_ms", "turns")
    RULE_FIELD_NUMBER: _ClassVar[int]
    HEADLINE_FIELD_NUMBER: _ClassVar[int]
    SINCE_MS_FIELD_NUMBER: _ClassVar[int]
    UNTIL_MS_FIELD_NUMBER: _ClassVar[int]
    TURNS_FIELD_NUMBER: _ClassVar[int]
    rule: str
    headline: str
    since_ms: int
    until_ms: int
    turns: int
    def __init__(self, rule: _Optional[str] = ..., headline: _Optional[str] = ..., since_ms: _Optional[int] = ..., until_ms: _Optional[int] = ..., turns: _Optional[int] = ...) -> None: ...

class ExplainGroupRequest(_message.Message):
    __slots__ = ("group",)
    GROUP_FIELD_NUMBER: _ClassVar[int]
    group: str
    def __init__(self, group: _Optional[str] = ...) -> None: ...

class ExplainGroupResponse(_message.Message):
    __slots__ = ("scaling", "history")
    SCALING_FIELD_NUMBER: _ClassVar[int]
    HISTORY_FIELD_NUMBER: _ClassVar[int]
    scaling: Scaling
    history: _containers.RepeatedCompositeFieldContainer[ScalingSpan]
    def __init__(self, scaling: _Optional[_Union[Scaling, _Mapping]] = ..., history: _Optional[_Iterable[_Union[ScalingSpan, _Mapping]]] = ...) -> None: ...

class Happening(_message.Message):
    __slots__ = ("at_ms", "turn", "kind", "is_fact", "subject", "text", "cause")
    AT_MS_FIELD_NUMBER: _ClassVar[int]
    TURN_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    IS_FACT_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    CAUSE_FIELD_NUMBER: _ClassVar[int]
    at_ms: int
    turn: int
    kind: str
    is_fact: bool
    subject: str
    text: str
    cause: str
    def __init__(self, at_ms: _Optional[int] = ..., turn: _Optional[int] = ..., kind: _Optional[str] = ..., is_fact: bool = ..., subject: _Optional[str] = ..., text: _Optional[str] = ..., cause: _Optional[str] = ...) -> None: ...

class ListEventsRequest(_message.Message):
    __slots__ = ("kind", "id", "limit", "before")
    KIND_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    BEFORE_FIELD_NUMBER: _ClassVar[int]
    kind: str
    id: str
    limit: int
    before: int
    def __init__(self, kind: _Optional[str] = ..., id: _Optional[str] = ..., limit: _Optional[int] = ..., before: _Optional[int] = ...) -> None: ...

class ListEventsResponse(_message.Message):
    __slots__ = ("events", "before", "first_turn", "first_at_ms")
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    BEFORE_FIELD_NUMBER: _ClassVar[int]
    FIRST_TURN_FIELD_NUMBER: _ClassVar[int]
    FIRST_AT_MS_FIELD_NUMBER: _ClassVar[int]
    events: _containers.RepeatedCompositeFieldContainer[Happening]
    before: int
    first_turn: int
    first_at_ms: int
    def __init__(self, events: _Optional[_Iterable[_Union[Happening, _Mapping]]] = ..., before: _Optional[int] = ..., first_turn: _Optional[int] = ..., first_at_ms: _Optional[int] = ...) -> None: ...

class GetImageRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetResultRequest(_message.Message):
    __slots__ = ("task",)
    TASK_FIELD_NUMBER: _ClassVar[int]
    task: str
    def __init__(self, task: _Optional[str] = ...) -> None: ...

class Worker(_message.Message):
    __slots__ = ("id", "slice", "host", "address", "state", "cordoned", "offers", "committed", "tasks")
    ID_FIELD_NUMBER: _ClassVar[int]
    SLICE_FIELD_NUMBER: _ClassVar[int]
    HOST_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    CORDONED_FIELD_NUMBER: _ClassVar[int]
    OFFERS_FIELD_NUMBER: _ClassVar[int]
    COMMITTED_FIELD_NUMBER: _ClassVar[int]
    TASKS_FIELD_NUMBER: _ClassVar[int]
    id: str
    slice: str
    host: int
    address: str
    state: str
    cordoned: bool
    offers: Resources
    committed: Resources
    tasks: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, id: _Optional[str] = ..., slice: _Optional[str] = ..., host: _Optional[int] = ..., address: _Optional[str] = ..., state: _Optional[str] = ..., cordoned: bool = ..., offers: _Optional[_Union[Resources, _Mapping]] = ..., committed: _Optional[_Union[Resources, _Mapping]] = ..., tasks: _Optional[_Iterable[str]] = ...) -> None: ...

class Slice(_message.Message):
    __slots__ = ("id", "group", "zone", "state", "workers", "requested_at_ms", "ready_at_ms", "live", "why")
    ID_FIELD_NUMBER: _ClassVar[int]
    GROUP_FIELD_NUMBER: _ClassVar[int]
    ZONE_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    WORKERS_FIELD_NUMBER: _ClassVar[int]
    REQUESTED_AT_MS_FIELD_NUMBER: _ClassVar[int]
    READY_AT_MS_FIELD_NUMBER: _ClassVar[int]
    LIVE_FIELD_NUMBER: _ClassVar[int]
    WHY_FIELD_NUMBER: _ClassVar[int]
    id: str
    group: str
    zone: str
    state: str
    workers: _containers.RepeatedScalarFieldContainer[str]
    requested_at_ms: int
    ready_at_ms: int
    live: int
    why: str
    def __init__(self, id: _Optional[str] = ..., group: _Optional[str] = ..., zone: _Optional[str] = ..., state: _Optional[str] = ..., workers: _Optional[_Iterable[str]] = ..., requested_at_ms: _Optional[int] = ..., ready_at_ms: _Optional[int] = ..., live: _Optional[int] = ..., why: _Optional[str] = ...) -> None: ...

class Group(_message.Message):
    __slots__ = ("name", "accelerator_type", "min_slices", "max_slices", "slices", "scaling")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ACCELERATOR_TYPE_FIELD_NUMBER: _ClassVar[int]
    MIN_SLICES_FIELD_NUMBER: _ClassVar[int]
    MAX_SLICES_FIELD_NUMBER: _ClassVar[int]
    SLICES_FIELD_NUMBER: _ClassVar[int]
    SCALING_FIELD_NUMBER: _ClassVar[int]
    name: str
    accelerator_type: str
    min_slices: int
    max_slices: int
    slices: _containers.RepeatedCompositeFieldContainer[Count]
    scaling: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, name: _Optional[str] = ..., accelerator_type: _Optional[str] = ..., min_slices: _Optional[int] = ..., max_slices: _Optional[int] = ..., slices: _Optional[_Iterable[_Union[Count, _Mapping]]] = ..., scaling: _Optional[_Iterable[str]] = ...) -> None: ...

class ListWorkersRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListWorkersResponse(_message.Message):
    __slots__ = ("workers",)
    WORKERS_FIELD_NUMBER: _ClassVar[int]
    workers: _containers.RepeatedCompositeFieldContainer[Worker]
    def __init__(self, workers: _Optional[_Iterable[_Union[Worker, _Mapping]]] = ...) -> None: ...

class DrainWorkerRequest(_message.Message):
    __slots__ = ("worker", "resume")
    WORKER_FIELD_NUMBER: _ClassVar[int]
    RESUME_FIELD_NUMBER: _ClassVar[int]
    worker: str
    resume: bool
    def __init__(self, worker: _Optional[str] = ..., resume: bool = ...) -> None: ...

class DrainWorkerResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Vm(_message.Message):
    __slots__ = ("id", "slice", "host", "group", "zone", "slice_state", "worker", "attempts", "heard_at_ms", "why")
    ID_FIELD_NUMBER: _ClassVar[int]
    SLICE_FIELD_NUMBER: _ClassVar[int]
    HOST_FIELD_NUMBER: _ClassVar[int]
    GROUP_FIELD_NUMBER: _ClassVar[int]
    ZONE_FIELD_NUMBER: _ClassVar[int]
    SLICE_STATE_FIELD_NUMBER: _ClassVar[int]
    WORKER_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    HEARD_AT_MS_FIELD_NUMBER: _ClassVar[int]
    WHY_FIELD_NUMBER: _ClassVar[int]
    id: str
    slice: str
    host: int
    group: str
    zone: str
    slice_state: str
    worker: Worker
    attempts: _containers.RepeatedCompositeFieldContainer[Attempt]
    heard_at_ms: int
    why: str
    def __init__(self, id: _Optional[str] = ..., slice: _Optional[str] = ..., host: _Optional[int] = ..., group: _Optional[str] = ..., zone: _Optional[str] = ..., slice_state: _Optional[str] = ..., worker: _Optional[_Union[Worker, _Mapping]] = ..., attempts: _Optional[_Iterable[_Union[Attempt, _Mapping]]] = ..., heard_at_ms: _Optional[int] = ..., why: _Optional[str] = ...) -> None: ...

class ListVmsRequest(_message.Message):
    __slots__ = ("slice",)
    SLICE_FIELD_NUMBER: _ClassVar[int]
    slice: str
    def __init__(self, slice: _Optional[str] = ...) -> None: ...

class ListVmsResponse(_message.Message):
    __slots__ = ("vms", "now_ms")
    VMS_FIELD_NUMBER: _ClassVar[int]
    NOW_MS_FIELD_NUMBER: _ClassVar[int]
    vms: _containers.RepeatedCompositeFieldContainer[Vm]
    now_ms: int
    def __init__(self, vms: _Optional[_Iterable[_Union[Vm, _Mapping]]] = ..., now_ms: _Optional[int] = ...) -> None: ...

class ReadVmLogRequest(_message.Message):
    __slots__ = ("vm", "most_bytes")
    VM_FIELD_NUMBER: _ClassVar[int]
    MOST_BYTES_FIELD_NUMBER: _ClassVar[int]
    vm: str
    most_bytes: int
    def __init__(self, vm: _Optional[str] = ..., most_bytes: _Optional[int] = ...) -> None: ...

class ListSlicesRequest(_message.Message):
    __slots__ = ("group",)
    GROUP_FIELD_NUMBER: _ClassVar[int]
    group: str
    def __init__(self, group: _Optional[str] = ...) -> None: ...

class ListSlicesResponse(_message.Message):
    __slots__ = ("slices",)
    SLICES_FIELD_NUMBER: _ClassVar[int]
    slices: _containers.RepeatedCompositeFieldContainer[Slice]
    def __init__(self, slices: _Optional[_Iterable[_Union[Slice, _Mapping]]] = ...) -> None: ...

class TerminateSliceRequest(_message.Message):
    __slots__ = ("request_id", "slice")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    SLICE_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    slice: str
    def __init__(self, request_id: _Optional[str] = ..., slice: _Optional[str] = ...) -> None: ...

class TerminateSliceResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class CreateSliceRequest(_message.Message):
    __slots__ = ("request_id", "group", "keep_ms")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    GROUP_FIELD_NUMBER: _ClassVar[int]
    KEEP_MS_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    group: str
    keep_ms: int
    def __init__(self, request_id: _Optional[str] = ..., group: _Optional[str] = ..., keep_ms: _Optional[int] = ...) -> None: ...

class CreateSliceResponse(_message.Message):
    __slots__ = ("slice",)
    SLICE_FIELD_NUMBER: _ClassVar[int]
    slice: str
    def __init__(self, slice: _Optional[str] = ...) -> None: ...

class GetStatusRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetStatusResponse(_message.Message):
    __slots__ = ("version", "started_at_ms", "now_ms", "turns", "groups", "workers", "jobs", "recovered_turns", "recovery_ms", "dashboard_port", "no_dashboard")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    STARTED_AT_MS_FIELD_NUMBER: _ClassVar[int]
    NOW_MS_FIELD_NUMBER: _ClassVar[int]
    TURNS_FIELD_NUMBER: _ClassVar[int]
    GROUPS_FIELD_NUMBER: _ClassVar[int]
    WORKERS_FIELD_NUMBER: _ClassVar[int]
    JOBS_FIELD_NUMBER: _ClassVar[int]
    RECOVERED_TURNS_FIELD_NUMBER: _ClassVar[int]
    RECOVERY_MS_FIELD_NUMBER: _ClassVar[int]
    DASHBOARD_PORT_FIELD_NUMBER: _ClassVar[int]
    NO_DASHBOARD_FIELD_NUMBER: _ClassVar[int]
    version: str
    started_at_ms: int
    now_ms: int
    turns: int
    groups: _containers.RepeatedCompositeFieldContainer[Group]
    workers: int
    jobs: int
    recovered_turns: int
    recovery_ms: int
    dashboard_port: int
    no_dashboard: str
    def __init__(self, version: _Optional[str] = ..., started_at_ms: _Optional[int] = ..., now_ms: _Optional[int] = ..., turns: _Optional[int] = ..., groups: _Optional[_Iterable[_Union[Group, _Mapping]]] = ..., workers: _Optional[int] = ..., jobs: _Optional[int] = ..., recovered_turns: _Optional[int] = ..., recovery_ms: _Optional[int] = ..., dashboard_port: _Optional[int] = ..., no_dashboard: _Optional[str] = ...) -> None: ...

class HasBlobRequest(_message.Message):
    __slots__ = ("sha256",)
    SHA256_FIELD_NUMBER: _ClassVar[int]
    sha256: str
    def __init__(self, sha256: _Optional[str] = ...) -> None: ...

class HasBlobResponse(_message.Message):
    __slots__ = ("present",)
    PRESENT_FIELD_NUMBER: _ClassVar[int]
    present: bool
    def __init__(self, present: bool = ...) -> None: ...

class PutBlobRequest(_message.Message):
    __slots__ = ("content",)
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    content: bytes
    def __init__(self, content: _Optional[bytes] = ...) -> None: ...

class PutBlobResponse(_message.Message):
    __slots__ = ("sha256",)
    SHA256_FIELD_NUMBER: _ClassVar[int]
    sha256: str
    def __init__(self, sha256: _Optional[str] = ...) -> None: ...

class GetBlobRequest(_message.Message):
    __slots__ = ("sha256",)
    SHA256_FIELD_NUMBER: _ClassVar[int]
    sha256: str
    def __init__(self, sha256: _Optional[str] = ...) -> None: ...

class Chunk(_message.Message):
    __slots__ = ("content",)
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    content: bytes
    def __init__(self, content: _Optional[bytes] = ...) -> None: ...

class RegisterRequest(_message.Message):
    __slots__ = ("slice", "host", "incarnation", "address", "offers", "group", "zone")
    SLICE_FIELD_NUMBER: _ClassVar[int]
    HOST_FIELD_NUMBER: _ClassVar[int]
    INCARNATION_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    OFFERS_FIELD_NUMBER: _ClassVar[int]
    GROUP_FIELD_NUMBER: _ClassVar[int]
    ZONE_FIELD_NUMBER: _ClassVar[int]
    slice: str
    host: int
    incarnation: str
    address: str
    offers: Resources
    group: str
    zone: str
    def __init__(self, slice: _Optional[str] = ..., host: _Optional[int] = ..., incarnation: _Optional[str] = ..., address: _Optional[str] = ..., offers: _Optional[_Union[Resources, _Mapping]] = ..., group: _Optional[str] = ..., zone: _Optional[str] = ...) -> None: ...

class RegisterResponse(_message.Message):
    __slots__ = ("worker", "refusal", "orphan_timeout_ms")
    WORKER_FIELD_NUMBER: _ClassVar[int]
    REFUSAL_FIELD_NUMBER: _ClassVar[int]
    ORPHAN_TIMEOUT_MS_FIELD_NUMBER: _ClassVar[int]
    worker: str
    refusal: str
    orphan_timeout_ms: int
    def __init__(self, worker: _Optional[str] = ..., refusal: _Optional[str] = ..., orphan_timeout_ms: _Optional[int] = ...) -> None: ...

class Report(_message.Message):
    __slots__ = ("task", "attempt", "state", "cause", "detail")
    TASK_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    CAUSE_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    task: str
    attempt: int
    state: str
    cause: str
    detail: str
    def __init__(self, task: _Optional[str] = ..., attempt: _Optional[int] = ..., state: _Optional[str] = ..., cause: _Optional[str] = ..., detail: _Optional[str] = ...) -> None: ...

class ShutdownRequest(_message.Message):
    __slots__ = ("give_back",)
    GIVE_BACK_FIELD_NUMBER: _ClassVar[int]
    give_back: bool
    def __init__(self, give_back: bool = ...) -> None: ...

class ShutdownResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ReconcileRequest(_message.Message):
    __slots__ = ("worker", "incarnation", "reports", "acted_on", "known", "notice")
    WORKER_FIELD_NUMBER: _ClassVar[int]
    INCARNATION_FIELD_NUMBER: _ClassVar[int]
    REPORTS_FIELD_NUMBER: _ClassVar[int]
    ACTED_ON_FIELD_NUMBER: _ClassVar[int]
    KNOWN_FIELD_NUMBER: _ClassVar[int]
    NOTICE_FIELD_NUMBER: _ClassVar[int]
    worker: str
    incarnation: str
    reports: _containers.RepeatedCompositeFieldContainer[Report]
    acted_on: int
    known: int
    notice: str
    def __init__(self, worker: _Optional[str] = ..., incarnation: _Optional[str] = ..., reports: _Optional[_Iterable[_Union[Report, _Mapping]]] = ..., acted_on: _Optional[int] = ..., known: _Optional[int] = ..., notice: _Optional[str] = ...) -> None: ...

class Wanted(_message.Message):
    __slots__ = ("task", "attempt", "rank", "stop", "grace_ms", "spec", "launch", "token", "coordinator", "hosts", "seen")
    TASK_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    RANK_FIELD_NUMBER: _ClassVar[int]
    STOP_FIELD_NUMBER: _ClassVar[int]
    GRACE_MS_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    LAUNCH_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    COORDINATOR_FIELD_NUMBER: _ClassVar[int]
    HOSTS_FIELD_NUMBER: _ClassVar[int]
    SEEN_FIELD_NUMBER: _ClassVar[int]
    task: str
    attempt: int
    rank: int
    stop: bool
    grace_ms: int
    spec: JobSpec
    launch: bytes
    token: str
    coordinator: str
    hosts: _containers.RepeatedScalarFieldContainer[str]
    seen: bool
    def __init__(self, task: _Optional[str] = ..., attempt: _Optional[int] = ..., rank: _Optional[int] = ..., stop: bool = ..., grace_ms: _Optional[int] = ..., spec: _Optional[_Union[JobSpec, _Mapping]] = ..., launch: _Optional[bytes] = ..., token: _Optional[str] = ..., coordinator: _Optional[str] = ..., hosts: _Optional[_Iterable[str]] = ..., seen: bool = ...) -> None: ...

class ReconcileResponse(_message.Message):
    __slots__ = ("version", "attempts", "unknown", "token", "execs")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    UNKNOWN_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    EXECS_FIELD_NUMBER: _ClassVar[int]
    version: int
    attempts: _containers.RepeatedCompositeFieldContainer[Wanted]
    unknown: bool
    token: int
    execs: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, version: _Optional[int] = ..., attempts: _Optional[_Iterable[_Union[Wanted, _Mapping]]] = ..., unknown: bool = ..., token: _Optional[int] = ..., execs: _Optional[_Iterable[str]] = ...) -> None: ...

class PutResultRequest(_message.Message):
    __slots__ = ("task", "attempt", "content")
    TASK_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    task: str
    attempt: int
    content: bytes
    def __init__(self, task: _Optional[str] = ..., attempt: _Optional[int] = ..., content: _Optional[bytes] = ...) -> None: ...

class PutResultResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class AppendLogRequest(_message.Message):
    __slots__ = ("task", "attempt", "offset", "content", "lost")
    TASK_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    LOST_FIELD_NUMBER: _ClassVar[int]
    task: str
    attempt: int
    offset: int
    content: bytes
    lost: int
    def __init__(self, task: _Optional[str] = ..., attempt: _Optional[int] = ..., offset: _Optional[int] = ..., content: _Optional[bytes] = ..., lost: _Optional[int] = ...) -> None: ...

class AppendLogResponse(_message.Message):
    __slots__ = ("next",)
    NEXT_FIELD_NUMBER: _ClassVar[int]
    next: int
    def __init__(self, next: _Optional[int] = ...) -> None: ...

class ReadLogRequest(_message.Message):
    __slots__ = ("task", "attempt", "offset", "follow", "tail_bytes", "from_attempt", "tail_lines")
    TASK_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    FOLLOW_FIELD_NUMBER: _ClassVar[int]
    TAIL_BYTES_FIELD_NUMBER: _ClassVar[int]
    FROM_ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    TAIL_LINES_FIELD_NUMBER: _ClassVar[int]
    task: str
    attempt: int
    offset: int
    follow: bool
    tail_bytes: int
    from_attempt: int
    tail_lines: int
    def __init__(self, task: _Optional[str] = ..., attempt: _Optional[int] = ..., offset: _Optional[int] = ..., follow: bool = ..., tail_bytes: _Optional[int] = ..., from_attempt: _Optional[int] = ..., tail_lines: _Optional[int] = ...) -> None: ...

class LogChunk(_message.Message):
    __slots__ = ("attempt", "offset", "content", "end")
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    attempt: int
    offset: int
    content: bytes
    end: bool
    def __init__(self, attempt: _Optional[int] = ..., offset: _Optional[int] = ..., content: _Optional[bytes] = ..., end: bool = ...) -> None: ...

class Terminal(_message.Message):
    __slots__ = ("rows", "columns")
    ROWS_FIELD_NUMBER: _ClassVar[int]
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    rows: int
    columns: int
    def __init__(self, rows: _Optional[int] = ..., columns: _Optional[int] = ...) -> None: ...

class ExecStart(_message.Message):
    __slots__ = ("task", "command", "tty", "term", "attempt")
    TASK_FIELD_NUMBER: _ClassVar[int]
    COMMAND_FIELD_NUMBER: _ClassVar[int]
    TTY_FIELD_NUMBER: _ClassVar[int]
    TERM_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    task: str
    command: _containers.RepeatedScalarFieldContainer[str]
    tty: bool
    term: str
    attempt: int
    def __init__(self, task: _Optional[str] = ..., command: _Optional[_Iterable[str]] = ..., tty: bool = ..., term: _Optional[str] = ..., attempt: _Optional[int] = ...) -> None: ...

class ExecInput(_message.Message):
    __slots__ = ("start", "content", "end", "terminal")
    START_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    TERMINAL_FIELD_NUMBER: _ClassVar[int]
    start: ExecStart
    content: bytes
    end: bool
    terminal: Terminal
    def __init__(self, start: _Optional[_Union[ExecStart, _Mapping]] = ..., content: _Optional[bytes] = ..., end: bool = ..., terminal: _Optional[_Union[Terminal, _Mapping]] = ...) -> None: ...

class ExecOutput(_message.Message):
    __slots__ = ("id", "out", "err", "exit", "trouble", "accepted")
    ID_FIELD_NUMBER: _ClassVar[int]
    OUT_FIELD_NUMBER: _ClassVar[int]
    ERR_FIELD_NUMBER: _ClassVar[int]
    EXIT_FIELD_NUMBER: _ClassVar[int]
    TROUBLE_FIELD_NUMBER: _ClassVar[int]
    ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    id: str
    out: bytes
    err: bytes
    exit: int
    trouble: str
    accepted: int
    def __init__(self, id: _Optional[str] = ..., out: _Optional[bytes] = ..., err: _Optional[bytes] = ..., exit: _Optional[int] = ..., trouble: _Optional[str] = ..., accepted: _Optional[int] = ...) -> None: ...

class Endpoint(_message.Message):
    __slots__ = ("id", "name", "address", "job", "task", "rank", "attempt", "registered_at_ms", "renewed_at_ms", "secret")
    ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    JOB_FIELD_NUMBER: _ClassVar[int]
    TASK_FIELD_NUMBER: _ClassVar[int]
    RANK_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    REGISTERED_AT_MS_FIELD_NUMBER: _ClassVar[int]
    RENEWED_AT_MS_FIELD_NUMBER: _ClassVar[int]
    SECRET_FIELD_NUMBER: _ClassVar[int]
    id: str
    name: str
    address: str
    job: str
    task: str
    rank: int
    attempt: int
    registered_at_ms: int
    renewed_at_ms: int
    secret: str
    def __init__(self, id: _Optional[str] = ..., name: _Optional[str] = ..., address: _Optional[str] = ..., job: _Optional[str] = ..., task: _Optional[str] = ..., rank: _Optional[int] = ..., attempt: _Optional[int] = ..., registered_at_ms: _Optional[int] = ..., renewed_at_ms: _Optional[int] = ..., secret: _Optional[str] = ...) -> None: ...

class RegisterEndpointRequest(_message.Message):
    __slots__ = ("task", "attempt", "name", "address")
    TASK_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    task: str
    attempt: int
    name: str
    address: str
    def __init__(self, task: _Optional[str] = ..., attempt: _Optional[int] = ..., name: _Optional[str] = ..., address: _Optional[str] = ...) -> None: ...

class RegisterEndpointResponse(_message.Message):
    __slots__ = ("id", "secret", "renew_every_ms")
    ID_FIELD_NUMBER: _ClassVar[int]
    SECRET_FIELD_NUMBER: _ClassVar[int]
    RENEW_EVERY_MS_FIELD_NUMBER: _ClassVar[int]
    id: str
    secret: str
    renew_every_ms: int
    def __init__(self, id: _Optional[str] = ..., secret: _Optional[str] = ..., renew_every_ms: _Optional[int] = ...) -> None: ...

class RenewEndpointsRequest(_message.Message):
    __slots__ = ("task", "attempt", "endpoints")
    TASK_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    ENDPOINTS_FIELD_NUMBER: _ClassVar[int]
    task: str
    attempt: int
    endpoints: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, task: _Optional[str] = ..., attempt: _Optional[int] = ..., endpoints: _Optional[_Iterable[str]] = ...) -> None: ...

class RenewEndpointsResponse(_message.Message):
    __slots__ = ("unknown",)
    UNKNOWN_FIELD_NUMBER: _ClassVar[int]
    unknown: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, unknown: _Optional[_Iterable[str]] = ...) -> None: ...

class WithdrawEndpointsRequest(_message.Message):
    __slots__ = ("task", "attempt", "endpoints")
    TASK_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    ENDPOINTS_FIELD_NUMBER: _ClassVar[int]
    task: str
    attempt: int
    endpoints: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, task: _Optional[str] = ..., attempt: _Optional[int] = ..., endpoints: _Optional[_Iterable[str]] = ...) -> None: ...

class WithdrawEndpointsResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListEndpointsRequest(_message.Message):
    __slots__ = ("job", "tree", "names", "secrets", "known", "wait_ms")
    JOB_FIELD_NUMBER: _ClassVar[int]
    TREE_FIELD_NUMBER: _ClassVar[int]
    NAMES_FIELD_NUMBER: _ClassVar[int]
    SECRETS_FIELD_NUMBER: _ClassVar[int]
    KNOWN_FIELD_NUMBER: _ClassVar[int]
    WAIT_MS_FIELD_NUMBER: _ClassVar[int]
    job: str
    tree: bool
    names: _containers.RepeatedScalarFieldContainer[str]
    secrets: bool
    known: int
    wait_ms: int
    def __init__(self, job: _Optional[str] = ..., tree: bool = ..., names: _Optional[_Iterable[str]] = ..., secrets: bool = ..., known: _Optional[int] = ..., wait_ms: _Optional[int] = ...) -> None: ...

class ListEndpointsResponse(_message.Message):
    __slots__ = ("endpoints", "mark")
    ENDPOINTS_FIELD_NUMBER: _ClassVar[int]
    MARK_FIELD_NUMBER: _ClassVar[int]
    endpoints: _containers.RepeatedCompositeFieldContainer[Endpoint]
    mark: int
    def __init__(self, endpoints: _Optional[_Iterable[_Union[Endpoint, _Mapping]]] = ..., mark: _Optional[int] = ...) -> None: ...
