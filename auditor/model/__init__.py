"""Values that cross rooms. Imports msgspec and the standard library only."""
