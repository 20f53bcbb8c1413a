"""The front door over gRPC: clients, credentials, admission, webhooks out."""
