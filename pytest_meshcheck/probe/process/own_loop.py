"""What belongs to one event loop, and would be waited for in vain in any other."""

import asyncio

WRONG_LOOP = (
    "the mesh lives in the event loop of the session, and this runs in another one, which would wait for ever: write "
    '@pytest.mark.asyncio(loop_scope="session") at the test, @pytest_asyncio.fixture(loop_scope="session") at the '
    "fixture, and no asyncio.run"
)


class WrongLoop(RuntimeError):
    """Something of the mesh was used from another event loop than the session's."""


class OwnLoop:
    """The event loop that something was made in. Needs a running one."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()

    def insist(self) -> None:
        """Raise ``WrongLoop`` in any other loop."""
        if asyncio.get_running_loop() is not self._loop:
            raise WrongLoop(WRONG_LOOP)
