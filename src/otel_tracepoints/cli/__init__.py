"""``otel-tracepoints``: the control API and the sink from a terminal.

    main → a command's module (loaded when it is asked for) → client → the control API
                                                            ↘ screen → stdout, stderr

Nothing here runs in the process that is debugged, and nothing of the agent is imported.
"""
