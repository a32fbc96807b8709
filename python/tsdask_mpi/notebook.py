"""Run a notebook cell by cell and save it after each: the client's rank starts this file in place of a script.

The one argument is a JSON object: `notebook` and `output` (absolute paths), `parameters` (pairs of a name and its
text), `raw` (pairs that stay text), `kernel` (a kernel spec's name, or null for this Python), `allow_errors`, `grace`
and `start_timeout` (seconds), and `messages`, the texts of failures with `{problem}` to be filled in. It ends with the
code that a script would have ended with.
"""

from __future__ import annotations

import sys

if __name__ == "__main__" and not getattr(sys.flags, "safe_path", False):
    # Modules are those of the environment: the folder of this file holds none.
    del sys.path[0]

import asyncio
import json
import os
import re
import shutil
import signal
import subprocess
import time
import warnings
from contextlib import suppress
from importlib.util import find_spec
from typing import Any, NamedTuple

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from tsdask_mpi.notebook_kernel import end_of, kernel_of, sockets_folder
from tsdask_mpi.notebook_text import add_error, inject, is_variable, join_streams, typed, visible, write

del sys.path[0]

USAGE = 64
# A cell that runs for long is saved while it runs, no more often than this (seconds), nor for more than a tenth of the
# time.
SAVE_EVERY = 1.0
SAVE_SHARE = 10
LAST_WORDS = 4000
# What a cell has put out may come long behind its end (seconds): whoever reads stdout may be slow, and all is shown
# before more is taken. Our own kernel loses nothing, and its end ends the waiting; another one may have lost what says
# that nothing more comes, as ZeroMQ drops what goes beyond a queue's thousand messages.
OUTPUTS_WITHIN = 30 * 86_400
OUTPUTS_WITHIN_OTHERS = 300
ANSI = re.compile(r"\x1b\[[0-9;]*m")


class Request(NamedTuple):
    """What the command line asked for."""

    notebook: str
    output: str
    parameters: list[tuple[str, str]]
    raw: list[tuple[str, str]]
    kernel: str | None
    allow_errors: bool
    grace: float
    start_timeout: float
    messages: dict[str, str]


class Stop(Exception):
    """The notebook is over before its end, with this exit code."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


def main() -> int:
    """Execute the notebook that the first argument describes; return the exit code."""
    request = Request(**json.loads(sys.argv[1]))
    missing = [
        name
        for name in ("nbclient", "nbformat", *(() if request.kernel else ("ipykernel",)))
        if find_spec(name) is None
    ]
    if missing:
        say(request.messages["missing"], " and ".join(missing))
        return USAGE
    # Old notebooks lack what new versions of nbformat ask for; neither they nor its own imports concern the reader.
    warnings.simplefilter("ignore")
    try:
        return asyncio.run(Run(request).all())
    except Stop as stop:
        return stop.code


def say(message: str, problem: str) -> None:
    """Write one of our own failures on stderr."""
    show(sys.stderr, visible(message.replace("{problem}", problem)) + "\n")


def show(stream: Any, text: str) -> None:
    """Write and flush; who reads no longer (`| head`) does not end the notebook."""
    with suppress(OSError, ValueError):
        stream.buffer.write(text.encode("utf-8", "backslashreplace"))
        stream.flush()


class Run:
    """One execution of a notebook."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.notebook: Any = None
        self.client: Any = None
        self.stop = asyncio.Event()
        self.signal: int | None = None
        self.running: Any = None
        self.last_words = b""
        self.unsaved = False
        # Why the last save failed; empty where it did not.
        self.problem = ""
        self.has_warned = False
        self.exits = False
        self.save_took = 0.0
        self.tasks: set[asyncio.Task[Any]] = set()
        self.color = sys.stderr.isatty()

    async def all(self) -> int:
        """Read, execute and save; return the exit code."""
        self.read()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self.told, number)
        folder = sockets_folder()
        try:
            await self.start(folder)
            if not self.save(is_first=True):
                self.refuse(self.problem)
            saver = asyncio.ensure_future(self.save_now_and_then())
            try:
                code = await self.cells()
            except Stop as stop:
                code = stop.code
            finally:
                saver.cancel()
            self.client.set_widgets_metadata()
            if not self.save():
                self.tell(f"{self.problem}: it lacks what came since it was last saved")
                code = code or 1
            await self.end(now=code != 0)
            return code
        finally:
            await self.end(now=True)
            shutil.rmtree(folder, ignore_errors=True)

    def read(self) -> None:
        """Read the notebook, clear what earlier runs left in it, and put the parameters in."""
        import nbformat

        try:
            # Editors of Windows put a byte order mark first.
            with open(self.request.notebook, encoding="utf-8-sig") as file:
                self.notebook = nbformat.reads(file.read(), as_version=4)
        except Exception as error:
            self.refuse(f"{type(error).__name__}: {error}")
        for cell in self.notebook.cells:
            if cell.cell_type == "code":
                cell.outputs = []
                cell.execution_count = None
        parameters = {name: typed(text) for name, text in self.request.parameters} | dict(self.request.raw)
        for name in parameters:
            if not is_variable(name):
                self.refuse(f"{name!r} cannot be a parameter: it is no name of a Python variable")
        if parameters:
            for name in inject(self.notebook, parameters):
                show(sys.stderr, f'tsdask-mpi: the cell tagged "parameters" has no {name}\n')
        if not any(cell.cell_type == "code" and cell.source.strip() for cell in self.notebook.cells):
            show(sys.stderr, "tsdask-mpi: the notebook has no code to run\n")

    def refuse(self, problem: str) -> None:
        """End with a message about the notebook's file or what goes with it."""
        say(self.request.messages["unusable"], problem)
        raise Stop(USAGE)

    async def start(self, folder: str) -> None:
        """Start the kernel, its sockets in this folder."""
        try:
            manager, language = kernel_of(self.request.kernel, folder)
        except LookupError as error:
            self.refuse(str(error))
        if (self.request.parameters or self.request.raw) and language.lower() != "python":
            self.refuse(f"parameters are put in as Python, and the kernel {self.request.kernel!r} speaks {language}")
        self.client = self.make_client(manager)
        # The debugger, which nobody attaches here, would warn on stderr.
        env = {**os.environ, "PYDEVD_DISABLE_FILE_VALIDATION": "1"}
        ready = asyncio.ensure_future(self.start_kernel(env))
        await self.or_stop(ready)
        if not ready.done():
            ready.cancel()
            raise Stop(self.stopped_code())
        if ready.exception() is not None:
            self.died(f"it did not start: {ready.exception()}")

    async def start_kernel(self, env: dict[str, str]) -> None:
        """Start the kernel's process and connect to it."""
        # ipykernel repeats there what the processes of a cell put out, which comes as the cell's output too.
        reading, writing = os.pipe()
        os.set_blocking(reading, False)
        asyncio.get_running_loop().add_reader(reading, self.keep_words, reading)
        try:
            await self.client.async_start_new_kernel(env=env, stdout=subprocess.DEVNULL, stderr=writing)
        finally:
            os.close(writing)
        self.client.kc = self.client.km.client()
        # Outputs beyond a thousand would be dropped where they come faster than they are shown (zmq_setsockopt(3)).
        self.client.kc.context.rcvhwm = 0
        self.client.kc.start_channels()
        self.client.kc.allow_stdin = False
        await self.client.kc.wait_for_ready(timeout=self.request.start_timeout)
        about = await self.client.async_wait_for_reply(await self.ask_about())
        if about is not None and "language_info" in about["content"]:
            self.notebook.metadata["language_info"] = about["content"]["language_info"]

    async def ask_about(self) -> str:
        """Ask the kernel what language it speaks, which belongs into the notebook; return the question's id."""
        from jupyter_client.utils import ensure_async

        return str(await ensure_async(self.client.kc.kernel_info()))

    def keep_words(self, source: int) -> None:
        """Read the kernel's own stderr; its last words are shown should it die."""
        with suppress(BlockingIOError):
            words = os.read(source, 65536)
            self.last_words = (self.last_words + words)[-LAST_WORDS:]
            if not words:
                asyncio.get_running_loop().remove_reader(source)
                os.close(source)

    def make_client(self, manager: Any) -> Any:
        """Return nbclient's client, which shows and notes what cells put out."""
        from nbclient import NotebookClient

        run = self

        class Client(NotebookClient):
            """Shows what comes, and keeps it in few pieces."""

            def process_message(self, msg: Any, cell: Any, cell_index: int) -> Any:
                kind = msg["msg_type"]
                result = super().process_message(msg, cell, cell_index)
                if kind in ("stream", "execute_result", "display_data", "error", "update_display_data", "clear_output"):
                    run.unsaved = True
                    run.show_output(kind, msg["content"])
                join_streams(cell.outputs)
                return result

        path = os.path.dirname(self.request.notebook)
        client = Client(
            self.notebook,
            km=manager,
            timeout=None,
            iopub_timeout=OUTPUTS_WITHIN_OTHERS if self.request.kernel else OUTPUTS_WITHIN,
            raise_on_iopub_timeout=True,
            allow_errors=self.request.allow_errors,
            resources={"metadata": {"path": path}},
        )
        client.on_cell_executed = self.replied
        return client

    def replied(self, *, execute_reply: Any, **_: Any) -> None:
        """Note whether a cell has asked for the end, as `exit()` and `quit()` do: its kernel is about to end."""
        payload = ((execute_reply or {}).get("content") or {}).get("payload") or []
        self.exits = self.exits or any(one.get("source") == "ask_exit" for one in payload)

    def show_output(self, kind: str, content: Any) -> None:
        """Show an output of a cell as it comes: stdout and results on stdout, stderr and errors on stderr."""
        if kind == "stream":
            show(sys.stderr if content["name"] == "stderr" else sys.stdout, content["text"])
        elif kind == "error":
            text = "\n".join(content["traceback"]) or f"{content['ename']}: {content['evalue']}"
            show(sys.stderr, (text if self.color else ANSI.sub("", text)) + "\n")
        elif kind in ("execute_result", "display_data") and "text/plain" in content["data"]:
            show(sys.stdout, content["data"]["text/plain"] + "\n")

    async def cells(self) -> int:
        """Execute all cells, saving after each; return the exit code."""
        from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

        for index, cell in enumerate(self.notebook.cells):
            self.running = cell if cell.cell_type == "code" else None
            task = asyncio.ensure_future(self.client.async_execute_cell(cell, index))
            await self.or_stop(task)
            if not task.done():
                await asyncio.wait({task}, timeout=self.request.grace / 2)
            if not task.done():
                task.cancel()
                await asyncio.wait({task})
            error = None if task.cancelled() else task.exception()
            if isinstance(error, DeadKernelError) and self.signal is None:
                problem, code = await end_of(self.client.km)
                add_error(cell, "DeadKernelError", f"The kernel ended while this cell ran: {problem}")
                self.save()
                self.died(problem, code, index)
            self.save()
            if self.signal is not None:
                return self.stopped_code()
            if isinstance(error, CellExecutionError):
                return self.failed(index, error)
            if isinstance(error, CellTimeoutError):
                where = f"cell {index + 1} of {len(self.notebook.cells)}"
                self.tell(
                    f"{where} has ended, and the kernel did not say that all of its outputs came; some may be lost"
                )
                return 1
            if error is not None:
                raise error
            if self.exits:
                return 0
        return 0

    def failed(self, index: int, error: Any) -> int:
        """Return the exit code of a notebook with an error in it; `sys.exit(3)` is one with 3."""
        name, value = getattr(error, "ename", ""), getattr(error, "evalue", "")
        if name == "SystemExit":
            return 0 if value in ("", "None") else int(value) & 0xFF if re.fullmatch(r"-?\d+", value) else 1
        where = "" if self.problem else f"; what came so far is in {self.request.output}"
        self.tell(f"cell {index + 1} of {len(self.notebook.cells)} failed{where}")
        return 1

    def tell(self, text: str) -> None:
        """Write a line of ours on stderr."""
        show(sys.stderr, f"tsdask-mpi: {visible(text)}\n")

    async def or_stop(self, task: asyncio.Future[Any]) -> None:
        """Wait until the task is done, or a signal has come."""
        stopping = asyncio.ensure_future(self.stop.wait())
        await asyncio.wait({task, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()

    def told(self, number: int) -> None:
        """
        Take a signal: what is there is saved at once, since what sent it may be in a hurry, and the cell is
        interrupted.
        """
        if self.signal is not None:
            return
        self.signal = number
        self.stop.set()
        manager = None if self.client is None else self.client.km
        if manager is None or not manager.has_kernel:
            return
        if number != signal.SIGINT:
            if self.running is not None:
                why = "the job's time is over, or it was ended from outside"
                add_error(self.running, "Terminated", f"This cell was ended by {signal.Signals(number).name}: {why}")
            self.save()
        task = asyncio.ensure_future(manager.interrupt_kernel())
        self.tasks.add(task)

    def stopped_code(self) -> int:
        """Return the exit code of what a signal ended."""
        return 128 + (self.signal or 0)

    def died(self, problem: str, code: int = 1, index: int | None = None) -> None:
        """End with a message about a kernel that is gone."""
        if code != 128 + signal.SIGKILL:
            show(sys.stderr, self.last_words.decode(errors="replace"))
        say(
            self.request.messages["kernel"],
            problem if index is None else f"{problem}, in cell {index + 1} of {len(self.notebook.cells)}",
        )
        raise Stop(code)

    def save(self, *, is_first: bool = False) -> bool:
        """
        Write the notebook with the outputs that it has; return whether that was possible. The first failure behind the
        first save is said: a later save may succeed, and the cells' work goes on until then.
        """
        import nbformat

        began = time.monotonic()
        self.unsaved = False
        self.problem = ""
        try:
            write(self.request.output, nbformat.writes(self.notebook) + "\n")
        except OSError as error:
            self.unsaved = True
            self.problem = f"{self.request.output} cannot be written: {error.strerror}"
        self.save_took = time.monotonic() - began
        if self.problem and not is_first and not self.has_warned:
            self.has_warned = True
            self.tell(f"warning: {self.problem}; the notebook goes on, and each further save tries again")
        return not self.problem

    async def save_now_and_then(self) -> None:
        """Save what a long cell has put out, while it runs."""
        while True:
            await asyncio.sleep(max(SAVE_EVERY, self.save_took * SAVE_SHARE))
            if self.unsaved:
                self.save()

    async def end(self, *, now: bool) -> None:
        """End the kernel: in order, or at once."""
        manager = None if self.client is None else self.client.km
        if manager is None:
            return
        if self.client.kc is not None:
            self.client.kc.stop_channels()
        if manager.has_kernel:
            with suppress(RuntimeError):
                await manager.shutdown_kernel(now=now)
        await manager.cleanup_resources()
        self.client.km = None


if __name__ == "__main__":
    status = main()
    # Threads of the connection to a kernel that is gone must not hold the exit.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
