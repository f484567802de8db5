"""Which engine answered, in words: with the options that results or speed depend on.

    transformers, float32, on the CPU
    vllm 0.32.0, bfloat16, 2 copies on 4 GPUs each
    ray: 2 replicas of transformers, float32, on the CPU, 1 core each
    openai at 10.0.0.1:8000, 10.0.0.2:8000 (2 servers), 32 calls at once of each

A request may be of an older version, with fewer options, or name an engine of somebody else's: what
it does not hold is not said.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from urllib.parse import urlsplit

from pydantic import JsonValue

from harness.records import RunRecord
from reports.figures import counted
from reports.series import chosen

_Options = Mapping[str, JsonValue]


def engine(record: RunRecord, choice: JsonValue, model: JsonValue) -> str:
    """Say which engine was chosen, and how it was set up.

    Args:
        record: The run, whose environment says on what.
        choice: The engine in the run's request, its options written out.
        model: The model that it opened, as in the request.
    """
    if choice is None:
        return "not stated"
    if chosen(choice) == "openai":
        return _openai(record, _table(choice), chosen(model))
    return _local(choice, _packages(record), _has_gpus(record))


def names(choice: JsonValue) -> Iterator[str]:
    """Name an engine, and the one that it spreads."""
    if choice is not None:
        yield chosen(choice)
        yield from names(_table(choice).get("engine"))


def hardware(record: RunRecord) -> str:
    """Say on what it ran: `8 NVIDIA H100, 64 cores, 32 threads`."""
    found = record.environment
    cards, cores, threads = found.get("gpus"), found.get("cores"), found.get("threads")
    said = []
    if isinstance(cards, list):
        counts = Counter(str(card) for card in cards)
        said += [f"{count} {card}" for card, count in counts.items()] or ["no GPU"]
    if isinstance(cores, int):
        said.append(counted(cores, "core"))
    if isinstance(threads, str) and threads.isdigit():
        said.append(counted(int(threads), "thread"))
    if not said:
        return "not recorded"
    beside = " (of the harness's own machine)" if _elsewhere(record.request.get("engine")) else ""
    return f"{', '.join(said)}{beside}"


def _elsewhere(choice: JsonValue) -> bool:
    """Tell whether the engine's models were on other machines than the one that is recorded."""
    return chosen(choice) == "openai" or bool(
        _text(_table(_table(choice).get("cluster")), "address")
    )


def _has_gpus(record: RunRecord) -> bool | None:
    """Tell whether there was a GPU; None where nobody wrote it down."""
    cards = record.environment.get("gpus")
    return bool(cards) if isinstance(cards, list) else None


def _packages(record: RunRecord) -> _Options:
    return _table(record.environment.get("packages"))


def _local(choice: JsonValue, packages: _Options, gpus: bool | None) -> str:
    """Say an engine that opens models by itself; of one that is not known here, its name."""
    name = chosen(choice)
    say = _SAID.get(name)
    return say(_table(choice), packages, gpus) if say else name


def _transformers(options: _Options, packages: _Options, gpus: bool | None) -> str:
    device = _text(options, "device")
    if _text(packages, "torch").endswith("+cpu") or device == "cpu":
        gpus = False
    places = {None: "", False: "on the CPU", True: "on a GPU"}
    place = f"on {device}" if device not in ("", "auto", "cpu") else places[gpus]
    return _joined("transformers", _precision(options, gpus), place, _template(options))


def _vllm(options: _Options, packages: _Options, gpus: bool | None) -> str:
    version = _text(packages, "vllm")
    if version.endswith("+cpu"):
        gpus = False
    copies, cards = _count(options, "replicas"), _count(options, "tensor_parallel")
    said = f"{copies:,} copies" if copies > 1 else ""
    if cards > 1 or (cards and gpus):
        shared = f"in {cards:,} processes" if gpus is False else f"on {counted(cards, 'GPU')}"
        said = f"{said} {shared} each" if said else shared
    context = _count(options, "context")
    return _joined(
        f"vllm {version}".strip(),
        _precision(options, gpus),
        "on the CPU" if gpus is False else "",
        said,
        f"context of {context:,} tokens" if context else "",
        _template(options),
    )


def _ray(options: _Options, packages: _Options, gpus: bool | None) -> str:
    cluster, inner = _table(options.get("cluster")), options.get("engine")
    address, cards = _text(cluster, "address"), cluster.get("gpus")
    if isinstance(cards, int | float):
        gpus = cards > 0
    elif address:
        gpus = None  # what the cluster has is not recorded
    replicas, cores, each = _count(options, "replicas"), cluster.get("cpus"), ""
    if gpus is False and isinstance(cores, int | float):
        each = f"{cores:g} core{'' if cores == 1 else 's'} each"
    elif gpus and isinstance(cards, int | float) and chosen(inner) != "vllm":  # which says it
        each = f"{cards:g} GPU{'' if cards == 1 else 's'} each"
    where = {"": "", "auto": "on the cluster of its machine"}.get(address, f"on cluster {address}")
    # A cluster's machines have the same versions, but builds for devices of their own.
    found = {"vllm": _text(packages, "vllm").partition("+")[0]} if address else packages
    return _joined(
        f"ray: {counted(replicas, 'replica') if replicas else 'replicas'}"
        + (f" of {_local(inner, found, gpus)}" if inner is not None else ""),
        "" if replicas else "as many as had room",
        each,
        where,
    )


_SAID: Mapping[str, Callable[[_Options, _Options, bool | None], str]] = {
    "transformers": _transformers,
    "vllm": _vllm,
    "ray": _ray,
}
"""By name, who says an engine's options, with the packages there were and whether GPUs."""


def _openai(record: RunRecord, options: _Options, model: str) -> str:
    """Say which servers were asked: those of the request, or else those that sent bills."""
    asked = options.get("base_url")
    urls = asked if isinstance(asked, list) else [asked]
    hosts = [host for url in urls if isinstance(url, str) and (host := _host(url))]
    if not hosts:
        billed = (bill.host.split(",") for bill in record.bills if bill.model == model)
        hosts = [*dict.fromkeys(host for one in billed for host in one)]
    many = f" ({len(hosts):,} servers)" if len(hosts) > 1 else ""
    effort = _text(options, "reasoning_effort")
    calls = _count(_table(options.get("calls")), "concurrency")
    speed = f"{counted(calls, 'call')} at once{' of each' if many else ''}" if calls else ""
    return _joined(
        f"openai at {', '.join(hosts)}{many}" if hosts else "openai",
        f"reasoning effort {effort}" if effort else "",
        "by the Batch API" if options.get("batch") is True else speed,
    )


def _host(url: str) -> str:
    """Find the host and its port, without what else an address may hold."""
    try:
        return urlsplit(url).netloc.rpartition("@")[2]
    except ValueError:
        return ""


def _precision(options: _Options, gpus: bool | None) -> str:
    """Name the type of the weights; `auto` is what the engines take it for."""
    said = _text(options, "dtype")
    if said != "auto":
        return said
    return {None: "", False: "float32", True: "the checkpoint's own precision"}[gpus]


def _template(options: _Options) -> str:
    template = _text(options, "chat_template")
    return f"chat template {template}" if template else ""


def _joined(*parts: str) -> str:
    return ", ".join(filter(None, parts))


def _table(value: JsonValue) -> _Options:
    return value if isinstance(value, dict) else {}


def _text(options: _Options, key: str) -> str:
    value = options.get(key)
    return value if isinstance(value, str) else ""


def _count(options: _Options, key: str) -> int:
    """Read a number of things; 0 where there is none that makes sense."""
    value = options.get(key)
    return value if isinstance(value, int) and value > 0 else 0
