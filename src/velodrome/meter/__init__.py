"""Clock, card, machine and statistics. Knows no reinforcement learning."""
