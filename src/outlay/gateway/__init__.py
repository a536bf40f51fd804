"""The gateway: every client's calls on their way to the providers, metered and limited in line.

It passes each provider's own API through, byte for byte, and uses the SDK's codecs, events and
limits. It owns who calls, which upstream takes the call, whose turn it is, and the relaying. It
translates no vendor's wire into another's, opens no address that its configuration does not
declare, and keeps no content.
"""
