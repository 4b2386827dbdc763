"""Results as report.json and the formats made from it."""
