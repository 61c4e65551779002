"""The accounts of a controller: opened at its start, made and deleted while it runs.

With main.py the only file that knows every room. What is to become of an account is written into
its folder before anything happens, so that a start after kill -9 finishes it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Final

from shoal_controller.blobgateway import BlobStore, StorageAccount
from shoal_controller.blobs import AccountBlobs
from shoal_controller.clock import Clock
from shoal_controller.config import Config
from shoal_controller.core.account import ACCOUNT_NAME, Account, Quotas, check_account_name
from shoal_controller.core.errors import Refused, Unavailable
from shoal_controller.fleet import Fleet
from shoal_controller.links.registry import Registry
from shoal_controller.loops import (
    applications,
    driver,
    jobs,
    jobschedules,
    liveness,
    pools,
    scheduling,
)
from shoal_controller.operations.context import Context
from shoal_controller.providers.local import LocalProvider, remove_tree
from shoal_controller.store import accounts
from shoal_controller.store.accounts import STATE_FILE, Decided

log = logging.getLogger(__name__)

RESERVE_BYTES: Final = 32 << 20
"""Of the disk, for each account: twice what its log holds, which has to go where it belongs."""


class Tenancy:
    """Every account with its store, its storage, its nodes and its loops, by name.

    contexts, storage   change while the controller runs; others look names up at each use
    """

    def __init__(
        self,
        config: Config,
        clock: Clock,
        registry: Registry,
        public_url: str,
        storage_url: str,
        agents_url: str,
    ) -> None:
        """
        public_url, storage_url   where clients reach the API and storage
        agents_url   where agents of local nodes dial, unless the configuration says
        """
        self.contexts: dict[str, Context] = {}
        self.storage: dict[str, StorageAccount] = {}
        self.fleets: dict[str, Fleet] = {}
        self._config = config
        self._clock = clock
        self._registry = registry
        self._public_url = public_url
        self._storage_url = storage_url
        self._agents_url = config.local.controller_url or agents_url
        self._folder = config.data / "accounts"
        self._stacks: dict[str, contextlib.AsyncExitStack] = {}
        self._changing = asyncio.Lock()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Open all accounts for as long as the context lasts; finish deletions first.

        raises  BadConfig when what an account's folder holds cannot be used
        """
        for aside in accounts.set_aside_before(self._folder):
            await asyncio.to_thread(remove_tree, aside)
        decided = accounts.decided_by_name(self._folder)
        for name in [name for name, known in decided.items() if known.is_deleting]:
            await self._erase(name)
        wanted = {
            name for name, known in decided.items() if known.is_made and not known.is_deleting
        }
        try:
            for name in sorted(wanted | self._config.accounts.keys()):
                await self._open(name)
            if not self.contexts:
                log.warning("there is no account yet: `shoal account create NAME` makes one")
            yield
        finally:
            for name in reversed(list(self._stacks)):
                await self._close(name)

    def secret_of(self, name: str) -> str:
        """Return a fresh node key of an account."""
        return self.fleets[name].new_secret()

    # --- by command -------------------------------------------------------------------------------

    async def create(self, name: str, quotas: Mapping[str, int]) -> Account:
        """Make an account; return it with its fresh keys.

        raises  Refused: ResourceAlreadyExists, or InvalidPropertyValue for what is no name
        """
        check_account_name(name)
        async with self._changing:
            if (self._folder / name).exists():
                raise Refused(
                    "ResourceAlreadyExists", Reason=f"There is an account '{name}', or its folder."
                )
            with _disk():
                decided = Decided(is_made=True, quotas=dict(quotas))
                await asyncio.to_thread(accounts.save_decided, self._folder / name, decided)
                await self._open(name)
        log.info("account %s was made", name)
        return self.contexts[name].account

    async def delete(self, name: str) -> None:
        """Remove an account with its nodes, jobs and storage; return when nothing is left.

        raises  Refused: ResourceNotFound, or OperationInvalidForCurrentState where the
                configuration names it
        """
        async with self._changing:
            folder = self._folder / name
            is_name = ACCOUNT_NAME.fullmatch(name) is not None
            if name not in self.contexts and not (is_name and _is_deleting(folder)):
                raise Refused("ResourceNotFound", Reason=f"There is no account '{name}'.")
            if name in self._config.accounts:
                raise Refused(
                    "OperationInvalidForCurrentState",
                    Reason=f"controller.toml names account '{name}', so that the next start would "
                    "make it again; remove it there and start the controller anew first.",
                )
            with _disk():
                if name in self.contexts:
                    decided = accounts.load_decided(folder)
                    decided.is_deleting = True
                    await asyncio.to_thread(accounts.save_decided, folder, decided)
                    log.info("account %s is being deleted", name)
                    await self._close(name)
                await self._erase(name)

    # --- one account ------------------------------------------------------------------------------

    async def _open(self, name: str) -> None:
        async with contextlib.AsyncExitStack() as stack:
            account = await asyncio.to_thread(self._account, name)
            store = await BlobStore.open(self._folder / name / "blobs", self._clock)
            stack.push_async_callback(store.close)
            ctx = self._context(account, store)
            stack.push_async_callback(ctx.close)
            provider = self._provider(name)
            ends = self._config.local.end_with_controller
            stack.push_async_callback(provider.close, end_nodes=ends)
            await provider.start()
            fleet = Fleet(name, provider)
            await fleet.delete_unknown(ctx.index.node_by_id)
            stack.push_async_callback(self._end_loops, self._start_loops(ctx, fleet))

            def put(account: Account) -> None:
                self.storage[name] = StorageAccount(account.storage_keys, store)

            ctx.on_account.append(put)
            put(ctx.account)
            self.contexts[name] = ctx
            self.fleets[name] = fleet
            self._stacks[name] = stack.pop_all()

    async def _close(self, name: str) -> None:
        """Let nobody in any more, then end what runs, from the outside in."""
        for held in (self.contexts, self.storage, self.fleets):
            held.pop(name)
        for serial in [link.ref.serial for link in self._registry if link.ref.account == name]:
            self._registry.forget(name, serial)
        await self._stacks.pop(name).aclose()

    async def _erase(self, name: str) -> None:
        """Remove what is left of an account that is closed; harmless when part of it is gone."""
        nodes = self._config.data / "nodes" / name
        if nodes.exists():
            provider = self._provider(name)
            for found in (await provider.list()).values():
                await provider.delete(found.node_id, found.state)
            await asyncio.to_thread(remove_tree, nodes)
        if (self._folder / name).exists():
            aside = await asyncio.to_thread(accounts.set_aside, self._folder / name)
            await asyncio.to_thread(remove_tree, aside)
        log.info("account %s is gone", name)

    def _account(self, name: str) -> Account:
        folder = self._folder / name
        held = accounts.load_secrets(folder)
        settings = self._config.accounts.get(name)
        fixed = {} if settings is None else settings.fixed_quotas
        quotas = Quotas(**{**accounts.load_decided(folder).quotas, **fixed})
        return Account(name, held.batch, quotas, held.storage, held.seal, frozenset(fixed))

    def _context(self, account: Account, store: BlobStore) -> Context:
        name = account.name
        ctx = Context(
            account,
            self._folder / name / STATE_FILE,
            self._clock,
            self._registry.of(name),
            public_url=self._public_url,
            limits=self._config.scheduling.limits,
            reserve_bytes=RESERVE_BYTES,
            blobs=AccountBlobs(name, store, self._storage_url, lambda: ctx.account.storage_keys[0]),
        )
        return ctx

    def _provider(self, name: str) -> LocalProvider:
        local, tls = self._config.local, self._config.tls
        settings: dict[str, int | str] = {
            "disk_reserved_percent": local.disk_reserved_percent,
            "disk_reserved_bytes_max": local.disk_reserved_bytes_max,
        }
        if tls is not None and tls.trusted is not None:
            settings["ca_file"] = str(tls.trusted)
        return LocalProvider(
            self._config.data / "nodes" / name, self._agents_url, settings=settings
        )

    def _start_loops(self, ctx: Context, fleet: Fleet) -> list[asyncio.Task[None]]:
        loops = (
            *(scheduling.LOOP, jobs.LOOP, jobschedules.LOOP),
            *(liveness.LOOP, applications.LOOP),
            pools.loop(fleet),
        )
        return [
            asyncio.create_task(driver.run(ctx, loop), name=f"{loop.name} {ctx.account.name}")
            for loop in loops
        ]

    async def _end_loops(self, running: list[asyncio.Task[None]]) -> None:
        for task in running:
            task.cancel()
        await asyncio.wait(running)


def _is_deleting(folder: Path) -> bool:
    return folder.exists() and accounts.load_decided(folder).is_deleting


@contextlib.contextmanager
def _disk() -> Iterator[None]:
    try:
        yield
    except OSError as err:
        raise Unavailable(f"an account's folder cannot be changed: {err.strerror or err}") from err
