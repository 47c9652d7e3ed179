"""Taking a history from anywhere into a folder: from the federation's mirror, a node, or another folder."""
