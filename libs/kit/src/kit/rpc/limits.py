"""Every number of the RPC transport, with its reason."""

import json
from typing import Any, Final

Options = list[tuple[str, Any]]

MESSAGE_BYTES_MAX: Final = 4 * 1024 * 1024  # gRPC's own default, named. Bytes of pictures travel in chunks.
METADATA_BYTES_MAX: Final = 32 * 1024  # A rich status with a long Chinese message is about 8 KB, gRPC's default.

# A peer that is paused or cut off is noticed after time + timeout. All three are needed: without the ping time-out a
# call in flight is not failed. The server must allow pings a little more often than clients send them.
KEEPALIVE_TIME_MS: Final = 10_000
KEEPALIVE_TIMEOUT_MS: Final = 5_000
PING_INTERVAL_MIN_MS: Final = 8_000

# Connections are renewed so that new replicas get their share; calls on an old one may finish.
CONNECTION_AGE_MAX_MS: Final = 300_000
CONNECTION_AGE_GRACE_MS: Final = 600_000  # Longer than the longest stream or long poll that a client asks for.

RECONNECT_FIRST_MS: Final = 200
RECONNECT_MAX_MS: Final = 2_000  # A service that is back is found again within two seconds.

ATTEMPTS_MAX: Final = 4  # With the back-offs below this bridges the second that a restart takes.
BACKOFF_FIRST_S: Final = 0.1
BACKOFF_MAX_S: Final = 1.0

STREAM_BUFFER_MESSAGES: Final = 16  # In process: messages a slow reader may be behind before the writer waits.

READY_POLL_FIRST_S: Final = 0.2  # Before the service is ready for the first time; a start should not wait.
READY_POLL_S: Final = 2.0
READY_TIMEOUT_S: Final = 3.0  # A dependency that takes longer to say "here" is not ready.

HANDLERS_END_S: Final = 5.0  # What handlers' `finally` blocks get after the grace is over.


# When a client cancels while it sends, gRPC first ends the handler's request stream as if all had been sent and cancels
# the handler a moment later. The stream's end is held back this long, so that half an upload never passes for a whole.
REQUESTS_END_S: Final = 0.005


def server_options() -> Options:
    """Return the options of a real server."""
    return [
        ("grpc.so_reuseport", 0),  # Otherwise a second process binds the same port silently and steals calls.
        ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
        ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
        ("grpc.max_metadata_size", METADATA_BYTES_MAX),
        ("grpc.absolute_max_metadata_size", 2 * METADATA_BYTES_MAX),
        ("grpc.keepalive_time_ms", 2 * KEEPALIVE_TIME_MS),
        ("grpc.keepalive_timeout_ms", KEEPALIVE_TIMEOUT_MS),
        ("grpc.http2.ping_timeout_ms", KEEPALIVE_TIMEOUT_MS),
        ("grpc.http2.min_ping_interval_without_data_ms", PING_INTERVAL_MIN_MS),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.max_connection_age_ms", CONNECTION_AGE_MAX_MS),
        ("grpc.max_connection_age_grace_ms", CONNECTION_AGE_GRACE_MS),
    ]


def channel_options(*, retry: bool) -> Options:
    """Return the options of a real channel."""
    return [
        ("grpc.service_config", json.dumps(service_config(retry=retry))),
        ("grpc.enable_retries", int(retry)),
        ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
        ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
        ("grpc.max_metadata_size", METADATA_BYTES_MAX),
        ("grpc.absolute_max_metadata_size", 2 * METADATA_BYTES_MAX),
        ("grpc.keepalive_time_ms", KEEPALIVE_TIME_MS),
        ("grpc.keepalive_timeout_ms", KEEPALIVE_TIMEOUT_MS),
        ("grpc.http2.ping_timeout_ms", KEEPALIVE_TIMEOUT_MS),
        ("grpc.http2.max_pings_without_data", 0),
        ("grpc.keepalive_permit_without_calls", 0),
        ("grpc.initial_reconnect_backoff_ms", RECONNECT_FIRST_MS),
        ("grpc.max_reconnect_backoff_ms", RECONNECT_MAX_MS),
    ]


def service_config(*, retry: bool) -> dict[str, Any]:
    """Return gRPC's service config: all replicas in turn, and UNAVAILABLE tried again.

    Our RPCs may be sent twice: those that change something carry an id made before the first try.
    """
    config: dict[str, Any] = {"loadBalancingConfig": [{"round_robin": {}}]}
    if retry:
        config["methodConfig"] = [
            {
                "name": [{}],
                "retryPolicy": {
                    "maxAttempts": ATTEMPTS_MAX,
                    "initialBackoff": f"{BACKOFF_FIRST_S}s",
                    "maxBackoff": f"{BACKOFF_MAX_S}s",
                    "backoffMultiplier": 2,
                    "retryableStatusCodes": ["UNAVAILABLE"],
                },
            }
        ]
        config["retryThrottling"] = {"maxTokens": 10, "tokenRatio": 0.1}
    return config
