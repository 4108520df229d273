"""Examines a running deployment and says what to mend. Nothing here writes."""
