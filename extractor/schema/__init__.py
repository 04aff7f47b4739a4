"""Load pack folders into a validated `Catalog`; every check that needs no log is made here."""
