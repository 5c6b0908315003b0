"""Who may ask what: host names, tokens and sessions, origins of forms."""
