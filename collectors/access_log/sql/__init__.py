"""The counting of lines as SQL, from the same rules as the engine, for DuckDB and for Flink."""
