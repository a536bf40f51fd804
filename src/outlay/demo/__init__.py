"""The demo: provider SDKs metered per tenant against a provider simulator that keeps its own bill.

Four processes: the server, the simulator, the application and the one that runs them. The
simulator bills by its own arithmetic, so that the metered totals can be proved against it.
Nothing here is used by the product itself.
"""
