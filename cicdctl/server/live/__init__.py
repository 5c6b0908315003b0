"""What grows while somebody looks: events and logs, watched once for everybody, queued for nobody."""
