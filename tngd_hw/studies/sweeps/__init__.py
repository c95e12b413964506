"""``tngd-hw study``: one quantity swept, every finished cell kept in one file, tables and figures of the result."""
