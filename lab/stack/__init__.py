"""The servers and the processes of a whole shop on this machine."""
