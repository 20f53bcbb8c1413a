"""Every provider this adapter has code for: one folder, one line in `known_providers`."""

from provider_adapter.config import ProviderSettings
from provider_adapter.providers.local.pool import EnginePool
from provider_adapter.providers.local.provider import LocalProvider
from provider_adapter.usecases.roster import Known


def known_providers(settings: ProviderSettings) -> list[Known]:
    """Return them all, configured or not. Raises ValueError for settings that cannot work."""
    return [
        Known(name=LocalProvider.name, capabilities=LocalProvider.capabilities, provider=_local(settings)),
    ]


def _local(settings: ProviderSettings) -> LocalProvider | None:
    if settings.engine_workers == 0:
        return None
    pool = EnginePool(workers=settings.engine_workers, memory_bytes_max=settings.engine_memory_mib * 1024**2)
    return LocalProvider(pool, timeout_s=settings.engine_timeout_s)
