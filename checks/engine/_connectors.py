"""The KV connectors in a --kv-transfer-config."""

from collections.abc import Iterator

from dynocheck.core.spelling import find_slip

# Of any release of vLLM (distributed/kv_transfer/kv_connector/factory.py), and of Dynamo.
_CONNECTORS = (
    *("DecodeBenchConnector", "DynamoConnector", "ExampleConnector", "ExampleHiddenStatesConnector"),
    *("FlexKVConnectorV1", "HF3FSKVConnector", "LMCacheConnector", "LMCacheConnectorV1"),
    *("LMCacheMPConnector", "MoRIIOConnector", "MooncakeConnector", "MooncakeStoreConnector"),
    *("MultiConnector", "NixlConnector", "NixlPullConnector", "NixlPushConnector", "OffloadingConnector"),
    *("P2pNcclConnector", "PdConnector", "PyNcclConnector", "SharedStorageConnector"),
    "SimpleCPUOffloadConnector",
)


def list_connectors(config: object) -> Iterator[str]:
    """The connectors in a --kv-transfer-config, also inside another one, that name no module of their own."""
    pending = [config]
    while pending:
        part = pending.pop()
        if not isinstance(part, dict):
            continue
        connector, extra = part.get("kv_connector"), part.get("kv_connector_extra_config")
        if isinstance(connector, str) and not part.get("kv_connector_module_path"):
            yield connector
        inner = extra.get("connectors") if isinstance(extra, dict) else None
        pending += inner if isinstance(inner, list) else []


def find_misspelt_connector(config: object) -> tuple[str, str] | None:
    """A connector that is a slip away from one that there is, and that one."""
    slips = ((name, find_slip(name, _CONNECTORS)) for name in list_connectors(config))
    return next(((name, meant) for name, meant in slips if meant), None)


def find_unknown_connector(config: object) -> str | None:
    """A connector that no vLLM has and that is no slip: a plug-in may bring it."""
    names = (name for name in list_connectors(config) if not find_slip(name, _CONNECTORS))
    return next((name for name in names if name not in _CONNECTORS), None)
