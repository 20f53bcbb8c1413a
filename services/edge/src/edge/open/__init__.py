"""The open contract (`/api/v1/*`): JSON in and out, errors as `{"error": "..."}` with the HTTP status that fits."""
