"""The orchestrator plus HTTP: webhooks, REST and live pages on one port. It executes nothing itself."""
