"""A server elsewhere, looked at and told what to do as if its repository were here."""
