"""What becomes of a report: to Blob Storage, messages to people, old runs out of the way. One module a way."""
