"""The bundled cells, one family a file, each a class by torch's own contract."""
