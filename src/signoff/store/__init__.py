"""The durable state: one SQL schema, written by one thread, read by anyone allowed to."""
