"""Sans-I/O codecs: provider bytes in, a `Reading` out.

They do no I/O, know no clock and no environment, keep no text of prompts or completions, and never
raise on what a provider or a stranger sends. Shared by the guest and the gateway.
"""
