"""Track runs by their events; return what they added up, and their loops."""
