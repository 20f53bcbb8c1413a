"""`python -m asset_store`: the asset store as a process of its own, set up by `ASSETS_…` and `ATELIER_…`."""

from kit.service import serve

from asset_store.config import AssetStoreSettings
from asset_store.main import NAME, AssetStore

if __name__ == "__main__":
    serve(AssetStoreSettings(), AssetStore, name=NAME, package="asset_store")
