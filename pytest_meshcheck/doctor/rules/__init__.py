"""The rules of the doctor, one module per topic."""
