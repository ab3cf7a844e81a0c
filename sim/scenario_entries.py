"""From the form of `workload:` to entries: what a task needs, when jobs come, what rows mean."""

from dataclasses import replace
from pathlib import Path
from typing import Final, NamedTuple

from iris.core import topology
from iris.core.instant import Instant, Millis
from iris.core.spec import MAX_REPLICAS, Band, Constraint, ConstraintOp
from iris.problems import one_of, shown
from sim.dice import Constant
from sim.model import (
    Arrivals,
    Checkpoint,
    Entry,
    JobTemplate,
    Trace,
    TraceUnit,
    UserFailures,
)
from sim.scenario_cluster import Checked, Where
from sim.scenario_models import (
    ColumnsForm,
    EntryForm,
    ResourcesForm,
    ScenarioForm,
    TraceForm,
)
from sim.traces import COLUMNS, WIDTH_COLUMNS, BadTrace, TraceJobs, read_header, read_jobs

_BANDS: Final = {
    "production": Band.PRODUCTION,
    "interactive": Band.INTERACTIVE,
    "batch": Band.BATCH,
}
_DEFAULT_CPU: Final = 1_000
_DEFAULT_MEMORY: Final = 1 << 30
# A trace of processors says nothing of memory, nor one of GPUs of cpus: they must not decide where
# its jobs fit, but a task that needs nothing at all would fit endlessly often.
_TRACE_CPU: Final = 1
_TRACE_MEMORY: Final = 1_000_000
_USUAL_GPUS: Final = 8
_MOST_BURST: Final = 1_000_000


class _Accelerator(NamedTuple):
    name: str | None
    chips: int


def entries(form: ScenarioForm, checked: Checked) -> tuple[Entry, ...]:
    """The workload; what is wrong with an entry is noted, and the entry left out."""
    found: list[Entry] = []
    for index, entry in enumerate(form.workload):
        before = checked.count
        at = ("workload", index)
        made = _entry(entry, at, checked, is_ended=form.duration is not None)
        if made is not None and entry.parent is not None:
            made = _below(made, entry.parent, found, (*at, "parent"), checked)
        if made is not None and checked.count == before:
            found.append(made)
    return tuple(found)


def _below(entry: Entry, parent: str, before: list[Entry], at: Where, checked: Checked) -> Entry:
    """The entry with its jobs below those of another, which stands before it in the file."""
    each = entry.per_parent or 1
    drawn = {
        one.template.entry: one.template
        for one in before
        if one.trace is None and one.template.user == entry.template.user
    }
    above = drawn.get(parent)
    if above is None or entry.trace is not None:
        user = shown(entry.template.user)
        message = (
            f"{shown(parent)} is no earlier entry of user {user} with `arrivals` or `per_parent`"
        )
        checked.wrong(at, message, "job N is submitted by job N of such an entry; a trace has none")
        return entry
    higher = ((name, number * each) for name, number in above.above)
    whole = replace(entry.template, above=(*higher, (above.entry, each)))
    return replace(entry, template=whole)


def _entry(form: EntryForm, at: Where, checked: Checked, *, is_ended: bool) -> Entry | None:
    if form.trace is not None:
        return _traced_entry(form, form.trace, at, checked)
    accelerator = _accelerator(form.resources, (*at, "resources"), checked)
    template = _template(form, accelerator, _DEFAULT_CPU, _DEFAULT_MEMORY)
    _check_need(template, at, checked)
    _check_gang(template, (template.replicas,), (*at, "replicas"), checked)
    assert form.run_time is not None, form.name
    run_time = form.run_time.made()
    if form.per_parent is not None:
        after = Constant(Millis(0)) if form.after is None else form.after.made()
        return Entry(template, None, None, None, run_time, form.per_parent, after)
    arrivals = _arrivals(form, at, checked, is_ended=is_ended)
    return Entry(template, arrivals, None, form.count, run_time)


def _arrivals(form: EntryForm, at: Where, checked: Checked, *, is_ended: bool) -> Arrivals:
    when = form.arrivals
    assert when is not None, form.name
    if when.at is not None:
        return _listed(form, tuple(Instant(time) for time in when.at), at, checked)
    if form.count is None and not is_ended:
        message = f"entry {shown(form.name)} never ends"
        checked.wrong(at, message, "give it a `count`, or the scenario a `duration`")
    if when.every == 0 and form.count is None:
        message = "endlessly many jobs at one instant"
        checked.wrong((*at, "arrivals", "every"), message, "give a `count`, or a longer time")
    if when.poisson is not None:
        return Arrivals(poisson_mean=when.poisson.rate)
    return Arrivals(every=when.every)


def _listed(form: EntryForm, times: tuple[Instant, ...], at: Where, checked: Checked) -> Arrivals:
    """The instants in order; a single one takes all jobs that the entry counts."""
    count = len(times) if form.count is None else form.count
    if len(times) == 1 and 1 < count <= _MOST_BURST:
        times *= count
    if count > len(times):
        message = f"{count} jobs, but {len(times)} instants in `arrivals.at`"
        checked.wrong((*at, "count"), message, "list as many instants, or use `every`")
    return Arrivals(at=tuple(sorted(times)))


def _traced_entry(form: EntryForm, trace: TraceForm, at: Where, checked: Checked) -> Entry | None:
    try:
        return _read_entry(form, trace, at, checked)
    except BadTrace as error:
        checked.trace(error, (*at, "trace", "file"))
        return None


def _read_entry(form: EntryForm, trace: TraceForm, at: Where, checked: Checked) -> Entry | None:
    columns = form.columns or trace.columns or ColumnsForm()
    file = checked.folder / trace.file
    layout = _format(trace, file, at, checked)
    if layout is None:
        return None
    wanted = form.as_ or trace.as_
    unit, names = _columns(layout, file, columns, TraceUnit(wanted) if wanted else None, checked)
    if layout == "swf" and columns != ColumnsForm():
        checked.wrong((*at, "trace"), "an swf file has fixed columns", "remove `columns`")
    _check_row_decides(form, unit, at, checked)
    accelerator = _accelerator(form.resources, (*at, "resources"), checked)
    if unit is TraceUnit.GPU:
        accelerator = _gpu_of_trace(accelerator, at, checked)
    is_sized = unit is TraceUnit.REPLICAS
    template = _template(
        form,
        accelerator,
        _DEFAULT_CPU if is_sized else _TRACE_CPU,
        _DEFAULT_MEMORY if is_sized else _TRACE_MEMORY,
    )
    made = Trace(
        file=file,
        format=layout,
        unit=unit,
        columns=names,
        gpus_per_task=_gpus_per_task(form, trace, accelerator, checked),
        time_scale=trace.time_scale,
        limit=trace.limit,
    )
    rows = read_jobs(made)
    _check_need(template, at, checked)
    _check_gang(template, _widths(rows, made, template), (*at, "coscheduled"), checked)
    return Entry(template, None, made, form.count, None)


def _format(trace: TraceForm, file: Path, at: Where, checked: Checked) -> str | None:
    if trace.format is not None:
        return trace.format
    for layout in ("swf", "csv"):
        if file.name.removesuffix(".gz").endswith(f".{layout}"):
            return layout
    message = f"the name of {file.name} does not tell its format"
    checked.wrong((*at, "trace"), message, "add `format: swf` or `format: csv`")
    return None


def _columns(
    layout: str, file: Path, form: ColumnsForm, wanted: TraceUnit | None, checked: Checked
) -> tuple[TraceUnit, dict[str, str]]:
    """What a row's number stands for, and the file's own names of the columns to read.

    The entry's `as` decides; without one the name of the column does, where the cluster has GPUs.
    """
    if layout == "swf":
        return wanted or TraceUnit.CPU, {}
    renamed = form.model_dump(exclude_none=True)
    names = {name: str(renamed.get(name, name)) for name in COLUMNS}
    header = read_header(file)
    there = [unit for unit, name in WIDTH_COLUMNS.items() if names[name] in header]
    source = wanted if wanted in there else next(iter(there), wanted or TraceUnit.CPU)
    unit = wanted or source
    if wanted is None and unit is TraceUnit.GPU and not checked.gpus():
        unit = TraceUnit.CPU
    chosen = {name: names[name] for name in ("submit_s", "duration_s")}
    chosen[WIDTH_COLUMNS[unit]] = names[WIDTH_COLUMNS[source]]
    if "user" in renamed or "user" in header:
        chosen["user"] = names["user"]
    return unit, chosen


def _check_row_decides(form: EntryForm, unit: TraceUnit, at: Where, checked: Checked) -> None:
    """The entry must not say what each row of its trace says."""
    if form.replicas is not None:
        message = "the rows of the trace say how many tasks a job has"
        checked.wrong((*at, "replicas"), message, "remove `replicas`")
    if unit is TraceUnit.CPU and form.resources.cpu is not None:
        message = "the rows of the trace say how many cpus a task needs"
        hint = "remove it, or write `as: replicas`"
        checked.wrong((*at, "resources", "cpu"), message, hint)


def _gpu_of_trace(accelerator: _Accelerator, at: Where, checked: Checked) -> _Accelerator:
    """The GPU that the rows need: the entry's own, else the only one that the cluster has."""
    where = (*at, "resources")
    if accelerator.name is not None and topology.tpu_type(accelerator.name) is not None:
        checked.wrong((*where, "tpu"), "the rows of the trace need GPUs", "write `gpu: TYPE`")
    if accelerator.name is not None:
        return accelerator
    gpus = checked.gpus()
    if len(gpus) != 1:
        message = f"the cluster has {len(gpus)} types of GPU: {', '.join(gpus) or 'none'}"
        checked.wrong(where, message, "say which one: `resources: {gpu: TYPE}`")
        return accelerator
    return _Accelerator(next(iter(gpus)), 0)


def _gpus_per_task(
    form: EntryForm, trace: TraceForm, accelerator: _Accelerator, checked: Checked
) -> int:
    said = form.gpus_per_task or trace.gpus_per_task
    if said is not None:
        return said
    gpu = form.resources.gpu
    if gpu is not None and ":" in gpu and accelerator.chips:
        return accelerator.chips
    return checked.gpus().get(accelerator.name or "", _USUAL_GPUS)


def _widths(rows: TraceJobs, trace: Trace, template: JobTemplate) -> tuple[int, ...]:
    """The numbers of tasks that jobs of the trace have."""
    if trace.unit is not TraceUnit.REPLICAS or not template.coscheduled:
        return ()
    return tuple(width // 1000 for width in sorted(dict.fromkeys(rows.width_milli)))


def _template(
    form: EntryForm, accelerator: _Accelerator, cpu_milli: int, memory: int
) -> JobTemplate:
    need = form.resources
    return JobTemplate(
        entry=form.name,
        user=form.user,
        band=_BANDS[form.band],
        replicas=form.replicas or 1,
        coscheduled=form.coscheduled,
        cpu_milli=cpu_milli if need.cpu is None else need.cpu,
        memory=memory if need.memory is None else need.memory,
        disk=need.disk,
        accelerator=accelerator.name,
        chips=accelerator.chips,
        constraints=tuple(
            Constraint(one.key, ConstraintOp(one.op), tuple(one.values), one.soft)
            for one in form.constraints
        ),
        max_retries_failure=form.max_retries_failure,
        max_retries_preemption=form.max_retries_preemption,
        scheduling_timeout=form.scheduling_timeout,
        timeout=form.timeout,
        launch=form.launch.made(),
        checkpoint=_checkpoint(form),
        failures=_failures(form),
        serves=form.serves,
        waits=form.waits,
    )


def _checkpoint(form: EntryForm) -> Checkpoint | None:
    saved = form.checkpoint
    if saved is None:
        return None
    return Checkpoint(saved.every, saved.restore, saved.cost, saved.on_notice)


def _failures(form: EntryForm) -> UserFailures | None:
    failing = form.failures
    if failing is None:
        return None
    at = None if failing.at is None else failing.at.made()
    return UserFailures(failing.probability, at, failing.out_of_memory)


def _accelerator(form: ResourcesForm, at: Where, checked: Checked) -> _Accelerator:
    if form.tpu is not None:
        tpu = topology.tpu_type(form.tpu)
        if tpu is None:
            hint = _nearest(form.tpu)
            checked.wrong((*at, "tpu"), f"there is no TPU type {shown(form.tpu)}", hint)
            return _Accelerator(None, 0)
        return _Accelerator(tpu.name, tpu.host.chips)
    return _gpu(form.gpu, (*at, "gpu"), checked) if form.gpu is not None else _Accelerator(None, 0)


def _nearest(name: str) -> str:
    try:
        topology.resolve(name)
    except topology.UnknownAccelerator as error:
        return f"did you mean {' or '.join(error.nearest)}?"
    return f"write `gpu: {name}` for a GPU; TPU types are spelled as v5litepod-16"


def _gpu(text: str, at: Where, checked: Checked) -> _Accelerator:
    """`H100:8`, or `H100` for one."""
    spelled, _, number = text.partition(":")
    name = topology.gpu_name(spelled)
    count = int(number) if number.isdecimal() and len(number) < 4 else 0 if ":" in text else 1
    if name is None:
        hint = f"{one_of(spelled, topology.known_gpus())} write it as TYPE:N"
        checked.wrong(at, f"there is no GPU {shown(spelled)}", hint)
    elif not 1 <= count <= topology.MOST_GPUS:
        hint = f"write {name}:N, with N from 1 to {topology.MOST_GPUS}"
        checked.wrong(at, f"{shown(text)} is no number of GPUs for a task", hint)
    return _Accelerator(name, count)


def _check_need(template: JobTemplate, at: Where, checked: Checked) -> None:
    if not (template.cpu_milli or template.memory or template.disk or template.chips):
        checked.wrong((*at, "resources"), "a task that needs nothing", "give it a cpu or memory")


def _check_gang(
    template: JobTemplate, replicas: tuple[int, ...], at: Where, checked: Checked
) -> None:
    """A gang on a TPU has one task on each host of one slice."""
    most = max(replicas, default=0)
    if most > MAX_REPLICAS:
        message = f"{most} tasks in one job"
        checked.wrong(at, message, f"write at most {MAX_REPLICAS}, and more jobs")
        return
    tpu = topology.tpu_type(template.accelerator or "")
    if tpu is None or not template.coscheduled:
        return
    for count in replicas:
        if count != tpu.hosts:
            message = f"a gang of {count} on {tpu.name}, which has {tpu.hosts} hosts"
            checked.wrong(at, message, _fitting(tpu, count))
            return


def _fitting(tpu: topology.TpuType, count: int) -> str:
    alike = (topology.tpu_type(name) for name in topology.known_tpu_types())
    fitting = [one.name for one in alike if one and one.family == tpu.family and one.hosts == count]
    other = f", or `tpu: {fitting[-1]}`, which has {count}" if fitting else ""
    return f"write `replicas: {tpu.hosts}`{other}"
