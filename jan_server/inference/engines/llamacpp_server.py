"""The child process of the built-in engine: llama.cpp's own HTTP server with one model.

    python -m jan_server.inference.engines.llamacpp_server --model FILE --alias NAME --port 8101

It ends on SIGTERM or SIGINT and, with `--tied`, when its standard input ends, which happens when whoever
started it is gone, however it went. The key of its API, if any, is in JAN_ENGINE_API_KEY.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil

from jan_server.inference.engines.llamacpp import HOST, KEY_VARIABLE
from jan_server.inference.gguf import InvalidGgufError, read_header

# What suits models so small that the built-in one is typical; a request's own values win. Without a
# penalty they repeat themselves, and hot sampling leads them astray.
TEMPERATURE = 0.2
TOP_P = 0.9
REPEAT_PENALTY = 1.1

SYSTEM_PROMPT = "You are a helpful AI assistant."
# Only for models whose file brings no template: ChatML, with a system message when there is none.
CHAT_TEMPLATE = (
    "{% if messages[0].role != 'system' %}<|im_start|>system\n" + SYSTEM_PROMPT + "<|im_end|>\n{% endif %}"
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n"
    "{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)

_PROMPT_CACHE_MIB = 256
_WARNINGS_AND_WORSE = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until asked to end, which ends the process; the answer is the exit code of a failed start."""
    options = _options(arguments)
    end = threading.Event()
    try:
        template = read_header(options.model).chat_template
    except InvalidGgufError as error:
        return _fail(str(error))
    if options.tied:
        # Before loading, which may take long: whoever waits for it may be gone by then.
        threading.Thread(target=_wait_for_end_of_input, args=(end,), daemon=True).start()
    try:
        server = _serve(options, has_template=bool(template))
    except RuntimeError:
        return _fail(
            f"llama.cpp cannot serve {options.model} on port {options.port}: the lines above say why "
            "(a damaged file, an architecture it does not know, too little memory, a busy port)"
        )
    # Only now: until here the signal's own effect ends the process at once.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: end.set())
    print(f"serves {options.alias} at {server.listening_address}", flush=True)  # noqa: T201
    end.wait()
    # The server's own end waits for every answer under way, however long. Whoever ends it has let callers
    # finish before, and there is nothing here to save.
    os._exit(0)


def default_threads() -> int:
    """One thread for each core that this process may use, less one for everybody else.

    The threads of llama.cpp wait for one another at every step: as soon as another program wants one of
    their cores, all of them crawl (measured on two cores under load: 3 to 6 tokens a second with two
    threads, 20 to 29 with one).
    """
    cores = psutil.cpu_count(logical=False) or os.cpu_count() or 1
    if sys.platform == "linux":
        cores = min(cores, len(os.sched_getaffinity(0)))
        # "200000 100000" is two cores' worth of time; "max 100000" is no limit.
        with contextlib.suppress(OSError, ValueError):
            quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
            cores = min(cores, max(1, int(quota) // int(period)))
    return max(1, cores - 1)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="llamacpp_server", description=__doc__)
    parser.add_argument("--model", type=Path, required=True, help="the GGUF file")
    parser.add_argument("--alias", required=True, help="the id under which the model is offered")
    parser.add_argument("--host", default=HOST, help="where to listen")
    parser.add_argument("--port", type=int, default=8101, help="0 takes any free one")
    parser.add_argument("--context-size", type=int, default=0, help="tokens of all slots together")
    parser.add_argument("--slots", type=int, default=4, help="requests that are answered at the same time")
    parser.add_argument("--threads", type=int, default=0, help="0 means one a core, less one")
    parser.add_argument("--tied", action="store_true", help="end when standard input ends")
    return parser.parse_args(arguments)


def _serve(options: argparse.Namespace, *, has_template: bool) -> Any:
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.verbosity = _WARNINGS_AND_WORSE
    params.model.path = str(options.model)
    params.model_alias = {options.alias}
    params.hostnames = [options.host]
    params.port = options.port
    params.n_ctx = options.context_size
    params.n_parallel = options.slots
    threads = options.threads or default_threads()
    params.cpuparams.n_threads = threads
    params.cpuparams_batch.n_threads = threads
    params.use_jinja = True
    if not has_template:
        params.chat_template = CHAT_TEMPLATE
    params.sampling.temp = TEMPERATURE
    params.sampling.top_p = TOP_P
    params.sampling.penalty_repeat = REPEAT_PENALTY
    # By default, prompts of earlier requests may fill 8 GB of memory.
    params.cache_ram_mib = _PROMPT_CACHE_MIB
    params.endpoint_metrics = True
    params.ui = False
    # By default every web page may call it from its visitor's browser.
    params.cors_origins = f"http://{options.host}"
    params.cors_origins_explicit = True
    if key := os.environ.get(KEY_VARIABLE):
        params.api_keys = [key]
    return xllamacpp.Server(params)


def _wait_for_end_of_input(end: threading.Event) -> None:
    while os.read(sys.stdin.fileno(), 4096):
        continue
    end.set()


def _fail(reason: str) -> int:
    print(f"error: {reason}", file=sys.stderr, flush=True)  # noqa: T201
    return 1


if __name__ == "__main__":
    sys.exit(main())
