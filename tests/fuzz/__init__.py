"""Damaged documents: the decoder and the judges must neither fall over nor be taken in by one."""
