"""What two or more services share: settings, logging, RPC, errors, events, database, lifecycle, safe outgoing HTTP."""
