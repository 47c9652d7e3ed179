"""Making the read model anew from the mirror beside the one that serves, and letting it take its place."""
