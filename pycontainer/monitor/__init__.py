"""An eye on all containers: samples of their cgroups, and what is made of them.

    sample      what one container uses now, from few small files
    fleet       all containers of a state directory, sampled together; rates between two samples
    columns     what is shown of a container, its title, its form: for list, stats and top
    metrics     Prometheus text of the same, printed or served
    screen      `top`: the table, live, with curses
    activity    when a container last did something, as far as anybody has looked
    units       sizes, durations: read and written

Nothing of this is on the hot path (docs/monitoring.md).
"""
