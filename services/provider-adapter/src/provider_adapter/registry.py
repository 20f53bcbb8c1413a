"""Every provider this adapter can call: the built-in engine, and what the operator's file names.

An adapter's module is imported only when the file names its kind: a worker that calls one vendor carries no other.
"""

import importlib
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from kit.web import WallPolicy, WebClient
from provider_adapter.config import ProviderSettings
from provider_adapter.providers.local.pool import EnginePool
from provider_adapter.providers.local.provider import LocalProvider
from provider_adapter.providers.remote.options import RemoteOptions, explain, read_file
from provider_adapter.providers.remote.results import Results
from provider_adapter.usecases.roster import Known

#: Kinds, and at the same time modules below `provider_adapter.providers`, each with `Options` (a `RemoteOptions`) and
#: `build(options, results)`.
KINDS: Final = ("a1111", "ark", "comfyui", "evolink", "fal", "jimeng", "openai", "replicate", "suchuang")


def known_providers(settings: ProviderSettings) -> list[Known]:
    """Return them all. Raises ValueError for settings that cannot work."""
    local = Known(name=LocalProvider.name, capabilities=LocalProvider.capabilities, provider=_local(settings))
    if not settings.file:
        return [local]
    policy = WallPolicy(allow=WallPolicy.parse_allow(settings.allow_private_targets))
    remote = [_remote(entry, policy, number) for number, entry in enumerate(read_file(Path(settings.file)))]
    names = [known.name for known in (local, *remote)]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"PROVIDERS_FILE: the name {name!r} is given twice")
    return [local, *remote]


def _local(settings: ProviderSettings) -> LocalProvider | None:
    if settings.engine_workers == 0:
        return None
    pool = EnginePool(workers=settings.engine_workers, memory_bytes_max=settings.engine_memory_mib * 1024**2)
    return LocalProvider(pool, timeout_s=settings.engine_timeout_s)


def _remote(entry: dict[str, Any], policy: WallPolicy, number: int) -> Known:
    where, kind = f"PROVIDERS_FILE: providers[{number}]", entry["kind"]
    if kind not in KINDS:
        raise ValueError(f"{where}.kind: {kind!r} is not one of {', '.join(KINDS)}")
    module = importlib.import_module(f"provider_adapter.providers.{kind}")
    try:
        options: RemoteOptions = module.Options.model_validate(entry)
    except ValidationError as error:
        raise ValueError(f"{where}.{explain(error)}") from error
    provider = module.build(options, Results(WebClient(policy)))
    return Known(
        name=options.name,
        capabilities=provider.capabilities,
        provider=provider,
        submits_per_second=options.submits_per_second,
        polls_per_second=options.polls_per_second,
    )
