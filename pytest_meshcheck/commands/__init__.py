"""The verbs of `meshcheck`, one file each."""
