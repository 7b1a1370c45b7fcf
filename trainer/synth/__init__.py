"""Training documents with their truth: receipts and passports that no person ever owned."""
