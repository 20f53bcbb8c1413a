"""Uploads, safe fetches, outputs, links and retention; bytes in S3 or a folder."""
