"""Names of config.json and the kernel's numbers for them: data, and the few lookups over it.

Nothing here opens a file of the host; whether the running kernel knows a number is asked elsewhere.
"""
