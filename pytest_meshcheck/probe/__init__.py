"""The program at both ends of every connection: sends requests, answers as scripted, keeps a ledger."""
