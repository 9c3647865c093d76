"""The only SQL: engines, tables, and one module of queries per noun. Nothing here commits."""
