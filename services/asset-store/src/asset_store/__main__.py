"""`python -m asset_store`: the asset store as a process of its own, set up by `ASSETS_…` and `ATELIER_…`."""

from asset_store.config import AssetStoreSettings
from asset_store.main import NAME, AssetStore
from kit.service import serve

if __name__ == "__main__":
    serve(AssetStoreSettings(), AssetStore, name=NAME, package="asset_store")
