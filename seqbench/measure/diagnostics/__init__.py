"""Further diagnostics, one subject a file: small classes that a card's [recording] table names."""
