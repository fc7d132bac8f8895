"""Machines on this computer: simulated Intel TDX hardware, and a launcher that measures what it starts.

Three processes, from the outside in:

    client      ``LocalProvider``: makes the machine's directory, starts the machine, connects to its guest
    machine     ``python -m assay.providers.local.machine``: the simulated hardware and the launcher, in a
                session of its own; outlives the client, ends itself and the guest at the deadline
    guest       the agent, from the measured image, in a sandbox without network; knows neither keys nor files
                of the two others

The launch protocol, between machine and guest
----------------------------------------------
The *image* is a zip of the agent's own sources in a sealed memfd; the SHA-384 of exactly these bytes is MRTD.
The guest's interpreter runs that memfd::

    python -I -S /proc/self/fd/IMAGE --dependencies PATH --listen-fd N --device-fd N --config-fd N
           --isolation NAME --storage PATH

* ``__main__.py`` in the image takes ``--dependencies`` (directories, joined by ``:``, that hold
  ``cryptography`` and ``rfc8785``; bound read-only and not measured), appends them to ``sys.path`` and calls
  ``assay.guest.__main__.main(argv)`` with the remaining arguments; what that returns is the exit status.
* ``--listen-fd``: a listening Unix stream socket, on which the owner's connections arrive.
* ``--device-fd``: a connected Unix stream socket to the quoting device, outside the sandbox. Each message is
  its length as unsigned 32-bit big-endian, then JSON. Requests: ``{"op": "quote", "inblob": hex of 64
  bytes}``, answered by ``{"outblob": base64, "auxblob": base64, "generation": n, "provider":
  "assay_simulator"}``; ``{"op": "extend", "index": 0..3, "digest": hex of 48 bytes}``, answered by ``{}``.
  Errors are ``{"error": code, "message": sentence}``. At most 64 KiB each way. End of file means that the
  hardware is gone: the guest exits.
* ``--config-fd``: the bytes of the ``LaunchConfig``, to be read from the start to end of file; their SHA-384
  is MRCONFIGID.
* ``--isolation``: the rung of isolation that the guest runs on: ``bubblewrap`` or ``none``.
* ``--storage``: an empty directory, 0700, for the bundle and the workload's files; a tmpfs on ``bubblewrap``.
* Standard input is empty; standard output and error go to a bounded log that only the machine's owner reads.
* The environment is ``PATH`` and ``LANG`` alone.
* ``SIGTERM``: wipe and exit within two seconds; ``SIGKILL`` follows. The guest never outlives the machine.
"""
