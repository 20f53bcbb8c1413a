"""Double-entry ledger, holds, grants and statements."""
