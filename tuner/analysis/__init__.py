"""Evidence from a study: importance, tables, reports and exports.

Pure functions over the wire format: plain JSON data in, plain data out. No SQL, no HTTP, no clock.
Only `page` loads plotly and only `importance` loads scikit-learn.
"""
