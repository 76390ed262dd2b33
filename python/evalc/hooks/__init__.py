"""Functions of the user's repository, in child processes of their own (docs/architecture.md).

Empty, because the child imports this package too and has to start fast.
"""
