"""What a history means: pure functions from the entries of logs to state, and from state to status and recognition.

The federation answers with these, an auditor checks its answers with these; neither has rules of its own.
"""
