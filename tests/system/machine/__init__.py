"""The parts of the state machine of `test_state_machine`: the real system in one process, its faults, and a model."""
