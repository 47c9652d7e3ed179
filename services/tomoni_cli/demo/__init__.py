"""The demonstration: a federation and five towns on one machine, and a tour of them."""
