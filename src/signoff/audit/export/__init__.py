"""Receipts in the words of other people's tools: OCSF events and OpenTelemetry log records."""
