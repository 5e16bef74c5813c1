"""What an arm is: the settings it may have, its canonical form, its id and the seeds it derives.

Also what other rooms must agree on before anything is imported that is slow: names of settings and
metrics, the language of `where`, text that a shell reads back. Imports no other room.
Begin with `schema` (dataclasses and enums of the configuration), then `arms` (from a configuration
to an id); `checks` has what is refused.
"""
