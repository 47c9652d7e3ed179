"""The mirror: every jurisdiction's log as proven, and its verification."""
