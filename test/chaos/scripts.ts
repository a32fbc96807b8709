import type { Round } from "./plan.ts";

const begin = `
import os, signal, sys, time

def slow(x):
    time.sleep(0.02)
    return x

def work(until):
    from dask.distributed import Client
    client = Client()
    print("running", flush=True)
    while True:
        total = sum(client.gather(client.map(slow, range(8), pure=False)))
        if time.monotonic() > until:
            return total

def rest(until):
    print("running", flush=True)
    while time.monotonic() < until:
        time.sleep(0.02)
    return 28

def ready(until):
    from dask.distributed import Client
    client = Client()
    client.wait_for_workers(int(sys.argv[3]))
    return rest(until)

def save(number, frame):
    os.write(1, b"saved\\n")
    os._exit(5)
`;

const main = (way: string, prepare = "pass"): string => `${begin}
if __name__ == "__main__":
    try:
        ${prepare}
        print("result", ${way}(time.monotonic() + float(sys.argv[2])), flush=True)
    except KeyboardInterrupt:
        sys.exit(130)
    except BaseException as error:
        print("lost", type(error).__name__, flush=True)
        sys.exit(9)
    sys.exit(int(sys.argv[1]))
`;

/** What each script is; it says `running`, and `result 28` when its work is done. */
export const scriptTexts: Readonly<Record<Exclude<Round["script"], "served">, string>> = {
  steady: main("work"),
  plain: main("rest"),
  ready: main("ready"),
  saving: main("work", "signal.signal(signal.SIGTERM, save)"),
  deaf: main("work", "signal.signal(signal.SIGTERM, signal.SIG_IGN)"),
};
