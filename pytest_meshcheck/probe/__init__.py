"""The program at both ends of every connection: it sends, answers as scripted, and keeps a ledger."""
