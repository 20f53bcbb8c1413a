"""What remote providers share: options, credentials, HTTP, classes of trouble, results."""
