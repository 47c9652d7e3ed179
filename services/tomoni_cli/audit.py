"""`tomoni audit`: take a jurisdiction's history from anywhere, prove it, and trust nobody but a verifier key."""

from cyclopts import App

app = App(name="audit", help="Take a history into a folder, prove it complete and unaltered, and prove its entries.")
