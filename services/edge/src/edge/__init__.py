"""HTTP in, gRPC out: the public REST contracts."""
