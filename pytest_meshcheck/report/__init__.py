"""Results on paper: report.json, and what is made from it."""
