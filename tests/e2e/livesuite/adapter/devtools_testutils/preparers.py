"""Preparers: decorators that make what a test needs, hand it over by name, and remove it."""

from __future__ import annotations

import functools
import inspect
import os
import random
import string
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

from devtools_testutils.resource_testcase import RESOURCE_GROUP_PARAM
from shoal_live.management import Management

_CHARACTERS: Final = string.ascii_lowercase + string.digits


class AzureTestError(Exception):
    """What a test needs could not be made."""


class FakeResource(NamedTuple):
    """Something of which only the name matters."""

    name: str
    id: str


def random_name(prefix: str, length: int) -> str:
    """Return a name of that length with that prefix."""
    missing = length - len(prefix)
    return prefix + "".join(random.choice(_CHARACTERS) for _ in range(missing))


def trim_kwargs_from_test_function(function: Callable[..., Any], given: dict[str, Any]) -> None:
    """Take out of `given` what a function has no parameter for."""
    if getattr(function, "is_preparer", False):
        return  # it hands on what is there
    parameters = inspect.signature(function).parameters
    if not any(one.kind is one.VAR_KEYWORD for one in parameters.values()):
        for name in [name for name in given if name not in parameters]:
            del given[name]


class AzureMgmtPreparer:
    """A decorator of tests. Subclasses make one resource and may remove it."""

    is_live = True

    def __init__(self, name_prefix: str = "", random_name_length: int = 24, **_: Any) -> None:
        self.name_prefix = name_prefix
        self.random_name_length = random_name_length
        self.moniker = name_prefix
        self.test_class_instance: Any = None
        self.client: Any = None
        self.resource: Any = None

    def create_resource(self, name: str, **given: Any) -> dict[str, Any]:
        """Make it; return what the test is given."""
        raise NotImplementedError

    def remove_resource(self, name: str, **given: Any) -> None:
        """Remove it; nothing by itself."""

    def create_mgmt_client(self, kind: type, **_: Any) -> Management:
        """Return what manages accounts here, in place of a client of that kind."""
        return Management(kind)

    @contextmanager
    def _resource(self, instance: Any, given: dict[str, Any]) -> Iterator[dict[str, Any]]:
        self.test_class_instance = instance
        name = random_name(self.name_prefix, self.random_name_length)
        made = given | self.create_resource(name, **given)
        try:
            yield made
        finally:
            self.remove_resource(name, **made)

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return the test with the resource around it."""
        wrapped = self._async(function) if _is_async(function) else self._sync(function)
        wrapped.is_preparer = True  # pyright: ignore[reportFunctionMemberAccess]
        return wrapped

    def _sync(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def run(instance: Any, **given: Any) -> Any:
            with self._resource(instance, given) as made:
                trim_kwargs_from_test_function(function, made)
                return function(instance, **made)

        return run

    def _async(self, function: Callable[..., Awaitable[Any]]) -> Callable[..., Any]:
        @functools.wraps(function)
        async def run(instance: Any, **given: Any) -> Any:
            with self._resource(instance, given) as made:
                trim_kwargs_from_test_function(function, made)
                return await function(instance, **made)

        return run


def _is_async(function: Callable[..., Any]) -> bool:
    return inspect.iscoroutinefunction(function)


class ResourceGroupPreparer(AzureMgmtPreparer):
    """Gives a resource group: a label here."""

    def __init__(self, location: str = "", **options: Any) -> None:
        super().__init__("group", **options)
        self.location = location

    def create_resource(self, name: str, **_: Any) -> dict[str, Any]:
        """Return it, and the place that it would be in."""
        return {RESOURCE_GROUP_PARAM: FakeResource(name, name), "location": self.location}


CachedResourceGroupPreparer = ResourceGroupPreparer


class StorageAccountPreparer(AzureMgmtPreparer):
    """Gives a storage account; here each Batch account has one of its own, so this is its name."""

    def __init__(self, name_prefix: str = "", location: str = "", **options: Any) -> None:
        super().__init__(name_prefix, **options)
        self.location = location

    def create_resource(self, name: str, **_: Any) -> dict[str, Any]:
        """Return it, and the key that nobody uses."""
        return {"storage_account": FakeResource(name, name), "storage_account_key": ""}


class EnvironmentVariableLoader(AzureMgmtPreparer):
    """Gives what variables of the environment say, or what stands for them in recordings."""

    def __init__(self, directory: str, **fakes: str) -> None:
        super().__init__(directory)
        self.fakes = fakes

    def create_resource(self, name: str, **_: Any) -> dict[str, Any]:
        """Return the values, by the names that the test knows them by."""
        del name
        return {key: os.environ.get(key.upper(), fake) for key, fake in self.fakes.items()}
