"""Groups of commands that propose the one that was nearly named."""

from __future__ import annotations

import click

from evalc.diagnostics.near import nearest


class Near(click.Group):
    """A group whose mistyped commands are told the near one."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command; one that is nearly right is proposed."""
        name, known = args[0], self.list_commands(ctx)
        meant = name in known or name.startswith("-")
        near = None if meant else nearest(name, known)
        if near:
            ctx.fail(f"No such command '{name}'. Did you mean '{near}'?")
        return super().resolve_command(ctx, args)
