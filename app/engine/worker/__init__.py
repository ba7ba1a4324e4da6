"""The engine child: no Qt, no storage; only core and the protocol."""
